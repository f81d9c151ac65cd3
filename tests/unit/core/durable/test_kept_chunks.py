"""Within one entry a chunk may lose its last use and get another: it is kept all the same."""

from __future__ import annotations

import itertools

import pytest
from fake_broker import job, output
from fake_durable import FakeDurable

from orchestrator.core.durable.records import Fate, ItemsEnded, JournalEntry, NewChunk, Pending, Put
from orchestrator.core.durable.snapshot import SnapshotTracker, StoredRun
from orchestrator.core.protocol.events import WorkerLeft
from orchestrator.plan.model import WhenFull

DROPS = [WhenFull.DROP_NEWEST, WhenFull.DROP_OLDEST]


def numbers(run: FakeDurable, queue: str) -> list[int]:
    """What a worker that takes all of the queue gets."""
    worker = f"{queue}-1"
    before = len(run.items(worker))
    run.pull(worker, queue, 99)
    return run.items(worker)[before:]


@pytest.mark.parametrize("when_full", DROPS)
@pytest.mark.parametrize("bounded", [{}, {"max_bytes": {"live": 2}}], ids=["items", "bytes"])
@pytest.mark.parametrize("order", list(itertools.permutations(["live", "a", "b"])))
def test_what_one_queue_drops_the_others_have(
    when_full: WhenFull, bounded: dict[str, dict[str, int]], order: tuple[str, ...]
) -> None:
    run = FakeDurable(
        {"live": 0 if bounded else 2, "a": 99, "b": 99},
        job("src", writes=" ".join(order), by_item=False, counted=True),
        *(job(name, name) for name in order),
        when_full={"live": when_full},
        **bounded,
    )
    for n in (2, 1, 3, 1):
        run.commit("src-1", output("+".join(order), n, (n,)))
        run.keep()
    run.commit("src-1", output("+".join(order), 1, (1,)))
    run.commit("src-1", output("+".join(order), 1, (1,)))
    run = run.resume()
    assert numbers(run, "a") == numbers(run, "b") == [*range(1, 10)]
    assert len(numbers(run, "live")) == run.queue("live").put - run.queue("live").dropped > 0


@pytest.mark.parametrize("when_full", DROPS)
@pytest.mark.parametrize("order", ["live+all", "all+live"])
def test_a_chunk_that_is_put_in_part_waits_with_its_rest(when_full: WhenFull, order: str) -> None:
    run = FakeDurable(
        {"live": 1, "all": 2},
        job("src", writes=order.replace("+", " "), by_item=False),
        job("live", "live"),
        job("all", "all"),
        when_full={"live": when_full},
    )
    run.commit("src-1", output(order, 5, (5,)))
    run.keep()
    lease = run.lease("all-1", "all", 2)
    run.commit("all-1", done=[(lease, 2)])
    run.keep()
    run.tell(WorkerLeft(worker="src-1", returned=False))
    lease = run.lease("all-1", "all", 2)
    run.commit("all-1", done=[(lease, 2)])
    run.keep()
    assert run.queue("all").put == 5
    run = run.resume()
    assert len(numbers(run, "all")) == 1


@pytest.mark.parametrize(
    "between",
    [
        [Put("all", 7, 0, 1)],
        [Pending(7, waits=True), Put("all", 7, 0, 1), Pending(7, waits=False)],
        [Put("c", 7, 0, 1), ItemsEnded("c", 7, 0, 1, Fate.DROPPED), Put("all", 7, 0, 1)],
    ],
)
def test_only_the_end_of_an_entry_tells_whether_its_chunk_is_needed(
    between: list[Put | ItemsEnded | Pending],
) -> None:
    tracking, chunk = (
        SnapshotTracker(StoredRun()),
        NewChunk(number=7, packed=False, blob=b"", crc=0),
    )
    gone = Put("live", 7, 0, 1), ItemsEnded("live", 7, 0, 1, Fate.DROPPED)
    change = tracking.apply(JournalEntry(records=(*gone, *between), chunks=(chunk,)))
    assert change.new == (chunk,)
    assert change.dropped == ()
    assert tracking.apply(JournalEntry(records=gone)).dropped == ()
    over = ItemsEnded("all", 7, 0, 1, Fate.DONE, "keep")
    assert tracking.apply(JournalEntry(records=(over, *gone))).dropped == (7,)
