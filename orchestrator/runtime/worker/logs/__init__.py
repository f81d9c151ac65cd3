"""Logging libraries in a worker: each record leaves once, structured, whatever is configured.

Called in the child. What is patched here is patched in this process, which runs one job and nothing
else.
"""

from __future__ import annotations

import os
import socket
import sys
from types import ModuleType
from typing import Any

from orchestrator.runtime.local.marked import Console
from orchestrator.runtime.worker import current
from orchestrator.runtime.worker.logs.imports import ImportHook
from orchestrator.runtime.worker.logs.loguru_sinks import Loguru
from orchestrator.runtime.worker.logs.pending import PendingRecords
from orchestrator.runtime.worker.logs.rendered import Rendered
from orchestrator.runtime.worker.logs.sender import Sender
from orchestrator.runtime.worker.logs.standard import StandardLogging
from orchestrator.runtime.worker.logs.structured import Structlog

__all__ = ["install"]


def install(sock: socket.socket, console: Console, *, draws: bool = True) -> StandardLogging:
    """Send what logging libraries record to the run's log, and mark what is printed.

    `draws`: somebody sees what the program's own handlers write to the console.
    """
    sender = Sender(sock, current.at_hand, draws=draws)
    rendered = Rendered()

    def watch(drawing: bool) -> None:
        console.take = pending.take if drawing else None

    pending = PendingRecords(watch)
    is_console = _Streams(console).is_console
    console.at_hand = current.at_hand
    standard = StandardLogging(sender, pending, is_console, rendered)
    standard.install()
    os.register_at_fork(after_in_child=current.freeze)
    structlog = Structlog(sender, rendered, is_console)
    loguru = Loguru(sender, pending, is_console)
    rich = _Rich(pending, is_console)
    ImportHook(
        {
            "structlog": structlog.take,
            "loguru._logger": loguru.take,
            "loguru": loguru.imported,
            "rich.logging": rich.take,
        }
    ).install()
    return standard


class _Streams:
    """Tells which streams write to the console: descriptors 1 and 2, if they are still ours."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def is_console(self, stream: Any) -> bool:
        """Whether the stream does; whatever its methods raise, it does not then."""
        try:
            fd = stream.fileno()
            return type(fd) is int and fd in (1, 2) and self._console.is_ours(fd)
        except Exception:  # noqa: BLE001 - a class of the user's; StringIO has no descriptor
            return False


class _Rich:
    """rich's handler draws records over many lines: they are the record's text."""

    def __init__(self, pending: PendingRecords, is_console: Any) -> None:
        self._pending = pending
        self._is_console = is_console

    def take(self, module: ModuleType) -> None:
        """Wrap the handler's `emit`."""
        kind: Any = module.RichHandler
        emit = kind.emit

        def wrapped(handler: Any, record: Any) -> None:
            pending = self._pending.current
            if pending is None or not self._is_console(handler.console.file):
                emit(handler, record)
                return
            with self._pending.drawing(pending):
                emit(handler, record)
                for stream in (sys.stdout, sys.stderr):
                    if stream is not None:
                        stream.flush()

        kind.emit = wrapped
