"""A plan as text: what will run, how it is wired, and which limits hold."""

from __future__ import annotations

import signal

from orchestrator.plan.model import AfterCondition, FailurePolicy, JobPlan, Plan, QueuePlan
from orchestrator.views.tables import Column, Paper, table
from orchestrator.views.text import Style, duration, escaped, number, paint

__all__ = ["render_plan"]

_JOBS = (
    Column(title="job"),
    Column(title="shape"),
    Column(title="workers", right=True),
    Column(title="target", fold=True),
    Column(title="reads", fold=True),
    Column(title="writes", fold=True),
    Column(title="after", fold=True),
)
_QUEUES = (
    Column(title="queue"),
    Column(title="maxsize", right=True),
    Column(title="from", fold=True),
    Column(title="to", fold=True),
)
_LIMITS = (Column(title="job"), Column(title="limits and policies", fold=True))


def render_plan(plan: Plan, paper: Paper) -> str:
    """Return the plan as tables of jobs, queues, and limits."""
    limit = f", at most {duration(plan.timeout_s)}" if plan.timeout_s else ""
    head = f"{paint(plan.name, Style.BOLD, colour=paper.colour)} ({escaped(plan.spec_path)}){limit}"
    jobs = list(plan.jobs.values())
    parts = [f"{head}\n", table(_JOBS, map(_job, jobs), paper, indent=2)]
    if plan.queues:
        parts.append(table(_QUEUES, map(_queue, plan.queues.values()), paper, indent=2))
    limits = [(job.name, _limits(job)) for job in jobs]
    parts.append(table(_LIMITS, limits, paper, indent=2))
    return "\n".join(parts)


def _job(job: JobPlan) -> tuple[str, ...]:
    return (
        job.name,
        job.shape.value + (" (daemon)" if job.daemon else ""),
        str(job.workers),
        str(job.target),
        _wires(job.inputs, job.read_handles),
        _wires(job.outputs, job.write_handles),
        ", ".join(_after(name, condition) for name, condition in job.after),
    )


def _queue(queue: QueuePlan) -> tuple[str, ...]:
    size = number(queue.maxsize) if queue.maxsize else "unbounded"
    return (queue.name, size, ", ".join(queue.writers), ", ".join(queue.readers))


def _wires(queues: tuple[str, ...], handles: tuple[tuple[str, str], ...]) -> str:
    return ", ".join([*queues, *(f"{parameter}={queue}" for parameter, queue in handles)])


def _after(name: str, condition: AfterCondition) -> str:
    return name if condition is AfterCondition.SUCCEEDED else f"{name} {condition.value}"


def _limits(job: JobPlan) -> str:
    """Return what limits the job, beginning with how its workers are made and stopped."""
    stop = f"{_signal(job.terminate.signal)}, {duration(job.terminate.grace_s)} grace"
    told = [job.start_method.value, f"stopped by {stop}"]
    timeouts = (
        ("start", job.timeouts.start_s),
        ("item", job.timeouts.item_s),
        ("run", job.timeouts.run_s),
        ("join", job.join_s),
    )
    told += [f"{name} {duration(limit_s)}" for name, limit_s in timeouts if limit_s is not None]
    if job.batch:
        told.append(f"batches of {job.batch.size} within {duration(job.batch.within_s)}")
    told += [f"{name}: {action.value}" for name, action in job.on_error.by_exception]
    if job.on_failure is not FailurePolicy.STOP:
        told.append(f"on failure: {job.on_failure.value}")
    return ", ".join(told)


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
