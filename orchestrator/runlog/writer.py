"""Writes `log.jsonl`: one event a line, ASCII JSON. The run's loop is the only writer.

mporch's own events are dictionaries, encoded as a whole; what targets print goes the short way
(`Lines`) into the same buffer. Nothing here is global: two runs in one process do not meet.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import time
from json.encoder import encode_basestring_ascii
from pathlib import Path
from typing import Any

from orchestrator.core.protocol.notifications import (
    Logged,
    Notification,
    OutputLine,
    Stream,
    WorkerStarted,
)
from orchestrator.errors import DiskFullError, ResumeError, RunDirectoryError
from orchestrator.escaping import uncoloured
from orchestrator.files import open_regular
from orchestrator.rfc3339 import LATEST_S, timestamp
from orchestrator.runlog.alive import holder, lock_while_open
from orchestrator.runlog.catalogue import context, describe
from orchestrator.runlog.directory import LOG_NAME
from orchestrator.runlog.jsonl import dumps, is_torn
from orchestrator.runlog.reader import LogReader
from orchestrator.runlog.schema import Level

__all__ = ["Lines", "RunLog"]

_BUFFER_BYTES = 64 * 1024
_NEWLINE = ord("\n")
_BEGUN = frozenset({"run.started", "run.resumed"})


class RunLog:
    """The log of one run, in a file of its own that must not exist yet, unless it is `resumed`.

    The file is locked while the log is open, so that readers can tell a run that lives from one
    that was killed. Lines are buffered until `flush`, 64 KiB, or a record of at least WARNING.
    """

    def __init__(self, directory: Path, run_id: str, *, resumed: bool = False) -> None:
        """Open `log.jsonl` in `directory`.

        Raises RunDirectoryError if that cannot be, ResumeError if its run still goes on.
        """
        self.path = directory / LOG_NAME
        self._fd = _open(self.path, resumed=resumed)
        self._lines = Lines(run_id)
        self._buffer = bytearray(b"\n" if is_torn(self._fd) else b"")
        self._at_line_end = True
        self._broken = False
        self._pids: dict[str, int] = {}
        self._run_id = run_id

    def notify(self, notification: Notification, ts: float | None = None) -> None:
        """Log it; `ts` is Unix time in seconds, now if not given. Raises as `flush` does."""
        now = time.time() if ts is None else ts
        urgent = False
        if isinstance(notification, OutputLine):
            self._buffer += self._lines.output(notification, now)
        elif isinstance(notification, Logged):
            urgent = Level.parse(notification.level) >= Level.WARNING
            self._buffer += self._lines.logged(notification, now)
        else:
            event, level, msg = describe(notification)
            urgent = level >= Level.WARNING
            fields = self._with_pid(notification, context(notification))
            first = {"ts": timestamp(now), "run": self._run_id, "event": event, "level": str(level)}
            self._buffer += dumps({**first, **fields, "msg": msg}).encode("ascii") + b"\n"
        if urgent or len(self._buffer) >= _BUFFER_BYTES:
            with contextlib.suppress(DiskFullError):  # the next flush tells
                self.flush()

    def _with_pid(self, notification: Notification, fields: dict[str, Any]) -> dict[str, Any]:
        """Add the worker's pid where a fact has none: those of items come from the broker."""
        if isinstance(notification, WorkerStarted):
            self._pids[notification.worker] = notification.pid
        elif "pid" not in fields and (pid := self._pids.get(fields.get("worker", ""))):
            fields["pid"] = pid
        return fields

    def tells_of_a_start(self) -> bool:
        """True if the run was started before."""
        with LogReader(self.path) as log:
            found = (record for record in log.available() if isinstance(record, dict))
            return any(record.get("event") in _BEGUN for record in found)

    @property
    def pending(self) -> bool:
        """True if there is anything to flush."""
        return bool(self._buffer)

    def flush(self) -> None:
        """Write what is buffered. Raises RunDirectoryError when that fails for the first time.

        Without room (DiskFullError) nothing is lost: it can be called again. After any other
        failure records are lost, in silence (the run is then ending for that reason); what can be
        written is.
        """
        if not self._buffer or self._fd < 0:
            return
        try:
            self._write()
        except OSError as error:
            failure = RunDirectoryError.of(self.path, error)
            if isinstance(failure, DiskFullError):
                raise failure from error
            self._buffer[:] = b"" if self._at_line_end else b"\n"
            first, self._broken = not self._broken, True
            if first:
                raise failure from error

    def close(self) -> None:
        """Flush and close the file, which frees its lock; closing twice does nothing."""
        try:
            self.flush()
        finally:
            if self._fd >= 0:
                os.close(self._fd)
                self._fd = -1

    def _write(self) -> None:
        """Write the buffer; what is written is gone from it, however this ends."""
        while self._buffer:
            n = os.write(self._fd, self._buffer)
            self._at_line_end = self._buffer[n - 1] == _NEWLINE
            del self._buffer[:n]


def _open(path: Path, *, resumed: bool) -> int:
    """Open the log for appending. Raises RunDirectoryError, ResumeError if somebody writes it."""
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT
    try:
        fd = open_regular(path, flags | (0 if resumed else os.O_EXCL))
    except OSError as error:
        raise RunDirectoryError.of(path, error) from error
    pid = None
    if not lock_while_open(fd) and ((pid := holder(fd)) or resumed):
        os.close(fd)
        raise ResumeError(
            f"the run of {path.parent} is still going on{f', in process {pid}' if pid else ''}",
            hint="stop it first (Ctrl-C in its terminal), or look at it: mporch logs -f",
        )
    return fd


class Lines:
    """Makes the log lines of one run's `OutputLine` and `Logged` facts: the short way.

    The same format as mporch's own events have, without building a dict a line:
    what a worker's records have in common is encoded once, and `json`'s own C encoder escapes what
    is not ASCII, which msgspec cannot. Measured (`benchmarks/log.py`): 5 times the events a second
    of structlog's default JSON chain in the same run.
    """

    def __init__(self, run_id: str) -> None:
        self._run = encode_basestring_ascii(run_id)
        self._head = functools.lru_cache(maxsize=4096)(self._make_head)

    def output(self, notification: OutputLine, ts: float) -> bytes:
        """Return the line for what a worker wrote; `ts` is Unix time in seconds, if it has none."""
        head = self._head("output", "info", notification.job, notification.worker, notification.pid)
        tail = ', "more": true}\n' if notification.more else "}\n"
        stream = "stdout" if notification.stream is Stream.STDOUT else "stderr"
        item, text = "", notification.text
        if notification.item:
            name = encode_basestring_ascii(notification.item)
            item = f', "item": {name}, "attempt": {notification.attempt}'
        msg = encode_basestring_ascii(uncoloured(text) if "\x1b" in text else text)
        when = notification.ts if 0 < notification.ts <= LATEST_S else ts
        return (
            f'{{"ts": "{timestamp(when)}{head}"msg": {msg}, "stream": "{stream}"{item}{tail}'
        ).encode("ascii")

    def logged(self, notification: Logged, ts: float) -> bytes:
        """Return the line for a worker's log record, at the worker's own time if that is sane."""
        when = notification.ts if 0 <= notification.ts <= LATEST_S else ts
        head = self._head(
            "log", notification.level, notification.job, notification.worker, notification.pid
        )
        more = f', "fields": {notification.fields}' if notification.fields else ""
        msg = encode_basestring_ascii(uncoloured(notification.msg))
        if notification.item:
            more += _item(notification.item, notification.attempt)
        if notification.error_type or notification.traceback or notification.error:
            more += _texts(
                error_type=notification.error_type,
                error=notification.error,
                traceback=notification.traceback,
            )
        if notification.call:
            more += f', "call": {encode_basestring_ascii(notification.call)}'
        if notification.thread:
            more += f', "thread": {encode_basestring_ascii(notification.thread)}'
        if notification.stream is not None:
            more += f', "stream": "{notification.stream.value}"'
        if notification.cut:
            more += f', "cut": {json.dumps(notification.cut)}'
        return (
            f'{{"ts": "{timestamp(when)}{head}"msg": {msg}, '
            f'"logger": {encode_basestring_ascii(notification.logger)}{more}}}\n'
        ).encode("ascii")

    def _make_head(self, event: str, level: str, job: str, worker: str, pid: int) -> str:
        names = (
            f'"job": {encode_basestring_ascii(job)}, "worker": {encode_basestring_ascii(worker)}'
        )
        return (
            f'", "run": {self._run}, "event": "{event}", "level": "{Level.parse(level)}", '
            f'{names}, "pid": {int(pid)}, '
        )


def _item(item: str, attempt: int) -> str:
    return f', "item": {encode_basestring_ascii(item)}, "attempt": {attempt:d}'


def _texts(**texts: str) -> str:
    return "".join(
        f', "{name}": {encode_basestring_ascii(text)}' for name, text in texts.items() if text
    )
