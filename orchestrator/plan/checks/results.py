"""The rules on what targets give back, and on its types along a queue."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from inspect import Parameter

from orchestrator.errors import Problem
from orchestrator.plan.annotations import Types, contradict, elements_of, types_of
from orchestrator.plan.callees import Callee, CalleePart
from orchestrator.plan.model import Shape
from orchestrator.plan.resolved_spec import ResolvedJob, ResolvedSpec
from orchestrator.plan.results import Results
from orchestrator.spec import rules
from orchestrator.spec.wording import listed

__all__ = ["disagreements", "result_problems"]

_NO_SOURCE = frozenset(
    {
        "None",
        "bool",
        "bytes",
        "complex",
        "dict",
        "float",
        "function",
        "int",
        "str",
    }
)
_BATCH = frozenset({"None", "generator", "list"})
_POSITIONAL = (
    Parameter.POSITIONAL_ONLY,
    Parameter.POSITIONAL_OR_KEYWORD,
    Parameter.VAR_POSITIONAL,
)


def result_problems(
    draft: ResolvedSpec, job: ResolvedJob, told: str, results: Results
) -> Iterator[Problem]:
    """Tell of a result that the job cannot emit, or of none at all; `told` is what gives it."""
    emits = any(wire.parameter is None for wire in job.writes)
    if not emits or results.is_generator:
        return
    path = job.path("target")
    if results.is_nothing:
        if job.shape is Shape.SOURCE:
            message = f"{told} gives back None, but a source gives its items"
            hint = "yield each item, or return a list of them"
            yield draft.spec.problem(rules.BAD_RESULT, path, message, hint)
        else:
            message = f"{told} gives nothing back, so nothing is put on {_outputs(job)}"
            hint = "return what is to be emitted, or remove output"
            yield draft.spec.problem(rules.EMITS_NOTHING, path, message, hint)
        return
    types = results.types
    if job.shape is Shape.SOURCE and types and types <= _NO_SOURCE:
        message = f"{told} gives back {_one_of(types)}, but a source gives an iterable of items"
        hint = "yield each item, or return a list of them"
        yield draft.spec.problem(rules.BAD_RESULT, path, message, hint)
    elif job.shape is Shape.BATCH and types and not types & _BATCH:
        message = f"{told} gives back {_one_of(types)}, but a batch gives a list, or yields"
        yield draft.spec.problem(rules.BAD_RESULT, path, message, "return a list of items")


def disagreements(draft: ResolvedSpec, callees: Mapping[str, Callee]) -> Iterator[Problem]:
    """Tell of readers that take other types than the writers of their queue give."""
    gives: dict[str, list[tuple[str, CalleePart, Types]]] = {}
    for name, callee in callees.items():
        types = _given(draft.jobs[name], callee.call)
        if callee.call is None or types is None:
            continue
        for wire in draft.jobs[name].writes:
            gives.setdefault(wire.queue, []).append((callee.name, callee.call, types))
    for name, callee in callees.items():
        job, part = draft.jobs[name], callee.call
        taken = _taken(job, part)
        if part is None or taken is None:
            continue
        for wire in job.reads:
            for writer, written, types in gives.get(wire.queue, ()):
                if contradict(types, taken):
                    message = (
                        f"{writer} ({written.place}) gives {_annotated(types)}, but "
                        f"{callee.name} ({part.place}) takes {_annotated(taken)}"
                    )
                    hint = "change one of the annotations, or the wiring"
                    yield draft.spec.problem(rules.TYPES_DISAGREE, wire.path, message, hint)


def _given(job: ResolvedJob, part: CalleePart | None) -> Types:
    """Return the types of the items that a job puts on its outputs, as annotated."""
    if part is None or part.results is None or any(wire.parameter for wire in job.writes):
        return None
    annotation, bindings = part.signature.return_annotation, part.module.bindings
    if job.shape in (Shape.SOURCE, Shape.BATCH) or part.results.is_generator:
        return elements_of(annotation, bindings)
    types = types_of(annotation, bindings)
    return (types - {"None"}) or None if types is not None else None


def _taken(job: ResolvedJob, part: CalleePart | None) -> Types:
    """Return the types that a job takes items as."""
    if part is None:
        return None
    first = next(iter(part.signature.parameters.values()), None)
    if first is None or first.kind not in _POSITIONAL:
        return None
    if job.shape is Shape.ITEM:
        return types_of(first.annotation, part.module.bindings)
    if job.shape in (Shape.BATCH, Shape.STREAM):
        return elements_of(first.annotation, part.module.bindings)
    return None


def _outputs(job: ResolvedJob) -> str:
    return listed((wire.queue for wire in job.writes), last="and")


def _one_of(types: frozenset[str]) -> str:
    return listed(sorted(types))


def _annotated(types: Types) -> str:
    return " | ".join(sorted(types or ()))
