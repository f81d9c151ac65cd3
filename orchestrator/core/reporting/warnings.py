"""Warnings about a run that has ended: results that its user may not have meant, in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from orchestrator.core.broker.queue import QueueState
from orchestrator.core.protocol.notifications import Warned
from orchestrator.core.reporting.summary import JobSummary
from orchestrator.core.supervisor.transitions import State
from orchestrator.plan.model import Command, Plan

__all__ = ["warnings_of"]

_BECAME = {
    State.SUCCEEDED.value: "returned early",
    State.FAILED.value: "failed",
    State.TIMED_OUT.value: "timed out",
}


def warnings_of(
    plan: Plan, jobs: Mapping[str, JobSummary], queues: Mapping[str, QueueState]
) -> tuple[Warned, ...]:
    """Return warnings about what was lost without a failure: items dropped, and none emitted."""
    return (*_dropped(plan, jobs, queues), *_silent(plan, jobs, queues))


def _dropped(
    plan: Plan, jobs: Mapping[str, JobSummary], queues: Mapping[str, QueueState]
) -> Iterator[Warned]:
    """Name the readers of a queue that ended before they had taken all of it."""
    for name, queue in queues.items():
        if queue.policy.dropped:
            how = f"it was full (when_full: {queue.policy.when_full.value})"
            yield Warned(
                message=f"queue {name}: {_items(queue.policy.dropped)} dropped: {how}", queue=name
            )
        gone = queue.dropped - queue.policy.dropped
        if not gone:
            continue
        if queue.policy.unread:
            why = "no job that reads it was chosen"
            yield Warned(message=f"queue {name}: {_items(gone)} dropped: {why}", queue=name)
            continue
        ends = [f"{reader} {_became(jobs[reader])}" for reader in plan.queues[name].readers]
        who = "its reader" if len(ends) == 1 else "its readers ended:"
        message = f"queue {name}: {_items(gone)} dropped: {who} {', '.join(ends)}"
        yield Warned(message=message, queue=name)


def _silent(
    plan: Plan, jobs: Mapping[str, JobSummary], queues: Mapping[str, QueueState]
) -> Iterator[Warned]:
    """Name a function that took items and emitted none, though somebody would have taken them.

    A command is not named: a filter may let nothing through.
    """
    for name, job in jobs.items():
        if isinstance(plan.jobs[name].target, Command):
            continue
        outputs = plan.jobs[name].outputs
        emits = plan.jobs[name].inputs and outputs and job.status == State.SUCCEEDED.value
        finished = job.items_in - job.skipped - job.failed - job.dead
        if emits and finished > 0 and not job.items_out:
            if any(queues[output].closed for output in outputs):
                continue  # what it may have emitted found nobody to take it
            took = f"job {name} took {_items(job.items_in)} and emitted none"
            yield Warned(message=f"{took}: is a `return` missing?", job=name)


def _became(job: JobSummary) -> str:
    return _BECAME.get(job.status, f"was {job.status}")


def _items(n: int) -> str:
    return f"{n:,} item{'' if n == 1 else 's'}"
