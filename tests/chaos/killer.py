"""Who kills: from outside, with nothing but /proc to go by."""

from __future__ import annotations

import contextlib
import os
import random
import select
import signal
from pathlib import Path

DEATH_WITHIN_MS = 5000


class Killer:
    """Kills children of a run's forkserver: workers of any age, from their first instruction on."""

    def __init__(self, guard: int, chance: random.Random) -> None:
        self._guard = guard
        self._chance = chance
        self._forkserver: int | None = None
        self.killed: list[int] = []

    def strike(self) -> bool:
        """Kill a worker, if there is one; whether it was seen to die of it."""
        if self._forkserver is None:
            self._forkserver = _forkserver(self._guard)
        victims = _children(self._forkserver) if self._forkserver else []
        if not victims:
            return False
        pid = self._chance.choice(victims)
        try:
            pidfd = os.pidfd_open(pid)
        except ProcessLookupError:
            return False
        try:
            if pid not in _children(self._forkserver):
                return False  # the number may be another's by now
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            died = _has_died(pidfd)
        except ProcessLookupError:
            return False
        finally:
            os.close(pidfd)
        if died:
            self.killed.append(pid)
        return died


def _has_died(pidfd: int) -> bool:
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(DEATH_WITHIN_MS))


def _children(pid: int) -> list[int]:
    with contextlib.suppress(OSError):
        return [int(n) for n in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def _forkserver(guard: int) -> int | None:
    for orchestrator in _children(guard):
        for pid in _children(orchestrator):
            with contextlib.suppress(OSError):
                if b"forkserver import main" in Path(f"/proc/{pid}/cmdline").read_bytes():
                    return pid
    return None
