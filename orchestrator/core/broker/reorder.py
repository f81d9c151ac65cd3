"""The reorder buffer of a job that keeps the order of its input (rule 17 of docs/semantics.md).

An item is in the reorder buffer from its first lease on until all before it have ended and what it
gives is put. What is finished before its turn is held back here, with its outputs; that its lease
counts into the bound of the input and the reorder buffer is no longer than its window bounds how
much that can be.

No worker waits for a turn: what it has finished is taken over with its outputs, and it goes on. So
whoever has the first item of the reorder buffer is never kept from finishing it by what is behind.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Generic, TypeVar

from orchestrator.core.broker.chunks import Segment
from orchestrator.core.broker.ratelimit import Stopwatch

__all__ = ["ReorderBuffer"]

W = TypeVar("W")
"""What holds items back: a waiter of the broker, of which the buffer needs to know nothing."""


class ReorderBuffer(Generic[W]):
    """What an ordered job was dealt and what has not left it, in the order of its input."""

    def __init__(self, window: int) -> None:
        self.window = window
        self.last = 0  # the highest number that was ever dealt
        self.out = 0  # items in the reorder buffer
        self.outputs = 0  # outputs that are held back with them
        self.over = False  # the job will do nothing any more
        # That which has its turn and waits for room; `blocked`: for how long there was one.
        self.waiter: W | None = None
        self.blocked = Stopwatch()
        self._dealt: deque[list[int]] = deque()
        self._held: dict[int, W] = {}
        self._ended: set[int] = set()

    @property
    def first(self) -> int:
        """The number of the first item in the reorder buffer."""
        return self._dealt[0][0]

    def leasable(self, segments: Iterable[Segment], queued: int) -> int:
        """Return how many of the queued items may be leased now: what came back, and what fits."""
        back = 0
        for segment in segments:
            if segment.first > self.last:
                break
            back += len(segment)
        room = self.window - max(self.out, self.outputs)
        return back + max(0, min(queued - back, room))

    def deal(self, segments: Iterable[Segment]) -> None:
        """Items are leased, for the first time or again."""
        for segment in segments:
            if segment.first <= self.last:
                continue
            n = len(segment)
            stop = segment.first + n
            if self._dealt and self._dealt[-1][1] == segment.first:
                self._dealt[-1][1] = stop
            else:
                self._dealt.append([segment.first, stop])
            self.last = stop - 1
            self.out += n

    def hold(self, first: int, waiter: W, outputs: int) -> None:
        """Items from number `first` on are finished; they wait for their turn."""
        self._held[first] = waiter
        self.outputs += outputs

    def end(self, number: int) -> None:
        """An item gives nothing and never will: nobody waits for it any more."""
        if number <= self.last:
            self._ended.add(number)

    def next(self) -> W | None:
        """Give the turn to who has it now; None while the first item held is not finished."""
        while self._dealt:
            first = self._dealt[0][0]
            if first in self._ended:
                self._ended.discard(first)
                self.pass_by(1)
                continue
            self.waiter = self._held.pop(first, None)
            return self.waiter
        return None

    def pass_by(self, n: int) -> None:
        """The first n items leave the reorder buffer."""
        head = self._dealt[0]
        head[0] += n
        self.out -= n
        if head[0] == head[1]:
            self._dealt.popleft()

    def held(self) -> list[W]:
        """Return what is finished and has not its turn."""
        return list(self._held.values())

    def forget(self) -> list[W]:
        """Remove all that is held back: what it waits for will never end."""
        held, self._held = self.held(), {}
        self._dealt.clear()
        self._ended.clear()
        self.out = self.outputs = 0
        return held
