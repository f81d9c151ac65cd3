"""Streams of a program that logs, told apart by where what is written to them goes.

Called in the child.
"""

from __future__ import annotations

import io
from typing import Any, Protocol

from orchestrator.engine.node.marked import Console, MarkedFile

__all__ = ["ConsoleStreams", "Streams"]

_RAW = (MarkedFile, io.FileIO)


class Streams(Protocol):
    """What the seams ask of a stream that a program writes its records to."""

    def is_console(self, stream: Any) -> bool:
        """True if it says that it is the console: descriptor 1 or 2, if that is still ours."""

    def is_plain(self, stream: Any) -> bool:
        """True if it is the console and nothing else: a file of Python's own on it.

        What has a `write` of its own may write elsewhere, too, as a tee does: that has to be
        called.
        """


class ConsoleStreams:
    """The streams of a worker, whose console is known."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def is_console(self, stream: Any) -> bool:
        """As `Streams` says; one whose methods raise, whatever that is, is not."""
        try:
            fd = stream.fileno()
            return type(fd) is int and fd in (1, 2) and self._console.is_ours(fd)
        except Exception:  # noqa: BLE001 - a class of the user's; StringIO has no descriptor
            return False

    def is_plain(self, stream: Any) -> bool:
        """As `Streams` says."""
        below = stream
        try:
            if type(below) is io.TextIOWrapper and "write" not in vars(below):
                below = below.buffer
            if type(below) is io.BufferedWriter and "write" not in vars(below):
                below = below.raw
        except ValueError:  # it was detached
            return False
        return type(below) in _RAW and self.is_console(stream)
