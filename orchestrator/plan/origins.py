"""Origins of a spec's values: the place, the layer and the name of each. Pure."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from orchestrator.spec import LoadedSpec
from orchestrator.spec.yaml.nodes import (
    SET,
    VAR,
    MappingNode,
    Named,
    Node,
    Path,
    Position,
    SequenceNode,
)

__all__ = ["DEFAULT", "Layer", "NamedSource", "Origin", "Origins", "Place"]


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
