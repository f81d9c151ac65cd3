"""The parent's side of a run in a child, apart from the caller; `child` is the other."""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence

import msgspec

from orchestrator.app.child_run.child import Refusal, RunRequest
from orchestrator.core.reporting import Summary
from orchestrator.errors import (
    DiskFullError,
    InternalError,
    MporchError,
    RunDirectoryError,
    SystemRefusedError,
    UsageError,
)

__all__ = ["attend", "begin", "hearing", "host", "pause_with", "result_of", "send"]

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


def begin(
    command: Sequence[str] = _COMMAND, *, process_group: int | None = None, answers: bool = True
) -> subprocess.Popen[bytes]:
    """Called in the parent. Make the child, which is then told what to run (`send`, `attend`).

    It holds back SIGINT until its run has begun: a Ctrl-C must not end its imports in a traceback.
    One that `answers` writes how the run went on its standard output.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        return subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE if answers else None,
            process_group=process_group,
        )
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def attend(child: subprocess.Popen[bytes], request: bytes) -> bytes:
    """Called in the parent. Send `request` to a child; return what it wrote, at its end.

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
    try:
        send(child, request)
    except BaseException as error:  # noqa: BLE001 -- it is raised at the end
        raised = error
        child.terminate()
    child.stdin = None  # else `communicate` would flush it
    return raised


def send(child: subprocess.Popen[bytes], request: bytes) -> None:
    """Called in the parent. Say what is to be run; a child that has ended already does not hear."""
    assert child.stdin is not None
    with contextlib.suppress(BrokenPipeError), child.stdin:
        child.stdin.write(request)


@contextlib.contextmanager
def hearing(
    handlers: Mapping[signal.Signals, Callable[[int, object], None]],
    *,
    ignored_after: Callable[[signal.Signals], bool] = lambda _: False,
) -> Iterator[None]:
    """Called in the parent. Handle signals in here; what is ignored, by nohup for one, stays so.

    Of the others, those that are to be `ignored_after` it are, and the rest are as they were.
    """
    heard = {s: h for s, h in handlers.items() if signal.getsignal(s) != signal.SIG_IGN}
    before = {signum: signal.signal(signum, handler) for signum, handler in heard.items()}
    try:
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, signal.SIG_IGN if ignored_after(signum) else handler)


def pause_with(run: subprocess.Popen[bytes] | None) -> None:
    """Called in the parent: stop as Ctrl-Z does, after the run, and have it go on as this does.

    A run in a process group of its own gets nothing from the terminal.
    """
    if run is not None:
        run.send_signal(signal.SIGTSTP)
    os.kill(os.getpid(), signal.SIGSTOP)
    if run is not None:
        run.send_signal(signal.SIGCONT)


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
