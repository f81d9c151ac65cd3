"""Who ends a durable run before its time: from outside, at moments that nobody has chosen."""

from __future__ import annotations

import contextlib
import enum
import os
import random
import signal
import subprocess
import time
from pathlib import Path

from .processes import children, descendants

_LONGEST_START_S = 60.0


class Blow(enum.Enum):
    """How a run is ended."""

    ORCHESTRATOR = "orchestrator"
    GUARD = "guard"
    TREE = "tree"
    SIGINT = "SIGINT"
    SIGTERM = "SIGTERM"


WEIGHTS = {
    Blow.ORCHESTRATOR: 5,
    Blow.TREE: 4,
    Blow.GUARD: 1,
    Blow.SIGINT: 1,
    Blow.SIGTERM: 1,
}
OF_THE_ORCHESTRATOR = frozenset({Blow.ORCHESTRATOR, Blow.TREE})


def choose(chance: random.Random) -> Blow:
    return chance.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]


def strike(guard: subprocess.Popen[bytes], blow: Blow, chance: random.Random) -> Blow | None:
    """End the run; returns how it was done. None: it had ended, or had not come to its guard."""
    orchestrators = children(guard.pid)
    if guard.poll() is not None or not orchestrators:
        return None
    match blow:
        case Blow.ORCHESTRATOR:
            pids = orchestrators[:1]
        case Blow.TREE:
            pids = descendants(guard.pid)
            chance.shuffle(pids)
        case _:
            pids = [guard.pid]
    signum = signal.Signals[blow.value] if blow.value.startswith("SIG") else signal.SIGKILL
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signum)
    return blow


class Clock:
    """Waits for the moment of a blow. `start_s` is how long a process took to come to work."""

    def __init__(self, folder: Path, chance: random.Random, gap_s: float) -> None:
        self._calls = folder / "calls"
        self._chance = chance
        self._gap_s = gap_s
        self.start_s = 1.0

    def wait(self, guard: subprocess.Popen[bytes]) -> None:
        """One in three comes while the process starts, the others while it works."""
        if self._chance.random() < 0.33:
            _sleep(guard, self._chance.uniform(0.5, 1.1) * self.start_s)
            return
        began, before = time.monotonic(), self.work_done
        while self.work_done == before and guard.poll() is None:
            if time.monotonic() > began + _LONGEST_START_S:
                return
            _sleep(guard, 0.01)
        self.start_s = time.monotonic() - began
        _sleep(guard, self._chance.expovariate(1 / self._gap_s))

    @property
    def work_done(self) -> int:
        """Grows with each call of the item job."""
        return self._calls.stat().st_size if self._calls.exists() else 0


def _sleep(guard: subprocess.Popen[bytes], duration_s: float) -> None:
    with contextlib.suppress(subprocess.TimeoutExpired):
        guard.wait(duration_s)
