"""Imports the targets of a plan in processes of their own, and tells what speaks against them."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Sequence
from inspect import Signature

from orchestrator.app.import_check.imported import Looked, Parameter, Probe
from orchestrator.app.import_check.probe import probe
from orchestrator.core.protocol.messages import Failure
from orchestrator.errors import Problem, Rule
from orchestrator.plan.checks.targets import ImportedTarget
from orchestrator.spec import LoadedSpec, rules
from orchestrator.spec.wording import show
from orchestrator.spec.yaml.nodes import Path
from orchestrator.targets.callees import Callee, CalleePart
from orchestrator.targets.calls import misfits, slips

__all__ = ["import_problems"]

_KINDS = {int(kind): kind for kind in inspect._ParameterKind}


def import_problems(
    spec: LoadedSpec, wanted: Iterable[ImportedTarget], *, timeout_s: float
) -> Iterator[Problem]:
    """Called in the parent: yield what is found once each of these targets is imported.

    Modules are imported one after the other, each as the workers of its jobs would, and each for at
    most `timeout_s`, or the time that the job gives a worker to start. A module that fails is told
    at the first job that names it.
    """
    for alike in _alike(wanted):
        probed = probe(_order(alike, timeout_s))
        first, module = alike[0].path, alike[0].target.module
        if printed := probed.output.strip():
            message = f"importing {module} prints {show(printed.splitlines()[0])}"
            hint = 'keep it for `if __name__ == "__main__":`, or log it'
            yield spec.problem(rules.IMPORT_PRINTS, first, message, hint)
        if probed.report.failure is not None:
            yield _failure(spec, first, module, probed.report.failure)
            continue
        for each in alike:
            looked = probed.report.looked.get(each.target.qualname)
            if looked is not None:
                yield from _target_problems(spec, each, looked)


def _alike(wanted: Iterable[ImportedTarget]) -> list[list[ImportedTarget]]:
    """Return the targets by what their workers import, and in what surroundings."""
    groups: dict[object, list[ImportedTarget]] = {}
    for each in wanted:
        key = (each.target.module, each.env, each.cwd, each.limits)
        groups.setdefault(key, []).append(each)
    return list(groups.values())


def _order(alike: Sequence[ImportedTarget], timeout_s: float) -> Probe:
    first = alike[0]
    return Probe(
        targets=tuple(dict.fromkeys(each.target for each in alike)),
        project_dir=first.project_dir,
        pythonpath=first.pythonpath,
        env=first.env,
        cwd=first.cwd,
        limits=first.limits,
        timeout_s=min([timeout_s, *(each.start_s for each in alike if each.start_s is not None)]),
    )


def _failure(spec: LoadedSpec, path: Path, module: str, failure: Failure) -> Problem:
    """Tell of an import that failed; an exception has a place, the end of a process words."""
    message = f"importing {module} {failure.message}"
    hint = "mend the module: each worker imports it"
    if failure.kind == "begin":
        hint = "mend the job: each worker begins so"
    elif failure.kind not in ("death", "exit", "timeout"):
        where = f" ({failure.where})" if failure.where else ""
        text = f": {failure.message}" if failure.message else ""
        message = f"importing {module} raises {failure.kind}{text}{where}"
    return spec.problem(rules.IMPORT_FAILS, path, message, hint, traceback=failure.traceback)


def _target_problems(
    spec: LoadedSpec, imported: ImportedTarget, looked: Looked
) -> Iterator[Problem]:
    problem, path, target = spec.problem, imported.path, imported.target
    name = f"{target.module}.{target.qualname}"
    told = f"{name} ({looked.place})" if looked.place else name
    if looked.is_missing:
        hint = "its text has the name, but it is gone once the module is imported"
        yield problem(rules.NO_SUCH_NAME, path, f"{target.module} has no {target.qualname}", hint)
        return
    if looked.failure is not None:
        hint = "name a function or a class"
        yield problem(rules.NOT_CALLABLE, path, looked.failure.message, hint)
        return
    if looked.is_coroutine:
        hint = "give a plain function; it may call asyncio.run itself"
        yield problem(rules.COROUTINE, path, f"{told} is a coroutine function", hint)
    if looked.is_never_called:
        hint = "write def __call__, or name a function"
        message = f"what the class {told} makes cannot be called"
        yield problem(rules.NOT_CALLABLE, path, message, hint)
    if looked.unpicklable:
        message = f"{told} cannot be named by pickle: {looked.unpicklable}"
        hint = "if it is decorated, add functools.wraps to the decorator"
        yield problem(rules.NOT_BY_NAME, path, message, hint)
    yield from _misfits(spec, imported, name, looked)


def _misfits(
    spec: LoadedSpec, imported: ImportedTarget, name: str, looked: Looked
) -> Iterator[Problem]:
    """Tell what does not fit of a call, or else of what a decorator says it stands for."""
    callee = Callee(
        name=name,
        is_class=looked.is_class,
        is_run=looked.is_run,
        make=_part(looked.place, looked.make),
        call=_part(looked.place, looked.call),
    )
    instead: Rule | None = None
    found = list(misfits(callee, imported.calls))
    if not found and looked.stated is not None:
        stated, instead = _signature(looked.stated), rules.WRAPPED_CALL
        found = list(slips(name, looked.place, stated, imported.calls.function))
    for slip in found:
        rule = instead or slip.rule
        yield spec.problem(rule, slip.path, slip.message, slip.hint, key=slip.key)


def _part(place: str, parameters: Sequence[Parameter] | None) -> CalleePart | None:
    if parameters is None:
        return None
    return CalleePart(place=place, signature=_signature(parameters))


def _signature(parameters: Sequence[Parameter]) -> Signature:
    return Signature(
        [
            inspect.Parameter(
                each.name,
                _KINDS[each.kind],
                default=each.name if each.has_default else inspect.Parameter.empty,
            )
            for each in parameters
        ]
    )
