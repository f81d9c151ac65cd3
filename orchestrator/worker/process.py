"""The worker as a process: its resource limits, its forks, and the end of its interpreter.

Called in the child. A process that the target forks is no worker: what it has inherited of one is
taken away. It must neither speak on the worker's socket nor wait for the worker's lock, which a
thread that does not exist there may hold; it may log and print.

At the end exit functions are run, files flushed and modules dropped as Python does for itself: a
process of `fork` or `forkserver` is left by `os._exit`, which does none of it. Source:
Py_FinalizeEx (pylifecycle.c), finalize_modules, and multiprocessing's `_bootstrap`.
"""

from __future__ import annotations

import _io
import _thread
import atexit
import contextlib
import errno
import faulthandler
import fcntl
import functools
import gc
import logging
import operator
import os
import resource
import signal
import sys
import threading
import traceback
import types
import weakref
from collections.abc import Callable
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any, NoReturn

from orchestrator.core.protocol.messages import Worn
from orchestrator.errors import QueueError
from orchestrator.kernel.calls import FIRST_PRIVATE_FD
from orchestrator.plan.model import LimitsPlan, RecyclePlan
from orchestrator.worker.connection import Connection
from orchestrator.worker.errors import LinkClosedError
from orchestrator.worker.failure import is_ours, text_of
from orchestrator.worker.stopping import StopSignal

__all__ = ["Exit", "ExitWatch", "ForkedError", "Wear", "apply_limits", "disown_forks"]

_LOG = logging.getLogger("mporch")
_NOT_THEIRS = sys.stdlib_module_names | {"orchestrator"}


class Exit:
    """What is done at the end. Made before the first module of the target is imported."""

    def __init__(self) -> None:
        self._modules_before = frozenset(sys.modules)

    def run_functions(self, *, with_threads: bool = True) -> None:
        """Wait for threads, run exit functions in this, the main thread, and flush open files.

        What an exit function raises is printed on standard error, by Python. Only what this process
        has registered runs (`local/child.py`).
        """
        if with_threads:
            threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        for file in _files():
            self._flush(file)

    @staticmethod
    def _flush(file: Any) -> None:
        try:
            if not file.closed:
                file.flush()
        except ValueError:  # closed meanwhile, or what is below it was
            pass
        except BaseException as error:  # noqa: BLE001 - a class of the user's, or the disk is full
            _LOG.warning("a file that was left open could not be flushed: %s", text_of(error))

    def drop_modules(self) -> None:
        """Let go of the target's modules, so that what they hold is finalised: `__del__`, `close`.

        A daemon thread may still run in them. Python would freeze it; here it meets names that are
        None, which is no news to anybody.
        """
        threading.excepthook = lambda _: None
        sys.unraisablehook = _but_for_closed(sys.unraisablehook)
        theirs = []
        for name, module in list(sys.modules.items()):
            if name in self._modules_before or name.partition(".")[0] in _NOT_THEIRS:
                continue
            sys.modules[name] = None  # type: ignore[assignment]
            if issubclass(type(module), ModuleType):
                theirs.append(weakref.ref(module))
        module = None  # type: ignore[assignment]
        gc.collect()  # most go here, their names still whole
        for reference in reversed(theirs):
            if (left := reference()) is not None:
                _clear(vars(left))
        left = None
        gc.collect()


def _but_for_closed(
    hook: Callable[[sys.UnraisableHookArgs], object],
) -> Callable[[sys.UnraisableHookArgs], None]:
    """The hook for what Python drops, but for descriptors that are closed already.

    What goes together goes in any order: a Pool may find its own pipe gone.
    """

    def heard(dropped: sys.UnraisableHookArgs) -> None:
        error = dropped.exc_value
        if dropped.exc_type is not OSError or vars(OSError)["errno"].__get__(error) != errno.EBADF:
            hook(dropped)

    return heard


def _files() -> list[Any]:
    """The open files of this process; those it was forked with are frozen, and not among them."""
    try:
        return [found for found in gc.get_objects() if issubclass(type(found), _io._IOBase)]
    except MemoryError:
        _LOG.warning("no memory is left to look for open files: they are not flushed")
        return []


def _clear(names: dict[str, Any]) -> None:
    """Set private names to None, then all others."""
    for private in (True, False):
        for name in list(names):
            is_private = name.startswith("_") and not name.startswith("__")
            if name != "__builtins__" and (is_private or not private):
                names[name] = None


class ExitWatch(contextlib.AbstractContextManager[None]):
    """Calls `late`, in a thread, if the body takes longer than it may; then the body never ends.

    `late` is given where the main thread is, and must end the process. Where the system allows no
    more threads nobody watches: whoever waits for the process has a limit of his own.
    """

    def __init__(self, limit_s: float, late: Callable[[str], None]) -> None:
        self._limit_s = limit_s
        self._late = late
        self._over = threading.Event()
        self._first = threading.Lock()

    def __enter__(self) -> None:
        with contextlib.suppress(RuntimeError):
            threading.Thread(target=self._run, name="mporch-exit", daemon=True).start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        if not self._first.acquire(blocking=False):
            threading.Event().wait()

    def _run(self) -> None:
        if not self._over.wait(self._limit_s) and self._first.acquire(blocking=False):
            main = threading.main_thread().ident
            assert main is not None
            self._late(_place(sys._current_frames().get(main)))


def _place(frame: FrameType | None) -> str:
    """The innermost line that is not mporch's own."""
    for at, line in traceback.walk_stack(frame):
        if not is_ours(at.f_code.co_filename):
            return f"{at.f_code.co_filename}:{line}"
    return ""


class ForkedError(LinkClosedError, QueueError):
    """A process forked by a target has used a queue, or has come back from the target."""


class _NoLock:
    """Stands in for the connection's lock: whoever wants it is in the wrong process."""

    def __init__(self, worker: str) -> None:
        self._worker = worker

    def acquire(self) -> NoReturn:
        raise ForkedError(
            f"process {os.getpid()} was forked by the target of {self._worker}:"
            " queues can be used only in the worker's own process",
            hint="hand items to the child and back with a multiprocessing.Queue or Pipe of its own",
        )

    def release(self) -> None: ...

    def __enter__(self) -> NoReturn:
        self.acquire()

    def __exit__(self, *exc: object) -> None: ...


def disown_forks(worker: str, connection: Connection, stopper: StopSignal) -> None:
    """From now on, keep processes that the target forks off the worker's connection.

    The stop signal is held back over a fork: Python forgets what comes to the new process before
    its handlers are in order. A crash of such a process is printed: what it has inherited says only
    how the worker itself has ended.
    """
    printed = fcntl.fcntl(2, fcntl.F_DUPFD_CLOEXEC, FIRST_PRIVATE_FD)  # the target may close 2
    before = threading.local()
    then = types.SimpleNamespace(run=bool)

    def hold() -> None:
        stopper.mute()  # what is raised in a hook is dropped
        before.mask = signal.pthread_sigmask(signal.SIG_BLOCK, {stopper.signum})

    def restore() -> None:
        if (mask := before.__dict__.pop("mask", None)) is not None:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    def let_go() -> None:
        restore()
        if stopper.unmute():
            number: Any = stopper.signum
            then.run = functools.partial(_thread.interrupt_main, number)
        else:
            then.run = bool

    def disown() -> None:
        inherited: Any = connection.lock
        if not isinstance(inherited, _NoLock):  # a fork of a fork has nothing left to lose
            inherited._at_fork_reinit()
            nobodys: Any = _NoLock(worker)
            connection.lock = nobodys
            connection.link.close()
            stopper.disown(nobodys.acquire)
            if faulthandler.is_enabled():
                faulthandler.enable(printed)
        restore()

    os.register_at_fork(before=hold, after_in_parent=let_go, after_in_child=disown)
    # A hook without a frame of Python's: what it calls forth is raised where fork has been called.
    run = functools.partial(operator.methodcaller("run"), then)
    os.register_at_fork(after_in_parent=run)


_PAGE = resource.getpagesize()
_CPU_GRACE_S = 5
"""Seconds of processor time from SIGXCPU to the kernel's SIGKILL."""


def apply_limits(limits: LimitsPlan) -> None:
    """Have the kernel keep this process, and each that it starts, within the limits.

    What is lower already stays. Source: setrlimit(2).
    """
    if limits.memory_bytes is not None:
        _lower(resource.RLIMIT_AS, limits.memory_bytes, limits.memory_bytes)
    if limits.cpu_s is not None:
        soft = max(1, round(limits.cpu_s))
        _lower(resource.RLIMIT_CPU, soft, soft + _CPU_GRACE_S)
    if limits.open_files is not None:
        _lower(resource.RLIMIT_NOFILE, limits.open_files, limits.open_files)


def _lower(which: int, soft: int, hard: int) -> None:
    old = resource.getrlimit(which)
    new = [
        value if before == resource.RLIM_INFINITY else min(value, before)
        for value, before in zip((soft, hard), old, strict=True)
    ]
    resource.setrlimit(which, (min(new), new[1]))


class Wear:
    """Counts a worker's items, and looks at its memory between leases."""

    def __init__(self, recycle: RecyclePlan) -> None:
        self._recycle = recycle
        self._items = 0

    @property
    def items_left(self) -> int | None:
        """Return how many items it may still do; None if they are not counted."""
        most = self._recycle.max_items
        return None if most is None else max(0, most - self._items)

    def worn_by(self, items: int) -> Worn | None:
        """Return why a new process shall take this one's place after these items, if it shall."""
        self._items += items
        if self.items_left == 0:
            return Worn.ITEMS
        most = self._recycle.max_rss_bytes
        return Worn.MEMORY if most is not None and _rss_bytes() > most else None


def _rss_bytes() -> int:
    """Memory this process has in RAM. Source: proc(5), statm."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * _PAGE
