"""Transitions of a worker and of a job: one table each, from (state, step) to state.

A step that the table does not have for the current state is an error and changes nothing. The same
tables, for people: docs/lifecycle.md.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping

from orchestrator.errors import InternalError, caused_by

__all__ = [
    "ACTIVE",
    "ENDED",
    "JOB_TABLE",
    "WORKER_TABLE",
    "IllegalEvent",
    "State",
    "Step",
    "Table",
    "end_step",
    "next_state",
    "worst",
]


class State(enum.Enum):
    """Where a worker or a job is in its life."""

    PENDING = "pending"
    STARTING = "starting"
    READY = "ready"
    RUNNING = "running"
    WAITING_INPUT = "waiting_input"
    WAITING_OUTPUT = "waiting_output"
    DRAINING = "draining"
    """It was asked to stop, its input has ended, or it has said its last message."""
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    TERMINATED = "terminated"
    KILLED = "killed"
    SKIPPED = "skipped"


class Step(enum.Enum):
    """What takes a worker or a job from one state to the next."""

    START = "start"
    READY = "ready"
    RUN = "run"
    AWAIT_INPUT = "await_input"
    AWAIT_OUTPUT = "await_output"
    DRAIN = "drain"
    SUCCEED = "succeed"
    FAIL = "fail"
    TIME_OUT = "time_out"
    TERMINATE = "terminate"
    KILL = "kill"
    SKIP = "skip"
    RESTORE = "restore"
    """It had succeeded before the run was resumed."""
    RESTART = "restart"
    """Its process has died, and another will take its place."""


class IllegalEvent(InternalError):  # noqa: N818 -- it names the event, as h11's errors do the protocol
    """An event that cannot happen in the state the run is in. Nothing has changed."""


Table = Mapping[tuple[State, Step], State]

_LIFE: dict[tuple[State, Step], State] = {
    (State.PENDING, Step.START): State.STARTING,
    (State.PENDING, Step.SKIP): State.SKIPPED,
    (State.PENDING, Step.RESTORE): State.SUCCEEDED,
    (State.STARTING, Step.READY): State.READY,
    (State.STARTING, Step.DRAIN): State.DRAINING,
    (State.READY, Step.DRAIN): State.DRAINING,
    (State.DRAINING, Step.READY): State.DRAINING,
    (State.DRAINING, Step.DRAIN): State.DRAINING,
    (State.DRAINING, Step.SUCCEED): State.SUCCEEDED,
    (State.DRAINING, Step.FAIL): State.FAILED,
    (State.DRAINING, Step.TIME_OUT): State.TIMED_OUT,
    (State.DRAINING, Step.TERMINATE): State.TERMINATED,
    (State.DRAINING, Step.KILL): State.KILLED,
}

_WORKING = (State.READY, State.RUNNING, State.WAITING_INPUT, State.WAITING_OUTPUT)
_ACTIVITY = {
    Step.RUN: State.RUNNING,
    Step.AWAIT_INPUT: State.WAITING_INPUT,
    Step.AWAIT_OUTPUT: State.WAITING_OUTPUT,
    Step.DRAIN: State.DRAINING,
    Step.FAIL: State.FAILED,
    Step.RESTART: State.STARTING,
}

JOB_TABLE: Table = _LIFE | {(State.DRAINING, Step.RESTART): State.READY}
"""A job: ready when all its workers are, draining when none of them is at work any more."""

WORKER_TABLE: Table = (
    _LIFE
    | {(State.STARTING, Step.FAIL): State.FAILED}
    | {(state, Step.RESTART): State.STARTING for state in (State.STARTING, State.DRAINING)}
    | {(state, step): target for state in _WORKING for step, target in _ACTIVITY.items()}
)
"""A worker: the same life, but it also runs and waits, and may die at any time."""

_END_STEPS = {
    State.SUCCEEDED: Step.SUCCEED,
    State.FAILED: Step.FAIL,
    State.TIMED_OUT: Step.TIME_OUT,
    State.TERMINATED: Step.TERMINATE,
    State.KILLED: Step.KILL,
    State.SKIPPED: Step.SKIP,
}

ENDED = frozenset(_END_STEPS)
"""The final states; nothing leads out of them."""

ACTIVE = frozenset(State) - ENDED - {State.PENDING}
"""The states in which a process exists or is being made."""

_SEVERITY = (State.FAILED, State.TIMED_OUT, State.KILLED, State.TERMINATED, State.SUCCEEDED)


def next_state(table: Table, state: State, step: Step, *, who: str) -> State:
    """Return where `step` leads from `state`; `who` names the worker or job in the error.

    Raises IllegalEvent if the table has no such step.
    """
    try:
        return table[state, step]
    except KeyError:
        error = IllegalEvent(f"{who} is {state.value}: it cannot {step.value}")
        raise caused_by(error, None) from None


def end_step(state: State) -> Step:
    """Return the step that leads to a final state."""
    return _END_STEPS[state]


def worst(states: Iterable[State]) -> State:
    """Return the state of a job from the final states of its workers: the gravest of them."""
    return min(states, key=_SEVERITY.index)
