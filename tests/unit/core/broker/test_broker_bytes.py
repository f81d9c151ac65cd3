"""Queues with `max_bytes`: full while they hold that many, exceeded by one commit a producer."""

from __future__ import annotations

import pytest
from fake_broker import FakeBroker, job, output
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.core.broker.queue import QueueState
from orchestrator.core.broker.setup import Resumption, restore
from orchestrator.core.broker.state import BrokerState
from orchestrator.core.durable.records import NewChunk
from orchestrator.core.durable.snapshot import ItemRange, ItemRanges, StoredQueue, StoredRun
from orchestrator.core.protocol.messages import Answer, Ask, Committed, End, Grant, Leased, Wait
from orchestrator.plan.model import WhenFull


def pipe(max_bytes: int, *sources: str, maxsize: int = 100, **keys: object) -> FakeBroker:
    names = sources or ("src",)
    return FakeBroker(
        {"q": maxsize},
        *(job(name, writes="q") for name in names),
        job("snk", reads="q", attempts=2),
        max_bytes=max_bytes,
        **keys,  # type: ignore[arg-type]
    )


def test_nobody_is_given_room_while_a_queue_has_its_bytes() -> None:
    run = pipe(100)
    run.want("src-1", "q")
    run.put("src-1", "q", 1, size=100)
    run.want("src-1", "q", wait=Wait.NO)
    assert run.last("src-1", Grant).n == 0
    run.want("src-1", "q")
    lease = run.lease("snk-1", "q")
    assert run.last("src-1", Grant).n >= 1, "what is in hand does not count"
    run.commit("snk-1", done=[(lease, 1)])
    assert run.weight("q").size == 0


def test_an_item_larger_than_the_bound_passes() -> None:
    run = pipe(10)
    run.put("src-1", "q", 1, size=5000)
    run.put("src-1", "q", 1, size=5000)
    assert run.applied("src-1") == [1], "the second waits"
    run.lease("snk-1", "q")
    assert run.applied("src-1") == [1, 2]


def test_credit_is_good_for_one_commit_and_the_answer_says_what_is_left() -> None:
    run = pipe(100)
    run.want("src-1", "q", 10)
    assert run.port("src-1").credits == {"q": run.last("src-1", Grant).n}
    run.put("src-1", "q", 1, size=60)
    assert run.last("src-1", Committed).credits == (("q", 0),)
    assert run.queue("q").granted == 0


def test_no_credit_is_given_in_advance_once_half_of_the_bytes_are_used() -> None:
    run = pipe(100)
    run.put("src-1", "q", 1, size=49)
    assert run.may_advance("q")
    run.put("src-1", "q", 1, size=1)
    assert not run.may_advance("q")
    run.want("src-1", "q", 3)
    assert run.last("src-1", Grant).n == 3, "what is asked for is given while there is room"


def test_each_producer_exceeds_the_bound_by_one_commit_at_most() -> None:
    run = pipe(100, "a", "b")
    for worker in ("a-1", "b-1"):
        run.want(worker, "q", 5)
    for worker in ("a-1", "b-1", "a-1", "b-1"):
        run.put(worker, "q", 5, size=90)
    assert run.weight("q").size == 180
    assert (run.applied("a-1"), run.applied("b-1")) == ([1], [1])
    assert (run.weight("q").peak, run.queue("q").ledger(final=False).peak_bytes) == (180, 180)


def test_a_commit_beyond_its_credit_waits_until_the_queue_has_less_than_its_bytes() -> None:
    run = FakeBroker(
        {"p": 9, "q": 9},
        job("src", writes="p"),
        job("mid", "p", "q"),
        job("snk", "q"),
        workers={"mid": 2},
        max_bytes=10,
    )
    run.put("src-1", "p", 6)
    first, second = run.lease("mid-1", "p", 3), run.lease("mid-2", "p", 2)
    run.commit("mid-1", output("q", 3, size=30), done=[(first, 3)])
    run.commit("mid-2", output("q", 2, size=20), done=[(second, 2)])
    lease = run.lease("snk-1", "q", 3)
    assert (run.queue("q").put, run.weight("q").size) == (3, 20)
    run.commit("snk-1", done=[(lease, 1)])
    assert (run.queue("q").put, run.weight("q").size) == (3, 10)
    run.commit("snk-1", done=[(lease, 1)])
    assert (run.queue("q").put, run.weight("q").size) == (5, 20)
    assert run.applied("mid-2") == [1]


def test_full_is_told_in_bytes() -> None:
    run = pipe(10)
    run.put("src-1", "q", 1, size=9)
    run.say("snk-1", Ask(ask=1, queue="q"))
    run.put("src-1", "q", 1, size=1)
    run.say("snk-1", Ask(ask=2, queue="q"))
    assert [answer.full for answer in run.got("snk-1", Answer)] == [False, True]


def test_a_batch_does_with_what_is_there_when_the_queue_is_full_in_bytes() -> None:
    run = pipe(10)
    run.pull("snk-1", "q", 5, least=5, within_s=60.0)
    run.put("src-1", "q", 2, size=9)
    assert not run.got("snk-1", Leased)
    run.put("src-1", "q", 1, size=1)
    assert run.items("snk-1") == [1, 2, 3]


def test_what_comes_back_counts_again() -> None:
    run = pipe(1000)
    run.put("src-1", "q", 4, size=40)
    lease = run.lease("snk-1", "q", 4)
    assert run.weight("q").size == 30, "one is in hand"
    run.commit("snk-1", done=[(lease, 1)])
    assert run.weight("q").size == 20
    run.commit("snk-1", done=[(lease, 1)], ends={0: End.FAILED})
    assert run.weight("q").size == 20, "one is delayed, one in hand"
    run.tick(1.0)
    run.leave("snk-1", lease=lease)
    assert run.weight("q").size == 30


@given(
    st.sampled_from([WhenFull.DROP_NEWEST, WhenFull.DROP_OLDEST]),
    st.sampled_from([0, 5]),
    st.lists(st.tuples(st.integers(-4, 4).filter(bool), st.integers(4, 60)), max_size=30),
)
def test_a_queue_that_drops_keeps_only_what_came_while_there_was_room(
    when_full: WhenFull, maxsize: int, story: list[tuple[int, int]]
) -> None:
    """A positive number puts so many items of so many bytes, a negative one takes that many."""
    run = pipe(50, maxsize=maxsize, when_full=when_full)
    queue = run.queue("q")
    for n, size in story:
        if n > 0:
            run.put("src-1", "q", n, size=size)
        elif queue.queued:
            taken = len(run.items("snk-1"))
            lease = run.lease("snk-1", "q", -n)
            run.commit("snk-1", done=[(lease, len(run.items("snk-1")) - taken)])
        if queue.segments:
            newest = queue.segments[-1].share(-1)
            assert run.weight("q").size - newest < 50
        assert run.weight("q").size == sum(segment.size_bytes for segment in queue.segments)
    taken_numbers = run.items("snk-1")
    assert taken_numbers == sorted(set(taken_numbers))
    assert queue.put == queue.done + queue.dropped + queue.queued


@pytest.mark.parametrize(
    ("when_full", "stay"), [(WhenFull.DROP_NEWEST, [1, 2]), (WhenFull.DROP_OLDEST, [4, 5])]
)
def test_a_queue_that_is_full_in_bytes_drops(when_full: WhenFull, stay: list[int]) -> None:
    run = pipe(10, maxsize=0, when_full=when_full)
    run.put("src-1", "q", 5, size=30)
    assert run.counts("q") == {"put": 5, "dropped": 3}
    run.lease("snk-1", "q", 9)
    assert run.items("snk-1") == stay


def test_a_resumed_queue_weighs_what_it_goes_on_with() -> None:
    queue = QueueState("q", 10, ["a"], ["b"], max_bytes=30)
    held = ItemRanges({1: [ItemRange(1, 2, 4, 3)], 2: [ItemRange(2, 0, 1, 5)]})
    stored = StoredRun(queues={"q": StoredQueue(put=5, done=2, held=held)}, last_chunk=2)

    def load(number: int) -> NewChunk:
        return NewChunk(number=number, packed=False, blob=bytes(20 * number), crc=0)

    restore(BrokerState([queue], []), Resumption(stored=stored, load=load))
    assert queue.weight is not None
    assert (queue.queued, queue.weight.size, queue.room) == (3, 10 + 40, 0)
