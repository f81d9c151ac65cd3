"""Reads `log.jsonl` as a stream, around whatever a crash or a full disk has done to it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec

from orchestrator.errors import RunNotFoundError
from orchestrator.files import open_regular
from orchestrator.runlog.alive import is_locked, wait_until_free
from orchestrator.runlog.inotify import FileWatch

__all__ = ["Damage", "LogReader", "Record"]

Record = dict[str, Any]
_LINE_BYTES = 4 * 1024 * 1024
_FAST = msgspec.json.Decoder()
_TURNS = frozenset({"run.ended", "run.resumed"})


@dataclass(frozen=True, kw_only=True)
class Damage:
    """Bytes that are no record, from `offset` on; `reason` says what they are."""

    offset: int
    reason: str


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
                found = _parse(line, offset)
            elif len(line) == _LINE_BYTES:
                self._skip_line()
                found = Damage(offset=offset, reason=f"a line of more than {_LINE_BYTES} bytes")
                line = b""
            elif is_locked(self._file.fileno()):
                self._file.seek(offset)
                return
            else:
                found = _parse(line, offset)
            if isinstance(found, dict) and (event := found.get("event")) in _TURNS:
                self._ended = event == "run.ended"
            offset = offset + len(line) if line else self._file.tell()
            yield found

    def having(self, event: str) -> Iterator[Record]:
        """Yield the whole records of one event that are there; other lines are not decoded."""
        word = event.encode()
        while line := self._file.readline(_LINE_BYTES):
            if word in line:
                found = _parse(line, 0)
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


def _parse(line: bytes, offset: int) -> Record | Damage:
    if not line.strip(b"\0\r\n \t"):
        return Damage(offset=offset, reason="no record, only blanks or NUL bytes")
    try:
        record = _decode(line)
    except (ValueError, RecursionError):
        cut = "" if line.endswith(b"\n") else ", cut short"
        return Damage(offset=offset, reason=f"not a record{cut}")
    if not isinstance(record, dict):
        return Damage(offset=offset, reason="not a record")
    return record


def _decode(line: bytes) -> Any:
    """Decode a line: fast, or by the standard library, which takes lone surrogates as well."""
    try:
        return _FAST.decode(line)
    except ValueError:
        return json.loads(line)
