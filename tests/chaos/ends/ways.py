"""The ways in which a run can end, and what each has to do for it."""

from __future__ import annotations

import contextlib
import enum
import os
import shutil
import signal
from dataclasses import dataclass
from pathlib import Path


class Place(enum.Enum):
    """Where what the run prints goes."""

    FILE = enum.auto()
    PIPE = enum.auto()
    TERMINAL = enum.auto()


@dataclass(frozen=True, kw_only=True)
class Way:
    """One way. `codes` are the exit codes it may have once everything was running.

    `how`: the run ends as its stage does that; `finite`: as its source ends; `types`: so many
    Ctrl-C are typed; `signals`: what is sent to whom, at random moments; `closes`: who reads what
    it prints goes away; `immune`: the run is another user's, and has a program that takes root's
    rights, so that nobody of the run may kill it.
    """

    codes: tuple[int, ...]
    place: Place = Place.FILE
    how: str = ""
    finite: bool = False
    timeout: bool = False
    types: int = 0
    signals: tuple[tuple[int, str], ...] = ()
    closes: bool = False
    immune: bool = False


KILL, INT, TERM, HUP = signal.SIGKILL, signal.SIGINT, signal.SIGTERM, signal.SIGHUP

GUARD, ORCHESTRATOR, WORKER, FORKSERVER = "guard", "orchestrator", "worker", "forkserver"

WAYS = {
    "success": Way(codes=(0,), finite=True),
    "failure": Way(codes=(1,), how="raise"),
    "abort": Way(codes=(1,), how="abort"),
    "out of memory": Way(codes=(1,), how="eat"),
    "timeout": Way(codes=(124,), timeout=True),
    "Ctrl-C": Way(codes=(130,), place=Place.TERMINAL, types=1),
    "Ctrl-C twice": Way(codes=(130,), place=Place.TERMINAL, types=2),
    "Ctrl-C thrice": Way(codes=(130,), place=Place.TERMINAL, types=3),
    "SIGINT": Way(codes=(130,), signals=((INT, GUARD),)),
    "SIGTERM": Way(codes=(143,), signals=((TERM, GUARD),)),
    "SIGHUP": Way(codes=(129,), signals=((HUP, GUARD),)),
    "terminal closed": Way(codes=(129,), place=Place.TERMINAL, closes=True),
    "stdout closed, success": Way(codes=(0,), place=Place.PIPE, closes=True, finite=True),
    "stdout closed, SIGTERM": Way(
        codes=(143,), place=Place.PIPE, closes=True, signals=((TERM, GUARD),)
    ),
    "SIGKILL of the orchestrator": Way(codes=(137,), signals=((KILL, ORCHESTRATOR),)),
    "SIGKILL of the guard": Way(codes=(-KILL,), signals=((KILL, GUARD),)),
    "SIGTERM, SIGKILL of the orchestrator": Way(
        codes=(143, 137), signals=((TERM, GUARD), (KILL, ORCHESTRATOR))
    ),
    "SIGTERM, SIGKILL of the guard": Way(
        codes=(143, -KILL), signals=((TERM, GUARD), (KILL, GUARD))
    ),
    "SIGKILL of a worker": Way(codes=(1,), signals=((KILL, WORKER),)),
    "SIGKILL of the forkserver, SIGTERM": Way(
        codes=(1, 143), signals=((KILL, FORKSERVER), (TERM, GUARD))
    ),
}
if os.geteuid() == 0 and shutil.which("cc") and shutil.which("setpriv"):
    WAYS["success, but for a setuid program"] = Way(codes=(1,), finite=True, immune=True)


def send(signum: int, whom: str, guard: int) -> bool:
    """Send a signal to a process of the run; False if there is none yet, or no more."""
    pid = _find(whom, guard)
    if pid is None:
        return False
    try:
        os.kill(pid, signum)
    except ProcessLookupError:
        return False
    return True


def _find(whom: str, guard: int) -> int | None:
    if whom == GUARD:
        return guard
    orchestrator = next(iter(_children(guard)), None)
    if whom == ORCHESTRATOR or orchestrator is None:
        return orchestrator
    for pid in _children(orchestrator):
        if b"forkserver import main" in _command(pid):
            return pid if whom == FORKSERVER else next(iter(_children(pid)), None)
    return None


def _children(pid: int) -> list[int]:
    with contextlib.suppress(OSError):
        return [int(n) for n in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def _command(pid: int) -> bytes:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""
