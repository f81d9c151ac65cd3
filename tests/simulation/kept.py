"""The model's disk, and what a durable run's image must have in common with its broker."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain

import msgspec

from orchestrator.core.broker.broker import Broker
from orchestrator.core.broker.chunks import Segment
from orchestrator.core.broker.clients import CommitWaiter
from orchestrator.core.broker.queue import QueueState
from orchestrator.core.broker.setup import Resumption
from orchestrator.core.durable.records import Fate, ItemsEnded, JournalEntry, NewChunk, Record
from orchestrator.core.durable.snapshot import (
    ItemRange,
    SnapshotTracker,
    StoredProgress,
    StoredQueue,
    StoredRun,
    StoredWorker,
)

from .ledger import check
from .order import held

Items = set[tuple[int, int, int]]
"""Items by their ids, each with its chunk's number and where in that it is."""

_encoder = msgspec.msgpack.Encoder()
_images = msgspec.msgpack.Decoder(StoredRun)
_steps = msgspec.msgpack.Decoder(tuple[Record, ...])


class Disk:
    """What is written, and what the loop is going to write with its next entry.

    `now` is the image of all that has happened, `written` that of what outlives a crash.
    """

    def __init__(self) -> None:
        self.now = SnapshotTracker(StoredRun())
        self.written = SnapshotTracker(StoredRun())
        self.chunks: dict[int, NewChunk] = {}
        self._packed: set[int] = set()
        self._waiting: list[JournalEntry] = []

    @property
    def waits(self) -> bool:
        """Whether something has happened that is not written."""
        return bool(self._waiting)

    def note(self, entry: JournalEntry) -> Iterator[tuple[str, int, int]]:
        """Something has happened, step by step.

        Yields each item for which there was no room, by queue and number, and of how many it was
        one.
        """
        self._waiting.append(entry)
        self.now.apply(JournalEntry(records=(), chunks=entry.chunks))
        for step in entry.records:
            if isinstance(step, ItemsEnded) and step.fate is Fate.DROPPED_FULL:
                stored = self.now.stored
                held = stored.queues[step.queue].held
                n = sum(map(len, chain(held, _own(step.queue, stored.workers.values()))))
                for number, chunk, at in _ranges(held):
                    if chunk == step.chunk and step.start <= at < step.stop:
                        yield step.queue, number, n
            self.now.apply(JournalEntry(records=(step,)))

    def write(self) -> JournalEntry | None:
        """All of it is written as one entry."""
        if not self._waiting:
            return None
        steps = tuple(step for part in self._waiting for step in part.records)
        entry = JournalEntry(
            records=_steps.decode(_encoder.encode(steps)),
            chunks=tuple(chunk for part in self._waiting for chunk in part.chunks),
        )
        self._waiting.clear()
        change = self.written.apply(entry)
        for chunk in change.new:
            check(chunk.number not in self.chunks, f"chunk {chunk.number} is numbered once")
            self.chunks[chunk.number] = chunk
            if chunk.packed:
                self._packed.add(chunk.number)
        for number in change.dropped:
            del self.chunks[number]
        check(self.chunks.keys() == self.written.chunks, "the chunks kept are those in use")
        check(set(_named(self.written.stored)) == self.chunks.keys(), "those in use are named")
        return entry

    def reopen(self) -> Resumption:
        """All processes are gone: what is written is what there is."""
        self._waiting.clear()
        stored = _images.decode(_encoder.encode(self.written.stored))
        check(stored == self.written.stored, "an image is the same once it was read again")
        self.written = SnapshotTracker(stored)
        for number in self.written.rewind():
            del self.chunks[number]
        check(self.chunks.keys() == self.written.chunks, "no chunk is forgotten by a resume")
        self.now = SnapshotTracker(_images.decode(_encoder.encode(stored)))
        return Resumption(
            stored=_images.decode(_encoder.encode(stored)),
            load=self.chunks.__getitem__,
            packed=frozenset(self._packed),
        )


def check_same(broker: Broker, stored: StoredRun) -> None:
    """The image says of every item, counter and position what the broker says."""
    leased = _leased(broker)
    for name, queue in broker.queues.items():
        kept = stored.queues.get(name, StoredQueue())
        _same_counters(queue, kept)
        here = [*queue.segments, *leased.get(queue, ())]
        if not queue.closed:
            here += broker._state.delayed(queue)
        here += queue.own.segments()
        in_image = [*kept.held, *_own(name, stored.workers.values())]
        there, held = _items(here), _ranges(in_image)
        check(there <= held, f"{name}: the image has lost {sorted(there - held)[:3]}")
        left = len(held) - len(there)
        check(left == queue.left, f"{name}: {left} items more in the image, {queue.left} are left")
        named = sorted(number for part in queue.left_items for number in part)
        check(named == sorted(n for n, *_ in held - there), f"{name}: {named} are said to be left")
        _same_attempts(queue, kept, {number for number, _, _ in there})
    _same_jobs(broker, stored)
    _same_positions(broker, stored)


def _same_counters(queue: QueueState, kept: StoredQueue) -> None:
    names = ("put", "done", "skipped", "dropped", "dead", "tasks_done")
    counts = {name: getattr(queue, name) for name in names}
    counts["dropped_full"] = queue.policy.dropped
    for name, ours in counts.items():
        theirs = getattr(kept, name)
        check(ours == theirs, f"{queue.name}: {name} is {ours}, and {theirs} in the image")


def _same_attempts(queue: QueueState, kept: StoredQueue, here: set[int]) -> None:
    ours, theirs = (
        {number: n for number, n in attempts.items() if number in here}
        for attempts in (queue.attempts, kept.attempts)
    )
    check(ours == theirs, f"{queue.name}: {ours}, and {theirs} attempts in the image")


def _same_jobs(broker: Broker, stored: StoredRun) -> None:
    for name, job in broker.jobs.items():
        kept = stored.jobs.get(name)
        ours = job.items_in - job.failed, job.items_out, job.skipped, job.retried, job.dead
        theirs = (
            (kept.items_in, kept.items_out, kept.skipped, kept.retried, kept.dead)
            if kept
            else (0,) * 5
        )
        check(ours == theirs, f"{name}: {ours}, and {theirs} in the image")


def _same_positions(broker: Broker, stored: StoredRun) -> None:
    for worker, positions in broker._state.positions.items():
        if worker.rpartition("-")[0] in stored.jobs_done:
            continue
        kept = stored.workers[worker].progress if worker in stored.workers else {}
        ours = {
            box: StoredProgress(at.n, at.digest, at.tail.number if at.tail else 0, at.used)
            for box, at in positions.items()
        }
        check(ours == kept, f"{worker}: {ours}, and {kept} in the image")


# -- where the items are --------------------------------------------------------------------------


def _items(segments: Iterable[Segment]) -> Items:
    found: Items = set()
    n = 0
    for part in segments:
        n += len(part)
        for at in range(len(part)):
            found.add((part.first + at, part.chunk.number, part.start + at))
    check(len(found) == n, "an item is in one place")
    return found


def _ranges(ranges: Iterable[ItemRange]) -> Items:
    found: Items = set()
    n = 0
    for part in ranges:
        n += len(part)
        for at in range(len(part)):
            found.add((part.first + at, part.chunk, part.start + at))
    check(len(found) == n, "an item is in one place of the image")
    return found


def _own(queue: str, workers: Iterable[StoredWorker]) -> Iterator[ItemRange]:
    """What workers of jobs that are called once have and have not read."""
    for worker in workers:
        read = worker.read.get(queue, 0)
        for part in worker.dealt.get(queue, ()):
            skipped = min(read, len(part))
            read -= skipped
            if skipped < len(part):
                yield part.cut(part.start + skipped, part.stop)
        yield from worker.redelivered.get(queue, ())


def _leased(broker: Broker) -> dict[QueueState, list[Segment]]:
    clients = broker.clients.values()
    leases = {lease.number: lease for client in clients for lease in client.leases.values()}
    for queue in broker.queues.values():
        for waiter in broker._state.lines.of(queue):
            if isinstance(waiter, CommitWaiter):
                leases.update({lease.number: lease for lease, _ in waiter.leases})
    leases.update({waiter.lease.number: waiter.lease for waiter in held(broker)})
    found: dict[QueueState, list[Segment]] = {}
    for lease in leases.values():
        found.setdefault(lease.queue, []).extend(lease.next_segments(lease.remaining))
    return found


def _named(stored: StoredRun) -> Iterator[int]:
    """The chunks that the image speaks of."""
    yield from stored.pending
    for queue in stored.queues.values():
        yield from (part.chunk for part in queue.held)
    for worker in stored.workers.values():
        for own in (worker.dealt, worker.redelivered):
            yield from (part.chunk for parts in own.values() for part in parts)
        yield from (placed.tail for placed in worker.progress.values() if placed.tail)
