"""Waiting for room: a line at each queue, in fair order.

A parked commit holds a place, and a producer that asked. A younger waiter never gets room in a
queue that an older one waits for (rule 2): each queue keeps its waiters in order, and a waiter
moves only while it is first in every queue it waits for. Which queues those are:
docs/decisions/0007.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterator, Sequence

from orchestrator.core.broker.clients import Waiter
from orchestrator.core.broker.queue import QueueState

__all__ = ["WaitLines"]


class WaitLines:
    """The lines of all queues."""

    def __init__(self) -> None:
        # Only the queues at which somebody waits: mostly there is none, and each put asks. To be
        # read only.
        self.at: dict[QueueState, list[Waiter]] = {}

    def of(self, queue: QueueState) -> Sequence[Waiter]:
        """Return those that wait at a queue, the oldest first."""
        return self.at.get(queue, ())

    def join(self, waiter: Waiter, queues: tuple[QueueState, ...]) -> list[QueueState]:
        """Leave the lines it stands in and join these, at the place its number gives.

        Who is first in a line no more has lost the places it held further down: returns those.
        """
        self.leave(waiter)
        waiter.queues = queues
        lost: list[QueueState] = []
        for queue in queues:
            line = self.at.setdefault(queue, [])
            bisect.insort(line, waiter, key=lambda each: each.number)
            if line[0] is waiter and len(line) > 1:
                lost += self._fall_back(line[1], queue)
        return lost

    def _fall_back(self, waiter: Waiter, last: QueueState) -> tuple[QueueState, ...]:
        """Leave the lines beyond that of a queue."""
        at = waiter.queues.index(last) + 1
        waiter.queues, beyond = waiter.queues[:at], waiter.queues[at:]
        self._remove(waiter, beyond)
        return beyond

    def leave(self, waiter: Waiter) -> None:
        """Leave every line."""
        self._remove(waiter, waiter.queues)
        waiter.queues = ()

    def _remove(self, waiter: Waiter, queues: tuple[QueueState, ...]) -> None:
        for queue in queues:
            line = self.at[queue]
            line.remove(waiter)
            if not line:
                del self.at[queue]

    def is_first(self, waiter: Waiter, queue: QueueState) -> bool:
        """True if nobody older waits at the queue, whether it stands in that line or not."""
        line = self.at.get(queue)
        return line is None or waiter.number <= line[0].number

    def is_first_everywhere(self, waiter: Waiter) -> bool:
        """True if nobody older waits for any of its queues."""
        return all(self.at[queue][0] is waiter for queue in waiter.queues)

    def overdue(self, queue: QueueState, now: float) -> list[Waiter]:
        """Return who has waited for room in this queue for as long as he may."""
        return [waiter for waiter, due in self._dues(queue) if due <= now]

    def next_due(self, queue: QueueState) -> float | None:
        """Return when the first of them has; None if nobody's time is limited."""
        return min((due for _, due in self._dues(queue)), default=None)

    def _dues(self, queue: QueueState) -> Iterator[tuple[Waiter, float]]:
        """Those who wait for room in the queue, not for ever, each with when his time is over."""
        for waiter in self.of(queue):
            if waiter.lacks is queue and (due := waiter.due) is not None:
                yield waiter, due
