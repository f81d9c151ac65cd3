"""A case of a spec's `tests` becomes a plan: the real one, with what the case gives and replaces.

The jobs that give and stand in are our own code, named by their targets; the rest runs as it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from orchestrator.plan.model import JobPlan, Plan, QueuePlan, Shape, Target
from orchestrator.plan.platform import default_start_method
from orchestrator.plan.selection import links_of_plan, part_for
from orchestrator.plan.targets import parse_target
from orchestrator.spec.cases import Case, Given, Kill

__all__ = ["plan_of_case"]

_GIVE = Target(module="orchestrator.runtime.testing.standin", qualname="give")
_STAND_IN = Target(module="orchestrator.runtime.testing.standin", qualname="stand_in")
_STAND_IN_SOURCE = Target(module="orchestrator.runtime.testing.standin", qualname="stand_in_source")
_MORTAL = Target(module="orchestrator.runtime.testing.mortal", qualname="Mortal")

Values = Sequence[Any]


def plan_of_case(plan: Plan, case: Case, files: Mapping[str, Values]) -> Plan:
    """Return what `mporch test` runs for a case of the spec that `plan` is of.

    `files` has the items of queues that are given by a file.
    """
    part = part_for(links_of_plan(plan.jobs), case.give, case.replace)
    jobs = {name: _within(job, part) for name, job in plan.jobs.items() if name in part}
    for name, values in case.replace.items():
        jobs[name] = _stand_in(jobs[name], values, plan)
    for number, kill in enumerate(case.kill, 1):
        jobs[kill.job] = _mortal(jobs[kill.job], kill, number)
    givers: dict[str, JobPlan] = {}
    queues: dict[str, QueuePlan] = {}
    used = {queue for job in jobs.values() for queue in (*job.reads, *job.writes)}
    for name, queue in plan.queues.items():
        if name not in used:
            continue
        writers = tuple(writer for writer in queue.writers if writer in part)
        if name in case.give or not writers:
            giver = _giver(name, case.give.get(name, ()), files, plan, (*plan.jobs, *givers))
            givers[giver.name] = giver
            writers = (giver.name, *writers)
        queues[name] = msgspec.structs.replace(queue, writers=writers)
    return msgspec.structs.replace(
        plan,
        queues=queues,
        jobs={**givers, **jobs},
        timeout_s=min((s for s in (plan.timeout_s, case.timeout) if s is not None), default=None),
    )


def _within(job: JobPlan, part: frozenset[str]) -> JobPlan:
    """Return the job without waits for what does not run."""
    after = tuple(each for each in job.after if each[0] in part)
    return msgspec.structs.replace(job, after=after)


def _giver(
    queue: str,
    given: Values | Given,
    files: Mapping[str, Values],
    plan: Plan,
    taken: Iterable[str],
) -> JobPlan:
    """Return the source of what is given to a queue."""
    target, args, kwargs = _GIVE, (tuple(files.get(queue, ())),), {}
    if isinstance(given, Given) and given.target is not None:
        target, args, kwargs = parse_target(given.target), tuple(given.args), given.kwargs
    elif isinstance(given, Given):
        args = (tuple(given.items),) if given.items is not None else args
    else:
        args = (tuple(given),)
    return JobPlan(
        name=_free_name(f"given-{queue}", taken),
        target=target,
        shape=Shape.SOURCE,
        args=args,
        kwargs=kwargs,
        outputs=(queue,),
        cwd=plan.project_dir,
        start_method=default_start_method(),
        description=f"what the case gives to {queue}",
    )


def _stand_in(job: JobPlan, values: Values | Mapping[str, Values] | None, plan: Plan) -> JobPlan:
    """Return a job at the same place that runs no code of the user's."""
    by_queue = values if isinstance(values, Mapping) else dict.fromkeys(job.writes, values or ())
    handles = tuple((f"out{n}", queue) for n, queue in enumerate(job.writes))
    gives = {handle: tuple(by_queue.get(queue, ())) for handle, queue in handles}
    return JobPlan(
        name=job.name,
        target=_STAND_IN if job.reads else _STAND_IN_SOURCE,
        shape=Shape.STREAM if job.reads else Shape.TASK,
        args=(gives,),
        inputs=job.reads,
        write_handles=handles,
        after=job.after,
        on_failure=job.on_failure,
        daemon=job.daemon,
        cwd=plan.project_dir,
        start_method=job.start_method,
        description=f"stands in for {job.target}",
    )


def _mortal(job: JobPlan, kill: Kill, number: int) -> JobPlan:
    """Return the job with a target that is the job's own, and dies where it is told to."""
    order = {
        "module": job.target.module,
        "qualname": job.target.qualname,
        "shape": job.shape.value,
        "handles": [parameter for parameter, _ in job.read_handles or job.write_handles],
        "at_item": kill.at_item,
        "number": number,
    }
    return msgspec.structs.replace(job, target=_MORTAL, args=(order, *job.args))


def _free_name(name: str, taken: Iterable[str]) -> str:
    """Return `name`, made longer if it is another job's, or could be a worker's (`given-5`)."""
    taken = set(taken)
    while name in taken or name.rpartition("-")[2].isdigit():
        name += "_"
    return name
