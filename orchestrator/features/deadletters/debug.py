"""Calls a job's target on the item of one dead letter, in a process in the foreground.

Called in the parent, which never unpickles; `debug_child` is the child.
"""

from __future__ import annotations

import enum
import pickle

import msgspec

from orchestrator.engine.node.child_program import ask_in_foreground
from orchestrator.ipc.order import Order
from orchestrator.opening.opener import ItemPlace

__all__ = ["Outcome", "Trial", "TrialEnd", "run_trial"]

_CHILD = "orchestrator.features.deadletters.debug_child"


class Outcome(enum.Enum):
    """How a call went: it returned, it raised, or its process ended without a word."""

    RETURNED = b"returned"
    RAISED = b"raised"
    DIED = b""


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """One call: the worker it is made by, and the item, after so many `attempts`.

    `item` is the item's id, `queue:n`. With `debug` the debugger is entered where it raises.
    """

    order: Order
    item: str
    attempts: int
    place: ItemPlace
    debug: bool


class TrialEnd(msgspec.Struct, frozen=True, kw_only=True):
    """How the call went, and how its process ended (negative: by that signal)."""

    outcome: Outcome
    exit_code: int


def run_trial(trial: Trial) -> TrialEnd:
    """Make the call, with this process's standard streams; Ctrl-C is left to the child."""
    answer = ask_in_foreground(_CHILD, pickle.dumps(trial, 5))
    outcomes = (each for each in Outcome if each.value == answer.files[0])
    return TrialEnd(outcome=next(outcomes, Outcome.DIED), exit_code=answer.exit_code)
