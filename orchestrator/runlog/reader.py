"""Reads `log.jsonl` as a stream, around whatever a crash or a full disk has done to it."""

from __future__ import annotations

import ctypes
import os
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from orchestrator.errors import RunNotFoundError, UsageError
from orchestrator.files import open_regular
from orchestrator.runlog.alive import is_locked, wait_until_free
from orchestrator.runlog.jsonl import Damage, Record, parse

__all__ = ["FileWatch", "LogReader"]


_IN_MODIFY = 0x2
_IN_CLOSE_WRITE = 0x8
_HEAD = struct.Struct("iIII")  # watch, mask, cookie, length of the name behind it


class FileWatch:
    """Waits for a file to grow or to be closed by its writer: the kernel wakes, nobody polls.

    Linux only. Python has no inotify of its own, so the three calls go through ctypes.
    """

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


_LINE_BYTES = 4 * 1024 * 1024
_TURNS = frozenset({"run.ended", "run.resumed"})


class LogReader:
    """A log from its beginning, never more than one line of it in memory.

    It stays the file that was opened, wherever that is moved: its run writes on into the same one.

    `available` gives what is there; `wait`, for those who follow, blocks until there is more.
    """

    def __init__(self, path: Path, *, follow: bool = False) -> None:
        """Open the log; raises RunNotFoundError if there is none that can be read."""
        self._watch: FileWatch | None = None
        self._ended = False
        self._gone = False
        try:
            self._file = os.fdopen(open_regular(path, os.O_RDONLY), "rb")
        except OSError as error:
            raise RunNotFoundError(f"cannot read {path}: {error.strerror}") from error
        try:
            if follow:
                self._watch = FileWatch(path)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> LogReader:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the log and stop watching it."""
        self._file.close()
        if self._watch is not None:
            self._watch.close()

    @property
    def ended(self) -> bool:
        """True if the run's last record has been read."""
        return self._ended

    def available(self) -> Iterator[Record | Damage]:
        """Yield what is there. A last line without its end is damage, unless the run goes on."""
        offset = self._file.tell()
        while line := self._file.readline(_LINE_BYTES):
            if line.endswith(b"\n"):
                found = parse(line, offset)
            elif len(line) == _LINE_BYTES:
                self._skip_line()
                found = Damage(offset=offset, reason=f"a line of more than {_LINE_BYTES} bytes")
                line = b""
            elif is_locked(self._file.fileno()):
                self._file.seek(offset)
                return
            else:
                found = parse(line, offset)
            if isinstance(found, dict) and (event := found.get("event")) in _TURNS:
                self._ended = event == "run.ended"
            offset = offset + len(line) if line else self._file.tell()
            yield found

    def having(self, event: str) -> Iterator[Record]:
        """Yield the whole records of one event that are there; other lines are not decoded."""
        word = event.encode()
        while line := self._file.readline(_LINE_BYTES):
            if word in line:
                found = parse(line, 0)
                if isinstance(found, dict) and found.get("event") == event:
                    yield found

    def wait(self) -> bool:
        """Block until there may be more to read; False once there will never be."""
        if self._watch is None or self._ended:
            return False
        if not is_locked(self._file.fileno()):
            gone_before, self._gone = self._gone, True
            return not gone_before  # one look more: it may have written before it went
        if self._watch.wait():
            wait_until_free(self._file.fileno())
        return True

    def _skip_line(self) -> None:
        while (piece := self._file.readline(_LINE_BYTES)) and not piece.endswith(b"\n"):
            pass
