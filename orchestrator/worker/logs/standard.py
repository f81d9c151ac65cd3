"""The standard library's `logging` in a worker: each record is sent once, whatever is configured.

Called in the child. There is no handler on the root. Two methods are wrapped: `callHandlers` of
loggers, which every record comes to, and `emit` of stream handlers. What the program configures
works as without mporch, and sees records as they are.
"""

from __future__ import annotations

import contextlib
import logging
import mmap
import os
from itertools import islice
from typing import Any

from orchestrator.worker.failure import is_ours, name_of, traceback_of
from orchestrator.worker.logs.console import PendingRecord, PendingRecords, Streams
from orchestrator.worker.logs.sender import PASSED, Sender, level_of, shown
from orchestrator.worker.logs.structured import Rendered, taken_apart, text_key_of

__all__ = ["ITEM_LOGGER", "StandardLogging"]

ITEM_LOGGER = "mporch.item"
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_N_STANDARD = len(vars(logging.makeLogRecord({})))
_LAST = tuple(vars(logging.makeLogRecord({})))[-1]
_MOST_PIDS = 1 << 22
_REMEMBERED = 4096
_NO_TIME = -1.0
"""Whoever writes the log takes the time when it comes."""

_call_handlers = logging.Logger.callHandlers
_emit = logging.StreamHandler.emit


class _NotSet(int):
    """The root's level until the program sets one: the log wants more than Python's WARNING."""


class StandardLogging:
    """The seams in `logging`, and what is kept to tell records that were sent from others."""

    def __init__(
        self,
        sender: Sender,
        pending: PendingRecords,
        streams: Streams,
        rendered: Rendered,
    ) -> None:
        self._sender = sender
        self._pending = pending
        self._streams = streams
        self._rendered = rendered
        self._level = _NotSet(logging.INFO)
        self._sent = _Sent()

    def install(self) -> None:
        """From now on records go to the run's log, those from INFO on if no level is set."""
        handle, draw = self._handle, self._draw

        def callHandlers(logger: logging.Logger, record: logging.LogRecord) -> None:  # noqa: N802
            handle(logger, record)

        def emit(handler: logging.StreamHandler[Any], record: logging.LogRecord) -> None:
            draw(handler, record)

        patched: Any = logging
        patched.Logger.callHandlers = callHandlers
        patched.StreamHandler.emit = emit
        root = logging.getLogger()
        if root.level == logging.WARNING and not root.handlers:
            root.setLevel(self._level)
        os.register_at_fork(after_in_child=self._sent.note_process)

    def tell_item(self, level: int, msg: str, args: tuple[Any, ...], error: BaseException) -> None:
        """Give the program's own handlers, and nobody else, a record of an item's failure."""
        logger = logging.getLogger(ITEM_LOGGER)
        if not logger.isEnabledFor(level):
            return
        info = (type(error), error, traceback_of(error))
        record = logger.makeRecord(ITEM_LOGGER, level, "", 0, msg, args, info, "item")
        pending = PendingRecord(record, kept=True)
        pending.text = ""
        before = self._pending.enter(pending)
        try:
            logger.handle(record)
        except PASSED:
            raise
        except Exception as broken:  # noqa: BLE001 - a handler of the user's; the item is told of
            logging.getLogger("mporch").warning(
                "a handler could not take the record of a failed item: %s: %s",
                name_of(type(broken)),
                shown(broken, str),
            )
        finally:
            self._pending.leave(before)

    def _handle(self, logger: logging.Logger, record: logging.LogRecord) -> None:
        """Give a record to the program's handlers, if there are any, then to the log."""
        outer, has_handlers = self._pending.current, logger.hasHandlers()
        if outer is not None and outer.kept and outer.is_of(record):
            if has_handlers:
                _call_handlers(logger, record)
            return
        if not has_handlers:
            self._send(record, None)
            return
        pending = PendingRecord(record)
        self._pending.enter(pending)
        try:
            if record.levelno >= logging.WARNING or self._is_wanted(logger):
                _call_handlers(logger, record)
        finally:
            self._pending.leave(outer)
            self._sent.add(record.created)
            text = pending.text
            if text is None and self._sender.draws and self._has_console(logger):
                text = ""  # a handler's level or filter keeps it off the console
            self._send(record, text)

    def _is_wanted(self, logger: logging.Logger) -> bool:
        """True if the program would see such a record without mporch: below WARNING it asks."""
        return logger.getEffectiveLevel() is not self._level

    def _has_console(self, logger: logging.Logger) -> bool:
        at: logging.Logger | None = logger
        while at is not None:
            for handler in at.handlers:
                if not isinstance(handler, logging.StreamHandler):
                    continue
                if self._streams.is_console(handler.stream):
                    return True
            at = at.parent if at.propagate else None
        return False

    def _draw(self, handler: logging.StreamHandler[Any], record: logging.LogRecord) -> None:
        """Do as a stream handler does: for the console it makes the record's text."""
        pending = self._pending.current
        is_pending = pending is not None and pending.is_of(record)
        if not self._streams.is_plain(handler.stream):
            self._draw_elsewhere(handler, record, pending if is_pending else None)
            return
        if pending is not None and is_pending:
            if self._sender.draws and pending.text is None:
                text = _formatted(handler, record)
                if text is not None:
                    pending.draw(text)
            return
        if not self._sent.has(record):
            self._send(record, _formatted(handler, record))

    def _draw_elsewhere(
        self,
        handler: logging.StreamHandler[Any],
        record: logging.LogRecord,
        pending: PendingRecord | None,
    ) -> None:
        """Do as a handler does whose stream is no plain one; it may write to the console, too.

        A record that nobody's logger has handed on is sent if it comes to the console.
        """
        if pending is not None:
            with self._pending.drawing(pending):
                _emit(handler, record)
            return
        with self._pending.apart(record) as own:
            _emit(handler, record)
        if own.text is not None and not self._sent.has(record):
            self._send(record, own.text)

    def _send(self, record: logging.LogRecord, text: str | None) -> None:
        known = vars(record)
        fields: dict[Any, Any] | None = None
        if len(known) != _N_STANDARD:
            fields = _extras(known)
        msg: Any = record.msg
        parts = None
        if type(msg) is dict and fields and "_logger" in fields:  # structlog's ProcessorFormatter
            parts, fields = taken_apart(msg), None
        elif type(msg) is dict and not record.args and (key := text_key_of(msg)):
            parts = taken_apart(msg, key)
        elif type(msg) is not str or record.args:
            msg = _message(record)
        elif msg[:1] == "{" or self._rendered.is_waiting:
            parts = self._rendered.parts_of(msg)
        error, trace = _exception_of(record)
        if parts is not None:
            msg, fields = parts.msg, {**parts.fields, **(fields or {})}
            error, trace = error or parts.error, trace or parts.traceback
        if error is not None:
            trace = ""
        if (error is not None or trace) and fields and type(fields.get("exception")) is str:
            del fields["exception"]  # the same, drawn by a processor
        if type(record.stack_info) is str:
            trace = f"{trace}\n{record.stack_info}" if trace else record.stack_info
        thread, pid, created = _text(record.threadName), record.process, record.created
        self._sender.send(
            ts=created if type(created) is float else _NO_TIME,
            level=_level(record),
            logger=_text(record.name),
            msg=msg,
            fields=fields,
            error=error,
            traceback=trace,
            pid=pid if type(pid) is int and 0 < pid < _MOST_PIDS else os.getpid(),
            thread="" if thread == "MainThread" else thread,
            call=_call_of(record),
            text=text,
        )


class _Sent:
    """Remembers which records have been sent, for handlers that get them later, or copies.

    By their times: a copy has that of its record. Processes that were forked by this one send for
    themselves.
    """

    def __init__(self) -> None:
        self._new: set[float] = set()
        self._old: set[float] = set()
        self._since = self._turned = 0.0
        # A byte a process, shared with those that are forked; what is not used costs nothing.
        self._processes = mmap.mmap(-1, _MOST_PIDS)

    def add(self, created: Any) -> None:
        """A record of this time is sent; a time that is none is not remembered."""
        if type(created) is not float:
            return
        self._new.add(created)
        if len(self._new) >= _REMEMBERED:
            self._old, self._new = self._new, set()
            self._since, self._turned = self._turned, created

    def has(self, record: logging.LogRecord) -> bool:
        """True if the record is one that was sent, here or in a forked process."""
        pid = record.process
        if pid is not None and pid != os.getpid():
            return 0 <= pid < _MOST_PIDS and self._processes[pid] == 1
        created = record.created
        if type(created) is not float:
            return False
        return created in self._new or created in self._old or created < self._since

    def note_process(self) -> None:
        """Called in a process that was forked: it sends its own records."""
        with contextlib.suppress(IndexError):
            self._processes[os.getpid()] = 1


def _extras(known: dict[str, Any]) -> dict[Any, Any]:
    """Return a record's own fields: they come after those of all, if none was taken out."""
    least = _N_STANDARD if next(islice(known, _N_STANDARD - 1, None), "") == _LAST else 0
    return {
        name: value for name, value in islice(known.items(), least, None) if name not in _STANDARD
    }


def _exception_of(record: logging.LogRecord) -> tuple[BaseException | None, str]:
    """Return what the record was made about, and its traceback where only that is left."""
    info = record.exc_info
    error = info[1] if type(info) is tuple and len(info) == 3 else None
    if error is not None and issubclass(type(error), BaseException):
        return error, ""
    return None, record.exc_text if type(record.exc_text) is str else ""


def _formatted(handler: logging.StreamHandler[Any], record: logging.LogRecord) -> str | None:
    """Format the record by the handler's formatter; its errors are told as by Python."""
    try:
        return handler.format(record)
    except RecursionError:
        raise
    except Exception:  # noqa: BLE001 - as StreamHandler.emit does
        handler.handleError(record)
        return None


def _message(record: logging.LogRecord) -> str:
    """The text; of a call whose arguments do not fit, what was to be said and why it cannot be."""
    try:
        text = record.getMessage()
    except PASSED:
        raise
    except BaseException as error:  # noqa: BLE001 - the arguments are the user's
        said = f"{shown(record.msg, str)} % {shown(record.args)}"
        return f"{said} ({name_of(type(error))}: {shown(error, str)})"
    return text if type(text) is str else shown(text, str)


def _level(record: logging.LogRecord) -> str:
    name, number = record.levelname, record.levelno
    if type(name) is str and type(number) is int:
        return level_of(name, number)
    return level_of(_text(name))


def _text(value: Any) -> str:
    """A text of a record, which anybody may set to anything."""
    if type(value) is str:
        return value
    return "" if value is None else shown(value, str)


def _call_of(record: logging.LogRecord) -> str:
    path = record.pathname
    if type(path) is not str or not path or is_ours(path):
        return ""
    return f"{_text(record.filename)}:{_text(record.lineno)} {_text(record.funcName)}"
