"""A batch goes out early when nothing but its going out can bring another item (rule 9)."""

from __future__ import annotations

import pytest
from fake_broker import FakeBroker, job, output

from orchestrator.core.broker.chunks import Chunk
from orchestrator.core.broker.liveness import can_come
from orchestrator.core.protocol.messages import Leased, Wait
from orchestrator.plan.model import BatchPlan

PATIENT = 9.0


BATCH = BatchPlan(size=12, within_s=PATIENT)


def sizes(run: FakeBroker, worker: str) -> list[int]:
    return [sum(part.stop - part.start for part in x.ranges) for x in run.got(worker, Leased)]


def pairs(**workers: int) -> FakeBroker:
    """Map gives all it gives for an item at once, and load wants ten."""
    return FakeBroker(
        {"a": 100, "b": 10},
        job("src", writes="a"),
        job("map", reads="a", writes="b"),
        job("load", reads="b", batch=BATCH),
        workers={"map": 2, **workers},
    )


def full_but_for_two() -> FakeBroker:
    """Both maps have put four, and one has four more, which do not fit."""
    run = pairs()
    run.put("src-1", "a", 20)
    run.pull("load-1", "b", 10, least=10, within_s=PATIENT)
    leases = {worker: run.lease(worker, "a", 2) for worker in ("map-1", "map-2")}
    for worker, lease in leases.items():
        run.commit(worker, output("b", 4, (4,)), done=[(lease, 1)])
    assert not run.items("load-1")
    run.commit("map-1", output("b", 4, (4,)), done=[(leases["map-1"], 1)])
    return run


def test_a_batch_goes_out_when_its_writers_wait_for_the_room_that_it_makes() -> None:
    run = full_but_for_two()
    assert sizes(run, "load-1") == [8]
    assert run.queue("b").queued == 4


def test_a_batch_that_goes_out_early_ends_before_an_item_that_has_to_be_alone() -> None:
    run = pairs()
    run.put("src-1", "a", 20)
    leases = {worker: run.lease(worker, "a", 2) for worker in ("map-1", "map-2")}
    for worker, lease in leases.items():
        run.commit(worker, output("b", 4, (4,)), done=[(lease, 1)])
    run.queue("b").suspects.add(7)
    run.pull("load-1", "b", 10, least=10, within_s=PATIENT)
    run.commit("map-1", output("b", 4, (4,)), done=[(leases["map-1"], 1)])
    assert sizes(run, "load-1") == [6]
    run.pull("load-1", "b", 10, least=10, within_s=PATIENT)
    assert sizes(run, "load-1") == [6, 1]


def test_the_other_writer_in_work_brings_nothing_while_somebody_is_in_line() -> None:
    """Whoever is younger gets no room there."""
    run = full_but_for_two()
    assert run.port("map-2").parked is None
    assert sizes(run, "load-1") == [8]


def test_a_batch_waits_for_a_writer_in_work_that_has_credit() -> None:
    run = pairs()
    run.put("src-1", "a", 20)
    lease = run.lease("map-1", "a", 2)
    run.want("map-2", "b", 2)
    run.pull("load-1", "b", 10, least=10, within_s=PATIENT)
    run.commit("map-1", output("b", 5, (5,)), done=[(lease, 1)])
    run.commit("map-1", output("b", 5, (5,)), done=[(lease, 1)])
    assert run.port("map-1").parked
    assert not run.items("load-1")
    run.put("map-2", "b", 2)
    assert sizes(run, "load-1") == [7]


def test_a_batch_waits_for_a_writer_in_work_though_the_source_is_slow() -> None:
    run = pairs()
    run.put("src-1", "a", 2)
    lease = run.lease("map-1", "a", 1)
    run.pull("map-2", "a")
    run.pull("load-1", "b", 10, least=10, within_s=PATIENT)
    run.commit("map-1", output("b", 4, (4,)), done=[(lease, 1)])
    run.pull("map-1", "a")
    run.tick(PATIENT / 2)
    assert not run.items("load-1"), "the source is in work"
    run.tick(PATIENT / 2)
    assert sizes(run, "load-1") == [4]


def fed_by_one() -> FakeBroker:
    """Split gives to the map and to load; map gives to load, too."""
    run = FakeBroker(
        {"q": 10, "a": 100, "b": 10},
        job("src", writes="q"),
        job("split", reads="q", writes="a b"),
        job("map", reads="a", writes="b", batch=BATCH),
        job("load", reads="b", batch=BATCH),
    )
    run.put("src-1", "q", 9)
    return run


def test_a_batch_goes_out_when_those_that_feed_its_writers_wait_for_its_room() -> None:
    """Through others: split is in line at b, and so gives the map no item."""
    run = fed_by_one()
    lease = run.lease("split-1", "q", 2)
    run.pull("load-1", "b", 10, least=10, within_s=PATIENT)
    run.pull("map-1", "a")
    run.commit("split-1", output("b", 9, (9,)), done=[(lease, 1)])
    assert not run.items("load-1")
    run.commit("split-1", output("b", 2, (2,)), done=[(lease, 1)])
    assert sizes(run, "load-1") == [9]


def test_of_two_batches_in_a_row_the_one_upstream_goes_first() -> None:
    run = FakeBroker(
        {"q": 10, "a": 100, "b": 10, "c": 1},
        job("src", writes="q"),
        job("split", reads="q", writes="a b c"),
        job("map", reads="a", writes="b", batch=BATCH),
        job("load", reads="b c", batch=BATCH),
    )
    run.put("src-1", "q", 9)
    lease = run.lease("split-1", "q", 2)
    run.pull("map-1", "a", 5, least=5, within_s=PATIENT)
    run.pull("load-1", "b", 10, least=10, within_s=PATIENT)
    outputs = [output("a", 3, (3,)), output("b", 3, (3,)), output("c", 1, (1,))]
    run.commit("split-1", *outputs, done=[(lease, 1)])
    run.commit("split-1", output("c", 1, (1,)), done=[(lease, 1)])
    assert (sizes(run, "map-1"), sizes(run, "load-1")) == ([3], [])
    run.pull("map-1", "a", 5, least=5, within_s=PATIENT)
    assert sizes(run, "load-1") == [3]


def test_a_batch_goes_out_as_soon_as_the_last_that_could_feed_it_begins_to_wait() -> None:
    run = FakeBroker(
        {"a": 4, "b": 10, "c": 1},
        job("src", writes="a c"),
        job("map", reads="a", writes="b"),
        job("load", reads="b c", batch=BATCH),
    )
    run.put("src-1", "c")
    run.put("src-1", "a")
    lease = run.lease("map-1", "a")
    run.commit("map-1", output("b", 3, (3,)), done=[(lease, 1)])
    run.pull("map-1", "a")
    run.pull("load-1", "b", 10, least=10, within_s=PATIENT)
    assert not run.items("load-1"), "the source is in work"
    run.want("src-1", "c", 1)
    assert sizes(run, "load-1") == [3]


@pytest.mark.parametrize("wait", [Wait.FOREVER, Wait.TIMED])
def test_a_put_that_may_give_up_and_credit_of_who_waits_bring_nothing(wait: Wait) -> None:
    run = pairs()
    run.pull("load-1", "b", 12, least=12, within_s=PATIENT)
    for worker, n in (("map-1", 8), ("map-2", 2)):
        run.want(worker, "b", n)
        assert run.port(worker).credits["b"] >= n
    run.put("map-1", "b", 8)
    run.want("map-1", "b", 1, wait=wait)
    assert not run.items("load-1"), "the other has credit"
    run.pull("map-2", "a")
    assert not run.items("load-1"), "the source is in work"
    run.want("src-1", "a", 100)
    run.put("src-1", "a", 1)
    run.want("map-2", "b", 9, wait=wait, unsent=None)
    assert sum(sizes(run, "load-1")) >= 8


def test_a_batch_waits_for_an_item_that_is_tried_again_later() -> None:
    run = full_but_for_two()
    queue = run.queue("b")
    queue.delayed = 1
    assert can_come(run.broker._state, queue)


def test_a_batch_waits_for_a_job_that_is_not_started_yet() -> None:
    run = pairs()
    run.leave("map-1")
    run.leave("map-2")
    run.queue("b").append(Chunk(b"xx", packed=False, items=2), 0, 2)
    run.pull("load-1", "b", 10, least=10, within_s=PATIENT)
    assert not run.items("load-1")


def test_batches_that_went_out_short_after_their_time_are_counted() -> None:
    run = FakeBroker({"q": 9}, job("src", writes="q"), job("snk", reads="q"))
    for _ in range(2):
        run.pull("snk-1", "q", 3, least=3, within_s=1.0)
        run.put("src-1", "q")
        run.tick(1.0)
    run.pull("snk-1", "q", 3, least=3, within_s=1.0)
    run.put("src-1", "q", 3)
    snk = run.broker.jobs["snk"]
    assert (snk.short_batches, snk.waiting_within_s) == (2, 2.0)
