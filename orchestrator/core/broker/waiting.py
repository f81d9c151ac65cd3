"""Waiters: the places in line for room.

A parked commit holds one, and a producer that asked. A younger waiter never gets room in a queue
that an older one waits for (rule 2): each queue keeps its waiters in order, and a waiter moves only
while it is first in every queue it waits for. Which queues those are: docs/decisions/0007.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterator

from orchestrator.core.broker.clients import LeaseState, WorkerState
from orchestrator.core.broker.queue import Chunk, QueueState
from orchestrator.core.protocol.messages import Commit, Wait, Want

__all__ = ["CommitWaiter", "CreditWaiter", "PendingOutput", "Waiter"]


class Waiter:
    """A place in line: `queues` is what the holder waits for now, upstream first.

    It stands in the line of a queue further down only while it is first in those before. It has
    waited for room in the queue `lacks` since then.
    """

    def __init__(self, number: int, client: WorkerState) -> None:
        self.number = number
        self.client = client
        self.queues: tuple[QueueState, ...] = ()
        self.lacks: QueueState | None = None
        self.since = 0.0

    @property
    def limit_s(self) -> float | None:
        """Return how long that may take, None for ever."""
        return self.lacks.limit_s if self.lacks is not None else None

    @property
    def due(self) -> float | None:
        """Return when it has waited for as long as it may."""
        return None if (limit_s := self.limit_s) is None else self.since + limit_s

    def line_up(self, queues: tuple[QueueState, ...]) -> list[QueueState]:
        """Leave the lines it stands in and join these, at the place its number gives.

        Who is first in a line no more has lost the places it held further down: returns those.
        """
        self.leave()
        self.queues = queues
        lost: list[QueueState] = []
        for queue in queues:
            bisect.insort(queue.waiters, self, key=lambda waiter: waiter.number)
            if queue.waiters[0] is self and len(queue.waiters) > 1:
                lost += queue.waiters[1]._fall_back(queue)
        return lost

    def _fall_back(self, last: QueueState) -> tuple[QueueState, ...]:
        """Leave the lines beyond that of a queue."""
        at = self.queues.index(last) + 1
        self.queues, beyond = self.queues[:at], self.queues[at:]
        for queue in beyond:
            queue.waiters.remove(self)
        return beyond

    def leave(self) -> None:
        """Leave every line."""
        for queue in self.queues:
            queue.waiters.remove(self)
        self.queues = ()

    @property
    def first_everywhere(self) -> bool:
        """True if nobody older waits for any of its queues."""
        return all(queue.waiters[0] is self for queue in self.queues)


class CreditWaiter(Waiter):
    """A producer that asked for credit, and waits since `now`."""

    def __init__(
        self, number: int, client: WorkerState, request: Want, queue: QueueState, *, now: float
    ) -> None:
        super().__init__(number, client)
        self.request = request
        self.lacks, self.since = queue, now
        self.line_up((queue,))

    @property
    def limit_s(self) -> float | None:
        """Return how long that may take: who sets himself a time keeps it himself."""
        return super().limit_s if self.request.wait is Wait.FOREVER else None

    @property
    def forever(self) -> bool:
        """True if nothing but room ends the wait."""
        return self.request.wait is Wait.FOREVER and self.limit_s is None


class PendingOutput:
    """One output of a commit: a chunk of `n` items for each of `queues`; `used` are already put.

    `digests`: see `messages.Output`. `waits`: the journal says that the rest waits for room. A part
    of an output begins at item `start` of its chunk, and both `n` and `used` count from the chunk's
    first item.
    """

    __slots__ = ("chunk", "counts", "digests", "n", "queues", "start", "used", "waits")

    def __init__(
        self,
        queues: tuple[QueueState, ...],
        chunk: Chunk,
        n: int,
        counts: tuple[int, ...] | None,
        *,
        digests: tuple[int, int] = (0, 0),
        start: int = 0,
    ) -> None:
        self.queues = queues
        self.chunk = chunk
        self.n = n
        self.counts = counts
        self.digests = digests
        self.start = self.used = start
        self.waits = False

    def of_item(self, index: int) -> int:
        """Return how many of the part's items belong to the commit's finished item `index`."""
        if self.counts is None:
            return 1 if index < self.n else 0
        return self.counts[index] if index < len(self.counts) else 0

    def of_items(self, first: int, n: int) -> int:
        """Return how many of them belong to the n finished items from `first` on."""
        if self.counts is None:
            return max(0, min(n, self.n - first))
        return sum(self.counts[first : first + n])

    def sliced(self, begin: int, stop: int) -> PendingOutput | None:
        """Return what the items `begin` to `stop` of the commit give; None if nothing.

        Its chunk is a copy: who keeps it, keeps it for as long as this part needs it.
        """
        counts = self.counts if self.counts is not None else (1,) * self.n
        start, n = sum(counts[:begin]), sum(counts[begin:stop])
        if not n:
            return None
        chunk = Chunk(self.chunk.blob, packed=self.chunk.packed, items=self.chunk.items)
        return PendingOutput(self.queues, chunk, start + n, counts[begin:stop], start=start)

    def cut(self) -> None:
        """Forget what is not put already."""
        self.n = self.used

    def cut_open(self, items: int) -> None:
        """Forget what belongs to no finished item of the commit, unless it is put already."""
        if self.counts is not None and len(self.counts) > items:
            finished = sum(self.counts[:items])
            self.n = max(self.used, finished)
            self.counts = (*self.counts[:items], self.n - finished)

    def put(self, n: int) -> None:
        """Put the next n items on every queue of the part."""
        for queue in self.queues:
            queue.append(self.chunk, self.used, self.used + n)
        self.used += n


class CommitWaiter(Waiter):
    """A commit on its way: `at` of its finished items are applied."""

    def __init__(
        self,
        number: int,
        client: WorkerState,
        request: Commit,
        leases: list[tuple[LeaseState, int]],
        parts: list[PendingOutput],
    ) -> None:
        super().__init__(number, client)
        self.request = request
        self.leases = leases
        self.parts = parts
        self.marks = {mark.at: mark for mark in request.marks}
        self.items = sum(n for _, n in leases)
        self.at = 0

    @property
    def limit_s(self) -> float | None:
        """The limit of that, None for ever: who is called once has asked for room before.

        What an ordered job holds back waits for its turn, which nobody can limit.
        """
        job = self.client.job
        return super().limit_s if job.by_item and job.reorder is None else None

    def claim(self) -> None:
        """The commit is parked: what it has still to finish belongs to it, whatever comes."""
        at = 0
        for lease, n in self.leases:
            lease.claimed += max(0, at + n - max(at, self.at))
            at += n

    def undo(self) -> None:
        """Give what it has still to finish back to its lease, and drop what it has to put."""
        for lease in dict.fromkeys(lease for lease, _ in self.leases):
            lease.claimed = 0
        for part in self.parts:
            part.cut()

    def needs(self) -> dict[QueueState, int]:
        """Room its next finished item takes; empty when only open outputs are left."""
        needs: dict[QueueState, int] = {}
        if self.at < self.items:
            for part in self.parts:
                for queue in part.queues:
                    if n := part.of_item(self.at):
                        needs[queue] = needs.get(queue, 0) + n
        return needs

    def fitting(self, queue: QueueState, room: int, most: int) -> int:
        """Count its next items that together put `room` at most on a queue; `most` if all."""
        parts = [part for part in self.parts if queue in part.queues]
        if len(parts) == 1 and parts[0].counts is None:
            return most if parts[0].of_items(self.at, most) <= room else max(0, room)
        for n in range(most):
            for part in parts:
                room -= part.of_item(self.at + n)
            if room < 0:
                return n
        return most

    def as_many_as(self, size_bytes: int, queue: QueueState) -> int:
        """Return how many outputs for a queue have no more bytes, whichever they are."""
        chunks = [part.chunk for part in self.parts if queue in part.queues]
        return min(size_bytes * chunk.items // chunk.size_bytes for chunk in chunks)

    def totals(self) -> dict[QueueState, int]:
        """Room that all it has still to put takes."""
        totals: dict[QueueState, int] = {}
        for part in self.parts:
            for queue in part.queues:
                totals[queue] = totals.get(queue, 0) + part.n - part.used
        return totals

    def open_parts(self) -> Iterator[PendingOutput]:
        """Parts with outputs left over once every finished item is applied."""
        return (part for part in self.parts if part.used < part.n)
