"""Samples: the figures of a run at one moment, all of them counters that only grow.

A sample is a row a job, a queue and a living worker, in the order of the header. Two samples make
every rate and every share of a stretch of time. Durations are seconds; docs/samples.md says what
each number means. Rows are arrays in JSON: the header names their columns.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec

from orchestrator.core.protocol.events import Blame
from orchestrator.plan.model import Command, JobPlan, Plan

__all__ = [
    "FORMAT",
    "LARGEST",
    "SAMPLE_EVERY_S",
    "SLOWEST",
    "WINDOW_S",
    "Figures",
    "Header",
    "JobSample",
    "JobWiring",
    "QueueSample",
    "QueueWiring",
    "Sample",
    "Service",
    "SlowItem",
    "System",
    "Window",
    "WorkerSample",
    "fits",
    "has_possible_numbers",
    "header_of",
    "total_service",
]

FORMAT = 1
"""Of the files; a later one may have more columns at the ends of its rows."""
SAMPLE_EVERY_S = 0.25
SLOWEST = 5
"""So many of a job's slowest items are kept."""
WINDOW_S = 2.0
"""Rates and shares that are shown are those of so long."""


LARGEST: Final = 1e15
"""No counter of a run comes near it, and sums and quotients of such numbers are numbers."""
_SMALLEST: Final = 1e-9


class SlowItem(msgspec.Struct, frozen=True, array_like=True):
    """One of the slowest items of a job: how long its target took, and which item it was.

    `n` items were done together in that time each, on average. `name` is what the item is called.
    """

    seconds: float
    item: str
    n: int = 1
    name: str = ""


class Service(msgspec.Struct, frozen=True, array_like=True):
    """How long a job's target takes for an item: `items` took `total_s`, by length in `counts`.

    The first of `counts` is of bucket number `first`; bucket b counts the items that took at least
    2**(b - 1) and less than 2**b nanoseconds. `slowest` come first.
    """

    items: int = 0
    total_s: float = 0.0
    first: int = 0
    counts: tuple[int, ...] = ()
    slowest: tuple[SlowItem, ...] = ()


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker uses and is at, as its own machine sees it.

    `cpu_s` is its process' user and system time, `rss` its resident memory in bytes. `blame` is its
    progress cell, `at_item_s` how long it has been at that item by the machine's own clock.
    `service` is that of the items it has worked through.
    """

    cpu_s: float
    rss: int
    blame: Blame
    at_item_s: float
    service: Service = Service()


class JobSample(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """One job. `state` is a lifecycle state's value, `workers` counts those alive.

    `items_in` to `dead` count items. `running_s` to `starting_s` add up over its workers, those
    that have ended too: at its items, without input, without room for what it gives, held by its
    rate, and not ready yet. `end_s` is the part of `starved_s` after all its writers had ended.
    `short_batches` went out after a wait; `within_s` is how long they had waited for more. `total`
    is how many items a source has, all in all; None where it does not say.
    """

    state: str
    workers: int = 0
    items_in: int = 0
    items_out: int = 0
    failed: int = 0
    retried: int = 0
    skipped: int = 0
    dead: int = 0
    running_s: float = 0.0
    starved_s: float = 0.0
    blocked_s: float = 0.0
    held_s: float = 0.0
    starting_s: float = 0.0
    end_s: float = 0.0
    short_batches: int = 0
    within_s: float = 0.0
    restarts: int = 0
    service: Service = Service()
    total: int | None = None


class QueueSample(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """One queue: `size` items now, `put` and `done` so far; `area` is the integral of its size.

    It was full for `full_items_s` because of its items, for `full_bytes_s` because of their bytes:
    it held as many as it may, or somebody waited for room. `longest_full_s` is the longest stretch
    of that. `empty_s` is how long it had no item. `size_bytes` is None where nothing bounds them.
    `skipped` to `peak` are as in a queue's ledger.
    """

    size: int = 0
    put: int = 0
    done: int = 0
    area: float = 0.0
    full_items_s: float = 0.0
    full_bytes_s: float = 0.0
    empty_s: float = 0.0
    longest_full_s: float = 0.0
    size_bytes: int | None = None
    skipped: int = 0
    dropped: int = 0
    dead: int = 0
    peak: int = 0


class WorkerSample(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """One living worker, of the job with that number in the header.

    Its times are as in `JobSample`, and add up to its life so far. `cpu_s` and `rss` (bytes) are
    those of its process, measured once a second. `item` is the one it is at, for `at_item_s`.
    """

    name: str
    job: int
    pid: int = 0
    running_s: float = 0.0
    starved_s: float = 0.0
    blocked_s: float = 0.0
    held_s: float = 0.0
    starting_s: float = 0.0
    cpu_s: float = 0.0
    rss: int = 0
    item: str = ""
    at_item_s: float = 0.0

    @property
    def life_s(self) -> float:
        """Return how long it has lived."""
        return self.running_s + self.starved_s + self.blocked_s + self.held_s + self.starting_s


class System(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """The orchestrator, its machine and its control group; measured once a second.

    `cpu_s` and `rss` are those of the orchestrator's process, `own_s` is what taking and showing
    samples has cost of it. `busy_s` and `idle_s` add up over the machine's processors. `group_s` is
    the processor time of the control group, `throttled_s` how long it was stopped for its quota;
    None where there is none. `available` is memory in bytes that can be had. `disk_full_s` is how
    long the run has waited for room on the disk. `measured` is when all this was measured, and what
    workers use: in seconds, as `t` of a sample.
    """

    cpu_s: float = 0.0
    rss: int = 0
    own_s: float = 0.0
    busy_s: float = 0.0
    idle_s: float = 0.0
    group_s: float | None = None
    throttled_s: float | None = None
    available: int | None = None
    disk_full_s: float = 0.0
    measured: float = 0.0


class Sample(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The run at `t` seconds after the header's `started`, by a clock that never jumps.

    `workers` is empty in samples that were kept without them.
    """

    t: float
    jobs: tuple[JobSample, ...]
    queues: tuple[QueueSample, ...] = ()
    workers: tuple[WorkerSample, ...] = ()
    system: System = System()
    last: bool = False
    """The run has ended."""


class JobWiring(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a reader of samples needs to know of a job."""

    name: str
    workers: int = 1
    shape: str = ""
    """How its target is called: the value of a `plan.model.Shape`."""
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    batch: int | None = None
    within_s: float | None = None
    rate: str = ""
    ordered: bool = False
    command: bool = False
    daemon: bool = False
    """The run does not wait for its end."""
    total: int | None = None
    """How many items a source has by the spec."""


class QueueWiring(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a reader of samples needs to know of a queue; `maxsize` 0 is no bound."""

    name: str
    maxsize: int = 0
    max_bytes: int | None = None


class Header(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The first line of the samples of a run, and of each of its lives.

    `started` is RFC 3339 UTC. `processors` may be used, `quota` of them for long. `memory` and
    `memory_limit` are those of the machine and of the control group, in bytes.
    """

    samples: int
    """The format of what follows: `FORMAT`."""
    run: str
    name: str
    started: str
    pid: int
    jobs: tuple[JobWiring, ...]
    queues: tuple[QueueWiring, ...] = ()
    processors: int = 1
    quota: float | None = None
    memory: int | None = None
    memory_limit: int | None = None
    columns: Mapping[str, tuple[str, ...]] = {}


_COLUMNS = {
    "jobs": JobSample.__struct_fields__,
    "queues": QueueSample.__struct_fields__,
    "workers": WorkerSample.__struct_fields__,
    "system": System.__struct_fields__,
    "service": Service.__struct_fields__,
    "slowest": SlowItem.__struct_fields__,
}


def header_of(
    plan: Plan,
    *,
    run: str,
    started: str,
    pid: int,
    processors: int,
    quota: float | None = None,
    memory: int | None = None,
    memory_limit: int | None = None,
) -> Header:
    """Return the header of a run's samples; what is not of the plan is as in `Header`."""
    return Header(
        samples=FORMAT,
        columns=_COLUMNS,
        run=run,
        name=plan.name,
        started=started,
        pid=pid,
        jobs=tuple(map(_wiring, plan.jobs.values())),
        queues=tuple(
            QueueWiring(name=queue.name, maxsize=queue.maxsize, max_bytes=queue.max_bytes)
            for queue in plan.queues.values()
        ),
        processors=processors,
        quota=quota,
        memory=memory,
        memory_limit=memory_limit,
    )


def _wiring(job: JobPlan) -> JobWiring:
    return JobWiring(
        name=job.name,
        workers=job.workers,
        shape=job.shape.value,
        reads=job.reads,
        writes=job.writes,
        batch=job.batch.size if job.batch is not None else None,
        within_s=job.batch.within_s if job.batch is not None else None,
        rate=job.rate.written if job.rate is not None else "",
        ordered=job.ordered is not None,
        command=isinstance(job.target, Command),
        daemon=job.daemon,
        total=job.total,
    )


def total_service(parts: Iterable[Service]) -> Service:
    """Return that of all of them together: the buckets added up, and the slowest of all."""
    buckets: Counter[int] = Counter()
    items, total_s, slowest = 0, 0.0, list[SlowItem]()
    for part in parts:
        items += part.items
        total_s += part.total_s
        slowest += part.slowest
        for at, n in enumerate(part.counts, part.first):
            buckets[at] += n
    slowest.sort(key=lambda item: -item.seconds)
    first, last = min(buckets, default=0), max(buckets, default=-1)
    return Service(
        items=items,
        total_s=round(total_s, 6),
        first=first,
        counts=tuple(buckets[at] for at in range(first, last + 1)),
        slowest=tuple(slowest[:SLOWEST]),
    )


class Window:
    """The samples of the last `WINDOW_S` seconds: what rates and shares are made of."""

    def __init__(self) -> None:
        self._samples: deque[Sample] = deque()

    def add(self, sample: Sample) -> None:
        """Take the newest one."""
        self._samples.append(sample)
        while len(self._samples) > 2 and sample.t - self._samples[1].t >= WINDOW_S:
            self._samples.popleft()

    @property
    def pair(self) -> tuple[Sample, Sample] | None:
        """Return the oldest and the newest of them; None before there are any."""
        return (self._samples[0], self._samples[-1]) if self._samples else None


def fits(sample: Sample, header: Header) -> bool:
    """True if a sample has the rows that the header says."""
    if (len(sample.jobs), len(sample.queues)) != (len(header.jobs), len(header.queues)):
        return False
    return all(0 <= worker.job < len(header.jobs) for worker in sample.workers)


def has_possible_numbers(record: Header | Sample, largest: float = LARGEST) -> bool:
    """True if all numbers of a record are such as a run has."""
    return all(
        number == 0 or _SMALLEST <= abs(number) <= largest
        for number in _numbers(msgspec.to_builtins(record))
    )


def _numbers(value: Any) -> Iterator[int | float]:
    if isinstance(value, int | float):
        yield value
    elif isinstance(value, dict | list | tuple):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _numbers(each)
