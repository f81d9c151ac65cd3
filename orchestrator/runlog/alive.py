"""Liveness of a run: its log is locked for as long as its writer has it open.

The kernel drops the lock however the writer ends, so a run that was killed never looks alive.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from orchestrator.files import open_regular

__all__ = ["holder", "is_locked", "lock_while_open", "wait_until_free"]


def lock_while_open(fd: int) -> bool:
    """Lock the file behind `fd`; a file system without locks does without.

    False if somebody else has locked it.
    """
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def holder(fd: int) -> int | None:
    """The process that has locked the file behind `fd`; None if the kernel does not tell."""
    found = os.fstat(fd)
    file = f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}:{found.st_ino}"
    try:
        locks = Path("/proc/locks").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    words = (lock.split() for lock in locks)
    owners = (int(w[4]) for w in words if w[1:4:2] == ["FLOCK", "WRITE"] and w[5] == file)
    return next((pid for pid in owners if pid > 0), None)


def is_locked(file: Path | int) -> bool:
    """Return whether somebody holds the lock of a file; False if there is none.

    The descriptor of an open one means that file, whatever is at its path by now.
    """
    try:
        _share(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def wait_until_free(file: Path | int) -> None:
    """Block until nobody holds the lock of a file; see `is_locked`."""
    try:
        _share(file, fcntl.LOCK_SH)
    except OSError:
        return


def _share(file: Path | int, operation: int) -> None:
    if isinstance(file, int):
        fcntl.flock(file, operation)
        fcntl.flock(file, fcntl.LOCK_UN)
        return
    fd = open_regular(file, os.O_RDONLY)
    try:
        fcntl.flock(fd, operation)
    finally:
        os.close(fd)
