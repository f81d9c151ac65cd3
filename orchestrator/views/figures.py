"""Figures of a run as they are shown: rates, shares and means of the time between two samples."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator.core.limits.stretch import JobTimes, Stretch, grown
from orchestrator.core.samples import Header, JobSample, JobWiring, Sample, Service, WorkerSample

__all__ = ["OVER", "JobFigures", "Progress", "QueueFigures", "RunFigures", "WorkerFigures"]

_ENOUGH = 10
"""So many items of the last seconds tell a rate."""
_SLACK_S = 0.5
_LONG_S = 5.0
_LONG_TIMES = 4.0
"""An item takes long that takes so long, and so many times as long as the others on average."""
OVER = frozenset({"succeeded", "failed", "timed_out", "killed", "terminated", "skipped"})
_STATES = {
    "succeeded": "done",
    "timed_out": "timeout",
    "terminated": "stopped",
    "ready": "running",
    "waiting_input": "running",
    "waiting_output": "running",
}
"""What a job is at in this moment is told by its shares."""


@dataclass(frozen=True, kw_only=True)
class WorkerFigures:
    """One worker: its times in the stretch; the `cpu` it uses, in processors, once measured."""

    row: WorkerSample
    times: JobTimes
    cpu: float | None


@dataclass(frozen=True, kw_only=True)
class JobFigures:
    """One job; `rate` is items a second, `cpu` in processors, `rss` in bytes.

    `service_s` is the mean time its target takes for an item, `queued_s` the mean time an item
    waits in its queues; None where no item tells, and before `cpu` is measured.
    """

    number: int
    wiring: JobWiring
    row: JobSample
    times: JobTimes
    rate: float
    cpu: float | None
    rss: int
    service_s: float | None
    queued_s: float | None

    @property
    def state(self) -> str:
        """Return its state in a word."""
        state = self.row.state
        return _STATES.get(state, state.replace("_", " "))

    @property
    def is_over(self) -> bool:
        """True if it has ended."""
        return self.row.state in OVER


@dataclass(frozen=True, kw_only=True)
class QueueFigures:
    """One queue: its mean size, and what part of it that is, None where it has no bound."""

    name: str
    maxsize: int
    mean: float
    fill: float | None
    full_by_bytes: float


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a run is whose sources say how many items they have: so many of `total` are `done`.

    `left_s` is how long the rest takes if it goes on like that; None while that is not known.
    """

    done: int
    total: int
    left_s: float | None


class RunFigures:
    """What is shown of the time from sample `before` to `sample`."""

    def __init__(self, header: Header, before: Sample, sample: Sample) -> None:
        self.header = header
        self.sample = sample
        self._before = before
        self._measured_s = grown(before.system.measured, sample.system.measured)
        self._stretch = Stretch(header, before, sample)
        self._numbers = {queue.name: n for n, queue in enumerate(header.queues)}
        self._earlier = {(worker.name, worker.pid): worker for worker in before.workers}
        self._writers = Counter(queue for job in header.jobs for queue in job.writes)
        self._sole_readers = _sole_readers(header)
        self._cpu: dict[int, float] = {}
        self._rss: dict[int, int] = {}
        for worker in sample.workers:
            if (cpu := self._cpu_of(worker)) is not None:
                self._cpu[worker.job] = self._cpu.get(worker.job, 0.0) + cpu
            self._rss[worker.job] = self._rss.get(worker.job, 0) + worker.rss

    def job(self, n: int) -> JobFigures:
        """Return those of a job."""
        a, b = self._stretch.job(n)
        service = self._service(a, b)
        wiring = self.header.jobs[n]
        done = grown(a.items_in, b.items_in) if b.items_in else grown(a.items_out, b.items_out)
        return JobFigures(
            number=n,
            wiring=wiring,
            row=b,
            times=self._stretch.times(n),
            rate=self._rate(done),
            cpu=self._cpu.get(n),
            rss=self._rss.get(n, 0),
            service_s=service,
            queued_s=self._queued(wiring.reads),
        )

    def queue(self, n: int) -> QueueFigures:
        """Return those of a queue."""
        wiring = self.header.queues[n]
        a, b = self._stretch.queue(n)
        dt = self._stretch.dt
        mean = grown(a.area, b.area) / dt if dt else float(b.size)
        return QueueFigures(
            name=wiring.name,
            maxsize=wiring.maxsize,
            mean=mean,
            fill=min(1.0, mean / wiring.maxsize) if wiring.maxsize > 0 else None,
            full_by_bytes=self._stretch.full_by_bytes(n),
        )

    @property
    def progress(self) -> Progress | None:
        """Return how far it is; None if a source that goes on does not say how many there are."""
        done = before = total = 0
        for n, wiring in enumerate(self.header.jobs):
            if wiring.reads or not wiring.writes:
                continue
            _, b = self._stretch.job(n)
            of_source = b.total if wiring.total is None else wiring.total
            if of_source is not None and b.state in OVER:
                of_source = min(of_source, b.items_out)  # one that was stopped gives no more
            if of_source is not None:
                done += min(of_source, self._taken(n, wiring, self.sample))
                before += min(of_source, self._taken(n, wiring, self._before))
                total += of_source
            elif b.state not in OVER:
                return None
        if total <= 0:
            return None
        return Progress(done=done, total=total, left_s=self._left(before, done, total))

    def _left(self, before: int, done: int, total: int) -> float | None:
        """Return how long the rest takes, at the rate of now, or where few items tell, of all."""
        rate = self._rate(done - before)
        if done - before < _ENOUGH and self.sample.t > 0:
            rate = done / self.sample.t
        return (total - done) / rate if rate > 0 else None

    def _taken(self, source: int, wiring: JobWiring, sample: Sample) -> int:
        """Return how many of a source's items are finished, as far as who reads them tells."""
        queue, rows = wiring.writes[0], sample.jobs
        readers = self._sole_readers.get(queue, [])
        if readers and self._writers[queue] == 1:
            return sum(rows[n].items_in for n in readers if n < len(rows))
        return rows[source].items_out if source < len(rows) else 0

    def workers(self, job: int) -> list[WorkerFigures]:
        """Return those of a job's workers."""
        return [
            WorkerFigures(row=row, times=self._times_of(row), cpu=self._cpu_of(row))
            for row in self.sample.workers
            if row.job == job
        ]

    @property
    def at_long_items(self) -> list[WorkerSample]:
        """Return the workers at items that take much longer than others, the longest first."""
        found = [row for row in self.sample.workers if row.item and row.at_item_s >= _LONG_S]
        found = [row for row in found if row.at_item_s >= _LONG_TIMES * (self.usual_s(row) or 0.0)]
        return sorted(found, key=lambda row: -row.at_item_s)

    def usual_s(self, worker: WorkerSample) -> float | None:
        """Return how long items of its job have taken on average; None where none has ended."""
        rows = self.sample.jobs
        service = rows[worker.job].service if worker.job < len(rows) else Service()
        return service.total_s / service.items if service.items > 0 else None

    def _rate(self, grown_by: float) -> float:
        return grown_by / self._stretch.dt if self._stretch.dt else 0.0

    def _cpu_of(self, worker: WorkerSample) -> float | None:
        earlier = self._earlier.get((worker.name, worker.pid))
        since = earlier.cpu_s if earlier is not None else 0.0
        if earlier is None and worker.life_s > self._stretch.dt + _SLACK_S:
            return None  # the earlier sample was kept without its workers
        return grown(since, worker.cpu_s) / self._measured_s if self._measured_s else None

    def _times_of(self, worker: WorkerSample) -> JobTimes:
        earlier = self._earlier.get((worker.name, worker.pid))
        return JobTimes(_as_job(earlier), _as_job(worker))

    def _service(self, a: JobSample, b: JobSample) -> float | None:
        n = grown(a.service.items, b.service.items)
        return grown(a.service.total_s, b.service.total_s) / n if n else None

    def _queued(self, reads: Sequence[str]) -> float | None:
        """Return by Little's law how long an item was in these queues."""
        area = done = 0.0
        for name in reads:
            if (n := self._numbers.get(name)) is not None:
                a, b = self._stretch.queue(n)
                area += grown(a.area, b.area)
                done += grown(a.done, b.done)
        return area / done if done else None


def _sole_readers(header: Header) -> dict[str, list[int]]:
    """Return who reads each queue, where those read nothing else."""
    readers: dict[str, list[int]] = {}
    mixed = set()
    for n, job in enumerate(header.jobs):
        for queue in job.reads:
            readers.setdefault(queue, []).append(n)
            if len(job.reads) > 1:
                mixed.add(queue)
    return {queue: found for queue, found in readers.items() if queue not in mixed}


def _as_job(worker: WorkerSample | None) -> JobSample:
    """Return a worker's times as those of a job."""
    if worker is None:
        return JobSample(state="")
    return JobSample(
        state="",
        running_s=worker.running_s,
        starved_s=worker.starved_s,
        blocked_s=worker.blocked_s,
        held_s=worker.held_s,
        starting_s=worker.starting_s,
    )
