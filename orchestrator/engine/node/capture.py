"""Output of targets: cut into lines, each with its item, and read as the log record it may be.

Called in the node's host.
"""

from __future__ import annotations

import array
import contextlib
import fcntl
import json
import os
import termios
from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec

from orchestrator.ipc import marks

__all__ = ["CapturedLine", "JsonRecord", "LineSplitter", "MarkedLines", "drain", "parse"]

_LONGEST_CHARACTER = 4

_decode = msgspec.json.Decoder(dict[str, Any]).decode
_TEXTS = ("event", "msg", "message", "body", "@m")
_LEVELS = ("level", "severity", "levelname", "log.level", "@l", "severity_text")
_LOGGERS = ("logger", "log.logger", "logger_name", "name")
_TIMES = ("timestamp", "ts", "time", "@timestamp", "asctime", "@t")
_TRACES = ("exception", "exc_info", "traceback", "stacktrace", "error.stack_trace", "stack")
_NAMES = {
    "trace": "debug",
    "debug": "debug",
    "info": "info",
    "information": "info",
    "notice": "info",
    "success": "info",
    "warn": "warning",
    "warning": "warning",
    "err": "error",
    "error": "error",
    "exception": "error",
    "critical": "critical",
    "crit": "critical",
    "fatal": "critical",
    "panic": "critical",
    "dpanic": "critical",
    "alert": "critical",
    "emerg": "critical",
    "emergency": "critical",
}
_PINO = {10: "debug", 20: "debug", 30: "info", 40: "warning", 50: "error", 60: "critical"}


class Stamp(msgspec.Struct, frozen=True):
    """When something was written (Unix seconds), and for which item, if that is known."""

    ts: float
    item: str = ""
    attempt: int = 0


_NEVER = Stamp(0.0)


class CapturedLine(msgspec.Struct, frozen=True, kw_only=True):
    """A line without its end; with `more`, a piece of a long one that the next goes on from.

    `stamp` is that of the bytes that ended it.
    """

    text: str
    more: bool = False
    stamp: Stamp = _NEVER


class LineSplitter:
    r"""Turns the bytes of one stream into lines, in linear time and bounded memory.

    A line ends with \n or \r\n. One of more than `limit` bytes comes in pieces, cut before a \r,
    where a progress bar is drawn anew, or else between characters. Bytes that are not UTF-8 show
    as \xNN.
    """

    def __init__(self, limit: int = 65536) -> None:
        self._limit = max(limit, _LONGEST_CHARACTER)
        self._tail = bytearray()
        self._stamp = _NEVER

    @property
    def state(self) -> str:
        """The text a terminal shows of a line that is drawn anew and has not ended; else empty."""
        if b"\r" not in self._tail:
            return ""
        shown = bytes(self._tail).rstrip(b"\r").rpartition(b"\r")[2]
        return shown.decode("utf-8", "backslashreplace")

    def feed(self, data: bytes, stamp: Stamp = _NEVER) -> list[CapturedLine]:
        """Take the next bytes; return the lines, and the pieces of long ones, that are complete."""
        self._stamp = stamp
        lines: list[CapturedLine] = []
        *ended, rest = data.split(b"\n")
        for piece in ended:
            if self._tail or len(piece) > self._limit:
                self._tail += piece
                self._cut(lines)
                lines.append(_line(bytes(self._tail).removesuffix(b"\r"), stamp))
                self._tail.clear()
            else:
                lines.append(_line(piece.removesuffix(b"\r"), stamp))
        self._tail += rest
        self._cut(lines)
        return lines

    def is_one_line(self, data: bytes) -> bool:
        """True if the bytes are a line by themselves, and nothing waits for its end."""
        if self._tail or len(data) > self._limit:
            return False
        return data.find(b"\n") == len(data) - 1 and bool(data)

    def flush(self) -> list[CapturedLine]:
        """Return the last line if no end of line came after it; the stream is over."""
        last = [_line(bytes(self._tail), self._stamp)] if self._tail else []
        self._tail.clear()
        return last

    def _cut(self, lines: list[CapturedLine]) -> None:
        """Move pieces from the tail to `lines` while it is too long, a last CR not counted."""
        while len(self._tail) - self._tail.endswith(b"\r") > self._limit:
            if (end := self._tail.rfind(b"\r", 0, self._limit)) > 0:
                del self._tail[:end]  # states that were drawn over
                continue
            end = self._limit
            while end > self._limit - _LONGEST_CHARACTER and self._tail[end] & 0xC0 == 0x80:
                end -= 1
            if end == self._limit - _LONGEST_CHARACTER:
                end = self._limit  # no character is that long: not UTF-8, cut anywhere
            lines.append(_line(bytes(self._tail[:end]), self._stamp, more=True))
            del self._tail[:end]


class MarkedLines:
    """One stream of a worker: its marks are taken out, its lines have what these say.

    `unmarked` is set whenever something comes without a mark of its own.
    """

    def __init__(self, key: str, limit: int = 65536) -> None:
        self._splitter = LineSplitter(limit)
        self._start = marks.prefix(key)
        self._pattern = marks.pattern(key)
        self._held = b""
        self._stamp = _NEVER
        self._left = 0
        self._begun: tuple[str, int] = ("", 0)
        self._last: tuple[bytes, bytes, tuple[str, int]] = (b"", b"", ("", 0))
        self.unmarked = False

    @property
    def state(self) -> str:
        """See `LineSplitter.state`."""
        return self._splitter.state

    def feed(self, data: bytes, now: float) -> list[CapturedLine]:
        """Take the next bytes, read at Unix time `now`; return the lines that are complete."""
        if self._held:
            data, self._held = self._held + data, b""
        if b"\0" not in data:
            lines: list[CapturedLine] = []
            self._bytes(data, now, lines)
            return lines
        if held := self._unfinished(data):
            data, self._held = data[:-held], data[-held:]
        return self._take_apart(data, now)

    def flush(self, now: float) -> list[CapturedLine]:
        """Return the last line if no end of line came after it; the stream is over."""
        held, self._held = self._held, b""
        lines: list[CapturedLine] = []
        self._bytes(held, now, lines)
        return lines + self._splitter.flush()

    def _take_apart(self, data: bytes, now: float) -> list[CapturedLine]:
        lines: list[CapturedLine] = []
        text, *marked = data.split(self._start)
        if text:
            self._bytes(text, self._time_of(marked, 0, now), lines)
        splitter = self._splitter
        for n, piece in enumerate(marked):
            head, end, text = piece.partition(b"\0")
            if not (end and self._take_mark(head)):
                self._bytes(self._start + piece, self._time_of(marked, n + 1, now), lines)
            elif len(text) == self._left and splitter.is_one_line(text):
                lines.append(_line(text[:-1].removesuffix(b"\r"), self._stamp))
                self._left = 0
            elif text:
                self._bytes(text, self._time_of(marked, n + 1, now), lines)
        return lines

    def _take_mark(self, head: bytes) -> bool:
        """Take in what a mark says; False if it is none."""
        try:
            if head[:1] == b"w":
                time, size, attempt, item = head[1:].split(b":", 3)
                stamp, left = Stamp(int(time, 16) / 1e6, *self._hand(attempt, item)), int(size, 16)
                self._stamp, self._left = stamp, left
                return True
            _, attempt, item = head[1:].split(b":", 2)
            self._begun, self._left = self._hand(attempt, item), 0
        except ValueError:
            return False
        return head[:1] == b"b"

    def _time_of(self, marked: list[bytes], n: int, now: float) -> float:
        """Return the n-th mark's time, before which all before it was written; else now."""
        if n < len(marked):
            with contextlib.suppress(ValueError):
                return int(marked[n][1:].partition(b":")[0], 16) / 1e6
        return now

    def _hand(self, attempt: bytes, item: bytes) -> tuple[str, int]:
        last = self._last
        if last[0] == attempt and last[1] == item:
            return last[2]
        hand = (item.decode("utf-8", "replace"), int(attempt or b"0"))
        self._last = (attempt, item, hand)
        return hand

    def _bytes(self, data: bytes, latest: float, lines: list[CapturedLine]) -> None:
        """Take bytes between two marks, written at `latest` at the latest."""
        own = data
        if len(data) > self._left:
            own, data = data[: self._left], data[self._left :]
            self.unmarked = True
            if own:
                lines += self._splitter.feed(own, self._stamp)
            lines += self._splitter.feed(data, Stamp(latest, *self._begun))
            self._left = 0
        elif own:
            lines += self._splitter.feed(own, self._stamp)
            self._left -= len(own)

    def _unfinished(self, data: bytes) -> int:
        """Return how many bytes at the end may be the beginning of a mark that is still to come."""
        at = data.rfind(b"\0", -marks.LONGEST)
        if at < 0:
            return 0
        rest = data[at:]
        if rest.startswith(self._start):
            return len(rest)
        if not self._start.startswith(rest):
            return 0
        before = data[max(0, at + 1 - marks.LONGEST) : at + 1]
        ends = any(found.end() == len(before) for found in self._pattern.finditer(before))
        return 0 if ends else len(rest)


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


def _line(data: bytes, stamp: Stamp, *, more: bool = False) -> CapturedLine:
    return CapturedLine(text=data.decode("utf-8", "backslashreplace"), more=more, stamp=stamp)


class JsonRecord(NamedTuple):
    """What a line says: `fields` is a JSON object in ASCII, or empty."""

    level: str
    logger: str
    msg: str
    fields: str
    traceback: str
    error_type: str
    error: str


def parse(line: str) -> JsonRecord | None:
    """The log record that a printed line of JSON is; None for any other line.

    As structlog, python-json-logger, Go's slog, zap, pino and ECS write them: a record has a text
    and a level by a known name, or one of pino's numbers. Anything else is data, and stays as it
    was printed.
    """
    if line[:1] != "{" or line[-1:] != "}":
        return None
    try:
        found = _decode(line)
    except (ValueError, RecursionError):
        return None
    text, named = _first(found, _TEXTS), _first(found, _LEVELS)
    if text is None or named is None or type(found[text]) is not str:
        return None
    level = _level(found[named], pino="time" in found and "pid" in found)
    if level is None:
        return None
    msg = found.pop(text)
    del found[named]
    logger = _taken(found, _LOGGERS)
    if (when := _first(found, _TIMES)) is not None:
        del found[when]
    trace = _taken(found, _TRACES)
    error_type, error = _taken(found, ("error.type",)), _taken(found, ("error.message",))
    return JsonRecord(
        level=level,
        logger=logger,
        msg=msg,
        fields=json.dumps(found) if found else "",
        traceback=trace,
        error_type=error_type,
        error=error,
    )


def _level(value: Any, *, pino: bool) -> str | None:
    if type(value) is str:
        return _NAMES.get(value.lower())
    return _PINO.get(value) if pino and type(value) is int else None


def _first(found: dict[str, Any], names: Iterable[str]) -> str | None:
    for name in names:
        if name in found:
            return name
    return None


def _taken(found: dict[str, Any], names: Iterable[str]) -> str:
    """The first of these that is a text, taken out; empty if there is none."""
    for name in names:
        if type(found.get(name)) is str:
            value: str = found.pop(name)
            return value
    return ""
