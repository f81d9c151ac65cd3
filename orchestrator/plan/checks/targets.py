"""The rules on targets: each can be found, and called as its job calls it, told from text alone."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.errors import Problem
from orchestrator.plan.callees import Callee, CalleePart, Callees
from orchestrator.plan.calls import Call, slips
from orchestrator.plan.checks.branches import joined_branches
from orchestrator.plan.checks.calls import CalledAs
from orchestrator.plan.checks.results import disagreements, result_problems
from orchestrator.plan.resolved_spec import ResolvedJob, ResolvedSpec
from orchestrator.plan.targets import TargetFormError, Targets, parse_target
from orchestrator.spec import rules

__all__ = ["check_targets"]


def check_targets(draft: ResolvedSpec) -> Iterator[Problem]:
    """Every target is there, can be called, and is called with what it takes."""
    spec = draft.spec
    targets = Targets([str(spec.project_dir / entry) for entry in spec.document.pythonpath])
    callees = Callees(targets)
    found: dict[str, Callee] = {}
    for job in draft.jobs.values():
        if "target" not in job.own.model_fields_set:
            continue
        path = job.path("target")
        try:
            target = parse_target(job.own.target)
        except TargetFormError as error:
            yield spec.problem(rules.BAD_TARGET, path, str(error), error.hint)
            continue
        flaw = targets.flaw(target)
        if flaw is not None:
            yield spec.problem(flaw.rule, path, flaw.message, flaw.hint)
        elif job.name not in draft.broken and (callee := callees.find(target)) is not None:
            found[job.name] = callee
    for name, callee in found.items():
        yield from _call_problems(draft, draft.jobs[name], callee)
    yield from disagreements(draft, found)
    yield from joined_branches(draft, found)


def _call_problems(draft: ResolvedSpec, job: ResolvedJob, callee: Callee) -> Iterator[Problem]:
    """Tell why a target cannot be called by its job, and what is wrong with its results."""
    as_called = CalledAs(job)
    name = callee.name
    if callee.is_run:
        yield from _misfits(draft, f"{name}.__init__", callee.make, as_called.process())
        yield from _misfits(draft, f"{name}.run", callee.call, as_called.run())
    elif callee.is_class:
        yield from _misfits(draft, f"{name}.__init__", callee.make, as_called.making())
        yield from _misfits(draft, f"{name}.__call__", callee.call, as_called.made())
    else:
        yield from _misfits(draft, name, callee.call, as_called.function())
    path = job.path("target")
    if callee.is_never_called:
        yield draft.spec.problem(
            rules.NOT_CALLABLE,
            path,
            f"what the class {name} ({callee.place}) makes cannot be called",
            "write def __call__, or name a function",
        )
    results = callee.call.results if callee.call is not None else None
    if callee.call is None or results is None:
        return
    if results.is_coroutine:
        yield draft.spec.problem(
            rules.COROUTINE,
            path,
            f"{name} ({callee.call.place}) is a coroutine function",
            "give a plain function; it may call asyncio.run itself",
        )
    else:
        yield from result_problems(draft, job, f"{name} ({callee.call.place})", results)


def _misfits(
    draft: ResolvedSpec, name: str, part: CalleePart | None, call: Call
) -> Iterator[Problem]:
    if part is None:
        return
    for slip in slips(name, part.place, part.signature, call):
        yield draft.spec.problem(slip.rule, slip.path, slip.message, slip.hint, key=slip.key)
