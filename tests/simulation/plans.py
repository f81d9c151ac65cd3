"""A topology as the plan of a durable run."""

from __future__ import annotations

from orchestrator.plan.model import (
    BatchPlan,
    Durability,
    ErrorPolicy,
    JobPlan,
    OrderedPlan,
    Plan,
    QueuePlan,
    RatePlan,
    Shape,
    Target,
    WhenFull,
)

from . import shapes
from .parts import retry_of
from .topology import Job, Topology

_SHAPES = {
    shapes.source: Shape.SOURCE,
    shapes.items: Shape.ITEM,
    shapes.batches: Shape.BATCH,
    shapes.stream: Shape.STREAM,
    shapes.handles: Shape.HANDLES,
}


def plan_of(topology: Topology) -> Plan:
    return Plan(
        name="model",
        spec_path="/model/jobs.yaml",
        project_dir="/model",
        queues={name: _queue(topology, name) for name in topology.queues},
        jobs={job.name: _job(job) for job in topology.jobs},
        durability=Durability.ON,
    )


def _queue(topology: Topology, name: str) -> QueuePlan:
    return QueuePlan(
        name=name,
        maxsize=topology.queues[name],
        max_bytes=topology.max_bytes.get(name),
        soft_bytes=topology.soft_bytes.get(name),
        when_full=topology.when_full.get(name, WhenFull.BLOCK),
        put_timeout_s=topology.patience.get(name),
        writers=tuple(job.name for job in topology.jobs if name in job.writes),
        readers=tuple(job.name for job in topology.jobs if name in job.reads),
    )


def _job(job: Job) -> JobPlan:
    shape = _SHAPES[job.shape]
    by_handle = shape is Shape.HANDLES
    return JobPlan(
        name=job.name,
        target=Target(module="model", qualname=job.name),
        shape=shape,
        inputs=() if by_handle else job.reads,
        outputs=job.writes,
        read_handles=tuple((name, name) for name in job.reads) if by_handle else (),
        workers=job.workers,
        batch=BatchPlan(size=job.batch, within_s=job.within_s) if shape is Shape.BATCH else None,
        retry=retry_of(job),
        on_error=ErrorPolicy(otherwise=job.otherwise),
        rate=(
            RatePlan(interval_s=job.interval_s, burst=job.burst)
            if job.interval_s is not None
            else None
        ),
        ordered=OrderedPlan(window=job.window) if job.window is not None else None,
    )
