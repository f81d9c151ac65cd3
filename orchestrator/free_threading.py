"""The refusal of an interpreter without a global lock (decision 9 says what rests upon it)."""

from __future__ import annotations

import sys

from orchestrator.errors import UsageError

__all__ = ["is_free_threaded", "refuse_free_threading"]


def is_free_threaded() -> bool:
    """Return whether this is a free-threaded build, or one that runs without its lock.

    A build counts even while its lock is on (`PYTHON_GIL=1`): its workers need not have it on.
    """
    locked = getattr(sys, "_is_gil_enabled", None)  # since Python 3.13
    return "t" in sys.abiflags or (locked is not None and not locked())


def refuse_free_threading() -> None:
    """Raise UsageError if no item is safe with this interpreter."""
    if is_free_threaded():
        raise UsageError(
            f"mporch does not work with the free-threaded Python at {sys.executable}: "
            "its workers rely on the global interpreter lock",
            hint="install mporch into a virtual environment of a standard build of Python",
        )
