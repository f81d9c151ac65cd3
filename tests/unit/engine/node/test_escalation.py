"""The guard's patience: which signals it passes on, and when it stops waiting."""

import signal

import pytest

from orchestrator.engine.node.guard import KILL_WITHIN_S, ONE_REQUEST_S, Escalation

INT, TERM, HUP = signal.SIGINT, signal.SIGTERM, signal.SIGHUP
LATER = ONE_REQUEST_S


def heard(*signals):
    """Return a patience that has heard the signals, each `LATER` than the one before, from 0 on."""
    patience = Escalation()
    for place, signum in enumerate(signals):
        assert patience.hear(signum, place * LATER)
    return patience


@pytest.mark.parametrize(
    "signals", [[], [INT], [INT, INT], [TERM], [HUP], [INT, INT, TERM], [TERM, INT, INT]], ids=repr
)
def test_it_has_no_end_before_the_order_to_kill(signals):
    assert heard(*signals).left_s(1e9) is None


@pytest.mark.parametrize(
    "signals",
    [
        [INT, INT, INT],
        [TERM, TERM],
        [HUP, TERM],
        [TERM, HUP],
        [INT, TERM, TERM],
        [TERM, INT, INT, INT],
    ],
    ids=repr,
)
def test_it_ends_some_time_after_the_order_to_kill(signals):
    patience = heard(*signals)
    ordered = (len(signals) - 1) * LATER
    assert patience.left_s(ordered) == KILL_WITHIN_S
    assert patience.left_s(ordered + 1) == KILL_WITHIN_S - 1
    assert patience.left_s(ordered + KILL_WITHIN_S + 5) == 0


@pytest.mark.parametrize("signals", [[INT, INT, INT], [TERM, TERM]], ids=repr)
@pytest.mark.parametrize("more", [INT, TERM, HUP])
def test_it_ends_at_once_when_somebody_asks_again_later(signals, more):
    patience = heard(*signals)
    now = len(signals) * LATER
    patience.hear(more, now)
    assert patience.left_s(now) == 0


def test_a_key_that_is_hammered_orders_one_kill():
    patience = Escalation()
    for presses in range(20):
        assert patience.hear(INT, presses * 0.09)
    assert patience.left_s(2 * 0.09) == KILL_WITHIN_S


@pytest.mark.parametrize(("first", "second"), [(TERM, TERM), (HUP, HUP), (TERM, HUP), (HUP, TERM)])
def test_a_termination_that_comes_twice_at_once_is_one_request(first, second):
    patience = heard(first)
    assert not patience.hear(second, 0.9 * ONE_REQUEST_S)
    assert patience.left_s(0.9 * ONE_REQUEST_S) is None


def test_terminations_that_come_again_and_again_are_no_endless_single_request():
    patience = Escalation()
    passed_on = [now for now in range(10) if patience.hear(TERM, now * ONE_REQUEST_S / 2)]
    assert passed_on[:2] == [0, 2]
    assert patience.left_s(10.0) is not None


@pytest.mark.parametrize("signum", [signal.SIGTSTP, signal.SIGUSR1, signal.SIGWINCH])
def test_other_signals_are_passed_on_and_ask_for_nothing(signum):
    patience = Escalation()
    assert all(patience.hear(signum, 0.0) for _ in range(5))
    assert patience.left_s(1e9) is None


def test_an_interrupt_that_comes_from_the_host_and_from_elsewhere_is_one():
    patience = Escalation()
    heard = [
        patience.hear(signal.SIGINT, now, by_host=by_host)
        for now, by_host in enumerate([False, True, True, False, False])
    ]
    assert heard == [True, False, True, False, True]
    assert patience.left_s(4) == KILL_WITHIN_S
