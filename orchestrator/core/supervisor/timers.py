"""Timers of the supervisor: the next is known at once, one that is cancelled costs nothing."""

from __future__ import annotations

import enum
import heapq
from collections import Counter

__all__ = ["Timer", "Timers"]


class Timer(enum.IntEnum):
    """What a deadline is for."""

    START = 0
    """A worker's READY."""
    RUN = 1
    """A worker's whole time."""
    JOIN = 2
    """A worker's return after the end of its input."""
    LINGER = 3
    """The exit of a process that has said its last message."""
    GRACE = 4
    """What the stop signal is given before SIGKILL."""
    GIVE_UP = 5
    """What SIGKILL is given before the process counts as dead."""
    PLAN = 6
    """The whole run."""
    RESTART = 7
    """The wait before a new process takes a dead one's place."""
    HOLD = 8
    """The wait for the run's own stop, after a worker's death by a stop signal of a stranger."""


class Timers:
    """One deadline for each (owner, timer), in monotonic seconds."""

    def __init__(self) -> None:
        self._when: dict[tuple[str, Timer], float] = {}
        self._heap: list[tuple[float, str, Timer]] = []
        self._pending: Counter[Timer] = Counter()

    def set(self, owner: str, timer: Timer, when: float) -> None:
        """Set or move a deadline."""
        self._pending[timer] += (owner, timer) not in self._when
        self._when[owner, timer] = when
        heapq.heappush(self._heap, (when, owner, timer))

    def cancel(self, owner: str, *timers: Timer) -> None:
        """Forget these deadlines of the owner, all of them if none is named."""
        for timer in timers or Timer:
            if self._when.pop((owner, timer), None) is not None:
                self._pending[timer] -= 1

    def any_of(self, *timers: Timer) -> bool:
        """True if anybody has one of these deadlines."""
        return any(self._pending[timer] for timer in timers)

    def clear(self) -> None:
        """Forget everything."""
        self._when.clear()
        self._pending.clear()

    def next(self) -> float | None:
        """Return the earliest deadline."""
        while self._heap:
            when, owner, timer = self._heap[0]
            if self._when.get((owner, timer)) == when:
                return when
            heapq.heappop(self._heap)
        return None

    def pop_due(self, now: float) -> tuple[str, Timer] | None:
        """Remove and return the earliest deadline if it has come."""
        when = self.next()
        if when is None or when > now:
            return None
        _, owner, timer = heapq.heappop(self._heap)
        self.cancel(owner, timer)
        return owner, timer
