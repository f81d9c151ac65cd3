"""Whether a run lives: its log is locked for as long as its writer has it open.

The kernel drops the lock however the writer ends, so a run that was killed never looks alive.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

__all__ = ["is_locked", "lock_while_open"]


def lock_while_open(fd: int) -> None:
    """Lock the file behind `fd`; a file system without locks does without."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return


def is_locked(path: Path) -> bool:
    """Return whether somebody holds the lock of the file at `path`; False if there is none."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(fd)
    return False
