"""The schema of `log.jsonl`, as data: its events, and the fields that each has.

The tables of docs/log.md and the JSON Schema are made of this, and the catalogue is tested against
it: `catalogue.py` says how a fact becomes an event, this what anybody may count on.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["EVENTS", "FIELDS", "FORMAT", "Level", "fields_of", "flaw_of", "log_schema", "tables"]


class Level(enum.IntEnum):
    """Gravity of a record; the numbers are those of `logging`. Written in lower case."""

    DEBUG = 10
    INFO = 20
    WARNING = 30
    ERROR = 40
    CRITICAL = 50

    def __str__(self) -> str:
        return self.name.lower()

    @classmethod
    def parse(cls, name: str) -> Level:
        """Return the level that a logger's level name means; an unknown name means INFO."""
        return _LEVELS_OF_NAMES.get(name.lower(), cls.INFO)


_LEVELS_OF_NAMES = {
    "notset": Level.DEBUG,
    "trace": Level.DEBUG,
    "debug": Level.DEBUG,
    "info": Level.INFO,
    "warn": Level.WARNING,
    "warning": Level.WARNING,
    "error": Level.ERROR,
    "exception": Level.ERROR,
    "critical": Level.CRITICAL,
    "fatal": Level.CRITICAL,
}


FORMAT = 1
"""The version of the format, in the first line of each log. A new field or event is no new one."""

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_TEXT: Mapping[str, Any] = {"type": "string", "minLength": 1}
_ANY_TEXT: Mapping[str, Any] = {"type": "string"}
_COUNT: Mapping[str, Any] = {"type": "integer", "minimum": 0}
_SECONDS: Mapping[str, Any] = {"type": "number"}
_NAMES: Mapping[str, Any] = {"type": "array", "items": _ANY_TEXT, "minItems": 1}


@dataclass(frozen=True)
class _Field:
    """One field: the JSON Schema of its value, what it means, and what events it is documented in.

    Without `where` it is documented in the rows of its events.
    """

    value: Mapping[str, Any]
    meaning: str
    where: str = ""


FIELDS: Mapping[str, _Field] = {
    "ts": _Field(
        {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$"},
        "RFC 3339, UTC, microseconds. Of `log` and `output`: when the worker logged or wrote it",
        "every record",
    ),
    "run": _Field(_TEXT, "the run's id", "every record"),
    "event": _Field(_TEXT, "one of the events below", "every record"),
    "level": _Field(
        {"enum": [str(level) for level in Level]},
        "`debug`, `info`, `warning`, `error` or `critical`",
        "every record",
    ),
    "msg": _Field(
        _ANY_TEXT,
        "the event in words; of `output` and `log`, the target's own, without colours",
        "every record",
    ),
    "job": _Field(_TEXT, "the job's name", "what a job or worker did"),
    "worker": _Field(_TEXT, "`parse-1`", "what a worker did"),
    "pid": _Field(
        _COUNT,
        "its process id. Of `log`: of the process that logged, which may be a child of the worker."
        " Of `run.started` and `run.resumed`: mporch's own",
        "what a worker did",
    ),
    "item": _Field(
        _TEXT,
        "`files:17` is the 17th item put on `files`; of a batch it is its range, `files:17-20` or"
        " `files:17-19,23`",
        "what became of an item; `log` and `output`, if it is known whose they are",
    ),
    "item_name": _Field(
        _TEXT,
        "what the item is called: the beginning of its text, or as `item_name` of the spec says",
        "what became of an item, if it has a name",
    ),
    "queue": _Field(_TEXT, "the queue that the item came from", "what became of an item"),
    "attempt": _Field(
        {"type": "integer", "minimum": 1}, "the how many-th at the item", "`log` and `output`"
    ),
    "error_type": _Field(_TEXT, "the exception of your code: its type", "failures, `log`"),
    "error": _Field(_TEXT, "what it says", "failures, `log`"),
    "where": _Field(
        _TEXT, "its place in your code, with its whole path, `/home/me/m.py:12`", "failures"
    ),
    "traceback": _Field(_TEXT, "its traceback, without mporch's own lines", "failures, `log`"),
    "name": _Field(_ANY_TEXT, "the pipeline's name"),
    "format": _Field({"const": FORMAT}, "the version of this format"),
    "spec": _Field(_ANY_TEXT, "the spec's file"),
    "python": _Field(_TEXT, "version and path of the interpreter"),
    "protection": _Field(_NAMES, "what keeps processes from being left behind"),
    "left_out": _Field(_NAMES, "jobs that were not chosen"),
    "unread": _Field(_NAMES, "queues whose readers are among them"),
    "on": _Field(_TEXT, "where workers live, if not with the orchestrator: `agent`"),
    "processors": _Field(_COUNT, "how many may be used"),
    "quota": _Field(_SECONDS, "how many of them for long, if the control group limits it"),
    "memory": _Field(_COUNT, "that of the machine, in bytes"),
    "memory_limit": _Field(_COUNT, "what the control group allows, in bytes, if it does"),
    "queued": _Field(_COUNT, "items that are queued"),
    "again": _Field(_COUNT, "items that jobs which are called once get again"),
    "jobs_done": _Field(_NAMES, "jobs that had succeeded"),
    "lost": _Field(_NAMES, "what a damaged store has lost"),
    "reason": _Field(_TEXT, "why, in words"),
    "timeout_s": _Field(_SECONDS, "how long is waited, at most"),
    "waited_s": _Field(_SECONDS, "how long it took"),
    "workers": _Field({}, "how many; of `run.waiting`: which"),
    "target": _Field(_TEXT, "the function, class or command"),
    "start_method": _Field(
        {"enum": ["forkserver", "spawn", "fork"]}, "how the process was started"
    ),
    "start_s": _Field(_SECONDS, "how long its start took"),
    "attempts": _Field(_COUNT, "those used up"),
    "delay_s": _Field(_SECONDS, "until it is tried again"),
    "exit_code": _Field({"type": "integer"}, "negative: the signal"),
    "n": _Field(_COUNT, "the n-th of the job of late; 0: recycled"),
    "processes": _Field(
        {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"pid": _COUNT, "command": _ANY_TEXT, "user": _ANY_TEXT},
                "required": ["pid", "command"],
                "additionalProperties": False,
            },
        },
        "each with its pid, command and user",
    ),
    "state": _Field(
        {"enum": ["succeeded", "failed", "timed_out", "terminated", "killed", "skipped"]},
        "how it ended",
    ),
    "stack": _Field(_TEXT, "where the stop signal met the target, or where it hung"),
    "ledger": _Field({"type": "object"}, "what became of all that was put"),
    "dropped": _Field(_COUNT, "items that nobody wanted"),
    "left": _Field(_COUNT, "items that are left"),
    "how": _Field({"enum": ["drain", "terminate", "kill"]}, "how it stops"),
    "doing": _Field(_NAMES, "the item each is at, or what it waits for"),
    "step": _Field(_TEXT, "what is waited for"),
    "next_s": _Field(_SECONDS, "until the next may start"),
    "signal": _Field(_TEXT, "its name"),
    "waits": _Field({"type": "array"}, "who, and for what"),
    "hint": _Field(_TEXT, "what to do about it"),
    "stream": _Field(
        {"enum": ["stdout", "stderr"]}, "where it was written; of `log`: it was a line of JSON"
    ),
    "more": _Field({"const": True}, "the line goes on in the next record"),
    "logger": _Field(_ANY_TEXT, "the logger's name"),
    "fields": _Field({"type": "object"}, "its extras, bound values and context"),
    "call": _Field(_TEXT, "`m.py:12 work`, where it was logged"),
    "thread": _Field(_TEXT, "the thread, if it was not the main one"),
    "cut": _Field(_NAMES, "the values that were too large and are not whole"),
    "status": _Field(_TEXT, "succeeded, failed, …"),
    "duration_s": _Field(_SECONDS, "how long the run took"),
}

_COMMON = ("ts", "run", "event", "level", "msg")
_WORKER = ("job", "worker", "pid")
_FAILURE = ("error_type", "error", "where", "traceback", "item_name")


@dataclass(frozen=True)
class _Event:
    """One event. `adds` are documented in its row, `also` in the table of fields.

    All may be missing but `always`. `grade` says in words when it has which of `levels`.
    """

    levels: tuple[str, ...]
    grade: str
    says: str
    always: tuple[str, ...] = ()
    adds: tuple[str, ...] = ()
    also: tuple[str, ...] = ()


def _item(levels: tuple[str, ...], says: str, *adds: str) -> _Event:
    always = ("job", "worker", "item", "queue", *adds)
    return _Event(levels, levels[0], says, always, adds, ("pid", *_FAILURE))


_MACHINE = ("processors", "quota", "memory", "memory_limit")
_START = ("protection", "left_out", "unread", "on", *_MACHINE)

EVENTS: Mapping[str, _Event] = {
    "run.started": _Event(
        ("info",),
        "info",
        "the run begins; the first line",
        ("name", "format", "spec", "python", "pid"),
        ("name", "format", "spec", "python", *_START),
    ),
    "run.resumed": _Event(
        ("info", "error"),
        "info, error if something was lost",
        "a durable run goes on after all its processes were gone",
        ("name", "format", "spec", "python", "pid", "queued", "again"),
        ("name", "format", "spec", "python", *_START, "queued", "again", "jobs_done", "lost"),
    ),
    "disk.full": _Event(
        ("error",),
        "error",
        "a file of the run cannot be written; everything waits",
        ("reason", "timeout_s"),
        ("reason", "timeout_s"),
    ),
    "disk.freed": _Event(
        ("info",), "info", "it could be written, the run goes on", ("waited_s",), ("waited_s",)
    ),
    "job.started": _Event(
        ("info",),
        "info",
        "a job's first worker is about to start",
        ("job", "workers", "target"),
        ("workers", "target"),
    ),
    "worker.started": _Event(
        ("info",),
        "info",
        "a worker's process exists",
        (*_WORKER, "start_method"),
        ("start_method",),
    ),
    "worker.ready": _Event(
        ("info",), "info", "its target is loaded", (*_WORKER, "start_s"), ("start_s",)
    ),
    "item.skipped": _item(("warning",), "`on_error` skipped an item"),
    "item.retried": _item(
        ("warning",), "an item failed and will be tried again", "attempts", "delay_s"
    ),
    "item.dead": _item(("error",), "`on_error` made an item a dead letter", "attempts"),
    "item.kept": _Event(
        ("info",),
        "info",
        "an item that fails its job is kept, for `dead show` and `dead debug`",
        ("job", "worker", "item", "queue", "attempts"),
        ("attempts",),
        ("pid",),
    ),
    "item.failed": _item(("error",), "an item failed, which fails its job"),
    "worker.replaced": _Event(
        ("warning", "info"),
        "warning, info if it was recycled",
        "a worker's process is gone, and a new one takes its place",
        ("job", "worker", "reason", "n"),
        ("reason", "exit_code", "n"),
        ("pid", "item", "queue"),
    ),
    "worker.ended": _Event(
        ("error", "warning", "info"),
        "error if it failed or timed out, warning if it was killed, else info",
        "a worker's process is gone",
        ("job", "worker", "state"),
        ("state", "exit_code", "reason", "stack"),
        ("pid", "item", "queue", *_FAILURE),
    ),
    "job.ended": _Event(
        ("error", "warning", "info"),
        "as `worker.ended`",
        "all workers of a job have ended",
        ("job", "state"),
        ("state", "reason"),
    ),
    "queue.ended": _Event(
        ("error", "info"),
        "error if items were left, else info",
        "all writers have finished and every item is accounted for",
        ("queue", "ledger"),
        ("ledger",),
    ),
    "queue.closed": _Event(
        ("error", "warning", "info"),
        "error if items were left, warning if some were dropped, else info",
        "the last reader has gone before the end",
        ("queue", "dropped", "left"),
        ("dropped", "left"),
    ),
    "run.stopping": _Event(
        ("warning",), "warning", "the run is asked to stop", ("how",), ("how", "reason")
    ),
    "run.waiting": _Event(
        ("info",),
        "info",
        "a stopping run waits for workers",
        ("workers", "timeout_s", "step"),
        ("workers", "doing", "timeout_s", "step"),
    ),
    "job.held": _Event(
        ("info",),
        "info",
        "a run that drains waits for the `rate` of a job; once a job",
        ("job", "queued", "next_s"),
        ("queued", "next_s"),
    ),
    "signal.sent": _Event(
        ("warning", "info"),
        "warning for SIGKILL, else info",
        "a worker was sent a signal",
        ("job", "worker", "signal"),
        ("signal", "reason"),
        ("pid",),
    ),
    "run.stalled": _Event(
        ("error",), "error", "every live worker waits for another one", ("waits",), ("waits",)
    ),
    "warning": _Event(
        ("warning",),
        "warning",
        "something you may want to know: a process that does not exit; at the end, items that"
        " readers dropped by returning early or that no chosen job reads, and a job that took items"
        " and emitted none",
        (),
        ("hint",),
        ("job", "worker", "pid", "queue"),
    ),
    "output": _Event(
        ("info",),
        "info",
        "a line that a worker's process wrote",
        (*_WORKER, "stream"),
        ("stream", "more"),
        ("item", "attempt"),
    ),
    "log": _Event(
        tuple(map(str, Level)),
        "that of the record",
        "a record of a logging library in a worker, or a line of JSON that is one",
        (*_WORKER, "logger"),
        ("logger", "fields", "call", "thread", "stream", "cut"),
        ("item", "attempt", "error_type", "error", "traceback"),
    ),
    "run.survived": _Event(
        ("error",),
        "error",
        "processes could not be killed, and outlive the run",
        ("processes",),
        ("processes",),
    ),
    "run.ended": _Event(
        ("error", "warning", "info"),
        "error, warning if all that is wrong are dead letters, info if the exit code is 0",
        "the run is over; always the last line of a run that was not killed itself",
        ("status", "exit_code", "duration_s"),
        ("status", "exit_code", "duration_s"),
    ),
}
"""In the order in which a run meets them."""


def fields_of(event: str) -> frozenset[str]:
    """Return all fields that an event may have."""
    found = EVENTS[event]
    return frozenset((*_COMMON, *found.always, *found.adds, *found.also))


def log_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of one line of log.jsonl."""
    return {
        "$schema": _DIALECT,
        "title": "A record of a run of mporch",
        "description": f"One line of log.jsonl, format {FORMAT}.",
        "type": "object",
        "required": list(_COMMON),
        "properties": {"event": {"enum": list(EVENTS)}},
        "oneOf": [_schema_of(name, event) for name, event in EVENTS.items()],
        "$defs": {
            name: {"description": field.meaning, **field.value} for name, field in FIELDS.items()
        },
    }


def _schema_of(name: str, event: _Event) -> dict[str, Any]:
    values = {field: {"$ref": f"#/$defs/{field}"} for field in sorted(fields_of(name))}
    return {
        "title": name,
        "description": event.says,
        "properties": values | {"event": {"const": name}, "level": {"enum": list(event.levels)}},
        "required": [*_COMMON, *event.always],
        "additionalProperties": False,
    }


def flaw_of(record: Mapping[str, Any]) -> str:
    """Return what is wrong with a record, by the names of its fields; empty if nothing is.

    Faster than the schema, which also looks at the values.
    """
    name = record.get("event")
    event = EVENTS.get(name) if isinstance(name, str) else None
    if not isinstance(name, str) or event is None:
        return f"no event: {name!r}"
    if record.get("level") not in event.levels:
        return f"{name} with level {record.get('level')!r}"
    if missing := {*_COMMON, *event.always} - record.keys():
        return f"{name} without {', '.join(sorted(missing))}"
    if unknown := record.keys() - fields_of(name):
        return f"{name} with {', '.join(sorted(unknown))}"
    empty = [
        key for key, value in record.items() if value in (None, [], {}) or _is_blank(key, value)
    ]
    return f"{name} with an empty {', '.join(empty)}" if empty else ""


def _is_blank(key: str, value: Any) -> bool:
    return value == "" and "minLength" in FIELDS[key].value


def tables() -> tuple[str, str]:
    """Return the tables of docs/log.md: that of the fields, that of the events."""
    fields = ["| field | in | meaning |", "|---|---|---|"]
    fields += [
        f"| `{name}` | {field.where} | {field.meaning} |"
        for name, field in FIELDS.items()
        if field.where
    ]
    events = ["| event | level | says | adds |", "|---|---|---|---|"]
    events += [
        f"| `{name}` | {event.grade} | {event.says} | {_adds(event)} |"
        for name, event in EVENTS.items()
    ]
    return "\n".join(fields) + "\n", "\n".join(events) + "\n"


def _adds(event: _Event) -> str:
    return ", ".join(
        f"`{name}`" if FIELDS[name].where else f"`{name}` ({FIELDS[name].meaning})"
        for name in event.adds
    )
