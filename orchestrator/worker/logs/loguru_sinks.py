"""loguru in a worker: what it would write to the console is sent as a record instead.

Called in the child, when the target has imported loguru. Only `logger.add` is wrapped: a sink that
is the console is replaced by one that sends. All others, with their levels and filters, are as
without mporch.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

from orchestrator.worker.logs.console import PendingRecords, Streams
from orchestrator.worker.logs.sender import Sender, level_of, shown

__all__ = ["Loguru"]


class Loguru:
    """What is done to loguru's `Logger`."""

    def __init__(self, sender: Sender, pending: PendingRecords, streams: Streams) -> None:
        self._sender = sender
        self._pending = pending
        self._streams = streams
        self._last: Any = None
        self._is_imported = False

    def take(self, module: ModuleType) -> None:
        """Wrap `add`, before loguru itself adds its first sink."""
        logger: Any = module.Logger
        add = logger.add

        def wrapped(this: Any, sink: Any, **options: Any) -> Any:
            if hasattr(sink, "write") and self._streams.is_console(sink):
                draws = (
                    self._is_imported
                )  # the sink that is there by itself shows no format of theirs
                tee = None if self._streams.is_plain(sink) else sink
                sink = _Sink(sink, lambda message: self._write(message, draws=draws, tee=tee))
            return add(this, sink, **options)

        wrapped.__doc__, wrapped.__name__ = add.__doc__, add.__name__
        logger.add = wrapped

    def imported(self, _: ModuleType) -> None:
        """All of loguru is there: what is added from now on is the program's."""
        self._is_imported = True

    def _write(self, message: Any, *, draws: bool, tee: Any) -> None:
        try:
            if tee is not None:  # it has a `write` of its own: what that prints is this record
                with self._pending.apart():
                    _write_to(tee, message)
        finally:
            self._send(message, draws=draws)

    def _send(self, message: Any, *, draws: bool) -> None:
        record = message.record
        if record is self._last:
            return  # it has a second console sink
        self._last = record
        said = record["message"]
        pending = self._pending.current
        if pending is not None and shown(pending.record, _message_of) == said:
            pending.draw(str(message))  # a record of `logging` that was handed on to loguru
            return
        exception = record["exception"]
        thread = record["thread"].name
        self._sender.send(
            ts=record["time"].timestamp(),
            level=level_of(record["level"].name, record["level"].no),
            logger=record["name"] or "",
            msg=said,
            fields=record["extra"],
            error=exception.value if exception is not None else None,
            pid=record["process"].id,
            thread="" if thread == "MainThread" else thread,
            call=f"{record['file'].name}:{record['line']} {record['function']}",
            text=str.__str__(message) if draws else None,
        )


def _write_to(stream: Any, message: Any) -> None:
    """As loguru does."""
    stream.write(message)
    if callable(getattr(stream, "flush", None)):
        stream.flush()


def _message_of(record: Any) -> str:
    text: str = record.getMessage()
    return text


class _Sink:
    """Stands for a console stream where loguru writes to one."""

    def __init__(self, stream: Any, write: Callable[[Any], None]) -> None:
        self.write = write
        self.name = getattr(stream, "name", "<console>")
        self._stream = stream

    def isatty(self) -> bool:
        """True if colours are wanted, as loguru asks."""
        return bool(self._stream.isatty())
