"""The loop's clock leaves out the time in which the loop was stopped."""

import time

import pytest

from orchestrator.engine.node.hosting import LoopClock


@pytest.fixture
def advance(monkeypatch):
    """Lets monotonic time pass."""
    at = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: at[0])

    def by(seconds):
        at[0] += seconds

    return by


@pytest.fixture
def pulse(advance):
    return LoopClock()


def test_time_passes_as_long_as_waits_end_as_planned(pulse, advance):
    begun = pulse.now()
    assert pulse.plan_wait(0.5) == 0.5
    advance(0.6)
    assert pulse.now() - begun == pytest.approx(0.6)


@pytest.mark.parametrize("planned_s", [0.0, 0.5, 1.0, 3600.0])
def test_a_wait_in_which_the_loop_was_stopped_does_not_count(pulse, advance, planned_s):
    begun = pulse.now()
    pulse.plan_wait(planned_s)
    advance(2.5)
    assert pulse.now() == begun


def test_a_stop_between_two_waits_does_not_count(pulse, advance):
    begun = pulse.now()
    advance(600)
    assert pulse.now() == begun


def test_a_long_wait_counts_when_nothing_was_due(pulse, advance):
    begun = pulse.now()
    assert pulse.plan_wait(None) is None
    advance(3600)
    assert pulse.now() - begun == 3600


def test_a_plan_holds_for_one_wait(pulse, advance):
    pulse.now()
    pulse.plan_wait(None)
    begun = pulse.now()
    advance(5)
    assert pulse.now() == begun


def test_points_of_monotonic_time_shift_with_what_was_lost(pulse, advance):
    pulse.now()
    advance(10)
    now = pulse.now()
    assert pulse.of(time.monotonic()) == now
