"""A stretch of a run: what its jobs, its queues and its machine did between two samples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from orchestrator.core.samples import Header, JobSample, QueueSample, Sample

__all__ = ["JobTimes", "Stretch", "WorkersCpu", "grown"]

_ANY = TypeVar("_ANY")
_NO_JOB = JobSample(state="")
_NO_QUEUE = QueueSample()
_SPENT = 0.95
"""The machine is that busy: more of anything finds no processor."""
_THROTTLED = 0.05
_MOST = 1e15
_FULL = 0.9
_STAYS = 0.1
_MEASURED = 0.5
"""Processor times are measured once a second: less of them than this part tells nothing."""


def grown(before: float, after: float) -> float:
    """Return by how much a counter has grown; in damaged samples it may shrink, or be anything."""
    return after - before if -_MOST < before < after < _MOST else 0.0


class JobTimes:
    """Seconds of a job's workers in a stretch, all of them together.

    `own_s` is what none of its neighbours could have changed: it ran, was held by its rate, was
    starting, or (`end_s`) waited for itself, since all who write its input had ended. `starved_s`
    is without that.
    """

    __slots__ = ("blocked_s", "end_s", "held_s", "running_s", "starting_s", "starved_s", "within_s")

    def __init__(self, a: JobSample, b: JobSample) -> None:
        self.running_s = grown(a.running_s, b.running_s)
        self.held_s = grown(a.held_s, b.held_s)
        self.starting_s = grown(a.starting_s, b.starting_s)
        self.blocked_s = grown(a.blocked_s, b.blocked_s)
        starved_s = grown(a.starved_s, b.starved_s)
        self.end_s = min(starved_s, grown(a.end_s, b.end_s))
        self.starved_s = starved_s - self.end_s
        self.within_s = min(self.starved_s, grown(a.within_s, b.within_s))

    @property
    def own_s(self) -> float:
        """Return for how long it was held by none of its neighbours."""
        return self.running_s + self.held_s + self.starting_s + self.end_s

    @property
    def life_s(self) -> float:
        """Return for how long its workers lived."""
        return self.own_s + self.starved_s + self.blocked_s

    def part(self, seconds: float) -> float:
        """Return what part of its workers' life that is."""
        return min(1.0, seconds / life_s) if (life_s := self.life_s) > 0 else 0.0

    def score(self, dt: float, more_s: float = 0.0) -> float:
        """Return how little its neighbours held it, from 0 to 1; less if it lived for less.

        For `more_s` of its time it was not held by them, either.
        """
        life_s = self.life_s
        if life_s <= 0 or dt <= 0:
            return 0.0
        return min(1.0, (self.own_s + more_s) / life_s) * min(1.0, life_s / dt)


class WorkersCpu:
    """Processor time of each job's workers, from samples that have rows of workers."""

    def __init__(self) -> None:
        self._used_s: dict[int, float] = {}
        self._last_s: dict[tuple[str, int], float] = {}

    def add(self, sample: Sample) -> None:
        """Take the next sample; those that were kept without workers tell nothing."""
        if not sample.workers:
            return
        last_s, self._last_s = self._last_s, {}
        for row in sample.workers:
            key = (row.name, row.pid)
            used_s = grown(last_s.get(key, 0.0), row.cpu_s)
            self._used_s[row.job] = self._used_s.get(row.job, 0.0) + used_s
            self._last_s[key] = row.cpu_s

    def part(self, job: int, row: JobSample) -> float | None:
        """Return for what part of the time that a job ran it used a processor; None: not known.

        `row` is its newest.
        """
        used_s = self._used_s.get(job, 0.0)
        return used_s / row.running_s if used_s > 0 and row.running_s > 0 else None


class Stretch:
    """What happened from sample `a` to sample `b`."""

    def __init__(self, header: Header, a: Sample, b: Sample) -> None:
        self._a, self._b = a, b
        self._header = header
        self.from_s = a.t
        self.to_s = b.t

    @property
    def dt(self) -> float:
        """Return how long it took."""
        return max(0.0, self.to_s - self.from_s)

    def job(self, n: int) -> tuple[JobSample, JobSample]:
        """Return a job's rows at both ends."""
        return _row(self._a.jobs, n, _NO_JOB), _row(self._b.jobs, n, _NO_JOB)

    def times(self, n: int) -> JobTimes:
        """Return where a job's time went."""
        return JobTimes(*self.job(n))

    def queue(self, n: int) -> tuple[QueueSample, QueueSample]:
        """Return a queue's rows at both ends."""
        return _row(self._a.queues, n, _NO_QUEUE), _row(self._b.queues, n, _NO_QUEUE)

    def piles_up(self, n: int) -> bool:
        """True if a queue was full nearly always, or a tenth of what was put stayed on it."""
        a, b = self.queue(n)
        put, done = grown(a.put, b.put), grown(a.done, b.done)
        return self.full(n) >= _FULL or put - done >= max(1.0, _STAYS * put)

    def mean_size(self, n: int) -> float:
        """Return how many items were on a queue, on average."""
        a, b = self.queue(n)
        return grown(a.area, b.area) / self.dt if self.dt > 0 else float(b.size)

    def full(self, n: int) -> float:
        """Return for what part of the time a queue was full."""
        a, b = self.queue(n)
        full_s = grown(a.full_items_s, b.full_items_s) + grown(a.full_bytes_s, b.full_bytes_s)
        return self._part(full_s)

    def full_by_bytes(self, n: int) -> float:
        """Return for what part of the time a queue was full by its bytes."""
        a, b = self.queue(n)
        return self._part(grown(a.full_bytes_s, b.full_bytes_s))

    def empty(self, n: int) -> float:
        """Return for what part of the time a queue was empty."""
        a, b = self.queue(n)
        return self._part(grown(a.empty_s, b.empty_s))

    @property
    def disk_full_s(self) -> float:
        """Return for how long the run waited for the disk."""
        a, b = self._a.system, self._b.system
        return grown(a.disk_full_s, b.disk_full_s)

    @property
    def own_cpu(self) -> float:
        """Return how much of one processor the orchestrator used."""
        a, b = self._a.system, self._b.system
        return self._part(grown(a.cpu_s, b.cpu_s))

    @property
    def busy(self) -> float | None:
        """Return what part of the machine's processor time was used; None if it is not known."""
        a, b = self._a.system, self._b.system
        busy_s, idle_s = grown(a.busy_s, b.busy_s), grown(a.idle_s, b.idle_s)
        both_s = busy_s + idle_s
        return busy_s / both_s if both_s > 0 and both_s >= _MEASURED * self.dt else None

    @property
    def machine_processors(self) -> int:
        """Return how many processors the machine has, by its times; those of the header else."""
        a, b = self._a.system, self._b.system
        both_s = grown(a.busy_s, b.busy_s) + grown(a.idle_s, b.idle_s)
        measured = round(both_s / self.dt) if self.dt else 0
        return max(1, self._header.processors, measured)

    @property
    def throttled(self) -> bool:
        """True if the control group's quota stopped it."""
        a, b = self._a.system, self._b.system
        throttled_s = grown(a.throttled_s or 0.0, b.throttled_s or 0.0)
        if throttled_s >= _THROTTLED * self.dt > 0:
            return True
        quota, group_s = self._header.quota, grown(a.group_s or 0.0, b.group_s or 0.0)
        return quota is not None and 0 < _SPENT * quota * self.dt <= group_s

    @property
    def spent(self) -> bool:
        """True if no processor was left."""
        return self.throttled or ((busy := self.busy) is not None and busy >= _SPENT)

    def _part(self, seconds: float) -> float:
        return min(1.0, seconds / self.dt) if self.dt else 0.0


def _row(rows: Sequence[_ANY], n: int, none: _ANY) -> _ANY:
    return rows[n] if n < len(rows) else none
