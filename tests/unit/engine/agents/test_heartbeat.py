"""Heartbeats: one a second, and silence is noticed when it is due, not before."""

from orchestrator.engine.agents.connection import Heartbeat


def test_it_is_due_at_once_and_then_every_second():
    beat = Heartbeat(100.0, patience_s=20.0)
    said = []
    now = 100.0
    for _ in range(5):
        beat.hear(now)
        if beat.is_due(now):
            said.append(now)
        now = beat.next_check()
    assert said == [100.0, 101.0, 102.0, 103.0, 104.0]


def test_who_is_silent_is_lost_after_the_patience():
    beat = Heartbeat(0.0, patience_s=20.0)
    beat.hear(5.0)
    assert not beat.is_lost(24.9)
    assert beat.is_lost(25.0)


def test_the_next_check_is_no_later_than_the_loss():
    beat = Heartbeat(0.0, patience_s=20.0)
    while beat.is_due(beat.next_check()):
        assert beat.next_check() <= 20.0
    assert beat.next_check() == 20.0


def test_a_short_patience_is_filled_with_several_beats():
    beat = Heartbeat(0.0, patience_s=0.4)
    assert beat.is_due(0.0)
    assert beat.next_check() == 0.1
