"""An image follows its journal: what is where, which chunks it needs, and what a rewind undoes."""

from __future__ import annotations

import msgspec
from fake_broker import job
from fake_durable import FakeDurable

from orchestrator.core.durable.records import (
    Dealt,
    Fate,
    Gave,
    ItemsEnded,
    JobDone,
    JournalEntry,
    NewChunk,
    PartiallyEmitted,
    Progressed,
    Put,
    Read,
    Record,
    Returned,
    Spilt,
    TasksDone,
    Tried,
)
from orchestrator.core.durable.snapshot import (
    ChunkChange,
    SnapshotTracker,
    StoredProgress,
    StoredRun,
)
from orchestrator.core.protocol.events import WorkerLeft
from orchestrator.core.protocol.messages import End, TaskDone
from orchestrator.plan.model import ErrorAction


def image_of(*steps: Record) -> SnapshotTracker:
    tracking = SnapshotTracker(StoredRun())
    tracking.apply(JournalEntry(records=steps))
    return tracking


def apply(tracking: SnapshotTracker, *steps: Record) -> list[int]:
    return list(tracking.apply(JournalEntry(records=steps)).dropped)


def test_items_are_numbered_in_the_order_in_which_they_were_put_spilt_ones_too() -> None:
    stored = image_of(Put("q", 1, 0, 2), Spilt("q", 3), Put("q", 1, 2, 3)).stored
    assert [part.first for part in stored.queues["q"].held] == [1, 6]
    assert (stored.queues["q"].put, stored.queues["q"].dropped) == (6, 3)


def test_each_end_is_booked_where_it_belongs() -> None:
    ends = (Fate.DONE, Fate.SKIPPED, Fate.DROPPED, Fate.DEAD)
    steps = [ItemsEnded("q", 1, at, at + 1, fate, "m") for at, fate in enumerate(ends)]
    stored = image_of(Put("q", 1, 0, 5), *steps).stored
    queue, made = stored.queues["q"], stored.jobs["m"]
    assert (queue.done, queue.skipped, queue.dropped, queue.dead) == (1, 1, 1, 1)
    assert (made.items_in, made.skipped, made.dead) == (4, 1, 1)
    assert queue.dead_items == [4]
    assert [list(part.numbers) for part in queue.held] == [[5]]


def test_what_has_ended_has_no_attempts_and_no_parts_any_more() -> None:
    steps = (
        Tried("q", 1, 2, "m"),
        PartiallyEmitted("q", 1, "m"),
        ItemsEnded("q", 1, 0, 1, Fate.DONE, "m"),
    )
    queue = image_of(Put("q", 1, 0, 1), *steps).stored.queues["q"]
    assert not queue.attempts
    assert not queue.partially_emitted


def test_a_chunk_is_needed_until_the_last_queue_and_the_last_tail_that_name_it_are_done() -> None:
    tracking = image_of(
        Put("a", 7, 0, 2), Put("b", 7, 0, 2), Progressed("s", "s-1", "a", 0, 0, 7, 2)
    )
    assert tracking.chunks == {7}
    assert apply(tracking, ItemsEnded("a", 7, 0, 2, Fate.DONE)) == []
    assert apply(tracking, ItemsEnded("b", 7, 0, 2, Fate.DROPPED)) == []
    assert apply(tracking, Progressed("s", "s-1", "a", 2, 0, 0, 0)) == [7]
    assert not tracking.chunks


def test_a_tail_that_stays_the_same_is_needed_on() -> None:
    tracking = image_of(Progressed("s", "s-1", "a", 0, 0, 7, 1))
    assert apply(tracking, Progressed("s", "s-1", "a", 0, 0, 7, 2)) == []
    assert tracking.chunks == {7}


def test_what_a_job_that_is_done_had_of_its_own_is_needed_no_more() -> None:
    tracking = image_of(
        Put("q", 1, 0, 3),
        Dealt("r", "r-1", "q", 1, 0, 3),
        Read("r-1", "q", 3),
        Progressed("r", "r-1", "t", 0, 0, 2, 1),
    )
    assert sorted(apply(tracking, JobDone("r"))) == [1, 2]
    assert tracking.stored.jobs_done == ["r"]
    assert not tracking.stored.workers
    assert tracking.stored.queues["q"].done == 3


def test_a_rewind_undoes_what_was_read_but_not_what_was_put() -> None:
    tracking = image_of(
        Put("q", 1, 0, 3),
        Dealt("r", "r-1", "q", 1, 0, 3),
        Read("r-1", "q", 2),
        TasksDone("r-1", "q", 2),
        Gave("r", 4),
        Progressed("r", "r-1", "t", 4, 9, 0, 0),
    )
    assert (tracking.stored.queues["q"].done, tracking.stored.jobs["r"].items_in) == (2, 2)
    tracking.rewind()
    queue, made = tracking.stored.queues["q"], tracking.stored.jobs["r"]
    assert (queue.done, queue.tasks_done, made.items_in, made.items_out) == (0, 0, 0, 4)
    worker = tracking.stored.workers["r-1"]
    assert [list(part.numbers) for part in worker.redelivered["q"]] == [[1, 2, 3]]
    assert not worker.dealt
    assert worker.progress == {"t": StoredProgress(4, 9, 0, 0)}


def test_a_rewind_twice_is_a_rewind_once() -> None:
    tracking = image_of(Put("q", 1, 0, 2), Dealt("r", "r-1", "q", 1, 0, 2), Read("r-1", "q", 1))
    tracking.rewind()
    once = msgspec.msgpack.encode(tracking.stored)
    tracking.rewind()
    assert msgspec.msgpack.encode(tracking.stored) == once


def test_what_was_got_again_comes_before_what_is_still_to_come() -> None:
    tracking = image_of(Put("q", 1, 0, 4), Dealt("r", "r-1", "q", 1, 0, 4))
    tracking.rewind()
    apply(tracking, Dealt("r", "r-1", "q", 1, 0, 2))
    tracking.rewind()
    again = tracking.stored.workers["r-1"].redelivered["q"]
    assert [number for part in again for number in part.numbers] == [1, 2, 3, 4]


def test_what_is_returned_is_held_for_anybody_whether_it_had_come_again_or_not() -> None:
    tracking = image_of(Put("q", 1, 0, 4), Dealt("r", "r-1", "q", 1, 0, 4))
    tracking.rewind()
    apply(tracking, Dealt("r", "r-1", "q", 1, 0, 2), Returned("r-1", "q", 1, 1, 4))
    held = tracking.stored.queues["q"].held
    assert sorted(number for part in held for number in part.numbers) == [2, 3, 4]


def test_an_image_read_from_its_bytes_goes_on_as_the_one_it_was_made_of() -> None:
    tracking = image_of(
        Put("q", 1, 0, 4),
        Put("p", 2, 0, 1),
        Dealt("r", "r-1", "q", 1, 0, 2),
        Tried("q", 3, 1, "m"),
        Progressed("r", "r-1", "t", 1, 5, 3, 2),
        PartiallyEmitted("q", 4, "m"),
    )
    data = msgspec.msgpack.encode(tracking.stored)
    again = SnapshotTracker(msgspec.msgpack.decode(data, type=StoredRun))
    assert again.stored == tracking.stored
    assert again.chunks == tracking.chunks
    for each in (tracking, again):
        assert apply(each, ItemsEnded("q", 1, 2, 4, Fate.DONE, "m"), JobDone("r")) == [1, 3]


def test_the_number_of_the_last_chunk_is_known_though_the_chunk_is_gone() -> None:
    tracking = SnapshotTracker(StoredRun())
    chunk = NewChunk(number=9, packed=False, blob=b"", crc=0)
    steps = Put("q", 9, 0, 1), ItemsEnded("q", 9, 0, 1, Fate.DONE)
    assert tracking.apply(JournalEntry(records=steps, chunks=(chunk,))) == ChunkChange(
        new=(), dropped=()
    )
    assert tracking.stored.last_chunk == 9


def test_items_of_damaged_chunks_are_lost_wherever_they_were_and_said_by_queue() -> None:
    tracking = image_of(
        Put("q", 1, 0, 4),
        Put("q", 2, 0, 1),
        Dealt("r", "r-1", "q", 1, 0, 1),
        Progressed("r", "r-1", "t", 0, 0, 1, 1),
    )
    tracking.rewind()
    assert tracking.lose({1}) == {"q": 4}
    assert tracking.chunks == {2}
    assert tracking.stored.queues["q"].lost == 4
    assert tracking.stored.workers["r-1"].progress["t"].tail == 0


def test_an_image_counts_as_its_broker_does() -> None:
    source = job("s", writes="q", by_item=False, counted=True)
    stage = job("m", "q", "t", otherwise=ErrorAction.SKIP)
    run = FakeDurable({"q": 9, "t": 9}, source, stage, job("k", reads="t", by_item=False))
    run.put("s-1", "q", 3)
    lease = run.lease("m-1", "q", most=3)
    run.commit("m-1", done=[(lease, 3)], ends={0: End.DEAD, 1: End.FAILED})
    kept = run.kept("q")
    assert (kept.put, kept.done, kept.skipped, kept.dead) == (3, 1, 1, 1)
    made = run.tracking.stored.jobs["m"]
    assert (made.items_in, made.skipped, made.dead) == (3, 1, 1)
    assert run.tracking.stored.jobs["s"].items_out == 3
    assert not run.chunks


def test_tasks_of_a_worker_that_begins_anew_are_to_be_done_anew() -> None:
    run = FakeDurable(
        {"q": 9}, job("s", writes="q", counted=True, by_item=False), job("r", "q", by_item=False)
    )
    run.put("s-1", "q", 2)
    run.lease("r-1", "q", most=2)
    run.say("r-1", TaskDone(ask=1, queue="q", n=2))
    assert run.kept("q").tasks_done == 2
    assert run.resume().queue("q").tasks_done == 0


def test_what_was_put_after_a_failure_downstream_stays_and_after_a_clean_end_is_dropped() -> None:
    source = job("s", writes="q", counted=True, by_item=False)
    for clean, held, dropped in ((False, 2, 0), (True, 0, 2)):
        run = FakeDurable({"q": 9}, source, job("r", "q", by_item=False))
        run.tell(WorkerLeft(worker="r-1", returned=clean))
        run.finish("r", clean=clean)
        run.put("s-1", "q", 2)
        kept = run.kept("q")
        assert (sum(map(len, kept.held)), kept.dropped) == (held, dropped)
