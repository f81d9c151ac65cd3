"""The part of a plan that lies downstream of some queues, fed by other sources than its own."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

import msgspec

from orchestrator.plan.model import Durability, JobPlan, Plan, QueuePlan

__all__ = ["downstream"]


def downstream(plan: Plan, queues: Collection[str], source: Callable[[str, str], JobPlan]) -> Plan:
    """Return `plan` without all that does not lie downstream of `queues`.

    What stays are the jobs that read these queues, and all that they feed. `source(name, queue)`
    makes the job, under a name that is free, that writes to each of `queues`, and to any other
    queue whose writers are left out. `after` holds only for jobs that stay; a job that was only
    `after` others does not.
    """
    kept = _readers(plan, queues)
    jobs = {
        name: msgspec.structs.replace(
            job, after=tuple(each for each in job.after if each[0] in kept)
        )
        for name, job in plan.jobs.items()
        if name in kept
    }
    used = {queue for job in jobs.values() for queue in (*job.reads, *job.writes)}
    wired: dict[str, QueuePlan] = {}
    sources: dict[str, JobPlan] = {}
    for name, queue in plan.queues.items():
        if name not in used:
            continue
        writers = tuple(writer for writer in queue.writers if writer in kept)
        if name in queues or not writers:
            feeder = _free_name(f"replay-{name}", (*plan.jobs, *sources))
            sources[feeder] = source(feeder, name)
            writers = (feeder, *writers)
        wired[name] = msgspec.structs.replace(queue, writers=writers)
    return msgspec.structs.replace(
        plan, queues=wired, jobs={**sources, **jobs}, durability=Durability.OFF
    )


def _readers(plan: Plan, queues: Iterable[str]) -> set[str]:
    """Return the jobs that read `queues`, and those that read what these write, and so on."""
    found: set[str] = set()
    todo = list(queues)
    while todo:
        for reader in plan.queues[todo.pop()].readers:
            if reader not in found:
                found.add(reader)
                todo += plan.jobs[reader].writes
    return found


def _free_name(name: str, taken: Collection[str]) -> str:
    """Return `name`, made longer if it is another job's, or could be a worker's (`replay-5`)."""
    while name in taken or name.rpartition("-")[2].isdigit():
        name += "_"
    return name
