"""Writes `log.jsonl`: one event a line, ASCII JSON. The run's loop is the only writer.

What there may be many of goes the short way (`Lines`): what targets print, what becomes of items.
Other events are dictionaries, encoded as a whole. Nothing here is global: two runs in one process
do not meet.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import time
from json.encoder import encode_basestring_ascii as _quoted
from math import isfinite
from pathlib import Path
from typing import Any

import msgspec

from orchestrator.core.protocol.messages import STOPPED
from orchestrator.core.protocol.notifications import (
    ItemDead,
    ItemFailed,
    ItemRetried,
    ItemSkipped,
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
from orchestrator.runlog.catalogue import CATALOGUE, context, describe
from orchestrator.runlog.directory import LOG_NAME
from orchestrator.runlog.jsonl import dumps, is_torn
from orchestrator.runlog.reader import LogReader
from orchestrator.runlog.schema import Level

__all__ = ["Lines", "RunLog"]

_BUFFER_BYTES = 64 * 1024
_STDOUT = Stream.STDOUT
_encode = msgspec.json.Encoder().encode
_NEWLINE = ord("\n")
_BEGUN = frozenset({"run.started", "run.resumed"})
_OF_ITEMS: frozenset[type] = frozenset({ItemSkipped, ItemRetried, ItemDead, ItemFailed})


class RunLog:
    """The log of one run, in a file of its own that must not exist yet, unless it is `resumed`.

    The file is locked while the log is open, so that readers can tell a run that lives from one
    that was killed. Lines are buffered until `flush`, or 64 KiB; `notify` also flushes after a
    record of at least WARNING, `add` only makes it `urgent`.
    """

    def __init__(self, directory: Path, run_id: str, *, resumed: bool = False) -> None:
        """Open `log.jsonl` in `directory`.

        Raises RunDirectoryError if that cannot be, ResumeError if its run still goes on.
        """
        self.path = directory / LOG_NAME
        self._fd = _open(self.path, resumed=resumed)
        self._lines = Lines(run_id)
        self._made: list[str] = []
        """Lines that are not in the buffer yet: they are joined and encoded together."""
        self._size = 0
        self._buffer = bytearray(b"\n" if is_torn(self._fd) else b"")
        self._at_line_end = True
        self._broken = False
        self.urgent = False
        """A record of at least WARNING is not written yet."""

    def notify(self, notification: Notification, ts: float | None = None) -> None:
        """Log it; `ts` is Unix time in seconds, now if not given. Raises as `flush` does."""
        self.add(notification, ts)
        if self.urgent:
            with contextlib.suppress(DiskFullError):  # the next flush tells
                self.flush()

    def add(self, notification: Notification, ts: float | None = None) -> None:
        """Log it, too, but leave it to the caller to flush what is `urgent`."""
        now = time.time() if ts is None else ts
        if type(notification) is OutputLine:  # isinstance takes longer where it is false
            line = self._lines.output(notification, now)
        elif type(notification) is Logged:
            line = self._lines.logged(notification, now)
            if Level.parse(notification.level) >= Level.WARNING:
                self.urgent = True
        else:
            urgent, line = self._lines.event(notification, now)
            if urgent:
                self.urgent = True
        self._made.append(line)
        self._size += len(line)
        if self._size >= _BUFFER_BYTES:
            with contextlib.suppress(DiskFullError):  # the next flush tells
                self.flush()

    def tells_of_a_start(self) -> bool:
        """True if the run was started before."""
        with LogReader(self.path) as log:
            found = (record for record in log.available() if isinstance(record, dict))
            return any(record.get("event") in _BEGUN for record in found)

    @property
    def pending(self) -> bool:
        """True if there is anything to flush."""
        return bool(self._made or self._buffer)

    def flush(self) -> None:
        """Write what is buffered. Raises RunDirectoryError when that fails for the first time.

        Without room (DiskFullError) nothing is lost: it can be called again. After any other
        failure records are lost, in silence (the run is then ending for that reason); what can be
        written is.
        """
        self._buffer += "".join(self._made).encode("ascii")
        self._made.clear()
        self._size = 0
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
        finally:
            self.urgent = bool(self._buffer)

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
    """Makes the log lines of one run, which are ASCII.

    The short way builds no dict a line: what a worker's records have in common is encoded once, and
    `json`'s own C encoder escapes what is not ASCII, which msgspec cannot. Measured by
    `benchmarks/events.py`, against structlog's JSON chain in the same run.
    """

    def __init__(self, run_id: str) -> None:
        self._run = _quoted(run_id)
        self._run_id = run_id
        self._head = functools.lru_cache(maxsize=4096)(self._make_head)
        self._ends: dict[tuple[type, str, str], tuple[str, str]] = {}
        """Begin and end of what is written of an item, by kind, job and worker."""
        self._pids: dict[str, int] = {}

    def event(self, notification: Notification, ts: float) -> tuple[bool, str]:
        """Return the line of an event of mporch's own, and whether it is at least a warning."""
        kind = type(notification)
        if kind in _OF_ITEMS and (told := self._of_item(notification)):
            msg = _quoted_long(CATALOGUE[kind].msg(notification))
            return True, f'{{"ts": "{timestamp(ts)}{told}{msg}}}\n'
        event, level, msg = describe(notification)
        fields = self._with_pid(notification, context(notification))
        first = {"ts": timestamp(ts), "run": self._run_id, "event": event, "level": str(level)}
        line = dumps({**first, **fields, "msg": msg}) + "\n"
        return level >= Level.WARNING, line

    def _of_item(self, fact: Any) -> str:
        """Return all between time and message, or nothing if its fields are not the usual ones.

        It is what `context` gives. Each of these events has always one level.
        """
        kind, more = type(fact), ""
        job, worker, item, queue = fact.job, fact.worker, fact.item, fact.queue
        failure = fact.failure
        ends = self._ends.get((kind, job, worker))
        if ends is None:
            if not (job and worker):
                return ""
            pid, (event, level, _) = self._pids.get(worker), describe(fact)
            ends = self._ends[kind, job, worker] = (
                f'", "run": {self._run}, "event": "{event}", "level": "{level}", '
                f'"job": {_quoted(job)}, "worker": {_quoted(worker)}, "item": ',
                f', "pid": {pid}, "msg": ' if pid else ', "msg": ',
            )
        if not (item and queue) or failure.kind == STOPPED:
            return ""
        if kind is ItemRetried:
            if not isfinite(fact.delay_s):
                return ""
            more = f', "attempts": {fact.attempts}, "delay_s": {fact.delay_s!r}'
        elif kind is ItemDead:
            more = f', "attempts": {fact.attempts}'
        if text := failure.kind:
            more += f', "error_type": {_quoted(text)}'
        if text := failure.message:
            more += f', "error": {_quoted(text)}'
        if text := failure.where:
            more += f', "where": {_quoted(text)}'
        if text := failure.item_name:
            more += f', "item_name": {_quoted(text)}'
        if text := failure.traceback:
            more += f', "traceback": {_quoted_long(text)}'
        return f'{ends[0]}{_quoted(item)}, "queue": {_quoted(queue)}{more}{ends[1]}'

    def _with_pid(self, notification: Notification, fields: dict[str, Any]) -> dict[str, Any]:
        """Add the worker's pid where a fact has none: those of items come from the broker."""
        if isinstance(notification, WorkerStarted):
            self._ends.clear()
            self._pids[notification.worker] = notification.pid
        elif "pid" not in fields and (pid := self._pids.get(fields.get("worker", ""))):
            fields["pid"] = pid
        return fields

    def output(self, notification: OutputLine, ts: float) -> str:
        """Return the line for what a worker wrote; `ts` is Unix time in seconds, if it has none."""
        head = self._head("output", "info", notification.job, notification.worker, notification.pid)
        tail = ', "more": true}\n' if notification.more else "}\n"
        stream = "stdout" if notification.stream is _STDOUT else "stderr"
        item, text = "", notification.text
        if notification.item:
            name = _quoted(notification.item)
            item = f', "item": {name}, "attempt": {notification.attempt}'
        msg = _quoted(uncoloured(text) if "\x1b" in text else text)
        when = notification.ts if 0 < notification.ts <= LATEST_S else ts
        return f'{{"ts": "{timestamp(when)}{head}"msg": {msg}, "stream": "{stream}"{item}{tail}'

    def logged(self, notification: Logged, ts: float) -> str:
        """Return the line for a worker's log record, at the worker's own time if that is sane."""
        when = notification.ts if 0 <= notification.ts <= LATEST_S else ts
        head = self._head(
            "log", notification.level, notification.job, notification.worker, notification.pid
        )
        more = f', "fields": {notification.fields}' if notification.fields else ""
        msg = _quoted(uncoloured(notification.msg))
        if notification.item:
            more += _item(notification.item, notification.attempt)
        if notification.error_type or notification.traceback or notification.error:
            more += _text("error_type", notification.error_type)
            more += _text("error", notification.error)
            more += _text("traceback", notification.traceback)
        if notification.call:
            more += f', "call": {_quoted(notification.call)}'
        if notification.thread:
            more += f', "thread": {_quoted(notification.thread)}'
        if notification.stream is not None:
            more += f', "stream": "{notification.stream.value}"'
        if notification.cut:
            more += f', "cut": {json.dumps(notification.cut)}'
        return (
            f'{{"ts": "{timestamp(when)}{head}"msg": {msg}, '
            f'"logger": {_quoted(notification.logger)}{more}}}\n'
        )

    def _make_head(self, event: str, level: str, job: str, worker: str, pid: int) -> str:
        names = f'"job": {_quoted(job)}, "worker": {_quoted(worker)}'
        return (
            f'", "run": {self._run}, "event": "{event}", "level": "{Level.parse(level)}", '
            f'{names}, "pid": {int(pid)}, '
        )


def _quoted_long(text: str) -> str:
    """Return the same as `_quoted`, sooner if the text is long and has only ASCII characters.

    Of these DEL is the only one that msgspec leaves as it is.
    """
    if text.isascii() and "\x7f" not in text:
        return _encode(text).decode("ascii")
    return _quoted(text)


def _item(item: str, attempt: int) -> str:
    return f', "item": {_quoted(item)}, "attempt": {attempt:d}'


def _text(name: str, text: str) -> str:
    return f', "{name}": {_quoted(text)}' if text else ""
