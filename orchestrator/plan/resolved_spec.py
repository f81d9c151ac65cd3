"""The resolved spec: its short forms spelt out, before it is checked; and what of it is unknown."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Set
from dataclasses import dataclass
from itertools import islice
from typing import Any

from orchestrator.machine.machine import Machine
from orchestrator.plan.model import AfterCondition, CommandInput, CommandOutput, Shape
from orchestrator.plan.script import fields_of
from orchestrator.spec import LoadedSpec
from orchestrator.spec.declaration import SpecPart
from orchestrator.spec.model import Document, JobSettings, JobSpec
from orchestrator.spec.types import AUTO_WORKERS
from orchestrator.spec.wording import did_you_mean
from orchestrator.spec.yaml.nodes import Entry, MappingNode, Node, Path, scalars_of
from orchestrator.targets.lookup import Targets

__all__ = [
    "MERGED_MAPS",
    "Condition",
    "ResolvedJob",
    "ResolvedSpec",
    "Unknowns",
    "Wire",
    "draft_of",
    "node_at",
]

MERGED_MAPS = ("kwargs", "env")
"""Keys of a job whose maps are merged with those of `defaults`, to any depth."""
_MOST_NAMES = 1_000


@dataclass(frozen=True, kw_only=True)
class Wire:
    """One end of a queue at a job; `parameter` is set where it is a handle."""

    queue: str
    path: Path
    parameter: str | None = None


@dataclass(frozen=True, kw_only=True)
class Condition:
    """A job that another waits for, and the state it must reach."""

    job: str
    state: AfterCondition
    path: Path


@dataclass(frozen=True, kw_only=True)
class ResolvedJob:
    """One job. `own` is what was written for it, `settings` with the defaults below."""

    name: str
    own: JobSpec
    settings: JobSettings
    shape: Shape
    reads: tuple[Wire, ...]
    writes: tuple[Wire, ...]
    after: tuple[Condition, ...]

    @property
    def runs_command(self) -> bool:
        """True if it is a command that the job runs, and not a target."""
        return "command" in self.own.model_fields_set

    @property
    def runs_anything(self) -> bool:
        """True if it says what to run."""
        return not self.own.model_fields_set.isdisjoint(("target", "command"))

    @property
    def stdin(self) -> CommandInput:
        """The input of its command: its items, unless it is given them as arguments."""
        if self.own.stdin is not None:
            return self.own.stdin
        return CommandInput.TEXT if self.reads and not self.has_field else CommandInput.NONE

    @property
    def stdout(self) -> CommandOutput:
        """The use that is made of the output of its command."""
        if self.own.stdout is not None:
            return self.own.stdout
        return CommandOutput.LINES if self.writes else CommandOutput.LOG

    @property
    def has_field(self) -> bool:
        """True if a part of the item is put into its command."""
        line = self.own.command
        return any(fields_of(text) for text in ((line,) if isinstance(line, str) else line))

    def path(self, *keys: str) -> Path:
        """Return the path of a key of this job."""
        return ("jobs", self.name, *keys)


@dataclass(frozen=True, kw_only=True)
class ResolvedSpec:
    """The whole spec. `jobs` are those that will run, `disabled` the others.

    `broken` names jobs of which something could not be understood: what is missing of them proves
    nothing. `unclear` says the same of what reads from queues and writes to them. `machine` and
    `targets` answer all that is asked of the system and of the user's code.
    """

    spec: LoadedSpec
    machine: Machine
    targets: Targets
    jobs: Mapping[str, ResolvedJob]
    disabled: Mapping[str, ResolvedJob]
    broken: frozenset[str]
    unclear: Unknowns

    def is_unclear(self, queue: str) -> bool:
        """True if a job may read from the queue without being known to."""
        return self.unclear.reads or queue in self.unclear.queues

    def meant_below(self, section: str, name: str) -> str:
        """Return which name a file that is laid over the spec may have meant by a new one."""
        own = self.spec.position((section, name), key=True).file
        if not own:
            return ""
        known = islice(self.spec.names(section), _MOST_NAMES)
        places = ((each, self.spec.position((section, each), key=True)) for each in known)
        return did_you_mean(name, [each for each, place in places if place.file != own])

    def used_by_disabled(self) -> dict[str, list[str]]:
        """Return for each queue the disabled jobs that name it."""
        found: dict[str, list[str]] = {}
        for name, job in self.disabled.items():
            for wire in (*job.reads, *job.writes):
                found.setdefault(wire.queue, []).append(name)
        return found


def draft_of(spec: LoadedSpec, machine: Machine) -> ResolvedSpec:
    """Return the draft of `spec`, as it is to be on that machine."""
    written = spec.document.jobs
    jobs = {name: _job(name, job, spec, machine) for name, job in written.items()}
    return ResolvedSpec(
        spec=spec,
        machine=machine,
        targets=Targets([str(spec.project_dir / each) for each in spec.document.pythonpath]),
        jobs={name: job for name, job in jobs.items() if job.settings.enabled},
        disabled={name: job for name, job in jobs.items() if not job.settings.enabled},
        broken=_broken_jobs(spec),
        unclear=_unclear_of(spec),
    )


def _job(name: str, own: JobSpec, spec: LoadedSpec, machine: Machine) -> ResolvedJob:
    nulls = {path[2:] for path in spec.nulls if path[:2] == ("jobs", name)}
    settings = _counted(_merged(own, spec.document.defaults, nulls), machine)
    reads = _wires(("jobs", name, "input"), own.input)
    writes = _wires(("jobs", name, "output"), own.output)
    return ResolvedJob(
        name=name,
        own=own,
        settings=settings,
        shape=_shape(settings, reads, writes),
        reads=reads,
        writes=writes,
        after=_conditions(("jobs", name, "after"), own.after),
    )


def _merged(own: JobSpec, defaults: JobSettings, nulls: Set[Path]) -> JobSettings:
    """Lay a job's own keys over the defaults: of those in `nulls` there is none, whoever wrote it.

    Mappings are merged key by key, to any depth; all else replaces what is there.
    """
    if not defaults.model_fields_set:
        return own
    written = defaults.model_fields_set - {path[0] for path in nulls if len(path) == 1}
    values = {key: getattr(defaults, key) for key in written}
    for key in own.model_fields_set & JobSettings.model_fields.keys():
        value = getattr(own, key)
        if key in values and key in MERGED_MAPS:
            value = _laid_over(values[key], value)
        elif key in values and isinstance(JobSettings.model_fields[key].default, SpecPart):
            value = _part_over(values[key], value, (key,), nulls)
        values[key] = value
    return JobSettings.model_construct(_fields_set=set(values), **values)


def _part_over(below: SpecPart, above: SpecPart, path: Path, nulls: Set[Path]) -> SpecPart:
    """Lay a part of a job over that of the defaults."""
    keys = [key for key in below.model_fields_set if (*path, key) not in nulls]
    values = {key: getattr(below, key) for key in keys}
    for key in above.model_fields_set:
        value = getattr(above, key)
        if key in values and isinstance(value, SpecPart):
            value = _part_over(values[key], value, (*path, key), nulls)
        values[key] = value
    return type(above).model_construct(_fields_set=set(values), **values)


def _laid_over(below: Any, above: Any) -> Any:
    if not (isinstance(below, dict) and isinstance(above, dict)):
        return above
    found = dict(below)
    for key, value in above.items():
        found[key] = _laid_over(found[key], value) if key in found else value
    return found


def _counted(settings: JobSettings, machine: Machine) -> JobSettings:
    """Say how many workers `auto` is on the machine."""
    if settings.workers != AUTO_WORKERS:
        return settings
    return settings.model_copy(update={"workers": machine.usable_processors})


def _wires(path: Path, wiring: str | tuple[str, ...] | dict[str, str]) -> tuple[Wire, ...]:
    match wiring:
        case str():
            return (Wire(queue=wiring, path=path),)
        case dict():
            return tuple(
                Wire(queue=queue, parameter=parameter, path=(*path, parameter))
                for parameter, queue in wiring.items()
            )
        case _:
            return tuple(Wire(queue=q, path=(*path, index)) for index, q in enumerate(wiring))


def _conditions(
    path: Path, after: str | tuple[str, ...] | Mapping[str, AfterCondition]
) -> tuple[Condition, ...]:
    match after:
        case str():
            return (Condition(job=after, state=AfterCondition.SUCCEEDED, path=path),)
        case tuple():
            return tuple(
                Condition(job=job, state=AfterCondition.SUCCEEDED, path=(*path, index))
                for index, job in enumerate(after)
            )
        case _:
            return tuple(
                Condition(job=job, state=state, path=(*path, job)) for job, state in after.items()
            )


def _shape(settings: JobSettings, reads: tuple[Wire, ...], writes: tuple[Wire, ...]) -> Shape:
    if any(wire.parameter is not None for wire in reads):
        return Shape.HANDLES
    if reads:
        return Shape(settings.call)
    if any(wire.parameter is None for wire in writes):
        return Shape.SOURCE
    return Shape.TASK


# Unknowns of jobs and queues: what cannot be told, as a part of the text made no sense.

_ASKED_FOR = frozenset(
    {
        "args",
        "call",
        "command",
        "daemon",
        "enabled",
        "env",
        "input",
        "kwargs",
        "matrix",
        "on_failure",
        "output",
        "restart",
        "stdin",
        "stdout",
        "target",
    }
)
_PROVE_NOTHING = JobSpec.model_fields.keys() - _ASKED_FOR
"""Keys of a job that no rule takes for absent where they are only wrong."""
_LEAVE_JOBS_WHOLE = JobSettings.model_fields.keys() - {"args", "kwargs", "call", "daemon"}
"""Keys of `defaults` that may be wrong without any job being called otherwise."""


@dataclass(frozen=True, kw_only=True)
class Unknowns:
    """Which queues, and which ends of queues, cannot be told to be missing.

    `reads`: some job reads from a queue that nobody knows; `writes`: one writes to such a queue.
    `queues` are named in what made no sense, so they may have been meant there; `declared` are
    those that may be declared there, and `declares` says that all may be.
    """

    reads: bool = False
    writes: bool = False
    queues: frozenset[str] = frozenset()
    declares: bool = False
    declared: frozenset[str] = frozenset()

    def may_declare(self, queue: str) -> bool:
        """True if what made no sense may be the declaration of a queue."""
        return self.declares or queue in self.declared


def _broken_jobs(spec: LoadedSpec) -> frozenset[str]:
    """Return the jobs of which something was not understood that rules may ask for."""
    found: set[str] = set()
    for path in {*spec.wrong, *spec.unresolved}:
        section, *rest = path or ("",)
        if section == "jobs" and rest and not _PROVE_NOTHING.intersection(rest[1:2]):
            found.add(str(rest[0]))
        elif section == "defaults" and not _LEAVE_JOBS_WHOLE.issuperset(rest[:1]):
            found.update(spec.names("jobs"))
    return frozenset(found)


def _unclear_of(spec: LoadedSpec) -> Unknowns:
    """Return which ends of queues are unclear, of all that was not understood."""
    lost = {name for name in spec.names("jobs") if name not in spec.document.jobs}
    places = {*spec.wrong, *spec.unresolved, *(("jobs", name) for name in lost)}
    found = [_unclear_at(spec, path, lost) for path in places]
    return Unknowns(
        reads=any(each.reads for each in found),
        writes=any(each.writes for each in found),
        queues=frozenset().union(*(each.queues for each in found)),
        declares=("queues",) in places,
        declared=frozenset().union(*(_declared_at(spec, path) for path in places)),
    )


def _unclear_at(spec: LoadedSpec, path: Path, lost: Collection[str]) -> Unknowns:
    section, *rest = path or ("",)
    if section == "jobs" and len(rest) > 1:
        key = rest[1]
        named = set() if key in JobSpec.model_fields else _texts(spec, path)
        return Unknowns(reads=key == "input", writes=key == "output", queues=frozenset(named))
    if section == "jobs" and len(rest) == 1 and _is_no_job(spec, path):
        return Unknowns(reads=True, writes=True)
    if section == "jobs" and rest and rest[0] in lost and (named := _texts(spec, path)):
        return Unknowns(queues=frozenset(named))
    if section in ("", "jobs") or str(section).startswith("x-"):
        return Unknowns(reads=True, writes=True)
    named = set() if section in Document.model_fields else _texts(spec, path)
    return Unknowns(queues=frozenset(named))


def _declared_at(spec: LoadedSpec, path: Path) -> set[str]:
    """Return the names that a section has which is not known: it may be meant for `queues`."""
    if len(path) != 1 or path[0] in Document.model_fields:
        return set()
    node = node_at(spec.tree, path)
    keys = node.entries if isinstance(node, MappingNode) else ()
    return {*_texts(spec, path), *(key for key in keys if isinstance(key, str))}


def _is_no_job(spec: LoadedSpec, path: Path) -> bool:
    """True if a text or a list stands where a job belongs; not: a key of the job above it."""
    node = node_at(spec.tree, path)
    return path[-1] not in JobSpec.model_fields and not isinstance(node, MappingNode)


def node_at(tree: MappingNode, path: Path) -> Node | None:
    """Return what stands at a path of the tree."""
    steps = list(tree.walk(path))
    if not steps or len(steps) < len(path):
        return None
    return steps[-1].value if isinstance(steps[-1], Entry) else steps[-1]


def _texts(spec: LoadedSpec, path: Path) -> set[str]:
    """Return the texts that stand at `path` and below."""
    node = node_at(spec.tree, path)
    return set() if node is None else set(_strings(node))


def _strings(node: Node) -> Iterator[str]:
    for _, scalar in scalars_of(node):
        if isinstance(scalar.value, str):
            yield scalar.value
