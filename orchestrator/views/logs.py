"""Records of a log: for people, and as logfmt, Elastic Common Schema and OpenTelemetry's JSON.

Pure functions of one record; each export gives one line. Sources: brandur.org/logfmt; ECS 8.11;
opentelemetry-proto's `ExportLogsServiceRequest` in the protobuf JSON mapping, one request a line as
the collector's file receiver reads it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from orchestrator.rfc3339 import nanoseconds
from orchestrator.views.output import key_values
from orchestrator.views.text import Style, escaped, paint, screen_line

__all__ = ["FORMATS", "render_record"]


_STYLES = {
    "debug": Style.DIM,
    "warning": Style.YELLOW,
    "error": Style.RED,
    "critical": Style.RED,
}
_TERSE = frozenset({"item.skipped"})
"""Events that a policy has asked for, perhaps thousands of times: one line each."""


def render_record(record: Mapping[str, Any], *, colour: bool) -> str:
    """Return `record` as one line with its fields and item, its traceback and hint below.

    The traceback of a skipped item is left out; the log has it.
    """
    level = str(record.get("level", "info"))
    ts = str(record.get("ts", ""))
    time = ts[11:23] + ts[26:]  # milliseconds do; the Z says that it is UTC
    who = str(record.get("worker") or record.get("job") or "mporch")
    painted = paint(f"{escaped(level):<7}", _STYLES.get(level), colour=colour)
    text = f"{escaped(time)} {painted} {escaped(who)} | {_message(record)}\n"
    below = [] if record.get("event") in _TERSE else str(record.get("traceback") or "").splitlines()
    if record.get("hint"):
        below.append(f"hint: {record['hint']}")
    if cut := record.get("cut"):
        below.append(f"cut: {', '.join(map(str, cut)) if isinstance(cut, list) else cut}")
    return text + "".join(f"    {escaped(line)}\n" for line in below)


def _message(record: Mapping[str, Any]) -> str:
    msg = str(record.get("msg", ""))
    item = f"  [{record['item']}]" if record.get("item") else ""
    if record.get("event") == "log":
        logger = f"{record['logger']}: " if record.get("logger") else ""
        fields = record.get("fields")
        told = f"  {key_values(fields)}" if isinstance(fields, dict) and fields else ""
        lines = f"{logger}{msg}{told}{item}".splitlines() or [""]
        return "\n    ".join(map(escaped, lines))
    return f"{screen_line(msg)}{escaped(item)}" if record.get("event") == "output" else escaped(msg)


_SEVERITY = {"debug": 5, "info": 9, "warning": 13, "error": 17, "critical": 21}
_LABELS = ("run", "job", "worker", "item", "queue", "stream")
_ECS = {
    "ts": "@timestamp",
    "level": "log.level",
    "msg": "message",
    "event": "event.action",
    "logger": "log.logger",
    "pid": "process.pid",
    "thread": "process.thread.name",
    "error_type": "error.type",
    "error": "error.message",
    "traceback": "error.stack_trace",
}
_OTEL = {
    "error_type": "exception.type",
    "error": "exception.message",
    "traceback": "exception.stacktrace",
    "pid": "process.pid",
    "thread": "thread.name",
}
_NO_ATTRIBUTES = frozenset({"ts", "run", "event", "level", "msg", "fields"})
_INT64 = 1 << 63


def logfmt(record: Mapping[str, Any]) -> str:
    """`key=value` pairs; fields of the program's own come last, under their own names."""
    flat = {key: value for key, value in record.items() if key != "fields"}
    for key, value in _fields(record).items():
        flat[f"fields.{key}" if key in flat else key] = value
    return " ".join(f"{_logfmt_key(key)}={_logfmt_value(value)}" for key, value in flat.items())


def ecs(record: Mapping[str, Any]) -> str:
    """One document; what ECS has no name for is below `mporch`, the program's fields `labels`."""
    found: dict[str, Any] = {"ecs.version": "8.11.0", "event.dataset": "mporch.log"}
    rest: dict[str, Any] = {}
    for key, value in record.items():
        if key in _ECS:
            found[_ECS[key]] = value
        elif key not in (*_LABELS, "fields"):
            rest[key] = value
    found["labels"] = {key: record[key] for key in _LABELS if key in record}
    for key, value in _fields(record).items():
        found["labels"].setdefault(key, value if _is_scalar(value) else json.dumps(value))
    if rest:
        found["mporch"] = rest
    return json.dumps(found)


def otlp_json(record: Mapping[str, Any]) -> str:
    """One export request with one log record."""
    # In text: JSON numbers are not that exact.
    nanos = str(nanoseconds(str(record.get("ts", ""))) or 0)
    level = str(record.get("level", "info"))
    attributes = {
        _OTEL.get(key, f"mporch.{key}"): value
        for key, value in record.items()
        if key not in _NO_ATTRIBUTES
    }
    attributes |= _fields(record)
    logged = {
        "timeUnixNano": nanos,
        "observedTimeUnixNano": nanos,
        "severityNumber": _SEVERITY.get(level, 9),
        "severityText": level.upper(),
        "body": {"stringValue": str(record.get("msg", ""))},
        "attributes": _attributes(attributes),
        "eventName": f"mporch.{record.get('event', '')}",
    }
    resource = {
        "service.name": "mporch",
        "service.instance.id": str(record.get("run", "")),
    }
    return json.dumps(
        {
            "resourceLogs": [
                {
                    "resource": {"attributes": _attributes(resource)},
                    "scopeLogs": [{"scope": {"name": "mporch"}, "logRecords": [logged]}],
                }
            ]
        }
    )


FORMATS = {"logfmt": logfmt, "ecs": ecs, "otlp-json": otlp_json}
"""By the names of `mporch logs --format`."""


def _fields(record: Mapping[str, Any]) -> Mapping[str, Any]:
    fields = record.get("fields")
    return fields if isinstance(fields, dict) else {}


def _is_scalar(value: Any) -> bool:
    return value is None or isinstance(value, str | int | float)


def _logfmt_key(key: str) -> str:
    return "".join(c if c.isprintable() and c not in ' ="' else "_" for c in key) or "_"


def _logfmt_value(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    if text and text.isprintable() and text.isascii() and not any(c in text for c in ' ="\\'):
        return text
    return json.dumps(text)


def _attributes(values: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"key": str(key), "value": _any_value(value)} for key, value in values.items()]


def _any_value(value: Any) -> dict[str, Any]:
    """A value as the message AnyValue of opentelemetry-proto; None is one that says nothing."""
    if value is None:
        return {}
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return (
            {"intValue": str(value)} if -_INT64 <= value < _INT64 else {"stringValue": str(value)}
        )
    if isinstance(value, float):
        return {"doubleValue": value}
    if isinstance(value, list):
        return {"arrayValue": {"values": [_any_value(each) for each in value]}}
    if isinstance(value, dict):
        return {"kvlistValue": {"values": _attributes(value)}}
    return {"stringValue": str(value)}
