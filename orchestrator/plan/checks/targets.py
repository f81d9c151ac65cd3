"""Rules on targets: each can be found, is called as it takes, and gives what its queues carry."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from orchestrator.errors import Problem
from orchestrator.machine.machine import Machine
from orchestrator.plan.graph import readers_of, writers_of
from orchestrator.plan.model import AfterCondition, Command, LimitsPlan, Plan, Shape, WhenFull
from orchestrator.plan.resolved_spec import ResolvedJob, ResolvedSpec, Wire, draft_of
from orchestrator.plan.start_vars import without_late
from orchestrator.spec import LoadedSpec, rules
from orchestrator.spec.wording import listed
from orchestrator.spec.yaml.nodes import Path
from orchestrator.targets.annotations import Types, contradict
from orchestrator.targets.bodies import Results
from orchestrator.targets.callees import Callee, CalleePart
from orchestrator.targets.calls import Call, Calls, GivenArguments, misfits
from orchestrator.targets.target import Target

__all__ = ["ImportedTarget", "check_targets", "imported_targets"]


@dataclass(frozen=True, kw_only=True)
class ImportedTarget:
    """A target of a job, how the job calls it, and the surroundings in which a worker imports it.

    `path` is where the target is written. Paths of files are absolute; `start_s` is the time that
    the job gives a worker to start, None is no limit.
    """

    target: Target
    path: Path
    calls: Calls
    project_dir: str
    pythonpath: tuple[str, ...]
    env: tuple[tuple[str, str | None], ...]
    cwd: str | None
    limits: LimitsPlan
    start_s: float | None


_HANDED = {Shape.ITEM: "the item", Shape.BATCH: "the batch", Shape.STREAM: "the iterator"}
"""What is handed to the target with each call, by the job's shape."""
_NO_SOURCE = frozenset(
    {
        "None",
        "bool",
        "bytes",
        "complex",
        "dict",
        "float",
        "function",
        "int",
        "str",
    }
)
_BATCH = frozenset({"None", "generator", "list"})
_MOST_STEPS = 100_000
_SMALL = 1000
"""Items. Who has written that a queue holds more has thought of what it must hold."""


def _calls_of(job: ResolvedJob) -> Calls:
    """Return how a job calls its target: a function once, a class to make it and what it makes."""
    handed, args = _handed(job), _args(job)
    handles = _handles(job)
    named = {**_kwargs(job, handles), **handles}
    add = "add it to kwargs (kwargs: {{{name}: …}})"
    advice = add
    if not job.reads:
        advice += ", or give the job an input" if not job.settings.args else ""
    there = "args and kwargs go to __init__: take {name} there"
    run = "args, kwargs and handles go to __init__: take {name} there"

    def call(
        positional: tuple[GivenArguments, ...], by_name: Mapping[str, GivenArguments], advice: str
    ) -> Call:
        return Call(path=job.path("target"), positional=positional, named=by_name, advice=advice)

    return Calls(
        function=call((*handed, *args), named, advice),
        making=call(args, _kwargs(job, handles), add),
        made=call(handed, handles, there),
        process=call(args, named, add),
        run=call(handed, {}, run),
    )


def _handed(job: ResolvedJob) -> tuple[GivenArguments, ...]:
    what = _HANDED.get(job.shape)
    return (GivenArguments(what=what, path=job.path("input")),) if what else ()


def _args(job: ResolvedJob) -> tuple[GivenArguments, ...]:
    return tuple(
        GivenArguments(what=f"args[{index}]", path=(*_home(job, "args"), index))
        for index in range(len(job.settings.args))
    )


def _kwargs(job: ResolvedJob, handles: Collection[str]) -> dict[str, GivenArguments]:
    return {
        name: GivenArguments(what="in kwargs", path=(*_home(job, "kwargs", name), name))
        for name in job.settings.kwargs
        if name not in handles  # which is told by a rule of its own
    }


def _home(job: ResolvedJob, key: str, name: str | None = None) -> Path:
    """Return where args or kwargs are written: at the job, or below `defaults`."""
    here = key in job.own.model_fields_set if name is None else name in getattr(job.own, key)
    return job.path(key) if here else ("defaults", key)


def _handles(job: ResolvedJob) -> dict[str, GivenArguments]:
    return {
        wire.parameter: GivenArguments(what=f"a handle to {wire.queue}", path=wire.path)
        for wire in (*job.reads, *job.writes)
        if wire.parameter is not None
    }


def imported_targets(spec: LoadedSpec, plan: Plan, machine: Machine) -> Iterator[ImportedTarget]:
    """Yield the targets of `plan`, which is that of `spec`, for `mporch validate --import`."""
    draft = draft_of(spec, machine)
    for written in plan.jobs.values():
        job, resolved = without_late(written, plan.project_dir), draft.jobs[written.name]
        if not isinstance(target := job.target, Command):
            yield ImportedTarget(
                target=target,
                path=resolved.path("target"),
                calls=_calls_of(resolved),
                project_dir=plan.project_dir,
                pythonpath=plan.pythonpath,
                env=job.env,
                cwd=job.cwd,
                limits=job.limits,
                start_s=job.timeouts.start_s,
            )


def check_targets(draft: ResolvedSpec) -> Iterator[Problem]:
    """Every target is there, can be called, and is called with what it takes."""
    spec = draft.spec
    found: dict[str, Callee] = {}
    for job in draft.jobs.values():
        if "target" not in job.own.model_fields_set:
            continue
        known = draft.targets.look_up(job.own.target)
        if (flaw := known.flaw) is not None:
            yield spec.problem(flaw.rule, job.path("target"), flaw.message, flaw.hint)
        elif job.name not in draft.broken and known.callee is not None:
            found[job.name] = known.callee
    for name, callee in found.items():
        yield from _call_problems(draft, draft.jobs[name], callee)
    yield from _disagreements(draft, found)
    yield from _joined_branches(draft, found)


def _call_problems(draft: ResolvedSpec, job: ResolvedJob, callee: Callee) -> Iterator[Problem]:
    """Tell why a target cannot be called by its job, and what is wrong with its results."""
    name = callee.name
    for slip in misfits(callee, _calls_of(job)):
        yield draft.spec.problem(slip.rule, slip.path, slip.message, slip.hint, key=slip.key)
    path = job.path("target")
    if callee.is_never_called:
        yield draft.spec.problem(
            rules.NOT_CALLABLE,
            path,
            f"what the class {name} ({callee.place}) makes cannot be called",
            "write def __call__, or name a function",
        )
    results = callee.call.results if callee.call is not None else None
    if callee.call is None or results is None:
        return
    if results.is_coroutine:
        yield draft.spec.problem(
            rules.COROUTINE,
            path,
            f"{name} ({callee.call.place}) is a coroutine function",
            "give a plain function; it may call asyncio.run itself",
        )
    else:
        yield from _result_problems(draft, job, f"{name} ({callee.call.place})", results)


# What targets give back, and its types along a queue.


def _result_problems(
    draft: ResolvedSpec, job: ResolvedJob, told: str, results: Results
) -> Iterator[Problem]:
    """Tell of a result that the job cannot emit, or of none at all; `told` is what gives it."""
    emits = any(wire.parameter is None for wire in job.writes)
    if not emits or results.is_generator:
        return
    path = job.path("target")
    if results.is_nothing:
        if job.shape is Shape.SOURCE:
            message = f"{told} gives back None, but a source gives its items"
            hint = "yield each item, or return a list of them"
            yield draft.spec.problem(rules.BAD_RESULT, path, message, hint)
        else:
            message = f"{told} gives nothing back, so nothing is put on {_outputs(job)}"
            hint = "return what is to be emitted, or remove output"
            yield draft.spec.problem(rules.EMITS_NOTHING, path, message, hint)
        return
    types = results.types
    if job.shape is Shape.SOURCE and types and types <= _NO_SOURCE:
        message = f"{told} gives back {_one_of(types)}, but a source gives an iterable of items"
        hint = "yield each item, or return a list of them"
        yield draft.spec.problem(rules.BAD_RESULT, path, message, hint)
    elif job.shape is Shape.BATCH and types and not types & _BATCH:
        message = f"{told} gives back {_one_of(types)}, but a batch gives a list, or yields"
        yield draft.spec.problem(rules.BAD_RESULT, path, message, "return a list of items")


def _disagreements(draft: ResolvedSpec, callees: Mapping[str, Callee]) -> Iterator[Problem]:
    """Tell of readers that take other types than the writers of their queue give."""
    gives: dict[str, list[tuple[str, CalleePart, Types]]] = {}
    for name, callee in callees.items():
        types = _given(draft.jobs[name], callee.call)
        if callee.call is None or types is None:
            continue
        for wire in draft.jobs[name].writes:
            gives.setdefault(wire.queue, []).append((callee.name, callee.call, types))
    for name, callee in callees.items():
        job, part = draft.jobs[name], callee.call
        taken = _taken(job, part)
        if part is None or taken is None:
            continue
        for wire in job.reads:
            for writer, written, types in gives.get(wire.queue, ()):
                if contradict(types, taken):
                    message = (
                        f"{writer} ({written.place}) gives {_annotated(types)}, but "
                        f"{callee.name} ({part.place}) takes {_annotated(taken)}"
                    )
                    hint = "change one of the annotations, or the wiring"
                    yield draft.spec.problem(rules.TYPES_DISAGREE, wire.path, message, hint)


def _given(job: ResolvedJob, part: CalleePart | None) -> Types:
    """Return the types of the items that a job puts on its outputs, as annotated."""
    if part is None or part.results is None or any(wire.parameter for wire in job.writes):
        return None
    if job.shape in (Shape.SOURCE, Shape.BATCH) or part.results.is_generator:
        return part.types_given(many=True)
    types = part.types_given(many=False)
    return (types - {"None"}) or None if types is not None else None


def _taken(job: ResolvedJob, part: CalleePart | None) -> Types:
    """Return the types that a job takes items as."""
    if part is None or job.shape not in _HANDED:
        return None
    return part.types_taken(many=job.shape is not Shape.ITEM)


def _outputs(job: ResolvedJob) -> str:
    return listed((wire.queue for wire in job.writes), last="and")


def _one_of(types: frozenset[str]) -> str:
    return listed(sorted(types))


def _annotated(types: Types) -> str:
    return " | ".join(sorted(types or ()))


# Branches that join again: a queue that fills while its reader waits at another.


def _joined_branches(draft: ResolvedSpec, callees: Mapping[str, Callee]) -> Iterator[Problem]:
    """Tell of jobs that read one handle to its end while another's queue holds up its writer.

    Only a job with handles can: any other takes from whichever of its inputs has an item.
    """
    flow: _Flow | None = None
    for name, callee in callees.items():
        job = draft.jobs[name]
        handles = {wire.parameter: wire for wire in job.reads if wire.parameter is not None}
        if job.shape is not Shape.HANDLES or len(handles) < 2 or callee.call is None:
            continue
        first = callee.call.drained_first(handles)
        if first is None:
            continue
        flow = flow or _Flow(draft)
        end = handles[first].queue
        for full in (wire for parameter, wire in handles.items() if parameter != first):
            if draft.is_unclear(full.queue):
                continue
            if both := flow.held_up(full.queue, name) & flow.needed(end):
                who = next(each for each in draft.jobs if each in both)
                yield _joined(draft, full, f"{callee.name} ({callee.place})", end, who)


def _joined(draft: ResolvedSpec, full: Wire, reader: str, end: str, writer: str) -> Problem:
    message = (
        f"{reader} reads {end} to its end before it takes from {full.queue}: once that is full,"
        f" {writer} comes to wait for room, and {end} never ends"
    )
    hint = f"take from both in turn, or let {full.queue} hold all that is ever put on it"
    return draft.spec.problem(rules.JOINED_BRANCHES, full.path, message, hint)


class _Flow:
    """What of a draft waits for what, when a queue is full or is to end.

    A spec with thousands of such readers has the first of them followed only, within a second.
    """

    def __init__(self, draft: ResolvedSpec) -> None:
        self._left = _MOST_STEPS
        self._jobs = draft.jobs
        self._queues = draft.spec.document.queues
        self._readers = readers_of(draft.jobs)
        self._writers = writers_of(draft.jobs)

    def held_up(self, queue: str, reader: str) -> set[str]:
        """Return the jobs that come to wait for room if `reader` takes nothing from `queue`."""
        stuck = {reader}
        found: set[str] = set()
        todo = [queue]
        while todo and self._left > 0:
            self._left -= 1
            here = todo.pop()
            if not self._makes_wait(here) or not set(self._readers.get(here, ())) <= stuck:
                continue
            for writer in self._writers.get(here, ()):
                if writer not in found:
                    found.add(writer)
                    stuck.add(writer)
                    todo += [wire.queue for wire in self._jobs[writer].reads]
        return found

    def needed(self, queue: str) -> set[str]:
        """Return the jobs that must end before `queue` can."""
        found: set[str] = set()
        todo = list(self._writers.get(queue, ()))
        while todo and self._left > 0:
            self._left -= 1
            name = todo.pop()
            if name in found or name not in self._jobs:
                continue
            found.add(name)
            todo += self._before(self._jobs[name])
        return found

    def _before(self, job: ResolvedJob) -> Iterator[str]:
        for wire in job.reads:
            yield from self._writers.get(wire.queue, ())
        for condition in job.after:
            if condition.state is not AfterCondition.READY:
                yield condition.job

    def _makes_wait(self, name: str) -> bool:
        """True if a queue that is not read makes its writers wait, and soon."""
        queue = self._queues.get(name)
        if queue is None or queue.when_full is not WhenFull.BLOCK or queue.put_timeout is not None:
            return False
        return "maxsize" not in queue.model_fields_set or 0 < queue.maxsize <= _SMALL
