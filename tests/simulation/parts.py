"""What a world is put together from: the broker's queues and jobs, the workers' boxes."""

from __future__ import annotations

import random

from orchestrator.core.broker.clients import CommitWaiter, JobState
from orchestrator.core.broker.outputs import PendingOutput
from orchestrator.core.broker.queue import QueueState
from orchestrator.core.broker.ratelimit import RateLimiter
from orchestrator.core.broker.reorder import ReorderBuffer
from orchestrator.plan.model import BatchPlan, RetryPlan

from . import rules
from .boxes import NO_LIMIT, Box
from .ledger import Books
from .topology import Job, Topology


def box_of(queues: tuple[str, ...], topology: Topology, rng: random.Random) -> Box:
    weighed = tuple(name for name in queues if name in topology.max_bytes)
    part, chunk = part_of(queues, topology.queues), rng.choice((1, 3, 50))
    box = Box(queues, part=part, chunk=chunk, weighed=weighed)
    box.limited = not topology.patience.keys().isdisjoint(queues)
    return box


def part_of(queues: tuple[str, ...], maxsizes: dict[str, int]) -> int:
    """How many outputs of one item go in one part at most."""
    return min((maxsizes[name] for name in queues if maxsizes[name] > 0), default=NO_LIMIT)


def retry_of(job: Job) -> RetryPlan:
    return RetryPlan(attempts=job.attempts, initial_s=job.retry_delay_s, max_s=job.retry_delay_s)


def states(topology: Topology) -> tuple[list[QueueState], list[JobState]]:
    # Compiled code would not call what Scale has of its own; its checks are made of the pure form.
    kind = QueueState if hasattr(QueueState, "__mypyc_attrs__") else rules.Scale
    queues = {
        name: kind(
            name,
            maxsize,
            writers=[job.name for job in topology.jobs if name in job.writes],
            readers=[job.name for job in topology.jobs if name in job.reads],
            producers=sum(job.workers for job in topology.jobs if name in job.writes),
            max_bytes=topology.max_bytes.get(name),
            soft_bytes=topology.soft_bytes.get(name),
            batch=topology.batch(name),
            patience_s=topology.patience.get(name),
        )
        for name, maxsize in topology.queues.items()
    }
    jobs = [
        JobState(
            job.name,
            [queues[name] for name in job.reads],
            [queues[name] for name in job.writes],
            retry=retry_of(job),
            otherwise=job.otherwise,
            by_item=job.by_item,
            batch=BatchPlan(size=job.batch, within_s=job.within_s),
            reorder=ReorderBuffer(job.window) if job.window is not None else None,
            rate_limit=RateLimiter(job.interval_s, job.burst)
            if job.interval_s is not None
            else None,
        )
        for job in topology.jobs
    ]
    return list(queues.values()), jobs


def unput_lost(books: Books, parked: CommitWaiter) -> None:
    """What the parked commit of a dead worker puts no more is put by nobody."""
    for part in parked.parts:
        for queue in part.queues:
            books.unput(queue.name, parked.client.worker, _lost_with(parked, part))


def _lost_with(parked: CommitWaiter, part: PendingOutput) -> int:
    """How many items of a part are put no more, now that its worker is dead."""
    job = parked.client.job
    if not job.by_item:
        return part.n - part.used if job.counted and not parked.items else 0
    before = part.counts and part.counts[: parked.items]
    return 0 if before is None else part.n - max(part.used, sum(before))
