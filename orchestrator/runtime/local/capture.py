"""Output of targets: `LineSplitter` cuts it into lines, `drain` reads what a dead one left."""

from __future__ import annotations

import array
import fcntl
import os
import termios

import msgspec

__all__ = ["Line", "LineSplitter", "drain"]

_LONGEST_CHARACTER = 4


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """A line without its end; with `more`, a piece of a long one that the next goes on from."""

    text: str
    more: bool = False


class LineSplitter:
    r"""Turns the bytes of one stream into lines, in linear time and bounded memory.

    A line ends with \n or \r\n. One of more than `limit` bytes comes in pieces, cut before a \r,
    where a progress bar is drawn anew, or else between characters. Bytes that are not UTF-8 show
    as \xNN.
    """

    def __init__(self, limit: int = 65536) -> None:
        self._limit = max(limit, _LONGEST_CHARACTER)
        self._tail = bytearray()

    def feed(self, data: bytes) -> list[Line]:
        """Take the next bytes; return the lines, and the pieces of long ones, that are complete."""
        lines: list[Line] = []
        *ended, rest = data.split(b"\n")
        for piece in ended:
            if self._tail or len(piece) > self._limit:
                self._tail += piece
                self._cut(lines)
                lines.append(_line(bytes(self._tail).removesuffix(b"\r")))
                self._tail.clear()
            else:
                lines.append(_line(piece.removesuffix(b"\r")))
        self._tail += rest
        self._cut(lines)
        return lines

    def flush(self) -> list[Line]:
        """Return the last line if no end of line came after it; the stream is over."""
        last = [_line(bytes(self._tail))] if self._tail else []
        self._tail.clear()
        return last

    def _cut(self, lines: list[Line]) -> None:
        """Move pieces from the tail to `lines` while it is too long, a last CR not counted."""
        while len(self._tail) - self._tail.endswith(b"\r") > self._limit:
            if (end := self._tail.rfind(b"\r", 0, self._limit)) > 0:
                lines.append(_line(bytes(self._tail[:end]), more=True))
                del self._tail[:end]
                continue
            end = self._limit
            while end > self._limit - _LONGEST_CHARACTER and self._tail[end] & 0xC0 == 0x80:
                end -= 1
            if end == self._limit - _LONGEST_CHARACTER:
                end = self._limit  # no character is that long: not UTF-8, cut anywhere
            lines.append(_line(bytes(self._tail[:end]), more=True))
            del self._tail[:end]


def drain(fd: int) -> bytes:
    """Return what lies in a pipe now; never wait, neither for more nor for its end.

    A process that the dead one has left may hold the pipe open, and write for ever.
    """
    lying = array.array("i", [0])
    fcntl.ioctl(fd, termios.FIONREAD, lying)
    pieces: list[bytes] = []
    left = lying[0]
    while left > 0 and (piece := os.read(fd, left)):
        pieces.append(piece)
        left -= len(piece)
    return b"".join(pieces)


def _line(data: bytes, *, more: bool = False) -> Line:
    return Line(text=data.decode("utf-8", "backslashreplace"), more=more)
