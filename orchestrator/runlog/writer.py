"""Writes `log.jsonl`: one event a line, ASCII JSON. The run's loop is the only writer.

mporch's own events go through structlog, bound to the run; what targets print goes the short way
(`lines.py`) into the same buffer. Nothing here is global: two runs in one process do not meet.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import structlog

from orchestrator.core.facts import Fact, Logged, Output
from orchestrator.errors import RunDirectoryError
from orchestrator.runlog.alive import lock_while_open
from orchestrator.runlog.catalogue import context, describe
from orchestrator.runlog.directory import LOG_NAME
from orchestrator.runlog.levels import Level
from orchestrator.runlog.lines import Lines, dumps, timestamp

__all__ = ["RunLog"]

_BUFFER_BYTES = 64 * 1024
_FIRST = ("ts", "run", "event", "level")


def _in_order(_logger: Any, _method: str, record: MutableMapping[str, Any]) -> dict[str, Any]:
    """Put (as a structlog processor) what every record has in front."""
    return {name: record[name] for name in _FIRST} | dict(record)


class _Sink:
    """What structlog calls with a rendered record, whatever its level."""

    def __init__(self, buffer: bytearray) -> None:
        self._buffer = buffer

    def write(self, line: str) -> None:
        self._buffer += line.encode("ascii") + b"\n"

    debug = info = warning = error = critical = write


class RunLog:
    """The log of one run, in a file of its own that must not exist yet.

    The file is locked while the log is open, so that readers can tell a run that lives from one
    that was killed. Lines are buffered until `flush`, 64 KiB, or a record of at least WARNING.
    """

    def __init__(self, directory: Path, run_id: str) -> None:
        """Create `log.jsonl` in `directory`; raises RunDirectoryError if that cannot be."""
        self.path = directory / LOG_NAME
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            self._fd = os.open(self.path, flags, 0o600)
        except OSError as error:
            raise _unwritable(self.path, error) from error
        lock_while_open(self._fd)
        self._lines = Lines(run_id)
        self._buffer = bytearray()
        self._torn = False
        self._broken = False
        self._events: structlog.typing.FilteringBoundLogger = structlog.wrap_logger(
            _Sink(self._buffer),
            processors=[
                structlog.processors.add_log_level,
                _in_order,
                structlog.processors.JSONRenderer(serializer=dumps),
            ],
            wrapper_class=structlog.make_filtering_bound_logger(Level.DEBUG),
            context_class=dict,
        ).bind(run=run_id)

    def fact(self, fact: Fact, ts: float | None = None) -> None:
        """Log `fact`; `ts` is Unix time in seconds, now if not given. Raises as `flush` does."""
        now = time.time() if ts is None else ts
        match fact:
            case Output():
                level = Level.INFO
                self._buffer += self._lines.output(fact, now)
            case Logged():
                level = Level.parse(fact.level)
                self._buffer += self._lines.logged(fact, now)
            case _:
                event, level, msg = describe(fact)
                self._events.log(level, event, ts=timestamp(now), **context(fact), msg=msg)
        if level >= Level.WARNING or len(self._buffer) >= _BUFFER_BYTES:
            self.flush()

    @property
    def pending(self) -> bool:
        """Whether there is anything to flush."""
        return bool(self._buffer)

    def flush(self) -> None:
        """Write what is buffered. Raises RunDirectoryError when that fails for the first time.

        Later failures pass in silence (the run is then ending for that reason) and their records
        are lost; what can be written is.
        """
        if not self._buffer or self._fd < 0:
            return
        data = (b"\n" if self._torn else b"") + self._buffer
        self._buffer.clear()
        try:
            self._write(data)
        except OSError as error:
            first, self._broken = not self._broken, True
            if first:
                raise _unwritable(self.path, error) from error

    def close(self) -> None:
        """Flush and close the file, which frees its lock; closing twice does nothing."""
        try:
            self.flush()
        finally:
            if self._fd >= 0:
                os.close(self._fd)
                self._fd = -1

    def _write(self, data: bytes) -> None:
        """Write `data` whole; a write that breaks off leaves `_torn` set."""
        self._torn = True
        while data:
            data = data[os.write(self._fd, data) :]
        self._torn = False


def _unwritable(path: Path, error: OSError) -> RunDirectoryError:
    hint = "free some space and run again" if error.errno == errno.ENOSPC else ""
    return RunDirectoryError(f"cannot write {path}: {error.strerror}", hint=hint)
