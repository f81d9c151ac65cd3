"""The rate limit of a job: when it may start its next item (rule 18 of docs/semantics.md).

The generic cell rate algorithm in its virtual scheduling form (ITU-T I.371, annex A; the ATM
Forum's Traffic Management 4.0): a leaky bucket that is one number. An item is due at the
theoretical arrival time of the next one, less a tolerance of `burst - 1` intervals; starting it
moves that time on by an interval, from now at the earliest. So of any stretch of time no more than
`burst` items more are started than its length allows, and time that is not used is lost.
"""

from __future__ import annotations

import math

from orchestrator.core.broker.stopwatch import Stopwatch

__all__ = ["RateLimiter"]


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
