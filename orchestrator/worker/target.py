"""Targets: from a name to what is called for each item, and from its results to items.

Called in the child. The table of results is in docs/spec.md.
"""

from __future__ import annotations

import importlib
import inspect
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from multiprocessing import process
from multiprocessing.process import BaseProcess
from types import AsyncGeneratorType, CoroutineType, GeneratorType, TracebackType
from typing import Any

from orchestrator.core.protocol.messages import Failure
from orchestrator.plan.model import Command, JobPlan, Shape, Target
from orchestrator.worker.failure import describe
from orchestrator.worker.stopping import StopRequested

__all__ = [
    "SPECIAL",
    "Entered",
    "TargetFailedError",
    "bind",
    "construct",
    "is_run",
    "items_of",
    "load",
    "place_of",
]


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
    if str(getattr(found, "__module__", "")).startswith("orchestrator."):
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


def construct(kind: Any, args: Sequence[Any], kwargs: Mapping[str, Any], entered: Entered) -> Any:
    """Make an object of a class; one that is a context manager is entered, and what that gives."""
    made: Any = kind(*args, **kwargs)
    if hasattr(type(made), "__enter__") and hasattr(type(made), "__exit__"):
        return entered.enter(made)
    return made


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
    made = construct(found, args, kwargs, entered)
    if not callable(made):
        message = f"{job.target} makes a {type(made).__name__}, which has no __call__"
        raise TargetFailedError(Failure(kind="TypeError", message=message, where=place_of(found)))
    called: Callable[..., Any] = made
    if not handles:
        return called
    return TargetCall(called, Hidden(), HiddenByName(handles))


SPECIAL = frozenset({GeneratorType, CoroutineType, AsyncGeneratorType})
"""Results of a function that has not run yet; anything else that an item gives is one item."""

_NOTHING: tuple[Any, ...] = ()


def items_of(result: Any, shape: Shape, *, emits: bool) -> Iterable[Any]:
    """The items a call has produced; raises TypeError for what cannot be meant.

    A job without outputs discards what it is given, but a generator is still run to its end: its
    body is the user's code.
    """
    if isinstance(result, GeneratorType):
        return result if emits else _run_through(result)
    if isinstance(result, CoroutineType | AsyncGeneratorType):
        if isinstance(result, CoroutineType):
            result.close()
        raise TypeError(
            "the target is a coroutine function; mporch calls plain functions"
            " (hint: wrap it, `def target(item): return asyncio.run(work(item))`)"
        )
    if not emits:
        return _NOTHING
    if shape is Shape.SOURCE:
        return _of_source(result)
    if result is None:
        return _NOTHING
    if shape is Shape.BATCH:
        if isinstance(result, list):
            return result
        raise TypeError(
            f"a batch target gives back None, a list or a generator, not {type(result).__name__}"
        )
    return (result,)


def _of_source(result: Any) -> Iterable[Any]:
    if result is None:
        raise TypeError("a source gives back its items, not None (is a `return` missing?)")
    if isinstance(result, str | bytes | bytearray | Mapping) or not isinstance(result, Iterable):
        raise TypeError(
            f"a source gives back an iterable of items, not {type(result).__name__}"
            " (to emit it as one item, yield it)"
        )
    return result


def _run_through(generator: Iterator[Any]) -> Iterable[Any]:
    for _ in generator:
        pass
    return _NOTHING
