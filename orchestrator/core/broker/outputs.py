"""Outputs of commits on their way to queues, and how far a worker has come with what it puts."""

from __future__ import annotations

from collections.abc import Iterable

from orchestrator.core.broker.chunks import Chunk
from orchestrator.core.broker.queue import QueueState

__all__ = ["OutputProgress", "PendingOutput", "most_of_one", "room_for"]


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

    def rest_of(self, index: int) -> int:
        """Return how many outputs of the item `index` are still to put, once those before are."""
        n = index + 1 if self.counts is None else sum(self.counts[: index + 1])
        return self.start + n - self.used

    def sliced(self, begin: int, stop: int) -> PendingOutput | None:
        """Return what the items `begin` to `stop` of the commit give; None if nothing.

        Its chunk is a copy: who keeps it, keeps it for as long as this part needs it.
        """
        counts = self.counts if self.counts is not None else (1,) * self.n
        start, n = sum(counts[:begin]), sum(counts[begin:stop])
        if not n:
            return None
        whole = self.chunk
        chunk = Chunk(whole.blob, packed=whole.packed, items=whole.items, crc=whole.crc)
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


def room_for(parts: Iterable[PendingOutput]) -> dict[QueueState, int]:
    """Return how much room these outputs still take on each queue."""
    totals: dict[QueueState, int] = {}
    for part in parts:
        for queue in part.queues:
            totals[queue] = totals.get(queue, 0) + part.n - part.used
    return totals


def most_of_one(parts: Iterable[PendingOutput], items: int) -> int:
    """Return how much the finished item that gives most puts, of so many."""
    each, of_each = [0] * items, 0
    for part in parts:
        if part.counts is None:
            of_each += 1
        else:
            for at, n in enumerate(part.counts[:items]):
                each[at] += n
    return of_each + max(each, default=0)


class OutputProgress:
    """The first `n` items have the `digest`; after them, `used` items of the chunk `tail` are put.

    The digest is the worker's own, see worker/replay.py; the broker only keeps it.
    """

    __slots__ = ("digest", "n", "tail", "used")

    def __init__(
        self, n: int = 0, digest: int = 0, tail: Chunk | None = None, used: int = 0
    ) -> None:
        self.n = n
        self.digest = digest
        self.tail = tail
        self.used = used

    @property
    def total(self) -> int:
        """Return how many items are put in all."""
        return self.n + self.used

    def note(self, part: PendingOutput) -> None:
        """Some items of an output have just been put."""
        before, after = part.digests
        if self.tail is not part.chunk:
            self.n, self.digest = self.total, before
        if part.used < part.n:
            self.tail, self.used = part.chunk, part.used
        else:
            self.n, self.digest = self.n + part.n, after
            self.tail, self.used = None, 0
