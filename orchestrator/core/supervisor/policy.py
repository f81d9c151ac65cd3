"""Decisions of the supervisor as pure functions: delays, stop levels, the outcome of a run."""

from __future__ import annotations

import enum
from collections.abc import Mapping

import msgspec

from orchestrator.core.supervisor.transitions import State
from orchestrator.errors import ExitCode
from orchestrator.plan.model import AfterCondition, TerminatePlan

__all__ = [
    "GIVE_UP_S",
    "LOSSES_MAX",
    "LOSSES_WITHIN_S",
    "ONE_LOSS_S",
    "ONE_REQUEST_S",
    "STOPPING_JOIN_S",
    "STOP_FOLLOWS_S",
    "STOP_SIGNALS",
    "RunOutcome",
    "StopLevel",
    "exit_limit_s",
    "holds",
    "is_stop_signal",
    "outcome",
    "restart_delay_s",
]

STOPPING_JOIN_S = 30.0
"""How long a stage of a stopping run has to return after its input's end, unless the spec says."""

GIVE_UP_S = 5.0
"""How long a killed process has to be gone; after that it hangs in the kernel and is fenced."""


LOSSES_MAX = 20
"""How often a job's workers may die with what they depend on (a forkserver, an agent, a machine)
within `LOSSES_WITHIN_S`: a budget of its own, for that is no fault of the job's."""

LOSSES_WITHIN_S = 600.0

ONE_LOSS_S = 1.0
"""Workers that are orphaned within this time were so together: by the loss of the same."""

STOP_FOLLOWS_S = 1.0
"""Who stops all processes of a run at once, as systemd does, reaches the last within this time."""

ONE_REQUEST_S = 1.0
"""The guard passes on what it is sent: a run whose processes are all signalled hears it twice. What
the guard takes for another request comes later than this (see `Escalation`)."""

STOP_SIGNALS = frozenset({1, 2, 3, 15})
"""SIGHUP, SIGINT, SIGQUIT, SIGTERM: what supervisors and shells stop processes with."""

_LEAST_EXIT_S = 1.0


def exit_limit_s(terminate: TerminatePlan) -> float:
    """Return how long a process may take to exit after its last message, in seconds.

    The grace; but no process exits in no time, and one that has finished is not to be hurried.
    """
    return max(terminate.grace_s, _LEAST_EXIT_S)


def is_stop_signal(number: int, terminate: TerminatePlan) -> bool:
    """Return whether a signal asks a process to end, and does not tell of a crash or a kill."""
    return number in STOP_SIGNALS or number == terminate.signal


class StopLevel(enum.IntEnum):
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
        return self.name.lower()


def restart_delay_s(n: int) -> float:
    """Return the wait after a worker's n-th failed start in a row: none, then 50 ms to 1 s."""
    return 0.0 if n <= 1 else min(1.0, 0.05 * 2.0 ** min(n - 2, 10))


_HOLDS = {
    AfterCondition.READY: frozenset({State.SUCCEEDED}),
    AfterCondition.SUCCEEDED: frozenset({State.SUCCEEDED}),
    AfterCondition.FAILED: frozenset({State.FAILED, State.TIMED_OUT, State.KILLED}),
}


def holds(condition: AfterCondition, end: State) -> bool:
    """Return whether an `after` condition holds for a job that has ended in the state `end`."""
    return condition is AfterCondition.FINISHED or end in _HOLDS[condition]


class RunOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """How a run has ended: its status in a word, its exit code, and what it failed of."""

    status: str
    exit_code: ExitCode
    reason: str = ""


_STATUS = {
    ExitCode.INT: "interrupted",
    ExitCode.TERM: "interrupted",
    ExitCode.HUP: "interrupted",
    ExitCode.TIMEOUT: "timed_out",
    ExitCode.FAILED: "failed",
    ExitCode.OK: "succeeded",
}
"""In order of precedence."""


def outcome(reasons: Mapping[ExitCode, str]) -> RunOutcome:
    """Return the outcome of a run, given a reason for each exit code; none is a success."""
    code = next((code for code in _STATUS if code in reasons), ExitCode.OK)
    return RunOutcome(status=_STATUS[code], exit_code=code, reason=reasons.get(code, ""))
