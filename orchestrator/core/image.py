"""The image of a run: what is where, as far as a store needs to know it. Pure data and its steps.

`Image.apply` takes the entries of a journal in order; after each of them the image is a state from
which the run can go on. Source: docs/semantics.md, *Durable runs*.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Set
from typing import Any

import msgspec

from orchestrator.core.ranges import Range, Ranges, take
from orchestrator.core.steps import (
    Dealt,
    Emitted,
    Ended,
    Entry,
    Fate,
    Gave,
    Got,
    JobDone,
    NewChunk,
    Parted,
    Pending,
    Put,
    Read,
    Returned,
    Spilt,
    TasksDone,
    Tried,
)

__all__ = ["Change", "Image", "JobImage", "Placed", "QueueImage", "Tracking", "WorkerImage"]


class QueueImage(msgspec.Struct):
    """A queue: its ledger so far, what it holds that is nobody's own, and attempts by item id.

    `shed` are those of the dropped for which there was no room; `lost` went with a damaged store.
    Items of `parted` were at the job named there, which has put a part of what they give.
    """

    put: int = 0
    done: int = 0
    skipped: int = 0
    dropped: int = 0
    shed: int = 0
    dead: int = 0
    lost: int = 0
    tasks_done: int = 0
    held: Ranges = msgspec.field(default_factory=Ranges)
    attempts: dict[int, int] = {}
    dead_items: list[int] = []
    parted: dict[int, str] = {}


class JobImage(msgspec.Struct):
    """What a job has done so far, in items."""

    items_in: int = 0
    items_out: int = 0
    skipped: int = 0
    retried: int = 0
    dead: int = 0


class Placed(msgspec.Struct, array_like=True):
    """How much a worker has put on a box, see `core.position`; `tail` is a chunk's number."""

    n: int
    digest: int
    tail: int
    used: int


class WorkerImage(msgspec.Struct):
    """A worker that is called once, by queue.

    `dealt` are its items in the order in which it got them, `again` those that it had before the
    run was resumed and is still to get anew; `read` counts those it has finished, `tasks_done` its
    calls of `task_done`. `emitted` is by box.

    `got` is what its target has got of several queues, in order: how many items of which; 0: its
    end, which is in `ended`, too. `counts` are the sums by queue, and `again_got` those of what it
    has got of them in this life.
    """

    job: str = ""
    dealt: dict[str, list[Range]] = {}
    again: dict[str, list[Range]] = {}
    read: dict[str, int] = {}
    tasks_done: dict[str, int] = {}
    emitted: dict[str, Placed] = {}
    got: list[tuple[str, int]] = []
    ended: list[str] = []
    counts: dict[str, int] = {}
    again_got: dict[str, int] = {}


class Image(msgspec.Struct):
    """A whole run, by the names of its queues, jobs and workers.

    `last_chunk` was numbered last. The rest of the chunks `pending` waits for room.
    """

    queues: dict[str, QueueImage] = {}
    jobs: dict[str, JobImage] = {}
    workers: dict[str, WorkerImage] = {}
    jobs_done: list[str] = []
    last_chunk: int = 0
    pending: set[int] = set()


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What an entry changes of the chunks that a store keeps: these come, and these go."""

    new: tuple[NewChunk, ...]
    dropped: tuple[int, ...]


class Tracking:
    """An image that follows a journal, and knows which chunks it still needs."""

    def __init__(self, image: Image) -> None:
        self.image = image
        self._uses = _uses(image)
        self._emptied: dict[int, None] = {}
        self._handlers: dict[type, Callable[[Any], None]] = {
            Put: self._put,
            Spilt: self._spilt,
            Gave: self._gave,
            Ended: self._ended,
            Tried: self._tried,
            Dealt: self._dealt,
            Got: self._got,
            Returned: self._returned,
            Read: self._read,
            Emitted: self._emitted,
            TasksDone: self._tasks_done,
            JobDone: self._job_done,
            Parted: self._parted,
            Pending: self._pending,
        }

    @property
    def chunks(self) -> Set[int]:
        """The numbers of the chunks of which an item is still somewhere."""
        return self._uses.keys()

    def apply(self, entry: Entry) -> Change:
        """Take the next entry; returns what a store has to change for it.

        Only the end of an entry tells which chunks are needed: within one, the last use of a chunk
        may go (a queue that is full drops its copy) before the next comes.
        """
        for chunk in entry.chunks:
            self.image.last_chunk = max(self.image.last_chunk, chunk.number)
        for step in entry.steps:
            self._handlers[type(step)](step)
        named = {chunk.number for chunk in entry.chunks}
        return Change(
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
        image = self.image
        for chunk in image.pending:
            self._use(chunk, -1)
        image.pending = set()
        for worker in image.workers.values():
            for name, items in worker.dealt.items():
                worker.again[name] = items + worker.again.get(name, [])
            worker.dealt = {}
            for name, n in worker.read.items():
                image.queues[name].done -= n
                image.jobs[worker.job].items_in -= n
            for name, n in worker.tasks_done.items():
                image.queues[name].tasks_done -= n
            worker.read, worker.tasks_done, worker.again_got = {}, {}, {}
        return self._unneeded()

    def lose(self, chunks: Collection[int]) -> Counter[str]:
        """Give up these chunks, which are damaged; returns the items lost with them, by queue."""
        lost: Counter[str] = Counter()
        for name, queue in self.image.queues.items():
            lost[name] += sum(len(part) for part in queue.held if part.chunk in chunks)
            for number in chunks:
                queue.held.of_chunk.pop(number, None)
        for worker in self.image.workers.values():
            for owned in (worker.dealt, worker.again):
                for name, parts in owned.items():
                    lost[name] += sum(len(part) for part in parts if part.chunk in chunks)
                    owned[name] = [part for part in parts if part.chunk not in chunks]
            for placed in worker.emitted.values():
                if placed.tail in chunks:
                    placed.tail = 0
        self.image.pending.difference_update(chunks)
        for name, n in lost.items():
            self.image.queues[name].lost += n
        self._uses = _uses(self.image)
        return +lost

    # -- where things are -------------------------------------------------------------------------

    def _queue(self, name: str) -> QueueImage:
        return self.image.queues.setdefault(name, QueueImage())

    def _job(self, name: str) -> JobImage:
        return self.image.jobs.setdefault(name, JobImage())

    def _worker(self, name: str, job: str) -> WorkerImage:
        return self.image.workers.setdefault(name, WorkerImage(job=job))

    def _use(self, chunk: int, n: int) -> None:
        if not chunk:
            return
        self._uses[chunk] += n
        if not self._uses[chunk]:
            del self._uses[chunk]
            self._emptied[chunk] = None

    # -- steps ------------------------------------------------------------------------------------

    def _put(self, step: Put) -> None:
        queue, n = self._queue(step.queue), step.stop - step.start
        queue.held.add(Range(step.chunk, step.start, step.stop, queue.put + 1))
        queue.put += n
        self._use(step.chunk, n)

    def _spilt(self, step: Spilt) -> None:
        queue = self._queue(step.queue)
        queue.put += step.n
        queue.dropped += step.n

    def _gave(self, step: Gave) -> None:
        self._job(step.job).items_out += step.n

    def _ended(self, step: Ended) -> None:
        queue = self._queue(step.queue)
        gone = queue.held.remove(step.chunk, step.start, step.stop)
        n = sum(map(len, gone))
        if queue.attempts or queue.parted or step.fate is Fate.DEAD:
            numbers = [number for part in gone for number in part.numbers]
            for number in numbers:
                queue.attempts.pop(number, None)
                queue.parted.pop(number, None)
            if step.fate is Fate.DEAD:
                queue.dead_items += numbers
        counter = step.fate.name.lower()
        setattr(queue, counter, getattr(queue, counter) + n)
        queue.dropped += n * (step.fate is Fate.SHED)
        if step.job:
            job = self._job(step.job)
            job.items_in += n
            job.skipped += n * (step.fate is Fate.SKIPPED)
            job.dead += n * (step.fate is Fate.DEAD)
        self._use(step.chunk, -n)

    def _tried(self, step: Tried) -> None:
        self._queue(step.queue).attempts[step.item] = step.attempts
        self._job(step.job).retried += 1

    def _parted(self, step: Parted) -> None:
        self._queue(step.queue).parted[step.item] = step.job

    def _pending(self, step: Pending) -> None:
        if step.waits:
            self.image.pending.add(step.chunk)
        else:
            self.image.pending.discard(step.chunk)
        self._use(step.chunk, 1 if step.waits else -1)

    def _dealt(self, step: Dealt) -> None:
        worker = self._worker(step.worker, step.job)
        wanted = step.chunk, step.start, step.stop
        parts = take(worker.again.get(step.queue, []), *wanted, from_head=True)
        parts += self._queue(step.queue).held.remove(*wanted)
        worker.dealt.setdefault(step.queue, []).extend(parts)

    def _returned(self, step: Returned) -> None:
        worker = self.image.workers[step.worker]
        wanted = step.chunk, step.start, step.stop
        parts = take(worker.dealt.get(step.queue, []), *wanted)
        parts += take(worker.again.get(step.queue, []), *wanted)
        for part in parts:
            self._queue(step.queue).held.add(part)

    def _got(self, step: Got) -> None:
        """What had been got before is noted already, in the order of then."""
        worker, name = self._worker(step.worker, step.job), step.queue
        if not step.n:
            if name not in worker.ended:
                worker.ended.append(name)
                worker.got.append((name, 0))
            return
        again, before = worker.again_got.get(name, 0) + step.n, worker.counts.get(name, 0)
        worker.again_got[name] = again
        if again <= before:
            return
        worker.counts[name], n = again, again - before
        last, held = worker.got[-1] if worker.got else ("", 0)
        if last == name and held:
            worker.got[-1] = (name, held + n)
        else:
            worker.got.append((name, n))

    def _read(self, step: Read) -> None:
        worker = self.image.workers[step.worker]
        worker.read[step.queue] = worker.read.get(step.queue, 0) + step.n
        self._queue(step.queue).done += step.n
        self._job(worker.job).items_in += step.n

    def _emitted(self, step: Emitted) -> None:
        emitted = self._worker(step.worker, step.job).emitted
        before = emitted.get(step.box)
        emitted[step.box] = Placed(step.n, step.digest, step.tail, step.used)
        self._use(step.tail, 1)
        if before is not None:
            self._use(before.tail, -1)

    def _tasks_done(self, step: TasksDone) -> None:
        self._queue(step.queue).tasks_done += step.n
        if (worker := self.image.workers.get(step.worker)) is not None:
            worker.tasks_done[step.queue] = worker.tasks_done.get(step.queue, 0) + step.n

    def _job_done(self, step: JobDone) -> None:
        self.image.jobs_done.append(step.job)
        for name, worker in list(self.image.workers.items()):
            if worker.job == step.job:
                del self.image.workers[name]
                for chunk, n in list(_own(worker)):
                    self._use(chunk, -n)


def _own(worker: WorkerImage) -> Iterator[tuple[int, int]]:
    """The chunks a worker needs, each with how many uses it has of it."""
    for parts in (*worker.dealt.values(), *worker.again.values()):
        for part in parts:
            yield part.chunk, len(part)
    for placed in worker.emitted.values():
        if placed.tail:
            yield placed.tail, 1


def _uses(image: Image) -> Counter[int]:
    """How many items of each chunk are somewhere, how many workers have it as their tail.

    One more if its rest waits for room.
    """
    uses: Counter[int] = Counter()
    for queue in image.queues.values():
        for part in queue.held:
            uses[part.chunk] += len(part)
    for worker in image.workers.values():
        for chunk, n in _own(worker):
            uses[chunk] += n
    uses.update(image.pending)
    return uses
