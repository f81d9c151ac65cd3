"""Observers of the broker: the journal of a kept run, the tap of a test, and taps of a live run.

They note what happens, and nothing depends on them. A queue tells its own by `queue.QueueObserver`;
the rest of a journal's hooks are called by the part of the broker where it happens. The order of
the notes is that in which things happen, and what one event leads to is one entry: a store keeps it
before any reply goes out, so that nobody knows of what could be lost.
"""

from __future__ import annotations

from collections.abc import Iterable, Set

from orchestrator.core.broker.chunks import Chunk, Segment
from orchestrator.core.broker.clients import WorkerState
from orchestrator.core.broker.lease import LeaseState
from orchestrator.core.broker.outputs import OutputProgress, PendingOutput
from orchestrator.core.broker.queue import QueueObserver, QueueState
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
    Passed,
    Pending,
    Progressed,
    Put,
    Read,
    Record,
    Returned,
    Spilt,
    Tapped,
    TasksDone,
    Tried,
)

__all__ = ["Journal", "LiveTap", "Tap"]


class Journal(QueueObserver):
    """Records since the last `take`; `first_chunk` is the number of the next chunk that is new."""

    def __init__(self, first_chunk: int = 1) -> None:
        self._steps: list[Record] = []
        self._chunks: list[NewChunk] = []
        self._next_chunk = first_chunk

    def take(self) -> JournalEntry | None:
        """Return what was noted since this was last called; None if nothing was."""
        if not self._steps:
            return None
        entry = JournalEntry(records=tuple(self._steps), chunks=tuple(self._chunks))
        self._steps.clear()
        self._chunks.clear()
        return entry

    def _number(self, chunk: Chunk) -> int:
        if not chunk.number:
            chunk.number = self._next_chunk
            self._next_chunk += 1
            new = NewChunk(number=chunk.number, packed=chunk.packed, blob=chunk.blob, crc=chunk.crc)
            self._chunks.append(new)
        return chunk.number

    # -- producers --------------------------------------------------------------------------------

    def put(self, queue: str, chunk: Chunk, start: int, stop: int) -> None:
        """Items are on a queue."""
        self._steps.append(Put(queue, self._number(chunk), start, stop))

    def spilt(self, queue: str, chunk: Chunk, start: int, stop: int) -> None:  # noqa: ARG002
        """Items were put where nobody reads any more."""
        self._steps.append(Spilt(queue, stop - start))

    def gave(self, job: str, n: int) -> None:
        """A job has put items."""
        self._steps.append(Gave(job, n))

    def pending(self, part: PendingOutput) -> None:
        """Note when a chunk comes to wait for room with its rest, and when that is over."""
        waits = part.start < part.used < part.n and bool(part.chunk.number)
        if waits is not part.waits:
            part.waits = waits
            self._steps.append(Pending(part.chunk.number, waits))

    def progressed(self, client: WorkerState, outbox: str, position: OutputProgress) -> None:
        """Note how far a worker that is called once has come with what it puts."""
        tail = self._number(position.tail) if position.tail is not None else 0
        record = Progressed(
            client.job.name, client.worker, outbox, position.n, position.digest, tail, position.used
        )
        self._steps.append(record)

    # -- consumers --------------------------------------------------------------------------------

    def dealt(self, client: WorkerState, queue: str, segments: Iterable[Segment]) -> None:
        """Items are leased to a worker that is called once."""
        job, worker = client.job.name, client.worker
        self._steps += [
            Dealt(job, worker, queue, part.chunk.number, part.start, part.stop) for part in segments
        ]

    def returned(self, worker: str, queue: str, segments: Iterable[Segment]) -> None:
        """Such a worker has given items back."""
        self._steps += [
            Returned(worker, queue, part.chunk.number, part.start, part.stop) for part in segments
        ]

    def got(self, client: WorkerState, queue: str, n: int) -> None:
        """The target of such a worker has got items, or (0) been told the end of the queue."""
        self._steps.append(Got(client.job.name, client.worker, queue, n))

    def finished(self, client: WorkerState, lease: LeaseState, n: int) -> None:
        """The next n items of a lease are done."""
        job, queue = client.job, lease.queue.name
        if job.by_item:
            for part in lease.next_segments(n):
                self.ended(queue, part, Fate.DONE, job.name)
        else:
            self._steps.append(Read(client.worker, queue, n))

    def ended(self, queue: str, part: Segment, fate: Fate, job: str = "") -> None:
        """Items have left their queue for good."""
        record = ItemsEnded(queue, part.chunk.number, part.start, part.stop, fate, job)
        self._steps.append(record)

    def tried(self, queue: str, item: int, attempts: int, job: str) -> None:
        """An item is to be tried again."""
        self._steps.append(Tried(queue, item, attempts, job))

    def partially_emitted(self, lease: LeaseState, job: str) -> None:
        """A part of what the next item of a lease gives is out; of a batch, of all its items."""
        at = lease.finished
        for number in lease.numbers(at, lease.total if lease.in_progress > 1 else at + 1):
            self._steps.append(PartiallyEmitted(lease.queue.name, number, job))

    # -- ends -------------------------------------------------------------------------------------

    def tasks_done(self, worker: str, queue: str, n: int) -> None:
        """A worker has called `task_done` n times."""
        self._steps.append(TasksDone(worker, queue, n))

    def job_done(self, job: str) -> None:
        """A job has succeeded."""
        self._steps.append(JobDone(job))


class Tap(QueueObserver):
    """Notes what is put on `queues`, in the order in which it comes, until it is taken."""

    def __init__(self, queues: Set[str]) -> None:
        self.queues = queues
        self._noted: list[Tapped] = []

    def put(self, queue: str, chunk: Chunk, start: int, stop: int) -> None:
        """Items come onto a queue."""
        self._noted.append(
            Tapped(queue=queue, blob=chunk.blob, packed=chunk.packed, start=start, stop=stop)
        )

    def spilt(self, queue: str, chunk: Chunk, start: int, stop: int) -> None:
        """Items come where nobody reads any more."""
        self.put(queue, chunk, start, stop)

    def take(self) -> list[Tapped]:
        """Return what was noted since this was last called."""
        noted, self._noted = self._noted, []
        return noted


class LiveTap(QueueObserver):
    """Notes the next items that come onto one queue, as many as are wanted.

    It is among the queue's observers while it wants any: at other times it costs the queue nothing.
    """

    def __init__(self, queue: QueueState) -> None:
        self._queue = queue
        self._wanted = 0
        self._noted: list[tuple[Chunk, int, int, int]] = []

    @property
    def has_noted(self) -> bool:
        """True if there is something to take."""
        return bool(self._noted)

    @property
    def wanted(self) -> int:
        """The number of items it still waits for."""
        return self._wanted

    def want(self, n: int) -> None:
        """Note the next n items from now on, in the place of those wanted before; 0: none."""
        others = tuple([each for each in self._queue.observers if each is not self])
        self._queue.observers = (*others, self) if n > 0 else others
        self._wanted = max(0, n)

    def put(self, queue: str, chunk: Chunk, start: int, stop: int) -> None:  # noqa: ARG002
        """Items come onto the queue, which has counted them already."""
        n = min(stop - start, self._wanted)
        if n > 0:
            first = self._queue.put - (stop - start) + 1
            self._noted.append((chunk, start, start + n, first))
            if n == self._wanted:
                self.want(0)
            else:
                self._wanted -= n

    def spilt(self, queue: str, chunk: Chunk, start: int, stop: int) -> None:
        """Items come where nobody reads any more."""
        self.put(queue, chunk, start, stop)

    def take(self) -> list[Passed]:
        """Return what was noted since this was last called."""
        noted, self._noted = self._noted, []
        return [
            Passed(blob=chunk.blob, packed=chunk.packed, start=start, stop=stop, first=first)
            for chunk, start, stop, first in noted
        ]
