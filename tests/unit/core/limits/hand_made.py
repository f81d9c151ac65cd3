"""Samples made by hand: phases of a run, each with what its jobs and queues do all the time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from msgspec import structs

from orchestrator.core.samples import (
    FORMAT,
    Header,
    JobSample,
    JobWiring,
    QueueSample,
    QueueWiring,
    Sample,
    Service,
    System,
    WorkerSample,
)

Shares = Mapping[str, Mapping[str, float]]


def wired(*jobs: JobWiring, processors: int = 4, quota: float | None = None) -> Header:
    """The header of a run of these jobs, with a queue of ten items for each name they have."""
    names = dict.fromkeys(queue for job in jobs for queue in (*job.reads, *job.writes))
    queues = tuple(QueueWiring(name=name, maxsize=10, max_bytes=1000) for name in names)
    return Header(
        samples=FORMAT,
        run="r",
        name="n",
        started="",
        pid=1,
        jobs=jobs,
        queues=queues,
        processors=processors,
        quota=quota,
    )


def chain(*names: str, workers: Mapping[str, int] | None = None, **wiring: Any) -> Header:
    """Jobs in a row, with a queue `a-b` from each to the next."""
    queues = [f"{a}-{b}" for a, b in pairwise(names)]
    jobs = [
        JobWiring(
            name=name,
            workers=(workers or {}).get(name, 1),
            reads=(queues[n - 1],) if n else (),
            writes=(queues[n],) if n < len(queues) else (),
            shape="item" if n else "source",
            **wiring,
        )
        for n, name in enumerate(names)
    ]
    return wired(*jobs)


@dataclass(frozen=True, kw_only=True)
class During:
    """So many seconds in which each worker spends these parts of its time, and so on.

    Of a job: `run`, `starve`, `block`, `held`, `start`, `end` (of `starve`), `within`, and rates of
    `items`, `retried` and `restarts`. Of a queue: `size`, `full`, `bytes` and
    `empty`, and rates of `put` and `done`. `busy` is
    the part of the machine's four processors, None where that is not measured.
    """

    s: float
    jobs: Shares
    queues: Shares = field(default_factory=dict)
    busy: float | None = 0.5
    disk: float = 0.0
    throttled: float = 0.0
    own: float = 0.0
    at: tuple[str, str, float] | None = None
    """A job, its item, and since when its first worker is at it."""
    service: Mapping[str, Service] = field(default_factory=dict)
    cpu: Mapping[str, float] = field(default_factory=dict)
    """For what part of the run the first worker of a job used a processor."""


_JOB = {
    "running_s": "run",
    "starved_s": "starve",
    "blocked_s": "block",
    "held_s": "held",
    "starting_s": "start",
    "end_s": "end",
    "within_s": "within",
}
_QUEUE = {"area": "size", "full_items_s": "full", "full_bytes_s": "bytes", "empty_s": "empty"}
_COUNTS = ("put", "done")


def samples(header: Header, *phases: During, step: float = 0.25) -> Iterator[Sample]:
    """Samples of a run of these phases."""
    total_s = sum(phase.s for phase in phases)
    steps = int(total_s / step)
    for t in sorted({*(n * step for n in range(steps + 1)), total_s}):
        yield _at(header, phases, t)


def _at(header: Header, phases: tuple[During, ...], t: float) -> Sample:
    parts, began = [], 0.0
    for phase in phases:
        parts.append((phase, max(0.0, min(phase.s, t - began))))
        began += phase.s
    now = next((phase for phase, s in reversed(parts) if s > 0), phases[0])
    jobs = tuple(
        JobSample(
            state="running",
            items_in=int(_sum(parts, job.name, "items")),
            retried=int(_sum(parts, job.name, "retried")),
            restarts=int(_sum(parts, job.name, "restarts")),
            service=now.service.get(job.name, Service()),
            **{to: job.workers * _sum(parts, job.name, key) for to, key in _JOB.items()},
        )
        for job in header.jobs
    )
    queues = tuple(
        QueueSample(
            **{to: _of_queue(parts, queue.name, key) for to, key in _QUEUE.items()},
            **{
                key: int(
                    sum(s * phase.queues.get(queue.name, {}).get(key, 0.0) for phase, s in parts)
                )
                for key in _COUNTS
            },
        )
        for queue in header.queues
    )
    return Sample(
        t=t, jobs=jobs, queues=queues, workers=_workers(header, now, t), system=_of(parts)
    )


def _sum(parts: list[tuple[During, float]], job: str, key: str) -> float:
    return sum(s * phase.jobs.get(job, {}).get(key, 0.0) for phase, s in parts)


def _of_queue(parts: list[tuple[During, float]], queue: str, key: str) -> float:
    return sum(s * phase.queues.get(queue, {}).get(key, 0.0) for phase, s in parts)


def _workers(header: Header, now: During, t: float) -> tuple[WorkerSample, ...]:
    numbers = {job.name: n for n, job in enumerate(header.jobs)}
    rows = {
        name: WorkerSample(name=f"{name}-1", job=numbers[name], cpu_s=part * t)
        for name, part in now.cpu.items()
    }
    if now.at is not None:
        name, item, since = now.at
        row = rows.get(name, WorkerSample(name=f"{name}-1", job=numbers[name]))
        rows[name] = structs.replace(row, item=item, at_item_s=t - since)
    return tuple(rows.values())


def _of(parts: list[tuple[During, float]]) -> System:
    return System(
        busy_s=sum(4 * s * (phase.busy or 0.0) for phase, s in parts if phase.busy is not None),
        idle_s=sum(4 * s * (1 - phase.busy) for phase, s in parts if phase.busy is not None),
        disk_full_s=sum(s * phase.disk for phase, s in parts),
        throttled_s=sum(s * phase.throttled for phase, s in parts),
        cpu_s=sum(s * phase.own for phase, s in parts),
    )
