"""The short way: records of targets' output as lines of JSON.

The same format as structlog's chain gives mporch's own events (`writer.py`), without building a
dict a line: what a worker's records have in common is encoded once, and `json`'s own C encoder
escapes what is not ASCII, which msgspec cannot. Measured (`benchmarks/log.py`): 5 times the events
a second of structlog's default JSON chain in the same run.
"""

from __future__ import annotations

import functools
import json
import math
import time
from json.encoder import encode_basestring_ascii
from typing import Any

from orchestrator.core.protocol.notifications import Logged, OutputLine, Stream
from orchestrator.escaping import uncoloured
from orchestrator.runlog.levels import Level

__all__ = ["Lines", "dumps", "timestamp"]

_LATEST_S = 253402300799.0  # the last second of year 9999


def timestamp(ts: float) -> str:
    """Format Unix time in seconds as RFC 3339, UTC, with microseconds."""
    micros = round(ts * 1_000_000)
    return f"{_second(micros // 1_000_000)}.{micros % 1_000_000:06d}Z"


@functools.lru_cache(maxsize=8)
def _second(second: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))


def dumps(value: Any, **_: Any) -> str:
    """Encode as ASCII JSON; what JSON has no word for becomes its repr, NaN a string."""
    try:
        return json.dumps(value, default=repr, allow_nan=False)
    except (ValueError, TypeError, RecursionError):
        return json.dumps(_plain(value, depth=0), default=repr)


def _plain(value: Any, *, depth: int) -> Any:
    """Copy `value` with str keys, without NaN and cut off below 20 levels."""
    if depth > 20:
        return "..."
    if isinstance(value, dict):
        return {str(key): _plain(item, depth=depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, depth=depth + 1) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return repr(value)
    return value


class Lines:
    """Makes the log lines of one run's `OutputLine` and `Logged` facts."""

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
        when = notification.ts if 0 < notification.ts <= _LATEST_S else ts
        return (
            f'{{"ts": "{timestamp(when)}{head}"msg": {msg}, "stream": "{stream}"{item}{tail}'
        ).encode("ascii")

    def logged(self, notification: Logged, ts: float) -> bytes:
        """Return the line for a worker's log record, at the worker's own time if that is sane."""
        when = notification.ts if 0 <= notification.ts <= _LATEST_S else ts
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
