"""The parent's side of a run in a child, apart from the caller; `child` is the other."""

from __future__ import annotations

import contextlib
import pickle
import signal
import subprocess
import sys

import msgspec

from orchestrator.app.child_run.child import Refusal, RunRequest
from orchestrator.core.reporting.summary import Summary
from orchestrator.errors import (
    DiskFullError,
    InternalError,
    MporchError,
    RunDirectoryError,
    SystemRefusedError,
    UsageError,
)

__all__ = ["attend", "begin", "host", "result_of"]

_COMMAND = (sys.executable, "-P", "-m", "orchestrator.app.child_run.child")
"""The child: it reads a pickled request on standard input, and writes how the run went."""

_WAKE_S = 1.0
"""What another thread raises in this one (PyThreadState_SetAsyncExc) comes between two steps of
Python only; nothing wakes a thread that waits for the kernel."""


def host(request: RunRequest) -> Summary:
    """Called in the parent. Run the request in a child, to its end, and return how it went.

    Raises UsageError if the machine's limits do not allow so many workers, RunDirectoryError if the
    run directory cannot be made or written, and, after the end of the run, whatever was raised in
    here from outside (`attend`).
    """
    return result_of(attend(begin(), pickle.dumps(request)))


def begin(*, process_group: int | None = None) -> subprocess.Popen[bytes]:
    """Called in the parent. Make the child, which `attend` then talks to.

    It holds back SIGINT until its run has begun: a Ctrl-C must not end its imports in a traceback.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        return subprocess.Popen(
            _COMMAND,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            process_group=process_group,
        )
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def attend(child: subprocess.Popen[bytes], request: bytes) -> bytes:
    """Called in the parent. Send `request` to a `child` child; return what it wrote, at its end.

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
    raised = _send(child, request)
    while True:
        try:
            written, _ = child.communicate(timeout=_WAKE_S)
        except BaseException as error:  # noqa: BLE001 -- it is raised at the end
            if isinstance(error, subprocess.TimeoutExpired) and error.cmd is child.args:
                continue
            raised = error
            interrupted = isinstance(error, KeyboardInterrupt)
            child.send_signal(signal.SIGINT if interrupted else signal.SIGTERM)
            if child.poll() is not None:
                return b"", raised
        else:
            return written, raised


def _send(child: subprocess.Popen[bytes], request: bytes) -> BaseException | None:
    """Say what is to be run, or end the child; returns what was raised in here."""
    raised: BaseException | None = None
    assert child.stdin is not None
    try:
        with contextlib.suppress(BrokenPipeError), child.stdin:
            child.stdin.write(request)
    except BaseException as error:  # noqa: BLE001 -- it is raised at the end
        raised = error
        child.terminate()
    child.stdin = None  # else `communicate` would flush it
    return raised


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
        kind.__name__: kind
        for kind in (DiskFullError, RunDirectoryError, SystemRefusedError, UsageError)
    }
    raise kinds.get(found.kind, InternalError)(found.message, hint=found.hint)
