"""The rate limit of a job, and a stopwatch: pace and waits (rule 18 of docs/semantics.md).

The generic cell rate algorithm in its virtual scheduling form (ITU-T I.371, annex A; the ATM
Forum's Traffic Management 4.0): a leaky bucket that is one number. An item is due at the
theoretical arrival time of the next one, less a tolerance of `burst - 1` intervals; starting it
moves that time on by an interval, from now at the earliest. So of any stretch of time no more than
`burst` items more are started than its length allows, and time that is not used is lost.
"""

from __future__ import annotations

import math

__all__ = ["RateLimiter", "Stopwatch"]


class Stopwatch:
    """Adds up the seconds between each `start` and the `stop` after it."""

    def __init__(self) -> None:
        self._total = 0.0
        self._since: float | None = None

    @property
    def was_started(self) -> bool:
        """True if it has run, or does."""
        return self._since is not None or self._total > 0.0

    def start(self, now: float) -> None:
        """It is so from `now` on, if it was not before."""
        if self._since is None:
            self._since = now

    def stop(self, now: float) -> None:
        """It is so no more."""
        self._total, self._since = self.total_s(now), None

    def total_s(self, now: float) -> float:
        """Seconds so far."""
        return self._total + (now - self._since if self._since is not None else 0.0)


class RateLimiter:
    """Times are monotonic seconds. `held`: for how long an item that could start has waited."""

    def __init__(self, interval_s: float, burst: int = 1) -> None:
        self.held = Stopwatch()
        self._interval_s = interval_s
        self._tolerance_s = (burst - 1) * interval_s
        self._arrival = -math.inf
        self._alarms: dict[str, float] = {}

    @property
    def due_at(self) -> float:
        """Return when the next item may start."""
        return self._arrival - self._tolerance_s

    def start(self, now: float) -> None:
        """An item that is due is started."""
        self._arrival = max(now, self._arrival) + self._interval_s
        self.held.stop(now)

    def hold(self, now: float, queue: str) -> bool:
        """An item of the queue is not due yet; whether nobody has seen to that it is called."""
        self.held.start(now)
        is_new = self._alarms.get(queue) != self.due_at
        self._alarms[queue] = self.due_at
        return is_new
