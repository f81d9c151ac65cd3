"""The choices a spec makes for bad days, as pure functions and numbers."""

from __future__ import annotations

import enum

from orchestrator.core.lifecycle import State
from orchestrator.errors import ExitCode
from orchestrator.plan.model import AfterCondition, ErrorAction, ErrorPolicy

__all__ = [
    "GIVE_UP_S",
    "STOPPING_JOIN_S",
    "Level",
    "holds",
    "resolve",
    "verdict",
]

STOPPING_JOIN_S = 30.0
"""How long a stage of a stopping run has to return after its input's end, unless the spec says."""

GIVE_UP_S = 5.0
"""How long a killed process has to be gone; after that it hangs in the kernel and is fenced."""


class Level(enum.IntEnum):
    """How far the run has been stopped. It only ever rises."""

    RUN = 0
    DRAIN = 1
    """Sources end, stages finish what is queued, clean-up jobs still run."""
    STOP = 2
    """After a failure: all workers are terminated, clean-up jobs still run."""
    TERMINATE = 3
    """From outside: all workers are terminated, nothing is started any more."""
    KILL = 4

    @property
    def how(self) -> str:
        """The level in the words of the fact `StopRequested`."""
        return "terminate" if self is Level.STOP else self.name.lower()


def resolve(policy: ErrorPolicy, bases: tuple[str, ...]) -> ErrorAction:
    """Return what becomes of an item whose target raised.

    `bases` are the names the exception can be matched by, most derived first, each class as
    `module.Name` and as `Name`. The most derived match wins; without one `otherwise` holds.
    """
    actions = dict(policy.by_exception)
    return next((actions[name] for name in bases if name in actions), policy.otherwise)


_HOLDS = {
    AfterCondition.READY: frozenset({State.SUCCEEDED}),
    AfterCondition.SUCCEEDED: frozenset({State.SUCCEEDED}),
    AfterCondition.FAILED: frozenset({State.FAILED, State.TIMED_OUT, State.KILLED}),
}


def holds(condition: AfterCondition, end: State) -> bool:
    """Return whether an `after` condition holds for a job that has ended in the state `end`."""
    return condition is AfterCondition.FINISHED or end in _HOLDS[condition]


_VERDICTS = {
    ExitCode.INT: "interrupted",
    ExitCode.TERM: "interrupted",
    ExitCode.HUP: "interrupted",
    ExitCode.TIMEOUT: "timed_out",
    ExitCode.FAILED: "failed",
    ExitCode.OK: "succeeded",
}


def verdict(causes: set[ExitCode]) -> tuple[ExitCode, str]:
    """Return the run's exit code and its status in a word: of all that applies, the gravest."""
    return next((code, text) for code, text in _VERDICTS.items() if code in causes | {ExitCode.OK})
