"""Rules on jobs that keep the order of their input."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.errors import Problem
from orchestrator.plan.graph import readers_of
from orchestrator.plan.model import Shape, WhenFull
from orchestrator.plan.resolved_spec import ResolvedJob, ResolvedSpec
from orchestrator.spec import rules
from orchestrator.spec.parts import Queue
from orchestrator.spec.wording import listed

__all__ = ["RULES"]


def impossible_order(draft: ResolvedSpec) -> Iterator[Problem]:
    """An ordered job has one input of its own, and outputs that wait for room."""
    readers = readers_of(draft.jobs)
    for job in _ordered(draft):
        for message, hint in _obstacles(draft, job, readers):
            path = job.path("ordered")
            yield draft.spec.problem(rules.NO_ORDER, path, message, hint, key=True)


def _obstacles(
    draft: ResolvedSpec, job: ResolvedJob, readers: dict[str, list[str]]
) -> Iterator[tuple[str, str]]:
    if not job.writes and "ordered" in job.own.model_fields_set:
        yield f"{job.name} has no output that could be in order", "remove ordered"
    if len(job.reads) > 1:
        queues = listed([wire.queue for wire in job.reads], last="and")
        message = f"{queues} have no order in common that {job.name} could keep"
        yield message, "give it one input; several jobs may write to that"
    for wire in job.reads:
        others = [name for name in readers.get(wire.queue, ()) if name != job.name]
        if others:
            message = f"{job.name} does not get all items of {wire.queue}: {others[0]} reads it too"
            yield message, "give each a queue of its own"
    for wire in job.writes:
        queue = draft.spec.document.queues.get(wire.queue)
        if queue is not None and (impatient := _impatience(queue)):
            message = f"the queue {wire.queue} does not wait for a turn: it has {impatient}"
            yield message, f"remove {impatient} there, or ordered here"


def _impatience(queue: Queue) -> str:
    if queue.put_timeout is not None:
        return "put_timeout"
    return "when_full: fail" if queue.when_full is WhenFull.FAIL else ""


def narrow_window(draft: ResolvedSpec) -> Iterator[Problem]:
    """A window has a place for each worker: pointed out."""
    for job in _ordered(draft):
        ordered, workers = job.settings.ordered, job.settings.workers
        if ordered is None or ordered.window is None or ordered.window >= workers:
            continue
        message = f"of {workers} workers only {ordered.window} have a place in the window"
        path = job.path("ordered", "window")
        yield draft.spec.problem(rules.NARROW_WINDOW, path, message, f"write {workers} or more")


def _ordered(draft: ResolvedSpec) -> Iterator[ResolvedJob]:
    for job in draft.jobs.values():
        if job.name not in draft.broken and job.shape is Shape.ITEM and job.settings.ordered:
            yield job


RULES = (impossible_order, narrow_window)
