"""The queues and jobs of a plan, as the broker has them when the run begins."""

from __future__ import annotations

from orchestrator.core.broker.clients import JobState
from orchestrator.core.broker.queue import QueueState
from orchestrator.core.broker.ratelimit import RateLimiter
from orchestrator.core.broker.reorder import ReorderBuffer
from orchestrator.plan.model import Durability, JobPlan, Plan, QueuePlan, WhenFull

__all__ = ["patience_s", "states_of"]

_FAIL_S = 0.25
"""Until then all credit that other producers hold and do not use has come back."""
_OPEN = 16
"""Pulls, wants and leases at a time of a worker whose items mporch moves: more than it has."""
_OPEN_TO_THREADS = 1024
"""Those of a target with handles, which may use them from as many threads."""


def states_of(plan: Plan) -> tuple[list[QueueState], list[JobState]]:
    """Return the plan's queues, empty, and its jobs, in its order."""
    queues = {
        queue.name: _queue_of(queue, sum(plan.jobs[job].workers for job in queue.writers))
        for queue in plan.queues.values()
    }
    jobs = [_job_of(job, queues, plan.durability) for job in plan.jobs.values()]
    return list(queues.values()), jobs


def patience_s(queue: QueuePlan, producers: int) -> float | None:
    """Return how long a put may wait for room, None for ever; so many workers write the queue."""
    if queue.when_full is WhenFull.FAIL:
        return 0.0 if producers == 1 else _FAIL_S
    return queue.put_timeout_s


def _queue_of(plan: QueuePlan, producers: int) -> QueueState:
    """A queue's state at the start; so many workers write it."""
    return QueueState(
        plan.name,
        plan.maxsize,
        plan.writers,
        plan.readers,
        producers=producers,
        when_full=plan.when_full,
        max_bytes=plan.max_bytes,
        patience_s=patience_s(plan, producers),
        unread=not plan.readers,
    )


def _job_of(plan: JobPlan, queues: dict[str, QueueState], durability: Durability) -> JobState:
    return JobState(
        plan.name,
        [queues[name] for name in plan.reads],
        [queues[name] for name in plan.writes],
        retry=plan.retry,
        otherwise=plan.on_error.otherwise,
        by_item=not plan.shape.called_once,
        counted=plan.is_counted(durability),
        can_unblock=bool(plan.reads or plan.writes) or not plan.daemon,
        batch=plan.batch,
        most_open=_OPEN_TO_THREADS if plan.read_handles or plan.write_handles else _OPEN,
        reorder=ReorderBuffer(plan.ordered.window) if plan.ordered is not None else None,
        rate_limit=RateLimiter(plan.rate.interval_s, plan.rate.burst)
        if plan.rate is not None
        else None,
    )
