"""Cases of a spec's `tests` made plans: the real one, with what a case gives and replaces.

The part of the pipeline that runs when some of its queues are given their items. The jobs that give
and stand in are our own code, named by their targets; the rest runs as it is.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from orchestrator.machine.machine import Machine
from orchestrator.plan.hidden_values import shown_within
from orchestrator.plan.model import JobPlan, Plan, Shape, Target
from orchestrator.plan.resolved_spec import ResolvedJob
from orchestrator.plan.select import fed, within
from orchestrator.spec import LoadedSpec
from orchestrator.spec.cases import Case, Given
from orchestrator.spec.yaml.nodes import Path
from orchestrator.targets.target import parse_target

__all__ = [
    "Links",
    "Replaced",
    "Selector",
    "links_of_draft",
    "links_of_plan",
    "plan_of_case",
    "replaced_by",
]

_STAND_INS = "orchestrator.features.testcases.targets"
_GIVE = Target(module=_STAND_INS, qualname="give")
_STAND_IN = Target(module=_STAND_INS, qualname="stand_in")
_STAND_IN_SOURCE = Target(module=_STAND_INS, qualname="stand_in_source")
_MORTAL = Target(module=_STAND_INS, qualname="Mortal")

Values = Sequence[Any]


# The part of a pipeline that runs when some of its queues are given their items.


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


def plan_of_case(
    spec: LoadedSpec, plan: Plan, name: str, files: Mapping[str, Values], machine: Machine
) -> Plan:
    """Return what `mporch test` runs for the case `name` of the spec that `plan` is of.

    `files` has the items of queues that are given by a file.
    """
    return _Variant(spec, plan, name, files, machine).plan()


class _Variant:
    """One case, on its way to a plan."""

    def __init__(
        self, spec: LoadedSpec, plan: Plan, name: str, files: Mapping[str, Values], machine: Machine
    ) -> None:
        self._spec = spec
        self._plan = plan
        self._files = files
        self._machine = machine
        self._path: Path = ("tests", name)
        self._case = spec.document.tests[name]

    def plan(self) -> Plan:
        """Return the plan."""
        plan, case = self._plan, self._case
        replaced = replaced_by(case, plan.families)
        part = Selector(links_of_plan(plan.jobs)).part(case.give, replaced)
        jobs = {name: within(job, part) for name, job in plan.jobs.items() if name in part}
        for name, given in replaced.items():
            if name in jobs:  # of a matrix some may be disabled
                jobs[name] = self._stand_in(jobs[name], given)
        for name in {kill.job: None for kill in case.kill if kill.job in part}:
            jobs[name] = _mortal(
                jobs[name], [each.at_item for each in case.kill if each.job == name]
            )
        limits = [limit_s for limit_s in (plan.timeout_s, case.timeout) if limit_s is not None]
        own = fed(plan, jobs, case.give, "given", self._giver)
        return msgspec.structs.replace(own, timeout_s=min(limits, default=None))

    def _giver(self, name: str, queue: str) -> JobPlan:
        """Return the source of what is given to a queue: to some it is nothing at all."""
        given, at = self._case.give.get(queue, ()), (*self._path, "give", queue)
        job = JobPlan(
            name=name,
            target=_GIVE,
            shape=Shape.SOURCE,
            outputs=(queue,),
            cwd=self._plan.project_dir,
            start_method=self._machine.start_method,
            description=f"what the case gives to {queue}",
        )
        if isinstance(given, Given) and given.target is not None:
            shown = (
                *shown_within(self._spec, (*at, "args"), ("args",)),
                *shown_within(self._spec, (*at, "kwargs"), ("kwargs",)),
            )
            changes = {"args": tuple(given.args), "kwargs": given.kwargs, "shown": shown}
            return msgspec.structs.replace(job, target=parse_target(given.target), **changes)
        if isinstance(given, Given):
            at = (*at, "items")
            items = given.items if given.items is not None else self._files.get(queue, ())
        else:
            items = given
        shown = shown_within(self._spec, at, ("args", 0))
        return msgspec.structs.replace(job, args=(tuple(items),), shown=shown)

    def _stand_in(self, job: JobPlan, given: Replaced) -> JobPlan:
        """Return a job at the same place that runs no code of the user's."""
        at, values = (*self._path, "replace", given.written), given.values
        handles = tuple((f"out{n}", queue) for n, queue in enumerate(job.writes))
        gives: dict[str, tuple[Any, ...]] = {}
        shown: list[tuple[Path, str]] = []
        for handle, queue in handles:
            own, here = values, at
            if isinstance(values, Mapping):
                own, here = values.get(queue), (*at, queue)
            gives[handle] = tuple(own or ())
            shown += shown_within(self._spec, here, ("args", 0, handle))
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
            cwd=self._plan.project_dir,
            start_method=job.start_method,
            description=f"stands in for {job.target}",
            shown=tuple(shown),
        )


def _mortal(job: JobPlan, at_items: Sequence[int]) -> JobPlan:
    """Return the job with a target that is the job's own, and dies at the items it is told to."""
    target = job.target
    assert isinstance(target, Target), "a command is not killed: rule MP706"
    order = {
        "module": target.module,
        "qualname": target.qualname,
        "shape": job.shape.value,
        "handles": [parameter for parameter, _ in job.read_handles or job.write_handles],
        "at_items": list(at_items),
    }
    return msgspec.structs.replace(
        job,
        target=_MORTAL,
        args=(order, *job.args),
        shown=tuple((_shifted(path), text) for path, text in job.shown),
        late=tuple(msgspec.structs.replace(v, path=_shifted(v.path)) for v in job.late),
    )


def _shifted(path: tuple[str | int, ...]) -> tuple[str | int, ...]:
    """Return the path of an argument that has another before it."""
    match path:
        case ("args", int(index), *rest):
            return ("args", index + 1, *rest)
        case _:
            return path
