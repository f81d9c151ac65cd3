"""structlog in a worker: its events are sent as they are, whatever renders them.

Called in the child, when the target has imported structlog. A few of its private names are looked
at; where they are missing, what they would tell is done without. Two things are wrapped: the
renderers, whose event dict is kept, and the loggers that print, which send it instead where they
would write to the console. An event that a renderer has made text of is taken apart again, from
what the renderer was given if possible. Of the renderer that structlog has by default nothing is
drawn.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping, MutableMapping
from types import FrameType, ModuleType
from typing import Any, NamedTuple

from orchestrator.worker.failure import is_ours
from orchestrator.worker.logs.console import PendingRecords, Streams
from orchestrator.worker.logs.sender import Sender, level_of, shown

__all__ = ["Parts", "Rendered", "Structlog", "parts_of_json", "taken_apart", "text_key_of"]

_INNER = ("structlog.", "orchestrator.")
_METHODS = (
    "msg", "log", "debug", "info", "warn", "warning", "err", "error", "exception", "failure",
    "critical", "fatal",
)  # fmt: skip
_RENDERERS = (
    ("structlog.processors", "JSONRenderer"),
    ("structlog.processors", "KeyValueRenderer"),
    ("structlog.processors", "LogfmtRenderer"),
    ("structlog.dev", "ConsoleRenderer"),
)


class Structlog:
    """What is done to structlog."""

    def __init__(
        self, sender: Sender, pending: PendingRecords, streams: Streams, rendered: Rendered
    ) -> None:
        self._sender = sender
        self._pending = pending
        self._streams = streams
        self._rendered = rendered
        self._default: Any = None
        self._stdout: Any = None
        self._calling: Any = None
        self._drop: type[Exception] = Exception
        self._main = threading.main_thread().ident
        self._inner: dict[int, bool] = {}  # by the globals of a frame: whether they are no user's
        self._names: dict[str, str] = {}  # of files, by their paths; empty for mporch's own

    def take(self, module: ModuleType) -> None:
        """Wrap what is in the module."""
        self._drop = module.DropEvent
        contextvars = sys.modules.get("structlog.contextvars")
        self._calling = getattr(contextvars, "_ASYNC_CALLING_STACK", None)
        processors = module.get_config().get("processors") or [None]
        self._default = processors[-1]
        self._stdout = getattr(sys.modules.get("structlog._output"), "stdout", None)
        for where, name in _RENDERERS:
            renderer = getattr(sys.modules.get(where), name, None)
            if renderer is not None:
                self._wrap_renderer(renderer)
        for kind in ("Print", "Write", "Bytes"):
            logger = getattr(module, f"{kind}Logger", None)
            factory = getattr(module, f"{kind}LoggerFactory", None)
            if logger is not None and factory is not None:
                self._wrap_logger(logger)
                _keep_names(factory)

    def _wrap_renderer(self, kind: Any) -> None:
        render, rendered = kind.__call__, self._rendered

        def __call__(  # noqa: N807
            renderer: Any, logger: Any, name: str, event_dict: MutableMapping[str, Any]
        ) -> Any:
            if renderer is self._default and self._streams.is_plain(self._file_of(logger)):
                self._send(logger, taken_apart(event_dict), name, None)
                raise self._drop  # nobody has to draw it
            event = dict(event_dict)
            text = render(renderer, logger, name, event_dict)
            rendered.note(event, name, text)
            return text

        kind.__call__ = __call__

    def _wrap_logger(self, kind: Any) -> None:
        for name in _METHODS:
            method = vars(kind).get(name)
            if method is not None:
                setattr(kind, name, self._wrapped(method, name))

    def _wrapped(self, method: Callable[..., Any], name: str) -> Callable[..., Any]:
        def write(logger: Any, message: Any) -> Any:
            file = self._file_of(logger)
            if self._streams.is_plain(file):
                return self._write(logger, name, message)
            if not self._streams.is_console(file):
                self._rendered.take()
                return method(logger, message)
            try:
                with self._pending.apart():  # a `write` of its own: what that prints is this event
                    return method(logger, message)
            finally:
                self._write(logger, name, message)

        write.__name__ = name
        return write

    def _file_of(self, logger: Any) -> Any:
        """Return what a logger that prints writes to; None for any other.

        By what was standard output when structlog was imported, a `PrintLogger` means what is now.
        """
        file = getattr(logger, "_file", None)
        if file is not None and file is self._stdout and not hasattr(logger, "_write"):
            return sys.stdout
        return file

    def _caller(self) -> FrameType | None:
        """The innermost frame that is neither mporch's nor structlog's.

        The asynchronous methods log in a thread, and say where they were called.
        """
        frame: FrameType | None = None
        if self._calling is not None and threading.get_ident() != self._main:
            frame = self._calling.get(None)
        frame = frame or sys._getframe(2)
        inner = self._inner
        while frame is not None:
            place = id(frame.f_globals)
            if place not in inner:
                module = frame.f_globals.get("__name__")
                inner[place] = type(module) is str and module.startswith(_INNER)
            if not inner[place]:
                return frame
            frame = frame.f_back
        return None

    def _call_of(self, frame: FrameType) -> str:
        """Return where the call was: file, line and function; empty for mporch's own code."""
        code = frame.f_code
        path = code.co_filename
        name = self._names.get(path)
        if name is None:
            name = self._names[path] = "" if is_ours(path) else path.rpartition("/")[2]
        return f"{name}:{frame.f_lineno} {code.co_name}" if name else ""

    def _write(self, logger: Any, method: str, message: Any) -> None:
        event, by = self._rendered.take()
        if type(message) is bytes:
            text = message.decode("utf-8", "backslashreplace")
        else:
            text = message if type(message) is str else shown(message, str)
        parts = parts_of_json(text) if event is None else taken_apart(event)
        if parts is None:
            parts = Parts(msg=text, fields={})
        self._send(logger, parts, by or method, text)

    def _send(self, logger: Any, parts: Parts, method: str, text: str | None) -> None:
        frame = self._caller()
        in_main = threading.get_ident() == self._main
        self._sender.send(
            ts=time.time(),
            level=level_of(parts.level or method),
            logger=parts.logger or _name_of(logger, frame),
            msg=parts.msg,
            fields=parts.fields,
            error=parts.error,
            traceback=parts.traceback,
            pid=os.getpid(),
            thread="" if in_main else threading.current_thread().name,
            call="" if frame is None else self._call_of(frame),
            text=text,
        )


def _keep_names(factory: Any) -> None:
    """Let `get_logger(name)` name its logger: those that print forget it."""
    make = factory.__call__

    def __call__(self: Any, *args: Any) -> Any:  # noqa: N807
        logger = make(self, *args)
        if args and type(args[0]) is str:
            logger._mporch_name = args[0]
        return logger

    factory.__call__ = __call__


def _name_of(logger: Any, frame: FrameType | None) -> str:
    """The name it was asked for with, else that of the module that logs."""
    name = getattr(logger, "_mporch_name", "")
    if not name and frame is not None:
        name = frame.f_globals.get("__name__", "")
    return name if type(name) is str else ""


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
