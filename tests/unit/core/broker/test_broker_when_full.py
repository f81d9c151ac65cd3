"""Queues that drop: nobody waits, the bound holds, and every item is accounted for."""

from __future__ import annotations

import pytest
from fake_broker import FakeBroker, job
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.core.protocol.messages import Grant, Wait
from orchestrator.plan.model import WhenFull

NEWEST, OLDEST = WhenFull.DROP_NEWEST, WhenFull.DROP_OLDEST


def pipe(when_full: WhenFull, maxsize: int = 3) -> FakeBroker:
    return FakeBroker(
        {"q": maxsize},
        job("src", writes="q"),
        job("snk", reads="q"),
        when_full=when_full,
    )


STAY = [
    (WhenFull.DROP_NEWEST, [1, 2, 3]),
    (WhenFull.DROP_OLDEST, [3, 4, 5]),
]
"""What is there of five items on a queue for three."""


@pytest.mark.parametrize(("when_full", "stay"), STAY)
def test_a_full_queue_drops_and_keeps_no_more_than_its_bound(
    when_full: WhenFull, stay: list[int]
) -> None:
    run = pipe(when_full)
    run.put("src-1", "q", 2)
    run.put("src-1", "q", 3)
    assert run.applied("src-1") == [1, 2]
    assert run.counts("q") == {"put": 5, "dropped": 2}
    assert (run.queue("q").size, run.queue("q").peak) == (3, 3)
    run.lease("snk-1", "q", 9)
    assert run.items("snk-1") == stay


@pytest.mark.parametrize("when_full", [NEWEST, OLDEST])
def test_who_puts_on_a_queue_that_drops_always_has_credit(when_full: WhenFull) -> None:
    run = pipe(when_full)
    run.put("src-1", "q", 9)
    run.want("src-1", "q", 5, wait=Wait.NO)
    assert run.last("src-1", Grant).n >= 5


def test_what_a_consumer_has_fetched_is_never_dropped() -> None:
    run = pipe(OLDEST)
    run.put("src-1", "q", 3)
    lease = run.lease("snk-1", "q", 3)
    run.put("src-1", "q", 4)
    run.commit("snk-1", done=[(lease, 3)])
    assert run.counts("q") == {"put": 7, "done": 3, "dropped": 3}
    assert run.queue("q").size == 1


@given(
    st.sampled_from([NEWEST, OLDEST]),
    st.integers(1, 5),
    st.lists(st.integers(-4, 6).filter(bool), max_size=30),
)
def test_every_item_is_delivered_once_in_order_or_counted_as_dropped(
    when_full: WhenFull, maxsize: int, story: list[int]
) -> None:
    """A positive number puts so many items, a negative one takes that many."""
    run = pipe(when_full, maxsize)
    for n in story:
        if n > 0:
            run.put("src-1", "q", n)
        elif run.queue("q").queued:
            before = len(run.items("snk-1"))
            lease = run.lease("snk-1", "q", -n)
            run.commit("snk-1", done=[(lease, len(run.items("snk-1")) - before)])
        assert run.queue("q").size <= maxsize
    taken, queue = run.items("snk-1"), run.queue("q")
    assert taken == sorted(set(taken))
    assert queue.put == queue.done + queue.dropped + queue.queued == sum(n for n in story if n > 0)
