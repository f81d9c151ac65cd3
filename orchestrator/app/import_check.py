"""Imports the targets of a plan in processes of their own, and tells what speaks against them."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from inspect import Signature
from typing import TypeAlias

from orchestrator.core.protocol.messages import Failure
from orchestrator.errors import Problem, Rule
from orchestrator.plan.calls import Call, slips
from orchestrator.plan.checks.calls import CalledAs
from orchestrator.plan.command import Command
from orchestrator.plan.model import JobPlan, Plan, Target
from orchestrator.plan.resolved_spec import ResolvedJob, ResolvedSpec, draft_of
from orchestrator.plan.start_vars import without_late
from orchestrator.spec import LoadedSpec, rules
from orchestrator.spec.wording import show
from orchestrator.targets.probing.looked import Looked, Parameter, Probe
from orchestrator.targets.probing.probe import probe

__all__ = ["import_problems"]

_KINDS = {int(kind): kind for kind in inspect._ParameterKind}


def import_problems(spec: LoadedSpec, plan: Plan, *, timeout_s: float) -> Iterator[Problem]:
    """Called in the parent: yield what is found once each target of `plan` is imported.

    Modules are imported one after the other, each as the workers of its jobs would, and each for at
    most `timeout_s`, or the time that the job gives a worker to start. A module that fails is told
    at the first job that names it.
    """
    draft = draft_of(spec)
    for targets in _alike(plan):
        probed = probe(_order(plan, targets, timeout_s))
        first, module = draft.jobs[targets[0][0].name], targets[0][1].module
        if printed := probed.output.strip():
            message = f"importing {module} prints {show(printed.splitlines()[0])}"
            hint = 'keep it for `if __name__ == "__main__":`, or log it'
            yield spec.problem(rules.IMPORT_PRINTS, first.path("target"), message, hint)
        if probed.report.failure is not None:
            yield _failure(draft, first, module, probed.report.failure)
            continue
        for job, target in targets:
            looked = probed.report.looked.get(target.qualname)
            if looked is not None:
                yield from _target_problems(draft, draft.jobs[job.name], target, looked)


_Imported: TypeAlias = tuple[JobPlan, Target]


def _alike(plan: Plan) -> list[list[_Imported]]:
    """Return the jobs by what their workers import, and in what surroundings."""
    groups: dict[object, list[_Imported]] = {}
    for written in plan.jobs.values():
        job = without_late(written, plan.project_dir)
        if not isinstance(target := job.target, Command):
            key = (target.module, job.env, job.cwd, job.limits)
            groups.setdefault(key, []).append((job, target))
    return list(groups.values())


def _order(plan: Plan, targets: Sequence[_Imported], timeout_s: float) -> Probe:
    job = targets[0][0]
    limits = (each.timeouts.start_s for each, _ in targets)
    return Probe(
        targets=tuple(dict.fromkeys(target for _, target in targets)),
        project_dir=plan.project_dir,
        pythonpath=plan.pythonpath,
        env=job.env,
        cwd=job.cwd,
        limits=job.limits,
        timeout_s=min([timeout_s, *(limit for limit in limits if limit is not None)]),
    )


def _failure(draft: ResolvedSpec, job: ResolvedJob, module: str, failure: Failure) -> Problem:
    """Tell of an import that failed; an exception has a place, the end of a process words."""
    message = f"importing {module} {failure.message}"
    hint = "mend the module: each worker imports it"
    if failure.kind == "begin":
        hint = "mend the job: each worker begins so"
    elif failure.kind not in ("death", "exit", "timeout"):
        where = f" ({failure.where})" if failure.where else ""
        text = f": {failure.message}" if failure.message else ""
        message = f"importing {module} raises {failure.kind}{text}{where}"
    return draft.spec.problem(
        rules.IMPORT_FAILS,
        job.path("target"),
        message,
        hint,
        traceback=failure.traceback,
    )


def _target_problems(
    draft: ResolvedSpec, job: ResolvedJob, target: Target, looked: Looked
) -> Iterator[Problem]:
    problem, path = draft.spec.problem, job.path("target")
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
    yield from _misfits(draft, job, name, looked)


def _misfits(draft: ResolvedSpec, job: ResolvedJob, name: str, looked: Looked) -> Iterator[Problem]:
    as_called, place = CalledAs(job), looked.place
    if looked.is_run:
        yield from _slips(draft, (f"{name}.__init__", place), looked.make, as_called.process())
        yield from _slips(draft, (f"{name}.run", place), looked.call, as_called.run())
        return
    if looked.is_class:
        yield from _slips(draft, (f"{name}.__init__", place), looked.make, as_called.making())
        yield from _slips(draft, (f"{name}.__call__", place), looked.call, as_called.made())
        return
    call = as_called.function()
    own = list(_slips(draft, (name, place), looked.call, call))
    yield from own or _slips(draft, (name, place), looked.stated, call, instead=rules.WRAPPED_CALL)


def _slips(
    draft: ResolvedSpec,
    told: tuple[str, str],
    parameters: tuple[Parameter, ...] | None,
    call: Call,
    *,
    instead: Rule | None = None,
) -> Iterator[Problem]:
    """Yield what does not fit as problems of its rule, or of another one `instead`.

    `told` is what is called, and where it is written.
    """
    if parameters is None:
        return
    for slip in slips(*told, _signature(parameters), call):
        rule = instead or slip.rule
        yield draft.spec.problem(rule, slip.path, slip.message, slip.hint, key=slip.key)


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
