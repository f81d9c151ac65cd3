"""The loop's clock: monotonic time without the stretches in which the loop was stopped.

A laptop's lid or SIGSTOP must not make every deadline due at once. Called in the parent.
"""

from __future__ import annotations

import time

__all__ = ["Pulse"]

_TOO_LONG_S = 1.0


class Pulse:
    """Monotonic seconds; what a wait took beyond its timeout, and a second more, does not count."""

    def __init__(self) -> None:
        self._lost_s = 0.0
        self._last = time.monotonic()

    def now(self) -> float:
        """The loop's time."""
        self._last = time.monotonic()
        return self._last - self._lost_s

    def slept(self, timeout_s: float | None) -> None:
        """A wait that began at the last `now` is over; it should have taken `timeout_s` at most."""
        if timeout_s is not None:
            late = time.monotonic() - self._last - timeout_s
            if late > _TOO_LONG_S:
                self._lost_s += late

    def of(self, monotonic_s: float) -> float:
        """A point of monotonic time as the loop's time."""
        return monotonic_s - self._lost_s
