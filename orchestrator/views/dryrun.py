"""The jobs that a run would start, in order: for people, and as data."""

from __future__ import annotations

from typing import Any

from orchestrator.plan.model import AfterCondition, JobPlan, Plan, QueuePlan
from orchestrator.plan.select import in_starting_order
from orchestrator.views.tables import Column, Paper, table
from orchestrator.views.text import Style, escaped, number, paint

__all__ = ["dry_run_data", "render_dry_run"]

_JOBS = (
    Column(title="step", right=True),
    Column(title="job"),
    Column(title="workers", right=True),
    Column(title="called", rank=1),
    Column(title="reads", rank=3),
    Column(title="writes", rank=4),
    Column(title="after", rank=2),
)
_QUEUES = (
    Column(title="queue"),
    Column(title="holds", right=True),
    Column(title="from", rank=1),
    Column(title="to", rank=2),
)


def render_dry_run(plan: Plan, paper: Paper) -> str:
    """Return a table of jobs, in the order in which they would start, and one of queues."""
    name = paint(escaped(plan.name), Style.BOLD, colour=paper.colour)
    workers = sum(job.workers for job in plan.jobs.values())
    counts = ((len(plan.jobs), "job"), (workers, "worker"), (len(plan.queues), "queue"))
    told = ", ".join(f"{n} {word}{'' if n == 1 else 's'}" for n, word in counts)
    parts = [f"{name} ({escaped(plan.spec_path)}) would start {told}:\n"]
    rows = [_row(step, job) for step, job in in_starting_order(plan)]
    parts.append(table(_JOBS, rows, paper, indent=2))
    if plan.queues:
        queues = [
            (
                queue.name,
                _holds(queue),
                ", ".join(queue.writers),
                ", ".join(queue.readers) or "nobody: dropped",
            )
            for queue in plan.queues.values()
        ]
        parts.append(table(_QUEUES, queues, paper, indent=2))
    return "\n".join(parts)


def _holds(queue: QueuePlan) -> str:
    if not queue.readers:
        return "nothing"
    return number(queue.maxsize) if queue.maxsize else "unbounded"


def _row(step: int, job: JobPlan) -> tuple[str, ...]:
    waits = (
        name if state is AfterCondition.SUCCEEDED else f"{name} {state.value}"
        for name, state in job.after
    )
    return (
        str(step),
        job.name,
        str(job.workers),
        job.shape.value + (", daemon" if job.daemon else ""),
        ", ".join(job.reads),
        ", ".join(job.writes),
        ", ".join(waits),
    )


def dry_run_data(plan: Plan) -> dict[str, Any]:
    """Return the same for programs; workers by name."""
    return {
        "name": plan.name,
        "spec": plan.spec_path,
        "selection": plan.selection,
        "jobs": [
            {
                "step": step,
                "job": job.name,
                "target": str(job.target),
                "shape": job.shape,
                "daemon": job.daemon,
                "workers": [f"{job.name}-{n + 1}" for n in range(job.workers)],
                "reads": job.reads,
                "writes": job.writes,
                "after": dict(job.after),
            }
            for step, job in in_starting_order(plan)
        ],
        "queues": plan.queues,
    }
