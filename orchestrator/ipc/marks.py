r"""Marks in what a worker's process writes: for which item, and when.

Used on both sides; the standard library only. Descriptors 1 and 2 are pipes that everything in the
process writes to: Python, C, other programs. A mark is `\0m`, a key that only this worker has, and

    w TIME : BYTES : ATTEMPT : ITEM \0    the next BYTES bytes are one write of Python
    b TIME : ATTEMPT : ITEM \0            from here on, what has no mark of its own belongs to this

TIME is Unix time in microseconds and BYTES a number, both in hexadecimal; ITEM may be empty. A mark
travels in the same `write` as its bytes, so it cannot be torn from them up to PIPE_BUF.
"""

from __future__ import annotations

import fcntl
import io
import os
import re
import signal
import time
from collections.abc import Callable, Iterable
from typing import Any

__all__ = [
    "LONGEST",
    "Console",
    "MarkedFile",
    "begin_mark",
    "console_of",
    "pattern",
    "prefix",
    "write_mark",
]

LONGEST = 512
"""Bytes of a mark, at most: a queue's name and a range may be long."""


def prefix(key: str) -> bytes:
    """Return what every mark of a worker begins with."""
    return b"\0m" + key.encode("ascii")


def write_mark(start: bytes, micros: int, n: int, item: bytes, data: bytes = b"") -> bytes:
    """The mark in front of one write of `n` bytes, and these; `item` is `ATTEMPT:ITEM`."""
    return b"%bw%x:%x:%b\0%b" % (start, micros, n, item, data)


def begin_mark(start: bytes, micros: int, item: bytes) -> bytes:
    """The mark where an item begins, or, with an empty one, where nobody knows any more."""
    return b"%bb%x:%b\0" % (start, micros, item)


def pattern(key: str) -> re.Pattern[bytes]:
    """Finds the marks of a worker; its groups are kind, time, bytes (None for b), attempt, item."""
    return re.compile(
        re.escape(prefix(key))
        + rb"(?:w([0-9a-f]{1,14}):([0-9a-f]{1,12})|b([0-9a-f]{1,14})):(\d{0,9}):([^\0]{0,400})\0"
    )


_NO_HAND = ("", 0)
_OURS = signal.SIGRTMAX - 5


class Console:
    """The two capture pipes of this process.

    `at_hand` gives the item at hand and its attempt, the same tuple for the same item. A target may
    put a file of its own on descriptor 1 or 2; what goes there is the target's, and gets no marks.
    So our files are known by something that every open file has and nobody uses: the signal that it
    would send, were it asynchronous. To ask for that costs a third of an `fstat`.
    """

    def __init__(self, key: str, fds: Iterable[int] = (1, 2)) -> None:
        self.start = prefix(key)
        self.at_hand: Callable[[], tuple[str, int]] = lambda: _NO_HAND
        self.take: Callable[[bytes], bool] | None = None
        """While somebody wants to take what is written instead: whether they have."""
        self._last = (_NO_HAND, encoded(_NO_HAND))  # in one step: threads print, too
        self._fds = frozenset(fds)
        self.asked, self.answer = fcntl.F_GETSIG, int(_OURS)
        try:
            for fd in self._fds:
                fcntl.fcntl(fd, fcntl.F_SETSIG, _OURS)
        except OSError:  # a kernel of another kind: what is there is open, more cannot be known
            self.asked, self.answer = fcntl.F_GETFD, 0

    def is_ours(self, fd: int) -> bool:
        """True if the descriptor is 1 or 2, and still the pipe it was."""
        try:
            return fd in self._fds and fcntl.fcntl(fd, self.asked) == self.answer
        except OSError:
            return False

    def begin(self, fd: int, item: tuple[str, int] = _NO_HAND) -> None:
        """Tell whose it is what comes from now on without a mark, if anybody knows."""
        if self.is_ours(fd):
            mark = begin_mark(self.start, time.time_ns() // 1000, encoded(item))
            os.write(fd, mark)

    def encoded_hand(self) -> bytes:
        """The item at hand as marks have it."""
        hand, last = self.at_hand(), self._last
        if hand is not last[0]:
            last = self._last = (hand, encoded(hand))
        return last[1]


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
        """Write some of the bytes, as FileIO does: None where that would block.

        Done for each printed line, hence all in one place.
        """
        console, fd = self.console, self.fileno()
        if fcntl.fcntl(fd, console.asked) != console.answer:
            return super().write(data)
        if console.take is not None and console.take(bytes(data)):
            return len(data)
        n, item = len(data), console.encoded_hand()
        whole = write_mark(console.start, time.time_ns() // 1000, n, item, data)
        try:
            done = os.write(fd, whole) - len(whole) + n
        except BlockingIOError:
            return None
        while done < 0:  # a mark is written whole, or it would be text
            done += os.write(fd, whole[done - n : len(whole) - n])
        return done
