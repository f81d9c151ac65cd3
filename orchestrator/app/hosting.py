"""Runs a pipeline in a child of its own, apart from the caller; `hosted` is the child."""

from __future__ import annotations

import pickle
import signal
import subprocess
import sys

import msgspec

from orchestrator.app.hosted import Refusal, Request
from orchestrator.core.summary import Summary
from orchestrator.errors import (
    DiskFullError,
    InternalError,
    MporchError,
    RunDirectoryError,
    UsageError,
)

__all__ = ["COMMAND", "attend", "host", "result_of"]

COMMAND = (sys.executable, "-P", "-m", "orchestrator.app.hosted")
"""The child: it reads a pickled request on standard input, and writes how the run went."""

_WAKE_S = 1.0
"""What another thread raises in this one (PyThreadState_SetAsyncExc) comes between two steps of
Python only; nothing wakes a thread that waits for the kernel."""


def host(request: Request) -> Summary:
    """Called in the parent. Run the request in a child, to its end, and return how it went.

    Raises UsageError if the machine's limits do not allow so many workers, RunDirectoryError if the
    run directory cannot be made or written, and, after the end of the run, whatever was raised in
    here from outside (`attend`).
    """
    child = subprocess.Popen(COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    return result_of(attend(child, pickle.dumps(request)))


def attend(child: subprocess.Popen[bytes], request: bytes) -> bytes:
    """Called in the parent. Send `request` to a `hosted` child; return what it wrote, at its end.

    Whatever is raised in here meanwhile, by a signal handler, by another thread or for want of
    memory, ends the run and is raised after its end: a KeyboardInterrupt as Ctrl-C does, all else
    as SIGTERM does, by the graces of the spec; another one after that more quickly.
    """
    try:
        written, raised = _attend(child, request)
    except BaseException:  # it came while another was dealt with
        child.kill()  # the guard: its orchestrator then kills all the others
        child.wait()
        raise
    if raised is not None:
        raise raised
    return written


def _attend(child: subprocess.Popen[bytes], request: bytes) -> tuple[bytes, BaseException | None]:
    left: bytes | None = request
    raised: BaseException | None = None
    while True:
        try:
            written, _ = child.communicate(left, timeout=_WAKE_S)
        except BaseException as error:  # noqa: BLE001 -- it is raised at the end
            left = None
            if isinstance(error, subprocess.TimeoutExpired) and error.cmd is child.args:
                continue
            raised = error
            child.send_signal(
                signal.SIGINT if isinstance(error, KeyboardInterrupt) else signal.SIGTERM
            )
            if child.poll() is not None:
                return b"", raised
        else:
            return written, raised


def result_of(written: bytes) -> Summary:
    """Return the summary, or raise, as `host` does, the error the child could not go on after."""
    try:
        return msgspec.json.decode(written, type=Summary)
    except msgspec.DecodeError:
        try:
            found = msgspec.json.decode(written, type=Refusal)
        except msgspec.DecodeError:
            raise InternalError("the run ended without a result; see standard error") from None
    kinds: dict[str, type[MporchError]] = {
        kind.__name__: kind for kind in (DiskFullError, RunDirectoryError, UsageError)
    }
    raise kinds.get(found.kind, InternalError)(found.message, hint=found.hint)
