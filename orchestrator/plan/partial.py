"""The part of a pipeline that runs when some of its queues are given their items."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from orchestrator.plan.model import JobPlan
from orchestrator.plan.resolved_spec import ResolvedJob
from orchestrator.spec.cases import Case

__all__ = ["Links", "Replaced", "Selector", "links_of_draft", "links_of_plan", "replaced_by"]


class Links(NamedTuple):
    """What one job has to do with queues and other jobs, by name."""

    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    after: tuple[str, ...] = ()


def links_of_draft(jobs: Mapping[str, ResolvedJob]) -> dict[str, Links]:
    """Return the links of the jobs of a draft."""
    return {
        name: Links(
            tuple(wire.queue for wire in job.reads),
            tuple(wire.queue for wire in job.writes),
            tuple(condition.job for condition in job.after),
        )
        for name, job in jobs.items()
    }


def links_of_plan(jobs: Mapping[str, JobPlan]) -> dict[str, Links]:
    """Return the links of the jobs of a plan."""
    return {
        name: Links(job.reads, job.writes, tuple(other for other, _ in job.after))
        for name, job in jobs.items()
    }


class Replaced(NamedTuple):
    """What a case gives in the place of a job, and by which name it says so."""

    written: str
    values: Sequence[Any] | Mapping[str, Sequence[Any]] | None


def replaced_by(case: Case, families: Mapping[str, Collection[str]]) -> dict[str, Replaced]:
    """Return the jobs that a case replaces; the name of one with a matrix is that of all it makes.

    A job's own name goes before that.
    """
    whole = {
        name: Replaced(family, values)
        for family, values in case.replace.items()
        for name in families.get(family, ())
    }
    own = {
        name: Replaced(name, values)
        for name, values in case.replace.items()
        if name not in families
    }
    return whole | own


class Selector:
    """Knows who follows whom among `jobs`, and selects parts of them."""

    def __init__(self, jobs: Mapping[str, Links]) -> None:
        self._jobs = jobs
        self._readers: dict[str, list[str]] = {}
        self._writers: dict[str, list[str]] = {}
        self._waiters: dict[str, list[str]] = {}
        for name, job in jobs.items():
            for of_each, others in (
                (self._readers, job.reads),
                (self._writers, job.writes),
                (self._waiters, job.after),
            ):
                for other in others:
                    of_each.setdefault(other, []).append(name)

    def part(self, given: Collection[str], replaced: Iterable[str] = ()) -> frozenset[str]:
        """Return the jobs that run when the queues `given` have their items from elsewhere.

        These are the readers of such queues and the `replaced` jobs, all that comes after them over
        queues and `after`, and what all these wait for with `after`. Other writers of `given`
        queues are left out, and so is what only leads to them. All jobs run if nothing is given.
        """
        if not given:
            return frozenset(self._jobs)
        first = {reader for queue in given for reader in self._readers.get(queue, ())}
        part: set[str] = set()
        self._follow(part, first | {name for name in replaced if name in self._jobs}, waiting=True)
        left_out = {writer for queue in given for writer in self._writers.get(queue, ())} - part
        new: set[str] = set(part)
        while new := {other for name in new for other in self._jobs[name].after} - part - left_out:
            before = set(part)
            self._follow(part, new & self._jobs.keys(), waiting=False)
            part -= left_out
            new = part - before
        return frozenset(part)

    def _follow(self, part: set[str], first: set[str], *, waiting: bool) -> None:
        """Add jobs with the readers of what they write and, if so, those that wait for them."""
        part |= first
        todo = list(first)
        while todo:
            name = todo.pop()
            queues = self._jobs[name].writes
            followers = [reader for queue in queues for reader in self._readers.get(queue, ())]
            followers += self._waiters.get(name, ()) if waiting else ()
            for follower in followers:
                if follower not in part:
                    part.add(follower)
                    todo.append(follower)
