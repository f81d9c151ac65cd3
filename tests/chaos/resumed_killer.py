"""Who ends a durable run before its time: from outside, at moments that nobody has chosen."""

from __future__ import annotations

import contextlib
import enum
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from .processes import children, descendants

_LONGEST_START_S = 60.0
_LONGEST_WAIT_S = 5.0


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
    """Waits for the moment of a blow. `start_s`: from its beginning to its work."""

    def __init__(self, folder: Path, chance: random.Random, gap_s: float) -> None:
        self._calls = folder / "calls"
        self._chance = chance
        self._gap_s = gap_s
        self.start_s = 1.0
        self._waits = 0

    def wait(self, guard: subprocess.Popen[bytes]) -> None:
        """One in three comes while the process starts, the others while it works."""
        before = self.work_done
        self._until(guard, lambda: bool(children(guard.pid)))
        began = time.monotonic()
        self._waits += 1
        if self._waits % 3 == 0:
            _sleep(guard, self._chance.uniform(0, 1) * self.start_s)
            return
        self._until(guard, lambda: self.work_done > before)
        self.start_s = min(_LONGEST_WAIT_S, time.monotonic() - began)
        _sleep(guard, self._chance.expovariate(1 / self._gap_s))

    def _until(self, guard: subprocess.Popen[bytes], happened: Callable[[], bool]) -> None:
        """Nobody tells of it, so look again and again; all ends with the guard, or after a time."""
        deadline = time.monotonic() + _LONGEST_START_S
        while not happened() and guard.poll() is None and time.monotonic() < deadline:
            _sleep(guard, 0.01)

    @property
    def work_done(self) -> int:
        """Grows with each call of the item job."""
        return self._calls.stat().st_size if self._calls.exists() else 0


def _sleep(guard: subprocess.Popen[bytes], duration_s: float) -> None:
    with contextlib.suppress(subprocess.TimeoutExpired):
        guard.wait(duration_s)
