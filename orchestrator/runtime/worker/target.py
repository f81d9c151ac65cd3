"""From a target's name to what is called for each item.

Called in the child.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from orchestrator.core.messages import Failure
from orchestrator.plan.model import JobPlan, Target
from orchestrator.runtime.worker.failure import describe

__all__ = ["TargetFailedError", "bind", "load"]


class TargetFailedError(Exception):
    """The target cannot be found, imported or constructed; `failure` says why."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


def load(target: Target) -> Any:
    """The function or class itself.

    Raises TargetFailedError, with what the user's import raised.
    """
    try:
        found: Any = importlib.import_module(target.module)
    except BaseException as error:
        raise TargetFailedError(describe(error)) from error
    for name in target.qualname.split("."):
        try:
            found = getattr(found, name)
        except AttributeError as error:
            raise TargetFailedError(describe(error)) from error
    if not callable(found):
        message = f"{target} is a {type(found).__name__}: it cannot be called"
        raise TargetFailedError(Failure(kind="TypeError", message=message))
    return found


def bind(found: Any, job: JobPlan, handles: dict[str, Any], stack: ExitStack) -> Callable[..., Any]:
    """What is called with the item, the batch or the iterator (or nothing, if it is called once).

    A function gets args and kwargs with each call. A class is constructed with them once, entered
    as a context manager if it is one, and called; a class that cannot be called is its own task.
    """
    args, kwargs = tuple(job.args), dict(job.kwargs)
    if not inspect.isclass(found):
        if not (args or kwargs or handles):
            function: Callable[..., Any] = found
            return function
        return lambda *item: found(*item, *args, **kwargs, **handles)
    made: Any = found(*args, **kwargs)
    if hasattr(type(made), "__enter__") and hasattr(type(made), "__exit__"):
        made = stack.enter_context(made)
    if not callable(made):
        message = f"{job.target} makes a {type(made).__name__}, which cannot be called with items"
        raise TargetFailedError(Failure(kind="TypeError", message=message))
    called: Callable[..., Any] = made
    if not handles:
        return called
    return lambda *item: called(*item, **handles)
