"""What a worker has put and not yet sent, for one queue (or several that get the same items).

Called in the child, under the client's lock.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from orchestrator.core.messages import Output
from orchestrator.runtime.worker.chunks import BIG_ITEM, CHUNK_BYTES, Run

__all__ = ["Outbox"]

_NO_LIMIT = 1 << 40


class Outbox:
    """Outputs on their way to `queues`.

    `count` of them are held; the first `sealed` belong to finished items, the others to the item
    that is still open (or to a source). `allowance` is how many more the granted credits cover:
    negative when outputs were made before there was room for them.
    """

    def __init__(self, queues: tuple[str, ...], *, chunk_items: int, part_items: int) -> None:
        self.queues = queues
        self.chunk_items = chunk_items
        self.part_items = part_items
        self.credits = dict.fromkeys(queues, 0)
        self.closed: set[str] = set()
        self.allowance = 0
        self.count = 0
        self.sealed = 0
        self.size = 0
        self._runs: list[Run] = []
        self._run = Run()
        self._seals: list[int] = []
        self._uneven = False

    @property
    def shut(self) -> bool:
        """Whether nobody reads any of the queues any more."""
        return len(self.closed) == len(self.queues)

    @property
    def full(self) -> bool:
        """Whether what is held makes a chunk."""
        return self.count >= self.chunk_items or self.size >= CHUNK_BYTES

    def add(self, item: Any) -> None:
        """Hold one more output.

        Raises what its pickling raises, and then holds it not.
        """
        run = self._run
        before = run.size
        run.add(item)
        grown = run.size - before
        self.size += grown
        self.count += 1
        self.allowance -= 1
        if grown >= BIG_ITEM or run.size >= CHUNK_BYTES:
            self._close_run(alone=grown >= BIG_ITEM)

    def _close_run(self, *, alone: bool) -> None:
        run = self._run
        if alone and len(run.items) > 1:
            self._runs.append(run.split(len(run.items) - 1))
        self._runs.append(run)
        self._run = Run()

    def seal(self) -> None:
        """The open item is finished: what was put since the last seal is its output."""
        if self.count - self.sealed != 1:
            self._uneven = True
        self.sealed = self.count
        self._seals.append(self.count)

    def seal_nothing(self) -> None:
        """A commit leaves that holds nothing of this outbox."""
        self._seals.clear()
        self._uneven = False

    def drop_open(self) -> None:
        """Forget the outputs of the open item: it did not end well."""
        extra = self.count - self.sealed
        self.allowance += extra
        self.count = self.sealed
        while extra > len(self._run.items):
            extra -= len(self._run.items)
            self._run = self._runs.pop()
        if extra:
            del self._run.items[-extra:]

    def grant(self, queue: str, n: int) -> None:
        """N more credits."""
        self.set_credits(queue, self.credits[queue] + n)

    def set_credits(self, queue: str, n: int) -> None:
        """The worker's credits of a queue are n."""
        self.credits[queue] = n
        self._reckon()

    def shut_queue(self, queue: str) -> None:
        """Nobody reads the queue any more; the others of this outbox go on."""
        self.closed.add(queue)
        self._reckon()

    def _reckon(self) -> None:
        held = [n for queue, n in self.credits.items() if queue not in self.closed]
        self.allowance = min(held, default=_NO_LIMIT) - self.count

    def idle_credits(self) -> list[tuple[str, int]]:
        """Give up the credits that nothing held here will need."""
        returned = [(queue, n) for queue, n in self.credits.items() if n > 0]
        self.credits = dict.fromkeys(self.queues, 0)
        self._reckon()
        return returned

    def take(self, finished: int, *, with_open: bool) -> Iterator[tuple[Output, bytes]]:
        """Remove what can be sent, with its chunks; `finished` items have been sealed since."""
        n = self.count if with_open else self.sealed
        if n:
            for start, run in self._cut(n):
                blob = run.blob()
                stop = start + len(run.items)
                output = Output(
                    queues=self.queues,
                    n=stop - start,
                    size=len(blob),
                    packed=run.packed,
                    counts=self._counts(start, stop, finished, n),
                )
                yield output, blob
        self._forget(n)

    def _cut(self, n: int) -> list[tuple[int, Run]]:
        pieces: list[tuple[int, Run]] = []
        start = 0
        runs = [*self._runs, self._run]
        self._runs, self._run = [], Run()
        for run in runs:
            here = min(len(run.items), n - start)
            if 0 < here < len(run.items):
                pieces.append((start, run.split(here)))
            elif here:
                pieces.append((start, run))
                run = Run()  # noqa: PLW2901 - what is left of it: nothing
            start += here
            if run.items:
                self._runs.append(run)
        if self._runs:
            self._run = self._runs.pop()
        return pieces

    def _counts(self, start: int, stop: int, finished: int, n: int) -> tuple[int, ...] | None:
        if not self._uneven and start == 0 and stop == n == self.sealed == finished:
            return None
        counts: list[int] = []
        before = 0
        for seal in (*self._seals, n) if n > self.sealed else self._seals:
            counts.append(max(0, min(seal, stop) - max(before, start)))
            before = seal
        return tuple(counts)

    def _forget(self, n: int) -> None:
        self.count -= n
        self.sealed = 0
        self._seals.clear()
        self._uneven = False
        self.size = self._run.size if self.count else 0
        for queue in self.queues:
            if queue not in self.closed:
                self.credits[queue] -= n

    @property
    def overdrawn(self) -> bool:
        """Whether more was sent than the credits covered."""
        return any(n < 0 for queue, n in self.credits.items() if queue not in self.closed)
