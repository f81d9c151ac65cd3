"""A worker that gets items of several queues gets them again in the order of before."""

from __future__ import annotations

from typing import Any

import pytest
from fake_broker import job, output
from fake_durable import FakeDurable
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.core.broker.broker import ProtocolError
from orchestrator.core.protocol.events import JobFinished
from orchestrator.core.protocol.messages import Answer, Ask, Ended, Leased, NoLease, Wait

END = 0

WRITERS = [job(name, writes=name, by_item=False, counted=True) for name in "ab"]
READER = job("r", "a b", "m", by_item=False, counted=True)
LAST = job("k", "m")


def run_of(**keys: Any) -> FakeDurable:
    return FakeDurable({"a": 99, "b": 99, "m": 99}, *WRITERS, {**READER, **keys}, LAST)


def first_life(*got: tuple[str, int], more: int = 0) -> FakeDurable:
    """The reader has got so many items of these queues, in this order, and there are more."""
    run = run_of()
    for name in "ab":
        n = sum(n for queue, n in got if queue == name)
        if n + more:
            run.put(f"{name}-1", name, n + more)
        if n:
            run.lease("r-1", name, most=99)  # it has all of it, and has not begun all
    for queue, n in got:
        if n == END:
            finish(run, queue)
        run.commit("r-1", output("m", 1, (1,)), got=[(queue, n)])
    return run


def finish(run: FakeDurable, name: str, *, final: bool = True) -> None:
    run.tell(JobFinished(job=name, clean=True, final=final))


def poll(run: FakeDurable, queue: str, most: int = 99) -> str:
    """What a poll finds: the number of one item, "end" or nothing."""
    before = len(run.sent.get("r-1", []))
    run.pull("r-1", queue, most, wait=Wait.NO, polls=True)
    (answer,) = [order.message for order in run.sent["r-1"][before:]]
    if isinstance(answer, Leased):
        (part,) = answer.ranges
        return (
            f"{queue}{'+'.join(map(str, range(part.first, part.first + part.stop - part.start)))}"
        )
    return "end" if isinstance(answer, Ended) else ""


def size(run: FakeDurable, queue: str) -> int:
    run.say("r-1", Ask(ask=7, queue=queue))
    return run.last("r-1", Answer).qsize


def test_a_poll_finds_nothing_until_what_was_got_before_has_been_got_again() -> None:
    again = first_life(("a", 2), ("b", 1), ("a", 1)).resume()
    assert poll(again, "b") == ""
    assert [poll(again, "a") for _ in range(3)] == ["a1", "a2", ""]
    assert [poll(again, "b"), poll(again, "b")] == ["b1", ""]
    assert poll(again, "a") == "a3"


def test_what_was_only_fetched_ahead_has_no_turn_and_comes_before_what_is_new() -> None:
    again = first_life(("b", 1), ("a", 1), more=2).resume()
    assert [poll(again, name) for name in "aba"] == ["", "b1", "a1"]
    assert poll(again, "b") == "b2+3"
    assert poll(again, "a") == "a2+3"


def test_who_does_not_poll_gets_what_is_next_of_the_queue_he_asks() -> None:
    """He cannot tell when it came, and might wait for ever."""
    again = first_life(("a", 2), ("b", 2)).resume()
    assert again.lease("r-1", "b", most=9)
    assert [poll(again, name) for name in "baab"] == ["", "a1", "a2", "b2"]


def test_a_stream_gets_its_items_in_one_order_several_at_a_time() -> None:
    again = first_life(("b", 1), ("a", 2), ("b", 1)).resume()
    for _ in range(3):
        again.lease("r-1", "a b", most=9)
    leases = [(lease.queue, lease.ranges[0].first) for lease in again.got("r-1", Leased)]
    assert leases == [("b", 1), ("a", 1), ("b", 2)]


def test_a_poll_that_may_wait_is_answered_when_its_turn_has_come() -> None:
    again = first_life(("a", 1), ("b", 1)).resume()
    pull = again.pull("r-1", "b", 1, wait=Wait.TIMED, polls=True)
    assert not again.got("r-1", Leased)
    assert poll_by_another_thread(again) == ["a", "b"]
    assert again.last("r-1", Leased).pull == pull


def poll_by_another_thread(run: FakeDurable) -> list[str]:
    run.pull("r-1", "a", 1, wait=Wait.NO, polls=True)
    return [lease.queue for lease in run.got("r-1", Leased)]


def test_a_poll_that_waits_for_its_turn_can_be_withdrawn() -> None:
    again = first_life(("a", 1), ("b", 1)).resume()
    pull = again.pull("r-1", "b", 1, wait=Wait.TIMED, polls=True)
    again.unpull("r-1", pull)
    assert again.last("r-1", NoLease).pull == pull
    assert [poll(again, "a"), poll(again, "b")] == ["a1", "b1"]


def test_the_end_of_a_queue_is_told_where_it_was_told() -> None:
    again = first_life(("b", 1), ("a", 1), ("b", END), ("a", 1)).resume()
    assert [poll(again, "b"), poll(again, "b")] == ["b1", ""]
    again.commit("r-1", done=[(again.last("r-1", Leased).lease, 1)])
    assert again.queue("b").ended
    assert poll(again, "b") == ""
    assert [poll(again, name) for name in "aaba"] == ["a1", "", "end", "a2"]
    assert poll(again, "b") == "end"


def test_an_end_that_had_not_been_told_comes_after_all_that_was_got() -> None:
    run = first_life(("b", 1), ("a", 2))
    finish(run, "b")
    again = run.resume()
    assert [poll(again, name) for name in "ba"] == ["b1", "a1"]
    again.commit("r-1", done=[(lease.lease, 1) for lease in again.got("r-1", Leased)])
    assert again.queue("b").ended
    assert [poll(again, name) for name in "bab"] == ["", "a2", "end"]


def test_the_end_of_a_queue_whose_writer_will_be_called_again_is_none() -> None:
    run = first_life(("b", 1), more=0)
    finish(run, "b", final=False)
    run.put("a-1", "a", 1)
    run.lease("r-1", "a")
    run.commit("r-1", output("m", 1, (1,)), got=[("b", END), ("a", 1)])
    again = run.resume()
    assert [poll(again, name) for name in "aba"] == ["", "b1", "a1"]
    again.put("b-1", "b", 1)
    assert poll(again, "b") == "b2"


def test_who_waits_for_ever_is_told_an_end_at_once() -> None:
    again = first_life(("b", END), ("a", 2)).resume()
    again.pull("r-1", "b", 1)
    assert again.got("r-1", Ended)
    assert [poll(again, "a"), poll(again, "a")] == ["a1", "a2"]


@pytest.mark.parametrize("taken", [1, 2, 3])
def test_what_is_given_back_has_its_turn_again(taken: int) -> None:
    again = first_life(("a", 1), ("b", 1), ("a", 1)).resume()
    order = "aba"[:taken]
    assert [poll(again, name)[0] for name in order] == list(order)
    for lease in reversed(again.got("r-1", Leased)):
        again.release("r-1", lease.lease, kept=0)
    assert [poll(again, name) for name in "baba"] == ["", "a1", "b1", "a2"]


def test_the_order_is_that_of_the_first_life_in_all_that_follow() -> None:
    run = first_life(("a", 1), ("b", 1), ("a", 2), more=1)
    for lives in (1, 2, 3):
        run = run.resume()
        for queue in "ab"[: lives % 3]:
            found = poll(run, queue)
            run.commit("r-1", got=[(queue, 1)], done=[(run.last("r-1", Leased).lease, 1)])
            assert found == f"{queue}1"
    run = run.resume()
    assert [poll(run, name) for name in "abab"] == ["a1", "b1", "a2", ""]
    run.commit("r-1", got=[("a", 1), ("b", 1), ("a", 1)])
    assert [poll(run, "a"), poll(run, "b")] == ["a3", "b2"]
    run.commit("r-1", output("m", 1, (1,)), got=[("a", 1), ("b", 1)])
    assert run.worker("r-1").got == [("a", 1), ("b", 1), ("a", 2), ("b", 1)]


def test_a_size_tells_what_polls_would_find() -> None:
    again = first_life(("a", 2), ("b", 1), more=3).resume()
    assert (size(again, "a"), size(again, "b")) == (2, 0)
    assert poll(again, "a") == "a1"
    assert poll(again, "a") == "a2"
    assert (size(again, "a"), size(again, "b")) == (0, 1)
    assert poll(again, "b") == "b1"
    assert (size(again, "a"), size(again, "b")) == (3, 3)


def test_the_size_of_the_only_queue_counts_what_is_to_come_again() -> None:
    run = FakeDurable({"a": 9}, WRITERS[0], job("r", "a", by_item=False))
    run.put("a-1", "a", 5)
    run.lease("r-1", "a", most=3)
    assert size(run.resume(), "a") == 5


def test_what_went_with_a_damaged_store_is_waited_for_by_nobody() -> None:
    run = first_life(("a", 1), ("b", 1))
    run.keep()
    (chunk,) = [part.chunk for part in run.worker("r-1").dealt["a"]]
    run.tracking.rewind()
    run.tracking.lose({chunk})
    del run.chunks[chunk]
    again = run.resume()
    assert poll(again, "b") == "b1"


def test_what_is_got_of_a_queue_that_the_job_does_not_read_breaks_the_protocol() -> None:
    run = first_life(("a", 1))
    with pytest.raises(ProtocolError, match="does not read"):
        run.commit("r-1", got=[("m", 1)])


@given(st.lists(st.sampled_from("ab"), max_size=12), st.lists(st.sampled_from("ab"), max_size=60))
def test_whatever_is_polled_in_whatever_order_the_items_come_in_that_of_before(
    order: list[str], polls: list[str]
) -> None:
    again = first_life(*((name, 1) for name in order)).resume()
    found = [name for name in (*polls, *"ab" * len(order)) if poll(again, name)]
    assert found == order
