"""Logging libraries in a worker: each record leaves once, structured, whatever is configured.

Called in the child. What is patched here is patched in this process, which runs one job and nothing
else.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, TextIO

from orchestrator.ipc.marks import Console
from orchestrator.worker import current
from orchestrator.worker.logs.console import ConsoleStreams, PendingRecords, Streams
from orchestrator.worker.logs.loguru_sinks import Loguru
from orchestrator.worker.logs.sender import Sender
from orchestrator.worker.logs.standard import StandardLogging
from orchestrator.worker.logs.structured import Rendered, Structlog

__all__ = ["ImportHook", "install"]


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


Then = Callable[[ModuleType], None]


class ImportHook(MetaPathFinder):
    """A finder that finds nothing itself: it wraps the loaders of the modules it waits for.

    It never imports one: a worker that does not use structlog pays nothing for it.
    """

    def __init__(self, wanted: Mapping[str, Then]) -> None:
        self._wanted = dict(wanted)

    def install(self) -> None:
        """Wait for the modules; those that are there already are handed over at once."""
        for name in self._wanted.keys() & sys.modules.keys():
            _hand_over(sys.modules[name], self._wanted.pop(name))
        sys.meta_path.insert(0, self)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Let the other finders find it, and wrap its loader if it is waited for."""
        then = self._wanted.get(fullname)
        if then is None:
            return None
        for finder in sys.meta_path:
            if finder is self or not hasattr(finder, "find_spec"):
                continue
            spec = finder.find_spec(fullname, path, target)
            if spec is not None:
                if spec.loader is not None:
                    spec.loader = _Loader(spec.loader, then)
                return spec
        return None


class _Loader(Loader):
    """Loads as the loader it stands for, then calls `then`; afterwards it is nowhere any more."""

    def __init__(self, loader: Any, then: Then) -> None:
        self._loader = loader
        self._then = then

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """As the loader does."""
        module: ModuleType | None = self._loader.create_module(spec)
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Run the module's code, then hand it over."""
        spec = module.__spec__
        if spec is not None:
            spec.loader = self._loader
        module.__loader__ = self._loader
        self._loader.exec_module(module)
        _hand_over(module, self._then)


def _hand_over(module: ModuleType, then: Then) -> None:
    """Call it; a module that is another one of that name, or release, is left as it is."""
    with contextlib.suppress(Exception):
        then(module)
