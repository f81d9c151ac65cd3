"""Mporch: pipelines of operating-system processes from one YAML file.

In a program:
    `load(path)` reads a spec; `Spec.plan()` checks it, `Spec.run()` runs it and returns a
    `RunResult`.
    `Queue` and `JoinableQueue` replace multiprocessing's, between processes you start yourself.

In a target:
    `current()` tells the job, worker and item. A queue's end raises `EndOfStream`, a put that
    nobody will ever take `ShutDown`. `transaction()` commits several gets and puts in one step.

Importing this package imports nothing else: each name is looked up when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orchestrator._version import __version__

if TYPE_CHECKING:
    from orchestrator.app.api import RunResult, Spec, load
    from orchestrator.errors import (
        EndOfStream,
        MporchError,
        RunDirectoryError,
        ShutDown,
        SpecError,
        SystemRefusedError,
        UnpicklableItemError,
        UsageError,
        WouldWaitError,
        WrongDirectionError,
    )
    from orchestrator.features.standalone.queue import JoinableQueue, Queue, SimpleQueue
    from orchestrator.worker.command.process import CommandError
    from orchestrator.worker.current import Current, current, transaction

__all__ = [
    "CommandError",
    "Current",
    "EndOfStream",
    "JoinableQueue",
    "MporchError",
    "Queue",
    "RunDirectoryError",
    "RunResult",
    "ShutDown",
    "SimpleQueue",
    "Spec",
    "SpecError",
    "SystemRefusedError",
    "UnpicklableItemError",
    "UsageError",
    "WouldWaitError",
    "WrongDirectionError",
    "__version__",
    "current",
    "load",
    "transaction",
]

_HOMES = {
    "orchestrator.app.api": ("RunResult", "Spec", "load"),
    "orchestrator.errors": (
        "EndOfStream",
        "MporchError",
        "RunDirectoryError",
        "ShutDown",
        "SpecError",
        "SystemRefusedError",
        "UnpicklableItemError",
        "UsageError",
        "WouldWaitError",
        "WrongDirectionError",
    ),
    "orchestrator.features.standalone.queue": ("JoinableQueue", "Queue", "SimpleQueue"),
    "orchestrator.worker.command.process": ("CommandError",),
    "orchestrator.worker.current": ("Current", "current", "transaction"),
}


def __getattr__(name: str) -> Any:
    """Import a name from where it lives (PEP 562)."""
    from importlib import import_module  # noqa: PLC0415 - only when a name is first used

    for module, names in _HOMES.items():
        if name in names:
            value = globals()[name] = getattr(import_module(module), name)
            return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
