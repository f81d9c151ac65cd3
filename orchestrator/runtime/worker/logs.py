"""`logging` in a worker: each record leaves as one datagram, at once.

Called in the child.
"""

from __future__ import annotations

import logging
import socket
import sys
from typing import Any

from orchestrator.runtime.records import Record, encode

__all__ = ["RunLogHandler", "install"]

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}

_MOST_BITS = 64


class RunLogHandler(logging.Handler):
    """Sends records to the run's log.

    A datagram is whole or not there, so threads need no lock.
    """

    def __init__(self, sock: socket.socket) -> None:
        super().__init__()
        self._sock = sock
        self._formatter = logging.Formatter()

    def createLock(self) -> None:  # noqa: N802 - the name is logging's
        """No lock: a send is atomic, and a lock could be held by a dead thread of a fork."""
        self.lock = None

    def handle(self, record: logging.LogRecord) -> bool:
        """Send a record that passes the filters; as the base class does, but without its lock."""
        passed = self.filter(record)
        if passed:
            self.emit(passed if isinstance(passed, logging.LogRecord) else record)
        return bool(passed)

    def emit(self, record: logging.LogRecord) -> None:
        """Send one record; what cannot be sent goes to stderr as logging does."""
        try:
            self._sock.send(encode(self._record(record)))
        except OSError:  # a target may close what is not its own; then its words go to stderr
            sys.stderr.write(f"{record.levelname} {record.name}: {_message(record)}\n")
        except Exception:  # noqa: BLE001 - logging's contract: a handler never raises
            self.handleError(record)

    def _record(self, record: logging.LogRecord) -> Record:
        traceback = "\n".join(
            text
            for text in (
                self._formatter.formatException(record.exc_info) if record.exc_info else "",
                self._formatter.formatStack(record.stack_info) if record.stack_info else "",
            )
            if text
        )
        fields = {k: _plain(v) for k, v in vars(record).items() if k not in _STANDARD}
        return Record(
            ts=record.created,
            level=record.levelname.lower(),
            logger=record.name,
            msg=_encodable(_message(record)),
            traceback=_encodable(traceback),
            fields=fields,
        )


def _message(record: logging.LogRecord) -> str:
    """The text; of a call whose arguments do not fit, what was to be said and why it cannot be."""
    try:
        return record.getMessage()
    except Exception as error:  # noqa: BLE001 - the arguments are the user's
        return f"{record.msg!s} % {record.args!r} ({type(error).__name__}: {error})"


def _encodable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return _encodable(value)
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, int) and value.bit_length() < _MOST_BITS:
        return value
    return _encodable(repr(value))


def install(sock: socket.socket) -> None:
    """Send what `logging` records from INFO on to the run's log."""
    root = logging.getLogger()
    root.addHandler(RunLogHandler(sock))
    root.setLevel(logging.INFO)
