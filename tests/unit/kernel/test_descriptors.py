"""The limit of open files."""

import resource

import pytest

from orchestrator.errors import UsageError
from orchestrator.kernel.limits import PER_WORKER, ensure, needed


@pytest.fixture
def limits(monkeypatch):
    """A stand-in for the kernel's (soft, hard) limit."""
    current = {"limits": (1024, 4096)}
    monkeypatch.setattr(resource, "getrlimit", lambda _: current["limits"])
    monkeypatch.setattr(resource, "setrlimit", lambda _, new: current.update(limits=new))
    return current


def test_the_need_grows_with_each_worker():
    assert needed(1000) - needed(0) == 1000 * PER_WORKER


def test_a_limit_that_is_high_enough_stays(limits):
    assert ensure(10) == 1024
    assert limits["limits"] == (1024, 4096)


def test_a_soft_limit_is_raised_to_the_need_and_its_former_value_returned(limits):
    assert ensure(200) == 1024
    assert limits["limits"] == (needed(200), 4096)


def test_an_unlimited_process_stays_unlimited(limits):
    limits["limits"] = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    assert ensure(10**6) == resource.RLIM_INFINITY


def test_a_hard_limit_below_the_need_is_refused_with_both_numbers_and_the_way_out(limits):
    with pytest.raises(UsageError) as caught:
        ensure(1000)
    assert f"{needed(1000):,}" in str(caught.value)
    assert "4,096" in str(caught.value)
    assert f"ulimit -n {needed(1000)}" in caught.value.hint
    assert limits["limits"] == (1024, 4096)
