"""What `/proc` tells of a run's processes: who they are by descent, and who is left by a mark."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

MARK = "MPORCH_TEST_MARK"


def children(pid: int) -> list[int]:
    """The children of a process, of any of its threads."""
    found: list[int] = []
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(OSError):
                found += map(int, (task / "children").read_text().split())
    return found


def descendants(pid: int) -> list[int]:
    """All that descend from a process, itself included."""
    found, at = [pid], 0
    while at < len(found):
        found += children(found[at])
        at += 1
    return found


def marked(mark: str) -> list[int]:
    """The processes in whose environment MPORCH_TEST_MARK has this value."""
    wanted = f"{MARK}={mark}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and int(entry.name) != os.getpid():
            with contextlib.suppress(OSError):
                if wanted in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
    return found


def left_after(mark: str, within_s: float) -> list[int]:
    """Wait until all processes with this mark are gone; returns those that are not."""
    deadline = time.monotonic() + within_s
    while (left := marked(mark)) and time.monotonic() < deadline:
        time.sleep(0.02)  # the kernel wakes nobody for the death of a stranger's child
    return left
