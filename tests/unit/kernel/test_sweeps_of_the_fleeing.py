"""A sweep of processes that are dead whenever they are looked at, as they fork and exit."""

import itertools

import pytest

from orchestrator.kernel import descendants
from orchestrator.kernel.descendants import Kin, sweep


def zombie(pid):
    return Kin(pid=pid, name="fleeing", parent=1, group=pid, started=5, zombie=True)


@pytest.fixture
def seen(monkeypatch):
    """What each look at /proc shows, the last for ever."""

    def shows(*looks):
        left = iter(looks)
        last = []
        monkeypatch.setattr(descendants, "descendants", lambda _: next(left, last))
        monkeypatch.setattr(descendants, "_listed_children", tuple)
        monkeypatch.setattr(descendants, "_reap", tuple)
        monkeypatch.setattr(descendants.os, "getpid", lambda: 1)

    return shows


def test_if_there_is_another_each_time_they_are_told_to_have_survived(seen):
    seen(*([zombie(pid)] for pid in itertools.islice(itertools.count(100), 50)))
    survived = sweep(within_s=0).survived
    assert [kin.name for kin in survived] == ["fleeing"]


@pytest.mark.parametrize("looks", [0, 1, 2])
def test_who_has_died_by_itself_has_not(seen, looks):
    seen(*([zombie(100 + n)] for n in range(looks)))
    assert sweep(within_s=0).survived == ()
