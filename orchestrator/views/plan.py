"""A plan as text: what will run, how it is wired, and which limits hold."""

from __future__ import annotations

import signal

from orchestrator.plan.model import AfterCondition, FailurePolicy, JobPlan, Plan, QueuePlan
from orchestrator.views.tables import Column, Paper, table
from orchestrator.views.text import Style, duration, escaped, number, paint

__all__ = ["render_plan"]

_QUEUES = (
    Column(title="queue"),
    Column(title="maxsize", right=True),
    Column(title="from"),
    Column(title="to"),
)


def render_plan(plan: Plan, paper: Paper) -> str:
    """Return the plan: its jobs with their wires and limits, then a table of its queues."""
    limit = f", at most {duration(plan.timeout_s)}" if plan.timeout_s else ""
    head = f"{paint(plan.name, Style.BOLD, colour=paper.colour)} ({escaped(plan.spec_path)}){limit}"
    parts = [f"{head}\n", "".join(_job(job, paper) for job in plan.jobs.values())]
    if plan.queues:
        parts.append(table(_QUEUES, map(_queue, plan.queues.values()), paper, indent=2))
    return "\n".join(parts)


def _job(job: JobPlan, paper: Paper) -> str:
    kind = f"{job.shape.value}, {job.workers} worker{'s' if job.workers > 1 else ''}"
    about = [
        kind + (", daemon" if job.daemon else ""),
        _wires("reads", job.inputs, job.read_handles),
        _wires("writes", job.outputs, job.write_handles),
        ("after " if job.after else "") + ", ".join(_after(*after) for after in job.after),
    ]
    name = paint(job.name, Style.CYAN, colour=paper.colour)
    lines = [f"{name}: {job.target}", f"  {'; '.join(filter(None, about))}", f"  {_limits(job)}"]
    if job.description:
        lines.insert(1, f"  {escaped(job.description)}")
    return "".join(f"  {line}\n" for line in lines)


def _queue(queue: QueuePlan) -> tuple[str, ...]:
    size = number(queue.maxsize) if queue.maxsize else "unbounded"
    return (queue.name, size, ", ".join(queue.writers), ", ".join(queue.readers))


def _wires(verb: str, queues: tuple[str, ...], handles: tuple[tuple[str, str], ...]) -> str:
    """Return the queues that mporch moves items of, then those given as handles to parameters."""
    wires = [*queues, *(f"{queue} (as {parameter})" for parameter, queue in handles)]
    return f"{verb} {', '.join(wires)}" if wires else ""


def _after(name: str, condition: AfterCondition) -> str:
    return name if condition is AfterCondition.SUCCEEDED else f"{name} {condition.value}"


def _limits(job: JobPlan) -> str:
    """Return how the job's workers are made and stopped, its time limits and its policies."""
    stop = f"{_signal(job.terminate.signal)}, SIGKILL after {duration(job.terminate.grace_s)}"
    told = [job.start_method.value, f"stop: {stop}"]
    timeouts = (
        ("start", job.timeouts.start_s),
        ("item", job.timeouts.item_s),
        ("run", job.timeouts.run_s),
        ("join", job.join_s),
    )
    told += [
        f"{name} within {duration(limit_s)}" for name, limit_s in timeouts if limit_s is not None
    ]
    if job.batch:
        told.append(f"batches of {job.batch.size} within {duration(job.batch.within_s)}")
    told += [f"{action.value} on {name}" for name, action in job.on_error.by_exception]
    if job.on_failure is not FailurePolicy.STOP:
        told.append(f"on failure: {job.on_failure.value}")
    return "; ".join(told)


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
