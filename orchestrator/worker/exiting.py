"""The end of a worker's interpreter: exit functions, open files and modules, as Python ends itself.

Called in the child. A process of `fork` or `forkserver` is left by `os._exit`, which does none of
it. Source: Py_FinalizeEx (pylifecycle.c), finalize_modules, and multiprocessing's `_bootstrap`.
"""

from __future__ import annotations

import _io
import atexit
import contextlib
import errno
import gc
import logging
import sys
import threading
import traceback
import weakref
from collections.abc import Callable
from types import FrameType, ModuleType
from typing import Any

from orchestrator.worker.failure import is_ours, text_of

__all__ = ["Exit", "ExitWatch"]

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
