"""Rounds of stacks: which workers somebody waits to hear of, and what the run knows of each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from orchestrator.core.run import Run
from orchestrator.core.stacks import ShownStack, WorkerStack
from orchestrator.core.supervisor.transitions import ENDED, State
from orchestrator.engine.engine import Engine

__all__ = ["StackRounds", "Tell"]

Tell = Callable[[ShownStack, int], None]
"""Takes a worker's stack, and how many are still to come."""


@dataclass(frozen=True, eq=False)
class _Round:
    workers: set[str]
    tell: Tell


class StackRounds:
    """Asks the engine for stacks; each worker of a round is told once, also one that dies."""

    def __init__(self, run: Run, engine: Engine) -> None:
        self._run = run
        self._engine = engine
        self._rounds: list[_Round] = []

    def begin(self, who: str, tell: Tell) -> bool:
        """Begin a round of all workers, a job's, or one; False if there is nobody of that name.

        Those that have not begun yet, or have ended, are told only if no other is meant.
        """
        views = self._run.worker_states
        found = [name for name, view in views.items() if who in ("", name, view.job)]
        if not found:
            return False
        there = [name for name in found if views[name].state not in {State.PENDING, *ENDED}]
        workers = there or found
        asked = [name for name in workers if name in there and views[name].pid is not None]
        if asked:
            self._rounds.append(_Round(set(asked), tell))
        unasked = [name for name in workers if name not in asked]
        for n, worker in enumerate(unasked, 1):
            tell(self._shown(worker, None), len(asked) + len(unasked) - n)
        for worker in asked:
            self._engine.look(worker)
        return True

    def take(self, worker: str, stack: WorkerStack | None) -> None:
        """A worker has answered; without a stack it has died."""
        for each in [found for found in self._rounds if worker in found.workers]:
            each.workers.remove(worker)
            if not each.workers:
                self._rounds.remove(each)
            each.tell(self._shown(worker, stack), len(each.workers))

    def _shown(self, worker: str, stack: WorkerStack | None) -> ShownStack:
        view = self._run.worker_states[worker]
        return ShownStack(
            worker=worker,
            job=view.job,
            state=view.state.value,
            doing=self._run.doing(worker, stack.blame) if stack is not None else "",
            stack=stack,
        )
