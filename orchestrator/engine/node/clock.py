"""The loop's clock: monotonic time without the stretches in which the loop was stopped.

A laptop's lid or SIGSTOP must not make every deadline due at once. Called in the parent.
"""

from __future__ import annotations

import math
import time

__all__ = ["LoopClock"]

_TOO_LONG_S = 1.0
_LONGEST_WAIT_S = 1.0
"""A longer wait, with a deadline at its end, could not be told from one in which it was stopped."""


class LoopClock:
    """Monotonic seconds; a gap of a second more than was planned between two looks is left out."""

    def __init__(self) -> None:
        self._lost_s = 0.0
        self._planned_s = 0.0
        self._last = time.monotonic()

    def now(self) -> float:
        """The loop's time."""
        last, self._last = self._last, time.monotonic()
        if self._last - last > self._planned_s + _TOO_LONG_S:
            self._lost_s += self._last - last
        self._planned_s = 0.0
        return self._last - self._lost_s

    def plan_wait(self, timeout_s: float | None) -> float | None:
        """Return the longest wait, right after `now`, if something is due in `timeout_s`."""
        if timeout_s is None:
            self._planned_s = math.inf
            return None
        self._planned_s = min(timeout_s, _LONGEST_WAIT_S)
        return self._planned_s

    def of(self, monotonic_s: float) -> float:
        """A point of monotonic time as the loop's time."""
        return monotonic_s - self._lost_s
