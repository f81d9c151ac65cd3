"""From a target's name to what is called for each item.

Called in the child.
"""

from __future__ import annotations

import importlib
import inspect
import threading
from collections.abc import Callable, Sequence
from multiprocessing import process
from multiprocessing.process import BaseProcess
from types import TracebackType
from typing import Any

from orchestrator.core.protocol.messages import Failure
from orchestrator.plan.model import Command, JobPlan, Target
from orchestrator.worker.failure import describe
from orchestrator.worker.stopping import StopRequested

__all__ = ["Entered", "TargetFailedError", "bind", "is_run", "load", "place_of"]


class TargetFailedError(Exception):
    """The target cannot be found, imported or constructed; `failure` says why."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


class Entered:
    """A `with` for the one context manager that its body enters, if it enters one.

    An ExitStack would set attributes of what `__exit__` raises, which a frozen exception refuses.
    """

    def __init__(self) -> None:
        self._manager: Any = None

    def enter(self, manager: Any) -> Any:
        """Enter it, and return what its `__enter__` gives."""
        entered = type(manager).__enter__(manager)
        self._manager = manager
        return entered

    def __enter__(self) -> Entered:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> bool:
        manager, self._manager = self._manager, None
        return manager is not None and bool(type(manager).__exit__(manager, kind, error, at))


def load(target: Target | Command, roots: Sequence[str]) -> Any:
    """The function or class itself; `roots` are the folders of the user's code.

    Raises TargetFailedError, with what the user's import raised.
    """
    if isinstance(target, Command):
        from orchestrator.worker.command import (  # noqa: PLC0415 -- most workers need none
            CommandCall,
        )

        return CommandCall
    try:
        found: Any = importlib.import_module(target.module)
    except StopRequested:
        raise
    except BaseException as error:
        raise TargetFailedError(describe(error, roots)) from error
    place = f"{getattr(found, '__file__', None) or target.module}:1"
    for name in target.qualname.split("."):
        try:
            found = getattr(found, name)
        except AttributeError as error:
            raise TargetFailedError(describe(error, roots, place)) from error
    if not callable(found):
        message = f"{target} is of type {type(found).__name__} and cannot be called"
        raise TargetFailedError(Failure(kind="TypeError", message=message, where=place))
    return found


def place_of(found: Any) -> str:
    """Return `file:line` of a function, or of a class's constructor; empty if unknown.

    That of a command is nowhere: what is called for it is mporch's own.
    """
    if str(getattr(found, "__module__", "")).startswith("orchestrator.ipc."):
        return ""
    for name in ("__wrapped__", "__code__", "__call__", "__init__"):
        called = getattr(found, name, None)
        code = called if name == "__code__" else getattr(called, "__code__", None)
        if code is not None:
            return f"{code.co_filename}:{code.co_firstlineno}"
    return ""


def is_run(found: Any) -> bool:
    """True if it is the class of a process or a thread, of which `run` is called."""
    if not (inspect.isclass(found) and issubclass(found, BaseProcess | threading.Thread)):
        return False
    return not any({"__call__", "__enter__"} & vars(each).keys() for each in found.__mro__)


def _run_of(made: Any) -> Callable[..., Any]:
    """The `run` of a process that is this one, whatever it is asked for: its pid, its name."""
    if isinstance(made, BaseProcess):
        process._current_process = made  # type: ignore[attr-defined]
    run: Callable[..., Any] = made.run
    return run


class Hidden(tuple[Any, ...]):
    """Positional arguments that no traceback shows: some loggers print the values of variables."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<{len(self)} arguments>"


class HiddenByName(dict[str, Any]):
    """The same by keyword."""

    def __repr__(self) -> str:
        return f"<{len(self)} arguments>"


class TargetCall:
    """A function with its arguments, called with the item in front of them; it shows no values."""

    __slots__ = ("_args", "_function", "_kwargs")

    def __init__(self, function: Callable[..., Any], args: Hidden, kwargs: HiddenByName) -> None:
        self._function = function
        self._args = args
        self._kwargs = kwargs

    def __call__(self, *item: Any) -> Any:
        """Call it."""
        return self._function(*item, *self._args, **self._kwargs)


def bind(found: Any, job: JobPlan, handles: dict[str, Any], entered: Entered) -> Callable[..., Any]:
    """Return what to call with the item, the batch or the iterator, or with nothing, once.

    A function gets args and kwargs with each call. A class is constructed with them once, entered
    as a context manager if it is one, and called. The class of a process or a thread is constructed
    with the handles, too, and its `run` is called here.
    """
    if isinstance(job.target, Command):
        command: Callable[..., Any] = entered.enter(found(job))
        return command
    args, kwargs = Hidden(job.args), HiddenByName(job.kwargs)
    if not inspect.isclass(found):
        if not (args or kwargs or handles):
            function: Callable[..., Any] = found
            return function
        return TargetCall(found, args, HiddenByName(kwargs | handles))
    if is_run(found):
        return _run_of(found(*args, **kwargs, **handles))
    made: Any = found(*args, **kwargs)
    if hasattr(type(made), "__enter__") and hasattr(type(made), "__exit__"):
        made = entered.enter(made)
    if not callable(made):
        message = f"{job.target} makes a {type(made).__name__}, which has no __call__"
        raise TargetFailedError(Failure(kind="TypeError", message=message, where=place_of(found)))
    called: Callable[..., Any] = made
    if not handles:
        return called
    return TargetCall(called, Hidden(), HiddenByName(handles))
