"""Which part of a pipeline runs when some of its queues are given their items."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple

from orchestrator.plan.draft import DraftJob
from orchestrator.plan.model import JobPlan

__all__ = ["Links", "links_of_draft", "links_of_plan", "part_for"]


class Links(NamedTuple):
    """What one job has to do with queues and other jobs, by name."""

    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    after: tuple[str, ...] = ()


def links_of_draft(jobs: Mapping[str, DraftJob]) -> dict[str, Links]:
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


def part_for(
    jobs: Mapping[str, Links], given: Collection[str], replaced: Collection[str] = ()
) -> frozenset[str]:
    """Return the jobs that run when the queues `given` have their items from elsewhere.

    These are the readers of such queues and the `replaced` jobs, all that comes after them over
    queues and `after`, and what all these wait for with `after`. Other writers of `given` queues
    are left out, and so is what only leads to them. All jobs run if nothing is given.
    """
    if not given:
        return frozenset(jobs)
    first = {name for name, job in jobs.items() if not set(given).isdisjoint(job.reads)}
    part = _with_followers(jobs, first | set(replaced) & jobs.keys(), waiting=True)
    writers = {name for name, job in jobs.items() if not set(given).isdisjoint(job.writes)}
    while needed := {
        other
        for name in part
        for other in jobs[name].after
        if other in jobs and other not in part and other not in writers
    }:
        part |= _with_followers(jobs, needed, waiting=False) - (writers - part)
    return frozenset(part)


def _with_followers(jobs: Mapping[str, Links], first: set[str], *, waiting: bool) -> set[str]:
    """Return the jobs with the readers of what they write and, if so, those that wait for them."""
    readers: dict[str, list[str]] = {}
    waiters: dict[str, list[str]] = {}
    for name, job in jobs.items():
        for queue in job.reads:
            readers.setdefault(queue, []).append(name)
        for other in job.after if waiting else ():
            waiters.setdefault(other, []).append(name)
    found, todo = set(first), list(first)
    while todo:
        job = jobs[(name := todo.pop())]
        following = [reader for queue in job.writes for reader in readers.get(queue, ())]
        for follower in [*following, *waiters.get(name, ())]:
            if follower not in found:
                found.add(follower)
                todo.append(follower)
    return found
