"""Printed lines of JSON that are log records.

As structlog, python-json-logger, Go's slog, zap, pino and ECS write them.

Called in the parent. A record has a text and a level by a known name, or one of pino's numbers;
anything else is data, and stays as it was printed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec

__all__ = ["JsonRecord", "parse"]

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
    """The record that a line is; None for any other line."""
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
