"""The first steps of a worker: from a bare multiprocessing child to `main` in clean surroundings.

Imported by every worker: the standard library only.
"""

from __future__ import annotations

import atexit
import contextlib
import faulthandler
import fcntl
import gc
import importlib
import io
import logging
import mmap
import multiprocessing
import os
import resource
import signal
import socket
import sys
import time
import weakref
from collections.abc import Iterable
from dataclasses import dataclass, field
from multiprocessing import forkserver, reduction, resource_tracker, util
from typing import Any, TextIO

from orchestrator.encoding import HINT, unfit
from orchestrator.ipc.marks import Console, MarkedFile
from orchestrator.ipc.stacks import answer
from orchestrator.kernel.calls import (
    FIRST_PRIVATE_FD,
    line_buffer_c_stdio,
    low_numbers_taken,
    name_process,
    set_parent_death_signal,
)

__all__ = [
    "STACK_SIGNAL",
    "Handed",
    "HiddenBytes",
    "Launch",
    "SurroundingsError",
    "bootstrap",
    "enter_surroundings",
    "tell_stack_into",
]

STACK_SIGNAL = signal.SIGRTMAX - 2
"""Of those that nobody gives a meaning to; the last ones are taken by debuggers."""

_SIGNALS = tuple(int(s) for s in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP})


class SurroundingsError(SystemExit):
    """What a job is to find around it cannot be had; its text says what."""

    def __init__(self, worker: str, reason: str) -> None:
        super().__init__(f"mporch: {worker} cannot start: {reason}")
        self._reason = reason

    def __str__(self) -> str:
        return self._reason


class Handed:
    """A descriptor on its way to the child: inherited by fork, sent along by the other methods."""

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def __reduce__(self) -> tuple[Any, ...]:
        return _arrived, (reduction.DupFd(self.fd),)


def _arrived(sent: Any) -> Handed:
    return Handed(sent.detach())


class HiddenBytes(bytes):
    """Bytes that no traceback shows: some loggers print the values of each frame's variables."""

    def __repr__(self) -> str:
        return f"<{len(self)} bytes>"


@dataclass(frozen=True, kw_only=True)
class Launch:
    """All a worker is started with. `main` is `module:function`; see `ProcessFactory.start`.

    `key` is what the worker's marks have in them (`ipc/marks.py`). `stacks` is where it shows its
    stack, if it may be asked for that.
    """

    worker: str
    main: str
    key: str
    payload: HiddenBytes = field(repr=False)
    env: tuple[tuple[str, str | None], ...] = field(repr=False)
    cwd: str | None
    pythonpath: tuple[str, ...]
    creator_pid: int
    descriptors: int | None
    forked: bool
    channel: Handed
    log: Handed
    stdout: Handed
    stderr: Handed
    cell: Handed
    stacks: Handed | None


def bootstrap(launch: Launch) -> None:
    """Called in the child. Set up the worker's surroundings, then call `main`.

    `main(payload, channel, log, cell)` gets the bytes of the launch, two blocking sockets and the
    progress cell; what it raises or returns is the process's end.
    """
    # A group of its own first: from here on the parent can kill all that this process will start.
    os.setpgid(0, 0)
    name_process(f"mporch: {launch.worker}")
    _default_signals()
    sys.excepthook = sys.__excepthook__  # the forkserver's says nothing of a request cut off
    _die_with(launch.creator_pid)
    if launch.forked:
        _forget_parent(launch)
    _own_exit_functions(launch)
    # What the target starts is started by Python's own default, or as it says: not as this was.
    multiprocessing.set_start_method(None, force=True)
    _redirect(launch.stdout, launch.stderr, launch.key)
    channel, log, cell = _private(launch)
    _show_stacks(launch, cell)
    for handed in (launch.channel, launch.log, launch.cell):
        os.close(handed.fd)
    _close_on_exec()
    if launch.descriptors is not None:
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (launch.descriptors, hard))
    env = [(name, value) for name, value in launch.env if not _unfit_variable(name, value)]
    enter_surroundings(launch.worker, env, launch.cwd, launch.pythonpath)  # `main` tells the others
    module, _, function = launch.main.partition(":")
    main = getattr(importlib.import_module(module), function)
    main(launch.payload, channel, log, cell)


def _show_stacks(launch: Launch, cell: mmap.mmap) -> None:
    """Have stacks told: when the worker crashes, when it is killed, when somebody looks."""
    last = _moved(launch.cell)
    os.lseek(last, mmap.PAGESIZE, os.SEEK_SET)
    faulthandler.enable(last)
    if launch.stacks is not None:
        tell_stack_into(last)
        with memoryview(cell) as page, page[:64].cast("q") as words:
            answer(_moved(launch.stacks), words)
        os.close(launch.stacks.fd)


def tell_stack_into(cell: int) -> None:
    """Have the stack signal write all threads' stacks behind the cell's page, and end it all.

    `cell` is its descriptor, which stays open. The signal's action until now is what ends it.

    faulthandler writes it in the handler of the signal itself, without the interpreter's lock: also
    that of a target which hangs in C code. The handler does not return: a target that waits for a
    signal, or in a system call that one interrupts, must not go on by this one.
    """
    os.lseek(cell, mmap.PAGESIZE, os.SEEK_SET)
    faulthandler.register(STACK_SIGNAL, cell, all_threads=True, chain=True)


def _default_signals() -> None:
    """Undo every handler of the parent, then let the signals in that it held back for the fork."""
    signal.set_wakeup_fd(-1)
    kept: dict[int, Any] = {  # as Python itself starts
        signal.SIGINT: signal.default_int_handler,
        signal.SIGPIPE: signal.SIG_IGN,
        signal.SIGXFSZ: signal.SIG_IGN,
    }
    for signum in _SIGNALS:
        wanted = kept.get(signum, signal.SIG_DFL)
        if signal.getsignal(signum) != wanted:
            signal.signal(signum, wanted)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _die_with(creator_pid: int) -> None:
    """End with the process that made this one: the orchestrator, or its forkserver."""
    set_parent_death_signal(signal.SIGKILL)
    if os.getppid() != creator_pid:
        os.kill(os.getpid(), signal.SIGKILL)


def _forget_parent(launch: Launch) -> None:
    """Close the parent's descriptors, and keep its objects from closing ours in their stead.

    The copies of its sockets and files still believe in their numbers; frozen, the collector never
    finalises them.
    """
    gc.freeze()
    ours = (launch.channel, launch.log, launch.stdout, launch.stderr, launch.cell, launch.stacks)
    keep = {handed.fd for handed in ours if handed is not None}
    if (parent := multiprocessing.parent_process()) is not None:
        keep.add(parent.sentinel)
    # The tracker serves the whole family; the forkserver answers to the process that made it.
    tracker: Any = resource_tracker
    if tracker._resource_tracker._fd is not None:
        keep.add(tracker._resource_tracker._fd)
    server: Any = forkserver
    server._forkserver.__init__()
    low = 3
    for fd in (*sorted(keep), _highest_fd() + 1):
        os.closerange(low, fd)
        low = fd + 1


def _own_exit_functions(launch: Launch) -> None:
    """Register what Python's own modules do at its end, and nothing that another process has.

    They did so when they were imported: in the parent, whose exit functions, finalizers and log
    handlers are its own; or in the forkserver, where multiprocessing forgets it (Python 3.13). The
    modules that the forkserver has imported for its workers keep theirs.
    """
    finalize: Any = weakref.finalize
    multiprocess: Any = util
    end = multiprocess._exit_function
    if launch.forked:
        atexit._clear()
        finalize._registry.clear()
        logging._handlerList.clear()  # type: ignore[attr-defined]
    for function in (end, finalize._exitfunc, logging.shutdown):
        atexit.unregister(function)
    atexit.register(logging.shutdown)
    atexit.register(finalize._exitfunc)
    atexit.register(end)
    finalize._registered_with_atexit = True


def _highest_fd() -> int:
    with contextlib.suppress(FileNotFoundError):
        return max(int(name) for name in os.listdir("/proc/self/fd"))  # noqa: PTH208 -- names
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def _redirect(stdout: Handed, stderr: Handed, key: str) -> None:
    """Put /dev/null on 0 and the capture pipes on 1 and 2; write each line at once."""
    null = os.open(os.devnull, os.O_RDONLY)
    for fd, target in ((null, 0), (stdout.fd, 1), (stderr.fd, 2)):
        os.dup2(fd, target)
        if fd != target:
            os.close(fd)
    streams: Any = sys  # whose dunder names are final to a type checker
    streams.stdin = streams.__stdin__ = open(0, closefd=False)  # noqa: SIM115 -- as below
    console = Console(key)
    streams.stdout = streams.__stdout__ = _line_writer(1, console)
    streams.stderr = streams.__stderr__ = _line_writer(2, console)
    line_buffer_c_stdio()
    # A number of its own: the target may close 2.
    faulthandler.enable(fcntl.fcntl(2, fcntl.F_DUPFD_CLOEXEC, FIRST_PRIVATE_FD))


def _line_writer(fd: int, console: Console) -> TextIO:
    buffer = io.BufferedWriter(MarkedFile(fd, console))
    writer = io.TextIOWrapper(buffer, "utf-8", "backslashreplace", line_buffering=True)
    vars(writer)["mode"] = "w"  # as `open` does
    return writer


def _private(launch: Launch) -> tuple[socket.socket, socket.socket, mmap.mmap]:
    """Have our descriptors out of the target's way, too; those that came stay open."""
    channel, log = (socket.socket(fileno=_moved(handed)) for handed in (launch.channel, launch.log))
    with low_numbers_taken():  # a mapping keeps a duplicate of its descriptor, wherever it fits
        cell = mmap.mmap(launch.cell.fd, mmap.PAGESIZE)
    return channel, log, cell


def _moved(handed: Handed) -> int:
    return fcntl.fcntl(handed.fd, fcntl.F_DUPFD_CLOEXEC, FIRST_PRIVATE_FD)


def _close_on_exec() -> None:
    """Keep multiprocessing's own descriptors, which arrive inheritable, out of other programs."""
    with contextlib.suppress(FileNotFoundError):
        for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 -- names
            with contextlib.suppress(OSError):  # the listing's own descriptor is closed by now
                if int(name) > 2:
                    os.set_inheritable(int(name), False)


def enter_surroundings(
    worker: str,
    env: Iterable[tuple[str, str | None]],
    cwd: str | None,
    pythonpath: Iterable[str],
) -> None:
    """Called in the child. Apply a job's environment, directory and import path.

    Raises SurroundingsError, which ends the process with a word on standard error, if the directory
    cannot be entered, or the system cannot be handed a variable.
    """
    try:
        _set_environment(env)
        if cwd is not None:
            os.chdir(cwd)
    except (OSError, UnicodeEncodeError) as error:
        reason = (
            f"{error.strerror}: cwd {cwd!r}" if isinstance(error, OSError) else _unfit_in(error)
        )
        raise SurroundingsError(worker, reason) from None
    theirs = [entry for entry in pythonpath if not unfit(entry)]
    sys.path[:] = theirs + [entry for entry in sys.path if entry not in theirs]


def _unfit_in(error: UnicodeEncodeError) -> str:
    text = error.object
    return f"{text!a} has {unfit(text)} (hint: {HINT})"


def _unfit_variable(name: str, value: str | None) -> str:
    return unfit(name) or unfit(value or "")


def _set_environment(env: Iterable[tuple[str, str | None]]) -> None:
    before = os.environ.get("TZ")
    for name, value in env:
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    if os.environ.get("TZ") != before:
        time.tzset()
