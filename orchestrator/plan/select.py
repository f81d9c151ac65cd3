"""Parts of a plan: the jobs that were chosen, those downstream of a queue, those of each step."""

from __future__ import annotations

import graphlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Set
from dataclasses import dataclass

import msgspec

from orchestrator.errors import UsageError
from orchestrator.plan.model import AfterCondition, Durability, JobPlan, Plan, QueuePlan, Selection
from orchestrator.spec.wording import did_you_mean, listed

__all__ = ["Selected", "downstream", "fed", "in_starting_order", "select", "within"]

_MOST_NAMED = 20


@dataclass(frozen=True, kw_only=True)
class Selected:
    """The plan of what was chosen; `remarks` say in words what follows from the choice."""

    plan: Plan
    remarks: tuple[str, ...] = ()


def select(plan: Plan, wanted: Selection, *, disabled: Collection[str] = ()) -> Selected:
    """Return `plan` with the jobs that `wanted` names, and those that they need.

    A job needs the writers of its inputs and the jobs it is `after`. A queue of which no reader
    was chosen stays without one: what is put on it is dropped. A job that is `after` a skipped one
    does not wait for it. `disabled` are jobs of the spec that are in no plan.

    Raises:
        UsageError: there is no such job or tag, a job needs one that is skipped, or none is left.

    """
    if not wanted:
        return Selected(plan=plan)
    _check_names(plan, wanted, disabled)
    skipped = _members(plan, wanted.skip)
    kept = _with_needs(plan, _chosen(plan, wanted, skipped), skipped)
    if all(plan.jobs[name].daemon for name in kept):
        message = f"{listed(sorted(kept), last='and')} would not start: a daemon serves other jobs"
        raise UsageError(message, hint="choose a job that is no daemon as well")
    jobs = {name: _alone(job, plan, kept) for name, job in plan.jobs.items() if name in kept}
    part = msgspec.structs.replace(
        plan,
        jobs=jobs,
        queues=dict(_queues(plan, jobs)),
        selection=msgspec.structs.replace(
            wanted, left_out=tuple(name for name in plan.jobs if name not in kept)
        ),
    )
    return Selected(plan=part, remarks=tuple(_remarks(plan, part)))


def _check_names(plan: Plan, wanted: Selection, disabled: Collection[str]) -> None:
    for name in (*wanted.jobs, *wanted.skip):
        if name in disabled and name not in wanted.jobs:
            continue  # it is left out already
        if name in disabled:
            hint = f"--set jobs.{name}.enabled=true enables it"
            raise UsageError(f"{name} is not enabled, so there is no such job", hint=hint)
        if name not in plan.jobs and name not in plan.families:
            known = {**plan.jobs, **plan.families}
            raise UsageError(f"there is no job {name}", hint=_meant(name, known, "jobs"))
    tags = dict.fromkeys(tag for job in plan.jobs.values() for tag in job.tags)
    for tag in wanted.tags:
        if tag not in tags:
            hint = _meant(tag, tags, "tags") if tags else "jobs get them by `tags:` in the spec"
            raise UsageError(f"no job has the tag {tag}", hint=hint)
    for name in wanted.skip:
        if name in wanted.jobs:
            raise UsageError(f"{name} is both chosen and skipped", hint="leave one of them out")


def _meant(word: str, known: Mapping[str, object], what: str) -> str:
    if len(known) > _MOST_NAMED:
        return did_you_mean(word, known) or f"`mporch plan` tells the {what}"
    return did_you_mean(word, known) or f"the {what} are {listed(known, last='and')}"


def _members(plan: Plan, names: Iterable[str]) -> frozenset[str]:
    """Return the jobs of these names; that of a matrix stands for all that are made of it."""
    return frozenset(job for name in names for job in plan.families.get(name, (name,)))


def _chosen(plan: Plan, wanted: Selection, skipped: Collection[str]) -> list[str]:
    tags, named = set(wanted.tags), _members(plan, wanted.jobs)
    everything = not (wanted.jobs or tags)
    return [
        name
        for name, job in plan.jobs.items()
        if name not in skipped and (everything or name in named or not tags.isdisjoint(job.tags))
    ]


def _with_needs(plan: Plan, chosen: Iterable[str], skipped: Collection[str]) -> set[str]:
    """Return the chosen jobs, and those they need, and those that these need, and so on."""
    found = set(chosen)
    if not found:
        raise UsageError("no job is left to run", hint="skip fewer jobs")
    todo = list(found)
    while todo:
        for other in _needs(plan, plan.jobs[todo.pop()]):
            if other not in found and other not in skipped:
                found.add(other)
                todo.append(other)
    _check_needs(plan, found, skipped)
    return found


def _needs(plan: Plan, job: JobPlan) -> Iterator[str]:
    for queue in job.reads:
        yield from plan.queues[queue].writers
    yield from (name for name, _ in job.after)


def _check_needs(plan: Plan, names: Collection[str], skipped: Collection[str]) -> None:
    """Raise UsageError if a job would have no items, or wait for ever, without the skipped."""
    stuck: dict[str, str] = {}
    before = -1
    while len(stuck) > before:
        before = len(stuck)
        gone = {*skipped, *stuck}
        for name, job in plan.jobs.items():
            if name in names and name not in stuck and (why := _lack(plan, job, gone)):
                stuck[name] = why
    if stuck:
        it = "it" if len(stuck) == 1 else "these"
        options = " ".join(f"--skip {name}" for name in stuck)
        raise UsageError(next(iter(stuck.values())), hint=f"skip {it} as well: {options}")


def _lack(plan: Plan, job: JobPlan, skipped: Collection[str]) -> str:
    """Return why the job cannot run without the skipped; nothing if it can."""
    dry = [name for name in job.reads if set(plan.queues[name].writers) <= set(skipped)]
    handles = [name for _, name in job.read_handles if name in dry]
    if handles or (dry and len(dry) == len(job.reads)):
        queue = (handles or dry)[0]
        writers = plan.queues[queue].writers
        whose = "its writer" if len(writers) == 1 else "all of its writers"
        return f"{job.name} reads {queue}, and {whose} ({', '.join(writers)}) would be skipped"
    for name, state in job.after:
        if name in skipped and state is AfterCondition.FAILED:
            return f"{job.name} waits until {name} has failed, and that would be skipped"
    return ""


def _alone(job: JobPlan, plan: Plan, kept: Set[str]) -> JobPlan:
    """Return a job that was chosen without the waits and inputs that were not."""
    return msgspec.structs.replace(
        within(job, kept),
        inputs=tuple(name for name in job.inputs if not kept.isdisjoint(plan.queues[name].writers)),
    )


def _queues(plan: Plan, jobs: Mapping[str, JobPlan]) -> Iterator[tuple[str, QueuePlan]]:
    for name, queue in plan.queues.items():
        writers = tuple(job for job in queue.writers if job in jobs)
        readers = tuple(job for job in queue.readers if job in jobs and name in jobs[job].reads)
        if readers:
            yield name, msgspec.structs.replace(queue, writers=writers, readers=readers)
        elif writers:
            yield name, QueuePlan(name=name, maxsize=0, writers=writers)


def _remarks(plan: Plan, part: Plan) -> Iterator[str]:
    named = list(part.jobs)[:_MOST_NAMED]
    if len(part.jobs) > len(named):
        named.append("…")
    yield f"{len(part.jobs)} of {len(plan.jobs)} jobs: {', '.join(named)}"
    if unread := [name for name, queue in part.queues.items() if not queue.readers]:
        are, it = ("is", "it") if len(unread) == 1 else ("are", "them")
        yield (
            f"{listed(unread, last='and')} {are} read by no job of these:"
            f" what is put on {it} is dropped, and counted"
        )
    for name, job in part.jobs.items():
        before = plan.jobs[name]
        if gone := [other for other, _ in before.after if other not in part.jobs]:
            yield f"{name} does not wait for {listed(gone, last='and')}"
        if dry := [queue for queue in before.inputs if queue not in job.inputs]:
            yield f"{name} gets nothing from {listed(dry, last='and')}"


# The part of a plan that lies downstream of some queues, fed by other sources than its own.


def downstream(plan: Plan, queues: Collection[str], source: Callable[[str, str], JobPlan]) -> Plan:
    """Return `plan` without all that does not lie downstream of `queues`.

    What stays are the jobs that read these queues, and all that they feed. `source(name, queue)`
    makes the job, under a name that is free, that writes to each of `queues`, and to any other
    queue whose writers are left out. `after` holds only for jobs that stay; a job that was only
    `after` others does not.
    """
    kept = _readers(plan, queues)
    jobs = {name: within(job, kept) for name, job in plan.jobs.items() if name in kept}
    part = fed(plan, jobs, queues, "replay", source)
    return msgspec.structs.replace(part, durability=Durability.OFF)


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


def fed(
    plan: Plan,
    jobs: Mapping[str, JobPlan],
    given: Collection[str],
    prefix: str,
    source: Callable[[str, str], JobPlan],
) -> Plan:
    """Return `plan` with only `jobs`, which are some of its own, and the queues they use.

    `source(name, queue)` makes the job, under a name that begins with `prefix` and is free, that
    writes to each queue of `given`, and to any other one whose writers are left out.
    """
    used = {queue for job in jobs.values() for queue in (*job.reads, *job.writes)}
    queues: dict[str, QueuePlan] = {}
    sources: dict[str, JobPlan] = {}
    for name, queue in plan.queues.items():
        if name not in used:
            continue
        writers = tuple(writer for writer in queue.writers if writer in jobs)
        if name in given or not writers:
            feeder = _free_name(f"{prefix}-{name}", (*plan.jobs, *sources))
            sources[feeder] = source(feeder, name)
            writers = (feeder, *writers)
        queues[name] = msgspec.structs.replace(queue, writers=writers)
    return msgspec.structs.replace(plan, queues=queues, jobs={**sources, **jobs})


def within(job: JobPlan, part: Collection[str]) -> JobPlan:
    """Return the job without waits for what does not run."""
    after = tuple(each for each in job.after if each[0] in part)
    return msgspec.structs.replace(job, after=after)


def _free_name(name: str, taken: Collection[str]) -> str:
    """Return `name`, made longer if it is another job's, or could be a worker's (`replay-5`)."""
    while name in taken or name.rpartition("-")[2].isdigit():
        name += "_"
    return name


# The order in which the jobs of a plan start.


def in_starting_order(plan: Plan) -> list[tuple[int, JobPlan]]:
    """Return each job with its step: those of step 1 start at once, in spec order.

    A job of a later step is `after` one of the step before; when it starts depends on that one.
    """
    before = {name: [other for other, _ in job.after] for name, job in plan.jobs.items()}
    steps: dict[str, int] = {}
    for name in graphlib.TopologicalSorter(before).static_order():
        steps[name] = 1 + max((steps[other] for other in before[name]), default=0)
    return sorted(((steps[name], job) for name, job in plan.jobs.items()), key=lambda each: each[0])
