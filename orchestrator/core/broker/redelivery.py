"""Redelivery: a worker that is called once gets what it had got, in the order of before.

A target with handles to several queues can see when something comes: a `get` that would not wait
finds nothing, or finds an item. So that it does the same again, such a get finds an item only when
the one that was got at this place comes from its queue (docs/semantics.md, *Durable runs*).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

from orchestrator.core.broker.queue import QueueState

__all__ = ["Redelivered", "Redelivery"]


class Redelivered(NamedTuple):
    """The next `n` items come from the queue; 0: its end is told."""

    queue: QueueState
    n: int


class Redelivery:
    """What is still to come again of what a worker had got. `told` are ends told in this life."""

    def __init__(self, turns: Iterable[tuple[QueueState, int]]) -> None:
        self._turns = deque(Redelivered(queue, n) for queue, n in turns)
        self.told: set[QueueState] = set()

    @property
    def is_over(self) -> bool:
        """True if all of it has come again."""
        return not self._turns

    def turn(self, queues: tuple[QueueState, ...], *, polls: bool) -> Redelivered | None:
        """The turn of one of the queues; None if it is not yet, or never more.

        Who does not poll sees nothing but what comes, so he gets the next of his queues at once.
        """
        if polls:
            return self._turns[0] if self._turns and self._turns[0].queue in queues else None
        return next((turn for turn in self._turns if turn.queue in queues), None)

    def take(self, turn: Redelivered, n: int) -> None:
        """So many items of a turn come again now."""
        at = self._turns.index(turn)
        if n < turn.n:
            self._turns[at] = Redelivered(turn.queue, turn.n - n)
        else:
            del self._turns[at]

    def give_back(self, queue: QueueState, n: int) -> None:
        """So many items, the last that have come again, are to come again once more."""
        self._turns.appendleft(Redelivered(queue, n))

    def tell_end(self, queue: QueueState) -> None:
        """The queue's end is told."""
        self.told.add(queue)
        if Redelivered(queue, 0) in self._turns:
            self._turns.remove(Redelivered(queue, 0))

    def forget(self, queue: QueueState) -> None:
        """Nothing of the queue is there any more that could come again."""
        self._turns = deque(turn for turn in self._turns if turn.queue is not queue)

    def size(self, queue: QueueState) -> int:
        """Return how many items a poll of the queue would find, one after the other."""
        return self._turns[0].n if self._turns and self._turns[0].queue is queue else 0
