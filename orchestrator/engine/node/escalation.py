"""Escalation from an orchestrator's stop to its kill, by the guard. Pure: time is passed in."""

from __future__ import annotations

import signal

__all__ = ["KILL_WITHIN_S", "ONE_REQUEST_S", "Escalation"]

KILL_WITHIN_S = 10.0
"""What a kill takes an orchestrator at worst: 5 s for workers that hang in the kernel, 2 s for a
sweep, then the helpers' end and the report. One that is well and has no such workers needs far
less."""

ONE_REQUEST_S = 2.0
"""Who asks a program to end may do so twice at once: timeout(1) signals it and its group, and at
the end of a session SIGHUP comes from the kernel and from the shell."""

_KILLING_INTERRUPTS = 3


class Escalation:
    """Counts the requests to end as the orchestrator does, and knows when they were the last."""

    def __init__(self) -> None:
        self._interrupts = {True: 0, False: 0}
        self._terminated_at: float | None = None
        self._kill_at: float | None = None

    def hear(self, signum: int, now: float, *, by_host: bool = False) -> bool:
        """Take a signal that came at the monotonic time `now`; whether it is to be forwarded.

        A SIGTERM or SIGHUP that only repeats one is not, nor a SIGINT that comes from the host as
        well as from elsewhere. A third SIGINT, or another SIGTERM or
        SIGHUP, is an order to kill all; who asks for more after that is done with waiting.
        """
        killing = self._kill_at is not None
        if signum == signal.SIGINT:
            before_it = max(self._interrupts.values())
            self._interrupts[by_host] += 1
            interrupts = max(self._interrupts.values())
            if interrupts == before_it:
                return False
            killing |= interrupts >= _KILLING_INTERRUPTS
        elif signum in (signal.SIGTERM, signal.SIGHUP):
            before = self._terminated_at
            if before is not None and now - before < ONE_REQUEST_S:
                return False
            self._terminated_at = now
            killing |= before is not None
        else:
            return True
        if self._kill_at is None:
            self._kill_at = now + KILL_WITHIN_S if killing else None
        elif now >= self._kill_at - KILL_WITHIN_S + ONE_REQUEST_S:
            self._kill_at = now
        return True

    def left_s(self, now: float) -> float | None:
        """Seconds that the orchestrator may still take; None: as long as it likes."""
        return None if self._kill_at is None else max(0.0, self._kill_at - now)
