"""Logging libraries in a worker: each record leaves once, structured, whatever is configured.

Called in the child. What is patched here is patched in this process, which runs one job and nothing
else.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
from collections.abc import Callable, Iterable
from types import ModuleType
from typing import Any, TextIO

from orchestrator.engine.node.marked import Console
from orchestrator.worker import current
from orchestrator.worker.logs.imports import ImportHook
from orchestrator.worker.logs.loguru_sinks import Loguru
from orchestrator.worker.logs.pending import PendingRecords
from orchestrator.worker.logs.rendered import Rendered
from orchestrator.worker.logs.sender import Sender
from orchestrator.worker.logs.standard import StandardLogging
from orchestrator.worker.logs.streams import ConsoleStreams, Streams
from orchestrator.worker.logs.structured import Structlog

__all__ = ["install"]


def install(sock: socket.socket, console: Console, *, draws: bool = True) -> StandardLogging:
    """Send what logging libraries record to the run's log, and mark what is printed.

    `draws`: somebody sees what the program's own handlers write to the console.
    """
    sender = Sender(sock, current.at_hand, draws=draws)
    rendered = Rendered()

    def watch() -> None:
        console.take = pending.take

    pending = PendingRecords(watch, _flusher((sys.__stdout__, sys.__stderr__)))
    streams = ConsoleStreams(console)
    console.at_hand = current.at_hand
    standard = StandardLogging(sender, pending, streams, rendered)
    standard.install()
    os.register_at_fork(after_in_child=current.freeze)
    structlog = Structlog(sender, pending, streams, rendered)
    loguru = Loguru(sender, pending, streams)
    rich = _Rich(pending, streams)
    ImportHook(
        {
            "structlog": structlog.take,
            "loguru._logger": loguru.take,
            "loguru": loguru.imported,
            "rich.logging": rich.take,
        }
    ).install()
    return standard


def _flusher(streams: Iterable[TextIO | None]) -> Callable[[], None]:
    """A function that flushes those streams; one that cannot be tells whoever writes to it."""
    flushes = tuple(stream.flush for stream in streams if stream is not None)

    def flush() -> None:
        # Closed by the target; full; in the midst of a print that a signal handler interrupts.
        with contextlib.suppress(ValueError, OSError, RuntimeError):
            for each in flushes:
                each()

    return flush


class _Rich:
    """rich's handler draws records over many lines: they are the record's text."""

    def __init__(self, pending: PendingRecords, streams: Streams) -> None:
        self._pending = pending
        self._streams = streams

    def take(self, module: ModuleType) -> None:
        """Wrap the handler's `emit`."""
        kind: Any = module.RichHandler
        emit = kind.emit

        def wrapped(handler: Any, record: Any) -> None:
            pending = self._pending.current
            if pending is None or not self._streams.is_console(handler.console.file):
                emit(handler, record)
                return
            with self._pending.drawing(pending):
                emit(handler, record)
                for stream in (sys.stdout, sys.stderr):
                    if stream is not None:
                        stream.flush()

        kind.emit = wrapped
