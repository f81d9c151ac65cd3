"""Waits for a file to grow or to be closed by its writer: the kernel wakes, nobody polls.

Linux only. Python has no inotify of its own, so the three calls go through ctypes.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys
from pathlib import Path

from orchestrator.errors import UsageError

__all__ = ["FileWatch"]

_IN_MODIFY = 0x2
_IN_CLOSE_WRITE = 0x8
_HEAD = struct.Struct("iIII")  # watch, mask, cookie, length of the name behind it


class FileWatch:
    """Watches one file from its creation on."""

    def __init__(self, path: Path) -> None:
        """Start to watch `path`; raises UsageError where the system cannot."""
        if sys.platform != "linux":
            raise UsageError("following a log needs Linux (inotify)")
        libc = ctypes.CDLL(None, use_errno=True)
        self._fd: int = libc.inotify_init1(os.O_CLOEXEC)
        if self._fd < 0:
            raise _refused(path)
        if libc.inotify_add_watch(self._fd, os.fsencode(path), _IN_MODIFY | _IN_CLOSE_WRITE) < 0:
            error = _refused(path)
            self.close()
            raise error

    def wait(self) -> bool:
        """Block until the file has changed; True if a writer has closed it."""
        events, offset, closed = os.read(self._fd, 4096), 0, False
        while offset < len(events):
            _, mask, _, length = _HEAD.unpack_from(events, offset)
            closed = closed or bool(mask & _IN_CLOSE_WRITE)
            offset += _HEAD.size + length
        return closed

    def close(self) -> None:
        """Stop watching."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _refused(path: Path) -> UsageError:
    return UsageError(
        f"cannot watch {path}: {os.strerror(ctypes.get_errno())}",
        hint="the limits are in /proc/sys/fs/inotify; without -f the log can be read all the same",
    )
