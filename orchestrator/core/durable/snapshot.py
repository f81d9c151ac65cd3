"""The stored run: what is where, as far as a store needs to know it. Pure data and its records.

`StoredRun.apply` takes the entries of a journal in order; after each of them the stored run is a
state from which the run can go on. Source: docs/semantics.md, *Durable runs*.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Set
from typing import Any

import msgspec

from orchestrator.core.durable.records import (
    Dealt,
    Fate,
    Gave,
    Got,
    ItemsEnded,
    JobDone,
    JournalEntry,
    NewChunk,
    PartiallyEmitted,
    Pending,
    Progressed,
    Put,
    Read,
    Returned,
    Spilt,
    TasksDone,
    Tried,
)

__all__ = [
    "ChunkChange",
    "ItemRange",
    "ItemRanges",
    "SnapshotTracker",
    "StoredJob",
    "StoredProgress",
    "StoredQueue",
    "StoredRun",
    "StoredWorker",
    "take",
]


class ItemRange(msgspec.Struct, array_like=True):
    """Items `start` to `stop` (exclusive) of a chunk; the first of them has the id `first`."""

    chunk: int
    start: int
    stop: int
    first: int

    def __len__(self) -> int:
        return self.stop - self.start

    @property
    def numbers(self) -> range:
        """The ids of the items in their queue."""
        return range(self.first, self.first + len(self))

    def cut(self, start: int, stop: int) -> ItemRange:
        """Those of the items that are `start` to `stop` of the chunk, all of them here."""
        return ItemRange(self.chunk, start, stop, self.first + start - self.start)


class ItemRanges(msgspec.Struct, array_like=True):
    """Ranges by their chunks, in the order in which the chunks came."""

    of_chunk: dict[int, list[ItemRange]] = {}

    def __iter__(self) -> Iterator[ItemRange]:
        for parts in self.of_chunk.values():
            yield from parts

    def add(self, part: ItemRange) -> None:
        """Add a range, to the one before it where it goes on."""
        parts = self.of_chunk.setdefault(part.chunk, [])
        if parts and parts[-1].stop == part.start and _follows(parts[-1], part):
            parts[-1].stop = part.stop
        else:
            parts.append(part)

    def remove(self, chunk: int, start: int, stop: int) -> list[ItemRange]:
        """Remove items of a chunk; returns those that were there."""
        parts = self.of_chunk.get(chunk, [])
        removed = take(parts, chunk, start, stop)
        if not parts:
            self.of_chunk.pop(chunk, None)
        return removed


def take(
    parts: list[ItemRange], chunk: int, start: int, stop: int, *, from_head: bool = False
) -> list[ItemRange]:
    """Remove items of a chunk from a list of ranges; returns those that were there.

    They are looked for from the end, where most are, or `from_head`.
    """
    taken: list[ItemRange] = []
    lacking, at = stop - start, 0 if from_head else len(parts) - 1
    while lacking and 0 <= at < len(parts):
        part = parts[at]
        begin, end = max(part.start, start), min(part.stop, stop)
        if part.chunk == chunk and begin < end:
            taken.append(part.cut(begin, end))
            lacking -= end - begin
            sides = part.cut(part.start, begin), part.cut(end, part.stop)
            left = [side for side in sides if len(side)]
            parts[at : at + 1] = left
            at += len(left) - 1 if from_head else 0
        at += 1 if from_head else -1
    return sorted(taken, key=lambda part: part.first)


def _follows(before: ItemRange, part: ItemRange) -> bool:
    return before.first + len(before) == part.first


class StoredQueue(msgspec.Struct):
    """A queue: its ledger so far, what it holds that is nobody's own, and attempts by item id.

    `dropped_full` are those of the dropped for which there was no room; `lost` went with a damaged
    store. Items of `partially_emitted` were at the job named there, which has put a part of what
    they give.
    """

    put: int = 0
    done: int = 0
    skipped: int = 0
    dropped: int = 0
    dropped_full: int = msgspec.field(name="shed", default=0)
    dead: int = 0
    lost: int = 0
    tasks_done: int = 0
    held: ItemRanges = msgspec.field(default_factory=ItemRanges)
    attempts: dict[int, int] = {}
    dead_items: list[int] = []
    partially_emitted: dict[int, str] = msgspec.field(name="parted", default_factory=dict)


class StoredJob(msgspec.Struct):
    """What a job has done so far, in items."""

    items_in: int = 0
    items_out: int = 0
    skipped: int = 0
    retried: int = 0
    dead: int = 0


class StoredProgress(msgspec.Struct, array_like=True):
    """How much a worker has put on an outbox, see `OutputProgress`; `tail` is a chunk's number."""

    n: int
    digest: int
    tail: int
    used: int


class StoredWorker(msgspec.Struct):
    """A worker that is called once, by queue.

    `dealt` are its items in the order in which it got them, `redelivered` those that it had before
    the run was resumed and is still to get anew; `read` counts those it has finished, `tasks_done`
    its calls of `task_done`. `progress` is by outbox.

    `got` is what its target has got of several queues, in order: how many items of which; 0: its
    end, which is in `ended`, too. `counts` are the sums by queue, and `redelivered_got` those of
    what it has got of them in this life.
    """

    job: str = ""
    dealt: dict[str, list[ItemRange]] = {}
    redelivered: dict[str, list[ItemRange]] = msgspec.field(name="again", default_factory=dict)
    read: dict[str, int] = {}
    tasks_done: dict[str, int] = {}
    progress: dict[str, StoredProgress] = msgspec.field(name="emitted", default_factory=dict)
    got: list[tuple[str, int]] = []
    ended: list[str] = []
    counts: dict[str, int] = {}
    redelivered_got: dict[str, int] = msgspec.field(name="again_got", default_factory=dict)


class StoredRun(msgspec.Struct):
    """A whole run, by the names of its queues, jobs and workers.

    `last_chunk` was numbered last. The rest of the chunks `pending` waits for room.
    """

    queues: dict[str, StoredQueue] = {}
    jobs: dict[str, StoredJob] = {}
    workers: dict[str, StoredWorker] = {}
    jobs_done: list[str] = []
    last_chunk: int = 0
    pending: set[int] = set()


class ChunkChange(msgspec.Struct, frozen=True, kw_only=True):
    """What an entry changes of the chunks that a store keeps: these come, and these go."""

    new: tuple[NewChunk, ...]
    dropped: tuple[int, ...]


class SnapshotTracker:
    """An stored run that follows a journal, and knows which chunks it still needs."""

    def __init__(self, stored: StoredRun) -> None:
        self.stored = stored
        self._uses = _uses(stored)
        self._emptied: dict[int, None] = {}
        self._handlers: dict[type, Callable[[Any], None]] = {
            Put: self._put,
            Spilt: self._spilt,
            Gave: self._gave,
            ItemsEnded: self._ended,
            Tried: self._tried,
            Dealt: self._dealt,
            Got: self._got,
            Returned: self._returned,
            Read: self._read,
            Progressed: self._emitted,
            TasksDone: self._tasks_done,
            JobDone: self._job_done,
            PartiallyEmitted: self._parted,
            Pending: self._pending,
        }

    @property
    def chunks(self) -> Set[int]:
        """The numbers of the chunks of which an item is still somewhere."""
        return self._uses.keys()

    def apply(self, entry: JournalEntry) -> ChunkChange:
        """Take the next entry; returns what a store has to change for it.

        Only the end of an entry tells which chunks are needed: within one, the last use of a chunk
        may go (a queue that is full drops its copy) before the next comes.
        """
        for chunk in entry.chunks:
            self.stored.last_chunk = max(self.stored.last_chunk, chunk.number)
        for record in entry.records:
            self._handlers[type(record)](record)
        named = {chunk.number for chunk in entry.chunks}
        return ChunkChange(
            new=tuple(chunk for chunk in entry.chunks if chunk.number in self._uses),
            dropped=tuple(number for number in self._unneeded() if number not in named),
        )

    def _unneeded(self) -> list[int]:
        """The chunks that have lost their last use since this was asked before, and have none."""
        unneeded = [number for number in self._emptied if number not in self._uses]
        self._emptied.clear()
        return unneeded

    def rewind(self) -> list[int]:
        """All processes are gone: workers that are called once are to begin anew.

        They get their own items again, which are not done any more. Commits that waited for room
        are lost with their workers: returns the numbers of the chunks that nobody needs any more.
        """
        stored = self.stored
        for chunk in stored.pending:
            self._use(chunk, -1)
        stored.pending = set()
        for worker in stored.workers.values():
            for name, items in worker.dealt.items():
                worker.redelivered[name] = items + worker.redelivered.get(name, [])
            worker.dealt = {}
            for name, n in worker.read.items():
                stored.queues[name].done -= n
                stored.jobs[worker.job].items_in -= n
            for name, n in worker.tasks_done.items():
                stored.queues[name].tasks_done -= n
            worker.read, worker.tasks_done, worker.redelivered_got = {}, {}, {}
        return self._unneeded()

    def lose(self, chunks: Collection[int]) -> Counter[str]:
        """Give up these chunks, which are damaged; returns the items lost with them, by queue."""
        lost: Counter[str] = Counter()
        for name, queue in self.stored.queues.items():
            lost[name] += sum(len(part) for part in queue.held if part.chunk in chunks)
            for number in chunks:
                queue.held.of_chunk.pop(number, None)
        for worker in self.stored.workers.values():
            for owned in (worker.dealt, worker.redelivered):
                for name, parts in owned.items():
                    lost[name] += sum(len(part) for part in parts if part.chunk in chunks)
                    owned[name] = [part for part in parts if part.chunk not in chunks]
            for placed in worker.progress.values():
                if placed.tail in chunks:
                    placed.tail = 0
        self.stored.pending.difference_update(chunks)
        for name, n in lost.items():
            self.stored.queues[name].lost += n
        self._uses = _uses(self.stored)
        return +lost

    # -- where things are -------------------------------------------------------------------------

    def _queue(self, name: str) -> StoredQueue:
        return self.stored.queues.setdefault(name, StoredQueue())

    def _job(self, name: str) -> StoredJob:
        return self.stored.jobs.setdefault(name, StoredJob())

    def _worker(self, name: str, job: str) -> StoredWorker:
        return self.stored.workers.setdefault(name, StoredWorker(job=job))

    def _use(self, chunk: int, n: int) -> None:
        if not chunk:
            return
        self._uses[chunk] += n
        if not self._uses[chunk]:
            del self._uses[chunk]
            self._emptied[chunk] = None

    # -- records ----------------------------------------------------------------------------------

    def _put(self, record: Put) -> None:
        queue, n = self._queue(record.queue), record.stop - record.start
        queue.held.add(ItemRange(record.chunk, record.start, record.stop, queue.put + 1))
        queue.put += n
        self._use(record.chunk, n)

    def _spilt(self, record: Spilt) -> None:
        queue = self._queue(record.queue)
        queue.put += record.n
        queue.dropped += record.n

    def _gave(self, record: Gave) -> None:
        self._job(record.job).items_out += record.n

    def _ended(self, record: ItemsEnded) -> None:
        queue = self._queue(record.queue)
        gone = queue.held.remove(record.chunk, record.start, record.stop)
        n = sum(map(len, gone))
        if queue.attempts or queue.partially_emitted or record.fate is Fate.DEAD:
            numbers = [number for part in gone for number in part.numbers]
            for number in numbers:
                queue.attempts.pop(number, None)
                queue.partially_emitted.pop(number, None)
            if record.fate is Fate.DEAD:
                queue.dead_items += numbers
        counter = record.fate.name.lower()
        setattr(queue, counter, getattr(queue, counter) + n)
        queue.dropped += n * (record.fate is Fate.DROPPED_FULL)
        if record.job:
            job = self._job(record.job)
            job.items_in += n
            job.skipped += n * (record.fate is Fate.SKIPPED)
            job.dead += n * (record.fate is Fate.DEAD)
        self._use(record.chunk, -n)

    def _tried(self, record: Tried) -> None:
        self._queue(record.queue).attempts[record.item] = record.attempts
        self._job(record.job).retried += 1

    def _parted(self, record: PartiallyEmitted) -> None:
        self._queue(record.queue).partially_emitted[record.item] = record.job

    def _pending(self, record: Pending) -> None:
        if record.waits:
            self.stored.pending.add(record.chunk)
        else:
            self.stored.pending.discard(record.chunk)
        self._use(record.chunk, 1 if record.waits else -1)

    def _dealt(self, record: Dealt) -> None:
        worker = self._worker(record.worker, record.job)
        wanted = record.chunk, record.start, record.stop
        parts = take(worker.redelivered.get(record.queue, []), *wanted, from_head=True)
        parts += self._queue(record.queue).held.remove(*wanted)
        worker.dealt.setdefault(record.queue, []).extend(parts)

    def _returned(self, record: Returned) -> None:
        worker = self.stored.workers[record.worker]
        wanted = record.chunk, record.start, record.stop
        parts = take(worker.dealt.get(record.queue, []), *wanted)
        parts += take(worker.redelivered.get(record.queue, []), *wanted)
        for part in parts:
            self._queue(record.queue).held.add(part)

    def _got(self, record: Got) -> None:
        """Skip what had been got before: it is noted already, in the order of then."""
        worker, name = self._worker(record.worker, record.job), record.queue
        if not record.n:
            if name not in worker.ended:
                worker.ended.append(name)
                worker.got.append((name, 0))
            return
        again, before = worker.redelivered_got.get(name, 0) + record.n, worker.counts.get(name, 0)
        worker.redelivered_got[name] = again
        if again <= before:
            return
        worker.counts[name], n = again, again - before
        last, held = worker.got[-1] if worker.got else ("", 0)
        if last == name and held:
            worker.got[-1] = (name, held + n)
        else:
            worker.got.append((name, n))

    def _read(self, record: Read) -> None:
        worker = self.stored.workers[record.worker]
        worker.read[record.queue] = worker.read.get(record.queue, 0) + record.n
        self._queue(record.queue).done += record.n
        self._job(worker.job).items_in += record.n

    def _emitted(self, record: Progressed) -> None:
        emitted = self._worker(record.worker, record.job).progress
        before = emitted.get(record.outbox)
        emitted[record.outbox] = StoredProgress(record.n, record.digest, record.tail, record.used)
        self._use(record.tail, 1)
        if before is not None:
            self._use(before.tail, -1)

    def _tasks_done(self, record: TasksDone) -> None:
        self._queue(record.queue).tasks_done += record.n
        if (worker := self.stored.workers.get(record.worker)) is not None:
            worker.tasks_done[record.queue] = worker.tasks_done.get(record.queue, 0) + record.n

    def _job_done(self, record: JobDone) -> None:
        self.stored.jobs_done.append(record.job)
        for name, worker in list(self.stored.workers.items()):
            if worker.job == record.job:
                del self.stored.workers[name]
                for chunk, n in list(_own(worker)):
                    self._use(chunk, -n)


def _own(worker: StoredWorker) -> Iterator[tuple[int, int]]:
    """The chunks a worker needs, each with how many uses it has of it."""
    for parts in (*worker.dealt.values(), *worker.redelivered.values()):
        for part in parts:
            yield part.chunk, len(part)
    for placed in worker.progress.values():
        if placed.tail:
            yield placed.tail, 1


def _uses(stored: StoredRun) -> Counter[int]:
    """Return how many items of each chunk are somewhere, how many workers have it as their tail.

    One more if its rest waits for room.
    """
    uses: Counter[int] = Counter()
    for queue in stored.queues.values():
        for part in queue.held:
            uses[part.chunk] += len(part)
    for worker in stored.workers.values():
        for chunk, n in _own(worker):
            uses[chunk] += n
    uses.update(stored.pending)
    return uses
