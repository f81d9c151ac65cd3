"""The machine of a run: its session and priority, its load, and what is installed on it."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import platform
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

NICE = -10
"""The priority of the session, as autogroup counts it: without it a busy neighbour gets half."""

BUSY_LIMIT = 0.1
"""The share of the cores that others may use before a run counts as one under load."""

DISTRIBUTIONS = ("click", "faster-fifo", "joblib", "numpy", "pypeln", "pyzmq")


def raise_autogroup(
    own: Path = Path("/proc/self/autogroup"),
    switch: Path = Path("/proc/sys/kernel/sched_autogroup_enabled"),
) -> str:
    """Raise the priority of this session, and return in words what came of it."""
    try:
        if switch.read_text().strip() == "0":
            return "autogroup is off: a session of its own, of the usual priority"
        if not own.read_text().split():
            return "a session of its own; autogroup does not count in this cgroup"
        own.write_text(f"{NICE}\n")
    except FileNotFoundError:
        return "this kernel has no autogroup: a session of its own, of the usual priority"
    except OSError as error:
        return f"a session of its own; autogroup {NICE} is not allowed ({error.strerror})"
    return f"a session of its own, autogroup {NICE}"


def raise_beside(proc: Path = Path("/proc"), parent: int | None = None) -> None:
    """Give the sessions of the parent's other children this one's priority, where allowed.

    An orphan that leads a session, as a daemon does, has been adopted by the parent.
    In a cgroup with processor shares of its own the kernel shows no autogroup: the file is empty.
    """
    parent = parent or os.getppid()
    with contextlib.suppress(OSError):
        words = (proc / "self/autogroup").read_text().split()
        children = (proc / f"{parent}/task/{parent}/children").read_text().split()
        for pid in children if words else ():
            (proc / pid / "autogroup").write_text(f"{words[-1]}\n")


def in_own_session(work: Callable[[str], int]) -> int:
    """Call `work` with what became of the priority, in a child that leads a session.

    Returns the exit code. Ctrl-C at the terminal reaches this process alone and is handed on.
    """
    sys.stdout.flush()
    pid = os.fork()
    if not pid:
        os.setsid()
        sys.exit(work(raise_autogroup()))
    while True:
        try:
            return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        except KeyboardInterrupt:
            os.kill(pid, signal.SIGINT)


def busy_share(seconds: float) -> float:
    """The share of all cores that is used, or stolen, while this process waits."""
    before = _ticks()
    time.sleep(seconds)
    used, idle = (now - then for now, then in zip(_ticks(), before, strict=True))
    return used / (used + idle) if used + idle else 0.0


def _ticks() -> tuple[int, int]:
    """Used and idle ticks of all cores; waiting for a disk is idle."""
    fields = [int(word) for word in Path("/proc/stat").read_text().split("\n")[0].split()[1:9]]
    idle = fields[3] + fields[4]
    return sum(fields) - idle, idle


def described() -> dict[str, Any]:
    """What a reader must know of the machine."""
    versions = {}
    for name in DISTRIBUTIONS:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "versions": versions,
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()
