"""Events that a renderer has made text of: taken apart again, from what it was given if possible.

Called in the child.
"""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Mapping
from typing import Any, NamedTuple

from orchestrator.worker.logs.values import shown

__all__ = ["Parts", "Rendered", "parts_of_json", "taken_apart", "text_key_of"]

_TEXTS = ("event", "msg", "message")
_RARE = frozenset({"exc_info", "stack_info", "exception", "stack", "_record", "_from_structlog"})
"""What few events have, beyond their text, level, logger and time; none of them is a field."""


class Parts(NamedTuple):
    """An event: its message, what else it carries, and the exception that it is about."""

    msg: str
    fields: dict[Any, Any]
    level: str = ""
    logger: str = ""
    traceback: str = ""
    error: BaseException | None = None


def taken_apart(event: Mapping[Any, Any], text_key: str = "event") -> Parts:
    """An event dict of structlog as parts.

    Processors may have drawn its exception already; while that is being handled it is still known.
    """
    fields = dict(event)
    text = fields.pop(text_key, "")
    level, logger = fields.pop("level", None), fields.pop("logger", None)
    fields.pop("timestamp", None)
    parts = Parts(
        text if type(text) is str else shown(text, str),
        fields,
        str(level or ""),
        str(logger or ""),
    )
    return parts if _RARE.isdisjoint(fields) else _with_error(parts, event)


def _with_error(parts: Parts, event: Mapping[Any, Any]) -> Parts:
    """The same, with the exception and the stack of the event, which are no fields."""
    fields = {key: value for key, value in parts.fields.items() if key not in _RARE}
    error = _error_of(event) if "exc_info" in event else None
    drawn = event.get("exception", "")
    if drawn and error is None:
        error = sys.exc_info()[1]
    if drawn and error is None and type(drawn) is not str:
        fields["exception"] = drawn  # a list of dicts, and nothing better is known
    stack = event.get("stack", "")
    trace = drawn if type(drawn) is str and error is None else ""
    if type(stack) is str and stack:
        trace = f"{trace}\n{stack}" if trace else stack
    return parts._replace(fields=fields, traceback=trace, error=error)


def _error_of(event: Mapping[Any, Any]) -> BaseException | None:
    given = event.get("exc_info")
    if not given:
        return None
    if issubclass(type(given), BaseException):
        return given  # type: ignore[no-any-return]
    if type(given) is tuple and len(given) == 3:
        return given[1] if issubclass(type(given[1]), BaseException) else None
    return sys.exc_info()[1]


class _Local(threading.local):
    event: Mapping[Any, Any] | None = None
    method: str = ""
    text: object = None


class Rendered:
    """What a renderer of this thread was given last, until whoever writes its text asks for it."""

    def __init__(self) -> None:
        self._local = _Local()

    @property
    def is_waiting(self) -> bool:
        """True if a renderer was given something that nobody has asked for."""
        return self._local.event is not None

    def note(self, event: Mapping[Any, Any], method: str, text: object) -> None:
        """A renderer has made this text of that event."""
        local = self._local
        local.event, local.method, local.text = event, method, text

    def take(self) -> tuple[Mapping[Any, Any] | None, str]:
        """Return what it was given, and by which method of the logger."""
        local = self._local
        event, local.event, local.text = local.event, None, None
        return event, local.method

    def parts_of(self, text: str) -> Parts | None:
        """The event that this text was made of; None for text of another origin."""
        if text == self._local.text:
            event, _ = self.take()
            if event is not None:
                return taken_apart(event)
        return parts_of_json(text)


def parts_of_json(text: str) -> Parts | None:
    """The event that a JSON object is, by its text; None for any other text."""
    if text[:1] != "{" or text[-1:] != "}":
        return None
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    key = text_key_of(found)
    return taken_apart(found, key) if key else None


def text_key_of(event: Mapping[Any, Any]) -> str:
    """Return where an event dict has its text; empty if nowhere."""
    return next((key for key in _TEXTS if type(event.get(key)) is str), "")
