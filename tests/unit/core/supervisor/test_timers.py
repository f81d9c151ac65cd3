"""Deadlines: the earliest that still counts, however many were set, moved and cancelled."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.core.supervisor.timers import Timer, Timers

OWNERS = st.sampled_from("abc")
TIMERS = st.sampled_from(Timer)
TIMES = st.integers(0, 20).map(float)
SET = st.tuples(st.just("set"), OWNERS, TIMERS, TIMES)
CANCEL = st.tuples(st.just("cancel"), OWNERS, st.lists(TIMERS), st.none())
DUE = st.tuples(st.just("due"), st.none(), st.none(), TIMES)


@given(st.lists(SET | CANCEL | DUE, max_size=40))
def test_deadlines_behave_as_a_plain_dictionary_would(steps):
    deadlines, model = Timers(), {}
    for what, owner, timer, when in steps:
        if what == "set":
            deadlines.set(owner, timer, when)
            model[owner, timer] = when
        elif what == "cancel":
            deadlines.cancel(owner, *timer)
            for one in timer or Timer:
                model.pop((owner, one), None)
        else:
            due = []
            while one := deadlines.pop_due(when):
                due.append((model.pop(one), *one))
            assert due == sorted(due)
            assert all(at > when for at in model.values())
        assert deadlines.next() == min(model.values(), default=None)
        for one in Timer:
            assert deadlines.any_of(one) == any(timer is one for _, timer in model)


def test_a_deadline_that_was_moved_comes_once():
    deadlines = Timers()
    for when in (5.0, 3.0, 5.0):
        deadlines.set("a", Timer.RUN, when)
    assert deadlines.pop_due(4.0) is None
    assert deadlines.pop_due(5.0) == ("a", Timer.RUN)
    assert deadlines.pop_due(9.0) is None
    assert deadlines.next() is None
    assert not deadlines.any_of(*Timer)


def test_after_clear_nothing_is_due():
    deadlines = Timers()
    deadlines.set("a", Timer.RUN, 1.0)
    deadlines.clear()
    assert deadlines.next() is None
