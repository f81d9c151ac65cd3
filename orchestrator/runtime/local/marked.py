"""Descriptors 1 and 2 of a worker as Python's own streams use them: each write has its mark.

Called in the child; imported by every worker: the standard library only.
"""

from __future__ import annotations

import io
import os
import time
from collections.abc import Callable
from typing import Any

from orchestrator.runtime import marks

__all__ = ["Console", "MarkedFile", "console_of"]

_NO_HAND = ("", 0)


class Console:
    """The two capture pipes of this process, by the identity of their files.

    `at_hand` gives the item at hand and its attempt. A target may put a file of its own on
    descriptor 1 or 2; what goes there is the target's, and gets no marks.
    """

    def __init__(self, key: str) -> None:
        self.start = marks.prefix(key)
        self.at_hand: Callable[[], tuple[str, int]] = lambda: _NO_HAND
        self.taken: Callable[[bytes], bool] = lambda _: False
        """Asked before bytes are written: whether somebody has taken them instead."""
        self._files = {fd: _identity(fd) for fd in (1, 2)}

    def is_ours(self, fd: int) -> bool:
        """Whether the descriptor is 1 or 2, and still the pipe it was."""
        try:
            return self._files.get(fd) == _identity(fd)
        except OSError:
            return False

    def begin(self, fd: int, item: tuple[str, int] = _NO_HAND) -> None:
        """Tell whose it is what comes from now on without a mark, if anybody knows."""
        if self.is_ours(fd):
            mark = marks.begin_mark(self.start, time.time_ns() // 1000, encoded(item))
            os.write(fd, mark)

    def write(self, fd: int, data: Any) -> int:
        """One write with its mark; returns how many bytes of `data` were written."""
        whole = self.mark(len(data)) + data
        ours = len(whole) - len(data)
        done = os.write(fd, whole)
        while done < ours:  # a mark is written whole, or it would be text
            done += os.write(fd, whole[done:ours])
        return done - ours

    def mark(self, n: int) -> bytes:
        """The mark for a write of n bytes, now."""
        hand = self.at_hand()
        return marks.write_mark(self.start, time.time_ns() // 1000, n, encoded(hand))


def console_of(stream: Any) -> Console:
    """The console that a worker's own stream writes to, as `bootstrap` has made it."""
    console: Console = stream.buffer.raw.console
    return console


def encoded(hand: tuple[str, int]) -> bytes:
    """An item and its attempt as a mark has them."""
    item, attempt = hand
    return b"%d:%b" % (attempt, item.encode("utf-8", "replace")) if item else b":"


class MarkedFile(io.FileIO):
    """The raw file below `sys.stdout` or `sys.stderr`."""

    def __init__(self, fd: int, console: Console) -> None:
        super().__init__(fd, "w", closefd=False)
        self.console = console

    def write(self, data: Any) -> int | None:  # type: ignore[override]
        """Write some of the bytes, as FileIO does: None where that would block."""
        console, fd = self.console, self.fileno()
        if not console.is_ours(fd):
            return super().write(data)
        given = bytes(data)
        if console.taken(given):
            return len(given)
        try:
            return console.write(fd, given)
        except BlockingIOError:
            return None


def _identity(fd: int) -> tuple[int, int]:
    found = os.fstat(fd)
    return found.st_ino, found.st_dev
