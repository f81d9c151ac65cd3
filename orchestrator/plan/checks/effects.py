"""Rules on keys that are valid and without effect: beside another key, or as a default."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from orchestrator.errors import Problem
from orchestrator.plan.checks.shapes import FITS
from orchestrator.plan.model import Shape
from orchestrator.plan.resolved_spec import ResolvedJob, ResolvedSpec
from orchestrator.spec import rules
from orchestrator.spec.model import JobSettings
from orchestrator.spec.yaml.nodes import Path

__all__ = ["RULES"]

_EVERY = frozenset(Shape)


class _Void(NamedTuple):
    """A key that has no effect on jobs of which `why` gives a reason, and what to do then."""

    keys: tuple[str, ...]
    why: Callable[[ResolvedJob], str]
    hint: str


def _tried_once(job: ResolvedJob) -> str:
    once = job.settings.retry.attempts == 1
    return f"{job.name} tries each item once" if once else ""


def _not_replaced(job: ResolvedJob) -> str:
    return f"{job.name} replaces no worker: max is 0" if not job.settings.restart.max else ""


def _alone(job: ResolvedJob) -> str:
    alone = job.settings.batch.size == 1
    return f"a batch of {job.name} has one item and waits for no other" if alone else ""


def _runs_programs(job: ResolvedJob) -> str:
    program = f"it is the worker that is measured, not the program that {job.name} starts each time"
    return program if job.runs_command else ""


_VOID = (
    _Void(("retry", "backoff"), _tried_once, "write attempts: 2 or more, or remove backoff"),
    _Void(("restart", "within"), _not_replaced, "write max: 1 or more, or remove within"),
    _Void(("restart", "replay"), _not_replaced, "write max: 1 or more, or remove replay"),
    _Void(("batch", "within"), _alone, "write size: 2 or more, or remove within"),
    _Void(("recycle", "max_rss"), _runs_programs, "remove max_rss; limits.memory is the program's"),
)


def void_key(draft: ResolvedSpec) -> Iterator[Problem]:
    """A key has an effect beside the others of its job; pointed out where not."""
    for void in _VOID:
        fitting = [job for job in draft.jobs.values() if _fits(job, void.keys)]
        for job in fitting:
            if _is_written(job.own, void.keys) and (why := void.why(job)):
                yield _without_effect(draft, job.path(*void.keys), void, why)
        defaults = draft.spec.document.defaults
        if draft.broken or not (fitting and _is_written(defaults, void.keys)):
            continue
        whys = [void.why(job) for job in fitting]
        if all(whys):
            yield _without_effect(draft, ("defaults", *void.keys), void, whys[0])


def _without_effect(draft: ResolvedSpec, path: Path, void: _Void, why: str) -> Problem:
    message = f"{'.'.join(void.keys)} has no effect: {why}"
    return draft.spec.problem(rules.VOID_KEY, path, message, void.hint, key=True)


def idle_default(draft: ResolvedSpec) -> Iterator[Problem]:
    """A default fits the shape of a job; pointed out where it fits none."""
    jobs = [*draft.jobs.values(), *draft.disabled.values()]
    if draft.broken or not jobs:
        return
    defaults = draft.spec.document.defaults
    for keys in FITS:
        if _is_written(defaults, keys) and not any(_fits(job, keys) for job in jobs):
            key = ".".join(keys)
            message = f"{key} fits no job of this spec"
            hint = f"remove {key}, or give it to a job that it fits"
            path = ("defaults", *keys)
            yield draft.spec.problem(rules.IDLE_DEFAULT, path, message, hint, key=True)


def _fits(job: ResolvedJob, keys: tuple[str, ...]) -> bool:
    """True if a key fits the shape of the job, and those that it is a part of."""
    return all(job.shape in FITS.get(keys[: n + 1], _EVERY) for n in range(len(keys)))


def _is_written(settings: JobSettings, keys: tuple[str, ...]) -> bool:
    part = settings
    for key in keys[:-1]:
        if key not in part.model_fields_set:
            return False
        part = getattr(part, key)
    return keys[-1] in part.model_fields_set


RULES = (void_key, idle_default)
