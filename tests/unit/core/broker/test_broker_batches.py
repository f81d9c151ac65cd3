"""Batches: exactly `size` items, or what is there when time, room or stream are over (rule 9)."""

from __future__ import annotations

import pytest
from fake_broker import FakeBroker, job

from orchestrator.core.protocol.messages import Grant, Leased


@pytest.fixture
def run() -> FakeBroker:
    """Two workers that want three items each, within a second."""
    made = FakeBroker({"q": 6}, job("src", writes="q"), job("snk", reads="q"), workers={"snk": 2})
    for worker in ("snk-1", "snk-2"):
        made.pull(worker, "q", 3, least=3, within_s=1.0)
    return made


def sizes(run: FakeBroker, worker: str) -> list[int]:
    return [sum(part.stop - part.start for part in x.ranges) for x in run.got(worker, Leased)]


def test_a_batch_is_of_its_size_though_its_items_came_one_by_one(run: FakeBroker) -> None:
    for _ in range(4):
        run.put("src-1", "q")
    assert run.items("snk-1") == [1, 2, 3]
    assert not run.items("snk-2")


def test_a_batch_goes_short_once_its_first_item_has_waited_for_the_time_given(
    run: FakeBroker,
) -> None:
    run.put("src-1", "q")
    run.tick(0.5)
    run.put("src-1", "q")
    run.tick(0.25)
    assert not run.items("snk-1")
    run.tick(0.25)
    assert run.items("snk-1") == [1, 2]


def test_patience_that_ran_out_for_one_batch_starts_anew_for_the_next(run: FakeBroker) -> None:
    run.put("src-1", "q")
    run.tick(1.0)
    assert run.items("snk-1") == [1]
    run.tick(5.0)
    run.put("src-1", "q")
    assert not run.items("snk-2")
    run.put("src-1", "q", 2)
    assert sizes(run, "snk-2") == [3]


def test_a_batch_goes_short_when_the_stream_ends(run: FakeBroker) -> None:
    run.put("src-1", "q", 2)
    run.leave("src-1")
    run.finish("src")
    assert run.items("snk-1") == [1, 2]


def test_a_batch_goes_short_when_a_producer_waits_for_room() -> None:
    run = FakeBroker({"q": 2}, job("src", writes="q"), job("snk", reads="q"))
    run.pull("snk-1", "q", 3, least=3, within_s=9.0)
    run.put("src-1", "q", 2)
    assert run.items("snk-1") == [1, 2]


def test_a_batch_is_not_cut_short_by_a_producer_whose_credit_is_on_its_way() -> None:
    """It asked before it had heard of the room that it was given unasked."""
    run = FakeBroker({"q": 3}, job("src", writes="q"), job("snk", reads="q"))
    run.pull("snk-1", "q", 3, least=3, within_s=9.0)
    run.put("src-1", "q")
    assert [(grant.want, grant.n) for grant in run.got("src-1", Grant)] == [(0, 1)]
    asked = run.want("src-1", "q", n=3, least=2, unsent=0)
    assert run.last("src-1", Grant) == Grant(want=asked, queue="q", n=0)
    run.put("src-1", "q")
    assert not run.items("snk-1")
    run.put("src-1", "q")
    assert run.items("snk-1") == [1, 2, 3]


def test_a_batch_goes_short_when_a_producer_has_used_up_its_credit_and_asks_for_more() -> None:
    run = FakeBroker({"q": 3}, job("src", writes="q"), job("snk", reads="q"))
    run.pull("snk-1", "q", 3, least=3, within_s=9.0)
    run.put("src-1", "q")
    run.want("src-1", "q", n=3, unsent=1)
    assert not run.items("snk-1")
    run.want("src-1", "q", n=3, unsent=2)
    assert run.items("snk-1") == [1]


def test_a_whole_batch_is_in_hand_and_leaves_its_room_to_others() -> None:
    run = FakeBroker({"q": 3}, job("src", writes="q"), job("snk", reads="q"))
    run.put("src-1", "q", 3)
    run.lease("snk-1", "q", 3, least=3)
    assert run.queue("q").room == 3


def test_a_batch_does_not_hold_back_a_job_that_takes_single_items() -> None:
    run = FakeBroker({"q": 6}, job("src", writes="q"), job("lot", reads="q"), job("one", reads="q"))
    run.pull("lot-1", "q", 3, least=3, within_s=9.0)
    run.pull("one-1", "q")
    run.put("src-1", "q")
    assert run.items("one-1") == [1]


def test_a_batch_of_several_queues_comes_from_the_first_that_has_enough() -> None:
    run = FakeBroker({"a": 6, "b": 6}, job("src", writes="a b"), job("snk", reads="a b"))
    run.put("src-1", "a")
    run.put("src-1", "b", 2)
    run.lease("snk-1", "a b", 2, least=2, within_s=1.0)
    assert run.last("snk-1", Leased).queue == "b"
    run.pull("snk-1", "a b", 2, least=2, within_s=1.0)
    run.tick(1.0)
    assert run.last("snk-1", Leased).queue == "a"


def test_alarms_do_not_pile_up_while_batches_fill_faster_than_patience_ends() -> None:
    run = FakeBroker({"q": 6}, job("src", writes="q"), job("snk", reads="q"))
    for _ in range(100):
        run.pull("snk-1", "q", 2, least=2, within_s=3600.0)
        run.put("src-1", "q")
        run.tick(0.1)
        run.put("src-1", "q")
    assert sizes(run, "snk-1") == [2] * 100
    run.tick(3600.0)
    run.tick(3600.0)
    assert run.broker.next_deadline() is None
