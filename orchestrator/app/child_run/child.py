"""The child in which `Spec.run` runs a pipeline: the guard of the run, apart from the caller.

A library never makes its user's process a subreaper, nor changes its signals.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import sys
import traceback
from collections.abc import Callable

import msgspec

from orchestrator.app.execution import execute
from orchestrator.app.options import Options, Shield
from orchestrator.errors import ExitCode, MporchError, SystemRefusedError
from orchestrator.kernel.calls import set_parent_death_signal
from orchestrator.plan.model import Plan

__all__ = ["Refusal", "RunRequest", "main"]


class RunRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be run, and for whom: the run ends when the process `parent_pid` does."""

    plan: Plan
    source: str
    options: Options
    parent_pid: int


class Refusal(msgspec.Struct, frozen=True, kw_only=True, tag="refusal"):
    """What the run could not go on after: the error's class, its text and hint.

    Of a bug of mporch the hint is the traceback.
    """

    kind: str
    message: str
    hint: str = ""


def main(shield: Shield) -> int:
    """Called in the child of the user's process.

    Run the request on standard input; what it raises is handled by `shield`. SIGINT comes blocked
    (`parent.begin`): the guard takes it from there, and its orchestrator is open to it.
    """
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)  # in the background of a terminal it may write
    try:
        request = pickle.load(sys.stdin.buffer)
    except (EOFError, pickle.UnpicklingError):
        return ExitCode.TERM  # the caller was stopped before it had said what to run
    set_parent_death_signal(signal.SIGTERM)
    if os.getppid() != request.parent_pid:
        return ExitCode.TERM
    return execute(request.plan, request.source, request.options, shield, host=request.parent_pid)


def _refusal(error: MporchError) -> Refusal:
    return Refusal(kind=type(error).__name__, message=str(error), hint=error.hint)


def _shield(run: Callable[[], int]) -> int:
    try:
        return run()
    except MporchError as error:
        refusal, code = _refusal(error), error.exit_code
    except MemoryError as error:
        refusal, code = _refusal(SystemRefusedError.of(error)), ExitCode.REFUSED
    except Exception as error:  # noqa: BLE001 - whatever it is, the caller is to learn of it
        text = f"{type(error).__name__}: {error}"
        refusal = Refusal(kind="InternalError", message=text, hint=traceback.format_exc())
        code = ExitCode.BUG
    with contextlib.suppress(BrokenPipeError):  # the caller has ended: nobody is to learn of it
        sys.stdout.write(msgspec.json.encode(refusal).decode())
        sys.stdout.flush()
    return code


if __name__ == "__main__":
    sys.exit(main(_shield))
