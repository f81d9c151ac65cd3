"""Calls a job's target on the item of one dead letter, in a process in the foreground.

Called in the parent, which never unpickles; `trial_child` is the child.
"""

from __future__ import annotations

import enum
import os
import pickle
import subprocess
import sys

import msgspec

from orchestrator.features.deadletters.opening import ItemPlace
from orchestrator.ipc.order import Order

__all__ = ["Outcome", "Trial", "TrialEnd", "run_trial", "tell"]


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
    fd = os.memfd_create("mporch-trial", 0)
    with os.fdopen(fd, "r+b") as memory:
        memory.write(pickle.dumps(trial, 5))
        memory.seek(0)
        command = [sys.executable, "-P", "-m", "orchestrator.features.deadletters.debug_child"]
        arguments = str(os.getpid()), str(fd)
        with subprocess.Popen([*command, *arguments], pass_fds=(fd,)) as child:
            code: int | None = None
            while code is None:
                try:
                    code = child.wait()
                except KeyboardInterrupt:
                    continue  # the terminal has told the child, too
        memory.seek(0)
        told = memory.read()
    outcomes = (each for each in Outcome if each.value == told)
    return TrialEnd(outcome=next(outcomes, Outcome.DIED), exit_code=code)


def tell(fd: int, outcome: Outcome) -> None:
    """Called in the child. Say how the call went: an exit code alone would not tell."""
    os.truncate(fd, 0)
    os.pwrite(fd, outcome.value, 0)
