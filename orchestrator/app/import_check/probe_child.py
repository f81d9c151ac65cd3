"""The process in which targets are imported and looked at.

Called in the child of a keeper: set up as a worker is, but for its standard streams, and without
queues.
"""

from __future__ import annotations

import faulthandler
import inspect
import os
import pickle
import resource
import sys
from types import FunctionType
from typing import Any, NoReturn

import msgspec

from orchestrator.app.import_check.imported import Looked, Parameter, Probe, ProbeReport
from orchestrator.core.protocol.messages import Failure
from orchestrator.engine.node.child import SurroundingsError, enter_surroundings
from orchestrator.engine.node.keeper import answer_once
from orchestrator.worker import target
from orchestrator.worker.process import apply_limits

__all__ = ["main"]


def main(order: bytes, answer: int, trace: int) -> NoReturn:
    """Write the report of a probe to the file `answer`, and a crash to `trace`.

    Ends the process at once: threads and exit handlers of the module are not waited for.
    """
    os.setsid()  # a group of its own, as a worker has: what it does to that is not the keeper's
    probe = msgspec.msgpack.decode(order, type=Probe)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    module = probe.targets[0].module
    try:
        enter_surroundings(module, probe.env, probe.cwd, probe.pythonpath)
    except SurroundingsError as error:
        failure = Failure(kind="begin", message=f"cannot begin: {error}")
        os.write(answer, msgspec.json.encode(ProbeReport(failure=failure)))
        os._exit(0)
    apply_limits(probe.limits)
    faulthandler.enable(trace)
    faulthandler.dump_traceback_later(probe.timeout_s, exit=True, file=trace)
    report = _report(probe)
    faulthandler.cancel_dump_traceback_later()
    os.write(answer, msgspec.json.encode(report))
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (AttributeError, OSError, ValueError):
            continue  # the module has closed or replaced it
    os._exit(0)


def _report(probe: Probe) -> ProbeReport:
    roots = (*probe.pythonpath, probe.project_dir)
    looked: dict[str, Looked] = {}
    for each in probe.targets:
        try:
            found = target.load(each, roots)
        except target.TargetFailedError as error:
            if each.module not in sys.modules:
                return ProbeReport(failure=error.failure)
            is_missing = isinstance(error.__cause__, AttributeError)
            looked[each.qualname] = Looked(failure=error.failure, is_missing=is_missing)
        else:
            looked[each.qualname] = _look_at(found)
    return ProbeReport(looked=looked)


def _look_at(found: Any) -> Looked:
    place, unpicklable = target.place_of(found), _unpicklable(found)
    if not inspect.isclass(found):
        return Looked(
            place=place,
            unpicklable=unpicklable,
            is_coroutine=_is_coroutine(found),
            call=_parameters(found),
            stated=_parameters(found, follow=True) if hasattr(found, "__wrapped__") else None,
        )
    methods: dict[str, Any] = {}
    for kind in reversed(found.__mro__):
        methods |= vars(kind)
    is_run = target.is_run(found)
    method = None if "__enter__" in methods else methods.get("run" if is_run else "__call__")
    return Looked(
        place=place,
        unpicklable=unpicklable,
        is_class=True,
        is_coroutine=_is_coroutine(method),
        is_never_called=not is_run and not {"__call__", "__enter__"} & methods.keys(),
        is_run=is_run,
        make=_parameters(found),
        call=_parameters(method, bound=True) if isinstance(method, FunctionType) else None,
    )


def _is_coroutine(found: object) -> bool:
    return inspect.iscoroutinefunction(found) or inspect.isasyncgenfunction(found)


def _parameters(
    found: Any, *, follow: bool = False, bound: bool = False
) -> tuple[Parameter, ...] | None:
    """Return the signature by `inspect`, without `self` if `bound`; None if it cannot tell."""
    try:
        known = inspect.signature(found, follow_wrapped=follow or inspect.isclass(found))
    except Exception:  # noqa: BLE001 -- a signature may be made by the user's code
        return None
    told = [
        Parameter(name=each.name, kind=int(each.kind), has_default=each.default is not each.empty)
        for each in known.parameters.values()
    ]
    if bound and not (told and told[0].kind <= inspect.Parameter.VAR_POSITIONAL):
        return None
    skips = bound and told[0].kind != inspect.Parameter.VAR_POSITIONAL
    return tuple(told[1:] if skips else told)


def _unpicklable(found: Any) -> str:
    """Return why another process could not be sent the target by its name; nothing if it could.

    Only functions and classes are pickled by their names.
    """
    if not isinstance(found, FunctionType | type):
        return ""
    try:
        pickle.dumps(found)
    except Exception as error:  # noqa: BLE001 -- what pickle raises is told
        return str(error) or type(error).__name__
    return ""


if __name__ == "__main__":
    answer_once(main)
