"""The spec as it counts: every default filled in, variables put in, matrices made jobs of. Pure.

What it says reads as a spec again, in the order of the model; `vars`, `defaults` and anchors have
gone into the values. The `tests` are of what was written, and not in it.
"""

from __future__ import annotations

import enum
import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from orchestrator.machine.machine import Machine
from orchestrator.masking import is_secret
from orchestrator.plan.model import Plan
from orchestrator.plan.redact import masked_value
from orchestrator.plan.resolved_spec import MERGED_MAPS, ResolvedJob, draft_of
from orchestrator.spec import LoadedSpec
from orchestrator.spec.compose.layers import laid_over
from orchestrator.spec.declaration import SpecPart
from orchestrator.spec.model import FITS, ONLY_TARGETS, TEXTS, Document, JobSettings, JobSpec
from orchestrator.spec.parts import QueueSpec
from orchestrator.spec.units import written_duration
from orchestrator.spec.validate import without_nulls
from orchestrator.spec.yaml.nodes import (
    SET,
    VAR,
    Entry,
    MappingNode,
    Named,
    Node,
    Path,
    Position,
    ScalarNode,
    SequenceNode,
    mapping_of,
)

__all__ = [
    "DEFAULT",
    "Branch",
    "Layer",
    "Leaf",
    "NamedSource",
    "Origin",
    "Origins",
    "Place",
    "Resolved",
    "resolved",
    "rows_of",
]


# Origins of values: the place, the layer and the name of each.


class Layer(enum.Enum):
    """Which part of all that makes up a spec has the say in a value."""

    DEFAULT = "default"
    """Nobody wrote it."""
    SPEC = "spec"
    DEFAULTS = "defaults"
    """The spec's key `defaults`."""
    ANCHOR = "anchor"
    """An alias or a merge key took it from elsewhere in its file."""
    OVERLAY = "overlay"
    """A file that was laid over the spec."""
    SET = "--set"
    VAR = "--var"
    VARS = "vars"
    MATRIX = "matrix"
    ENVIRONMENT = "environment"
    START = "start"
    """Known only when a worker starts."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where something is written; lines and columns count from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, kw_only=True)
class NamedSource:
    """What a `${…}` in a value has named; `default`: it had none, and its default was taken."""

    name: str
    layer: Layer
    place: Place | None = None
    default: bool = False

    def __str__(self) -> str:
        named = f"environment {self.name}" if self.layer is Layer.ENVIRONMENT else self.name
        told = f"{named} ({self.place})" if self.place else named
        return f"default of {told}" if self.default else told


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where a value comes from. `within` is the path where it was written, if that is another."""

    layer: Layer
    place: Place | None = None
    within: str = ""
    sources: tuple[NamedSource, ...] = ()

    def __str__(self) -> str:
        if self.place is None:
            return self.layer.value
        return ", ".join(filter(None, [str(self.place), self.within, *map(str, self.sources)]))


DEFAULT = Origin(layer=Layer.DEFAULT)


class Origins:
    """Tells the origin of each piece of a spec."""

    def __init__(self, spec: LoadedSpec) -> None:
        self._spec = spec
        self._homes: dict[Position, Path] = {}
        for position, path in _positions(spec.raw, ()):
            self._homes.setdefault(position, path)
        self._families = {name: of for of, made in spec.families.items() for name in made}

    def of(self, position: Position, path: Path, named: Iterable[Named] = ()) -> Origin:
        """Return the origin of a value written at `position` that counts at `path`.

        `named` is what references in it have named.
        """
        home = self._homes.get(position, path)
        return Origin(
            layer=self._layer(position, home, path),
            place=self._place(position),
            within="" if self._is_at(home, path) else ".".join(map(str, home)),
            sources=tuple(map(self._source, named)),
        )

    def of_job(self, name: str) -> Origin | None:
        """Return the origin of a job that was made of a matrix; None of any other."""
        family = self._families.get(name)
        if family is None:
            return None
        at = self._spec.position(("jobs", name), key=True)
        return Origin(layer=Layer.MATRIX, place=self._place(at), within=f"matrix of {family}")

    def _is_at(self, home: Path, path: Path) -> bool:
        """True if `home` is `path`, or what holds it; a made job is where its matrix is."""
        match path:
            case ("jobs", str(name), *rest) if name in self._families:
                path = ("jobs", self._families[name], *rest)
        return path[: len(home)] == home

    def _layer(self, position: Position, home: Path, path: Path) -> Layer:
        if position.file in (SET, VAR):
            return Layer(position.file)
        match home:
            case ("defaults", *_):
                return Layer.DEFAULTS
            case ("vars", *_):
                return Layer.VARS
            case ("jobs", _, "matrix", *_):
                return Layer.MATRIX
        if position.file:
            return Layer.OVERLAY
        return Layer.SPEC if self._is_at(home, path) else Layer.ANCHOR

    def _source(self, named: Named) -> NamedSource:
        place = self._place(named.position) if named.position else None
        return NamedSource(
            name=named.name, layer=_layer_of(named), place=place, default=named.default
        )

    def _place(self, position: Position) -> Place:
        line, column, file = position
        return Place(file=file or self._spec.path, line=line, column=column)


def _layer_of(named: Named) -> Layer:
    if named.position is not None and named.position.file == VAR:
        return Layer.VAR
    namespace, dot, _ = named.name.partition(".")
    if not dot:
        return Layer.ENVIRONMENT
    return {"vars": Layer.VARS, "matrix": Layer.MATRIX}.get(namespace, Layer.START)


def _positions(node: Node, path: Path) -> Iterator[tuple[Position, Path]]:
    """Yield where each value is written, in written order: anchors before their aliases."""
    if isinstance(node, MappingNode):
        inner: Iterable[tuple[str | int, Node]] = (
            (key, entry.value) for key, entry in node.entries.items()
        )
    else:
        inner = enumerate(node.items) if isinstance(node, SequenceNode) else ()
    for key, value in inner:
        yield from _positions(value, (*path, key))
    yield node.position, path


_GIVEN = frozenset({"command", "args", "kwargs", "env"})
"""What targets are given: secrets are masked there."""
_TEXTS = _GIVEN | {"name", "pythonpath", *TEXTS}
"""Where what the environment gave is shown as it was written."""


@dataclass(frozen=True, kw_only=True)
class Leaf:
    """A single value, or an empty list or mapping.

    `literal`: its dollars stand for themselves; else it has `${…}` in it.
    """

    value: Any
    origin: Origin
    literal: bool = True


@dataclass(frozen=True, kw_only=True)
class Branch:
    """A mapping, or a list by index. `origin` is that of a job made of a matrix."""

    inner: Mapping[str | int, Resolved]
    is_list: bool = False
    origin: Origin | None = None


Resolved: TypeAlias = Leaf | Branch


def resolved(spec: LoadedSpec, plan: Plan, machine: Machine) -> Branch:
    """Return all that counts of `spec`, which `plan` was compiled of, on that machine."""
    return _Resolver(spec, plan, machine).document()


def rows_of(root: Branch) -> list[dict[str, Any]]:
    """Return each value with its path and origin, as JSON has them."""
    return [
        {
            "path": ".".join(map(str, path)),
            "value": leaf.value,
            "origin": {
                "layer": leaf.origin.layer.value,
                **_placed(leaf.origin.place),
                "within": leaf.origin.within,
                "sources": [
                    {
                        "name": source.name,
                        "layer": source.layer.value,
                        **_placed(source.place),
                        "default": source.default,
                    }
                    for source in leaf.origin.sources
                ],
            },
        }
        for path, leaf in _leaves(root, ())
    ]


def _placed(place: Place | None) -> dict[str, Any]:
    if place is None:
        return dict.fromkeys(("file", "line", "column"))
    return {"file": place.file, "line": place.line, "column": place.column}


def _leaves(node: Resolved, path: Path) -> Iterator[tuple[Path, Leaf]]:
    if isinstance(node, Leaf):
        yield path, node
    else:
        for key, inner in node.inner.items():
            yield from _leaves(inner, (*path, key))


class _Resolver:
    def __init__(self, spec: LoadedSpec, plan: Plan, machine: Machine) -> None:
        self._spec = spec
        self._machine = machine
        self._tree = without_nulls(spec.tree)[0]
        self._queues = tuple(plan.queues)
        self._origins = Origins(spec)
        self._computed: dict[Path, Any] = {("name",): plan.name}
        for name, job in plan.jobs.items():
            self._computed["jobs", name, "start_method"] = job.start_method.value
            if job.ordered is None:
                self._computed["jobs", job.name, "ordered"] = False
            if job.batch is not None:
                self._computed["jobs", name, "batch", "size"] = job.batch.size

    def document(self) -> Branch:
        defaults = Document(version=1, jobs={})
        found = dict(self._part(defaults, [self._spec.tree], ()).inner)
        for key in ("vars", "defaults", "tests"):
            del found[key]
        draft = draft_of(self._spec, self._machine)
        jobs = {**draft.jobs, **draft.disabled}
        found["queues"] = self._branch({name: self._queue(name) for name in self._queues})
        found["jobs"] = self._branch(
            {name: self._job(jobs[name]) for name in self._spec.document.jobs}
        )
        return Branch(inner=found)

    def _queue(self, name: str) -> Branch:
        path: Path = ("queues", name)
        node = _inside(_inside(self._spec.tree, "queues"), name)
        if isinstance(node, ScalarNode):
            short: dict[str | int, Entry] = {
                "maxsize": Entry("maxsize", node.position, node.width, node)
            }
            empty = MappingNode({}, node.position, 1, 1)
            node = None if node.value is None else mapping_of(empty, short)
        branch = self._part(QueueSpec(), [node], path)
        if _inside(node, "maxsize") is None and _inside(node, "max_bytes") is None:
            # Written, it would be exact.
            branch = replace(branch, inner={**branch.inner, "maxsize": _default(None)})
        return branch

    def _job(self, job: ResolvedJob) -> Branch:
        path = job.path()
        own = _inside(_inside(self._tree, "jobs"), job.name)
        found: dict[str | int, Resolved] = {
            key: self._written(node, (*path, key))
            for key in JobSpec.model_fields
            if key not in JobSettings.model_fields and (node := _inside(own, key)) is not None
        }
        nodes = [own, _inside(self._tree, "defaults")]
        found |= self._part(JobSettings(), nodes, path).inner
        for key in ONLY_TARGETS if job.runs_command else ():
            del found[key]
        return Branch(inner=_fitting(found, job), origin=self._origins.of_job(job.name))

    def _part(self, defaults: SpecPart, nodes: Sequence[Node | None], path: Path) -> Branch:
        """Return a part of the model: what was written in the first of `nodes` that has it."""
        found: dict[str | int, Resolved] = {}
        for key in type(defaults).model_fields:
            written = [each for node in nodes if (each := _inside(node, key)) is not None]
            if (*path, key) in self._spec.nulls:
                written = []
            found[key] = self._value(getattr(defaults, key), written, (*path, key))
        return Branch(inner=found)

    def _value(self, default: Any, written: Sequence[Node], path: Path) -> Resolved:
        """Return the value at `path`; as the draft has it, a job's own goes over the defaults."""
        if isinstance(default, SpecPart):
            return self._part(default, written if path[0] == "jobs" else written[:1], path)
        if len(path) == 3 and path[0] == "jobs" and path[-1] in MERGED_MAPS and written:
            node = functools.reduce(laid_over, reversed(written))
            entries = node.entries if isinstance(node, MappingNode) else {}
            return self._branch(
                {key: self._written(entry.value, (*path, key)) for key, entry in entries.items()},
                DEFAULT,
            )
        if written:
            return self._written(written[0], path)
        return _default(self._computed.get(path, default))

    def _written(self, node: Node, path: Path) -> Resolved:
        if isinstance(node, ScalarNode):
            return self._leaf(node, path)
        if isinstance(node, MappingNode):
            inner: dict[str | int, Resolved] = {
                key: self._written(entry.value, (*path, key)) for key, entry in node.entries.items()
            }
        else:
            inner = {n: self._written(item, (*path, n)) for n, item in enumerate(node.items)}
        is_list = isinstance(node, SequenceNode)
        return self._branch(inner, self._origins.of(node.position, path), is_list=is_list)

    def _branch(
        self,
        inner: dict[str | int, Resolved],
        origin: Origin = DEFAULT,
        *,
        is_list: bool = False,
    ) -> Resolved:
        """Return a mapping or list; an empty one is a value."""
        if inner:
            return Branch(inner=inner, is_list=is_list)
        return Leaf(value=[] if is_list else {}, origin=origin)

    def _leaf(self, scalar: ScalarNode, path: Path) -> Leaf:
        key = path[2] if path[0] == "jobs" else path[0]
        value, literal = scalar.value, not scalar.late
        if scalar.shown is not None and key in _TEXTS:
            value, literal = scalar.shown, False
        if key in _GIVEN:
            secret = any(is_secret(step) for step in path[3:] if isinstance(step, str))
            value = masked_value(value, secret=secret)
        origin = self._origins.of(scalar.position, path, scalar.named)
        return Leaf(value=value, origin=origin, literal=literal)


def _inside(node: Node | None, key: str) -> Node | None:
    entry = node.entries.get(key) if isinstance(node, MappingNode) else None
    return entry.value if entry is not None else None


def _default(value: Any) -> Resolved:
    """Return a default as a spec has it: of numbers, only times are no whole ones."""
    if isinstance(value, tuple) and value:
        return Branch(inner=dict(enumerate(map(_default, value))), is_list=True)
    if isinstance(value, enum.Enum):
        value = value.value
    if isinstance(value, float):
        value = written_duration(value)
    return Leaf(value=[] if value == () else value, origin=DEFAULT)


def _fitting(found: dict[str | int, Resolved], job: ResolvedJob) -> dict[str | int, Resolved]:
    """Return what fits the shape of the job; what is only a default is not repeated to it."""
    fitting = dict(found)
    for (key, *inner), shapes in FITS.items():
        part = fitting.get(key)
        if job.shape in shapes or part is None:
            continue
        if inner and isinstance(part, Branch):
            rest = {name: value for name, value in part.inner.items() if name != inner[0]}
            fitting[key] = Branch(inner=rest)
        elif not inner:
            del fitting[key]
    if not job.reads and "restart" not in job.settings.model_fields_set:
        fitting.pop("restart", None)
    return fitting
