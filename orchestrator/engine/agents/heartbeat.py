"""Heartbeats of one control connection: when to speak, and from when on the other is lost. Pure.

Any byte is a sign of life. Who waits until `next_check` and reads what has come before it asks
`is_lost` does not mistake a stretch in which it was stopped itself for the other's silence.
"""

from __future__ import annotations

__all__ = ["BEAT_S", "PATIENCE_S", "Heartbeat"]

BEAT_S = 1.0
PATIENCE_S = 20.0
"""The orchestrator's. An agent has half of it: its workers are dead before anybody is given what
they held."""


class Heartbeat:
    """The other side is lost when nothing has come from it for `patience_s`."""

    def __init__(self, now: float, *, patience_s: float, every_s: float = BEAT_S) -> None:
        self._patience_s = patience_s
        self._every_s = min(every_s, patience_s / 4)
        self._heard = now
        self._next = now

    def hear(self, now: float) -> None:
        """Something has come."""
        self._heard = now

    def is_due(self, now: float) -> bool:
        """Return whether it is time to say something, which is then taken as said."""
        if now < self._next:
            return False
        self._next = now + self._every_s
        return True

    def is_lost(self, now: float) -> bool:
        """Return whether the other has been silent for too long."""
        return now - self._heard >= self._patience_s

    def next_check(self) -> float:
        """Return when to look again."""
        return min(self._next, self._heard + self._patience_s)
