"""Targets imported in a child process, for a limited time: the parent's side.

Called in the parent, which never imports nor unpickles; `probe_child` is the child.
"""

from __future__ import annotations

import importlib
import os
import select
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import msgspec

from orchestrator.core.protocol.messages import Failure
from orchestrator.engine.node.keeper import END
from orchestrator.files import PACKAGE
from orchestrator.ipc.polling import bounded
from orchestrator.targets.imported import Probe, ProbeReport

__all__ = ["Probed", "probe"]

_GRACE_S = 2.0
"""So long after its time is up a child may take to say where it was; and to start."""
_END_S = 6.0
"""Longer than a keeper takes to kill what is left."""
_MOST_OUTPUT = 64 * 1024


class Probed(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a probe: the report or, if there is none, how the import ended the process.

    `output` is what was printed meanwhile, its first 64 KiB.
    """

    report: ProbeReport
    output: str = ""


def probe(order: Probe) -> Probed:
    """Import the targets of `order` in a child; all that it has started is gone afterwards."""
    with ExitStack() as stack:
        files = [stack.enter_context(_memory(name)) for name in ("order", "answer", "trace")]
        asked, answer, trace = files
        os.write(asked, msgspec.msgpack.encode(order))
        os.lseek(asked, 0, os.SEEK_SET)
        command = [sys.executable, "-P", "-u", "-m", "orchestrator.targets.probe_child"]
        child = subprocess.Popen(
            [*command, *map(str, (os.getpid(), *files))],
            pass_fds=files,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            output, in_time = _wait(child, order.timeout_s + _GRACE_S)
        finally:
            _end(child)
        told, crash = _content(answer), _content(trace)
    try:
        report = msgspec.json.decode(told, type=ProbeReport)
    except msgspec.DecodeError:
        report = ProbeReport(failure=_death(order, child.returncode, crash, in_time=in_time))
    return Probed(report=report, output=output.decode("utf-8", "replace"))


@contextmanager
def _memory(name: str) -> Iterator[int]:
    fd = os.memfd_create(f"mporch-{name}")
    try:
        yield fd
    finally:
        os.close(fd)


def _content(fd: int) -> bytes:
    return os.pread(fd, 16 * _MOST_OUTPUT, 0)


def _wait(child: subprocess.Popen[bytes], timeout_s: float) -> tuple[bytes, bool]:
    """Wait for the end of the child; returns what it printed, and whether it ended in time.

    The end of the pipe is not waited for: a grandchild may hold it.
    """
    assert child.stdout is not None
    output, pipe = bytearray(), child.stdout.fileno()
    os.set_blocking(pipe, False)
    deadline = time.monotonic() + timeout_s
    pidfd = os.pidfd_open(child.pid)
    try:
        with selectors.DefaultSelector() as selector:
            selector.register(pidfd, selectors.EVENT_READ)
            selector.register(pipe, selectors.EVENT_READ)
            while (left := deadline - time.monotonic()) > 0:
                ready = {key.fd for key, _ in selector.select(bounded(left))}
                if pipe in ready and not _take(pipe, output):
                    selector.unregister(pipe)
                if pidfd in ready:
                    while _take(pipe, output):
                        pass
                    return bytes(output), True
    finally:
        os.close(pidfd)
    return bytes(output), False


def _take(pipe: int, output: bytearray) -> bool:
    """Take what there is to be read, keeping so much of it; False if there is nothing."""
    try:
        data = os.read(pipe, _MOST_OUTPUT)
    except BlockingIOError:
        return False
    output += data[: max(0, _MOST_OUTPUT - len(output))]
    return bool(data)


def _end(child: subprocess.Popen[bytes]) -> None:
    """End the keeper, which kills all that descends from it; else its group, which it leads."""
    os.kill(child.pid, END)  # not reaped yet, so the number is its own
    pidfd = os.pidfd_open(child.pid)
    try:
        select.select([pidfd], [], [], _END_S)
    finally:
        os.close(pidfd)
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        child.kill()
    child.wait()
    if child.stdout is not None:
        child.stdout.close()


def _death(order: Probe, code: int, crash: bytes, *, in_time: bool) -> Failure:
    """Return what the end of a process says that has not reported."""
    lines = crash.decode("utf-8", "replace").splitlines(keepends=True)
    hung = not in_time or (lines and lines[0].startswith("Timeout"))
    if hung:
        kind, message = "timeout", f"takes longer than {order.timeout_s:g} s"
    elif code < 0:
        kind, message = "death", f"kills its process: {signal.Signals(-code).name}"
    else:
        kind, message = "exit", f"ends its process with exit code {code}"
    return Failure(kind=kind, message=message, traceback=_users(lines))


def _users(lines: list[str]) -> str:
    """The user's part of what faulthandler writes: its frames, innermost first."""
    ours = (f'"{PACKAGE}', '"<frozen ', f'"{importlib.__file__}"')
    kept = [
        line
        for line in lines
        if line.startswith("  File ") and not any(each in line for each in ours)
    ]
    return "".join(["Stack, innermost call first:\n", *kept]) if kept else ""
