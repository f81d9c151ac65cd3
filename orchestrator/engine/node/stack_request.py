"""The request for a worker's stack, which is how it is killed for an item that takes too long.

Called in the parent.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from orchestrator.core.protocol.messages import Failure
from orchestrator.engine.node.crash import stopped_in
from orchestrator.engine.node.stacks import STACK_SIGNAL
from orchestrator.engine.node.workerprocess import WorkerProcess
from orchestrator.ipc.cell import Cell

__all__ = ["StackRequest", "Unanswered"]

_MOST_S = 0.5
"""A worker that the kernel does not let run for so long will not answer."""


class StackRequest:
    """Asks a worker once, which ends it, and takes the answer from its cell."""

    def __init__(self, process: WorkerProcess, cell: Cell) -> None:
        self._process = process
        self._cell = cell
        self.asked = False

    def ask(self) -> bool:
        """Return whether the worker can be asked, and was; else it is to be killed without."""
        if not _hears(self._process.pid, STACK_SIGNAL):
            return False
        self._process.signal(STACK_SIGNAL)
        self.asked = not self._process.unstoppable
        return self.asked

    def answer(self) -> Failure | None:
        """Return where the target was, told as the stop signal is; None if that is not known.

        What is there though nobody has asked is a child's, or the target has sent the signal.
        """
        if not self.asked:
            return None
        return stopped_in(self._cell.stack().decode("utf-8", "backslashreplace"))


class Unanswered:
    """Workers that were asked and are not dead yet, each with a time limit."""

    def __init__(self) -> None:
        self._until: dict[str, float] = {}

    def add(self, worker: str, now: float) -> None:
        """It was asked just now."""
        self._until[worker] = now + _MOST_S

    def remove(self, worker: str) -> None:
        """It is dead."""
        self._until.pop(worker, None)

    def next_check(self) -> float | None:
        """Return when the first of them has had its time."""
        return min(self._until.values(), default=None)

    def due(self, now: float) -> Iterator[str]:
        """Those that are to be killed without an answer; each is told once."""
        for worker in [name for name, until in self._until.items() if until <= now]:
            del self._until[worker]
            yield worker


def _hears(pid: int, signum: int) -> bool:
    """True if the process has a handler and its main thread does not hold the signal back.

    A program that the target has executed has none.
    """
    try:
        status = Path(f"/proc/{pid}/status").read_text("utf-8", "backslashreplace")
    except OSError:
        return False
    masks = dict(line.split(":", 1) for line in status.splitlines() if line.startswith("Sig"))
    caught, held = (int(masks.get(name, "0"), 16) for name in ("SigCgt", "SigBlk"))
    return bool((caught & ~held) >> (signum - 1) & 1)
