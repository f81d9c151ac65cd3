"""A stopwatch: for how long something has been so, in all."""

from __future__ import annotations

__all__ = ["Stopwatch"]


class Stopwatch:
    """Adds up the seconds between each `start` and the `stop` after it."""

    def __init__(self) -> None:
        self._total = 0.0
        self._since: float | None = None

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
