"""The positioned tree: what a YAML text says, each piece with the place where it was written.

A text may name, by `run.…` and `worker.…`, what is known only when a worker starts.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, TypeAlias

from orchestrator.spec.yaml.scalars import ScalarError

__all__ = [
    "LATE_NAMESPACES",
    "SET",
    "VAR",
    "Entry",
    "MappingNode",
    "Named",
    "Node",
    "Path",
    "Position",
    "ScalarNode",
    "SequenceNode",
    "StartVar",
    "Word",
    "characters_in",
    "mapping_of",
    "scalars_of",
    "sequence_of",
]


class StartVar(enum.Enum):
    """Something that `${…}` can name and that has no value before the run has begun."""

    RUN_ID = "run.id"
    RUN_DIR = "run.dir"
    RUN_NAME = "run.name"
    WORKER_NAME = "worker.name"
    WORKER_JOB = "worker.job"
    WORKER_INDEX = "worker.index"
    """From 1; a number."""
    WORKER_COUNT = "worker.count"
    """How many workers the job has; a number."""


LATE_NAMESPACES = frozenset(each.value.partition(".")[0] for each in StartVar)


Path: TypeAlias = tuple[str | int, ...]
"""The way to a piece of the spec: keys and list indices, such as ("jobs", "parse", "input", 0)."""


VAR = "--var"
SET = "--set"
"""Stand for the file of a `Position` that is an option; the line is which of them it is."""


class Position(NamedTuple):
    """A place in a text; lines and columns count from 1, columns in characters.

    `file` is what the text goes by in messages; empty for the spec itself.
    """

    line: int
    column: int
    file: str = ""


class Named(NamedTuple):
    """What a `${…}` named: where that was written, if it was, and whether it was the default."""

    name: str
    position: Position | None = None
    default: bool = False


class Word(NamedTuple):
    """A value that a command for the shell has as a variable of it.

    `written` is the reference to it; `would_be_read`: it stands outside of quotes, and as source it
    would be more than a word; `given`: it comes from the environment; `source`: the reference that
    hands it to the shell as source, None where that may not be. `before` is how often the same is
    written before it.
    """

    variable: str
    value: str
    written: str
    would_be_read: bool
    given: bool
    source: str | None
    before: int = 0


@dataclass(frozen=True, slots=True)
class ScalarNode:
    """A single value: text, number, truth value or null. `quoted` keeps it from being special.

    `width` is how many characters of its line it takes; 0 is the rest of the line. `text` is how
    the value was written. `known` is false where a variable has no value: the text then still has
    its `${…}`. `shown` is set if the value came from the environment, or a part of it: what to
    show and keep in its place. `from_environment`: it is all of a variable, not typed yet. `late`
    are the pieces of a text that is known only when a worker starts; else there are none. `named`
    is what the references in it have named. `doubt` says why a text of the environment may be named
    only where text is wanted.
    """

    value: str | int | float | bool | None
    position: Position
    width: int = 1
    quoted: bool = False
    text: str = ""
    known: bool = True
    shown: str | None = None
    from_environment: bool = False
    late: tuple[str | StartVar, ...] = ()
    named: tuple[Named, ...] = ()
    doubt: ScalarError | None = None
    words: tuple[Word, ...] = ()
    size: int = 1
    depth: int = 0

    def plain(self) -> Any:
        """Return the value."""
        return self.value


@dataclass(frozen=True, slots=True)
class SequenceNode:
    """A list. `size` counts all nodes in it, aliases expanded; `depth` the levels beneath it."""

    items: tuple[Node, ...]
    position: Position
    size: int
    depth: int
    width: int = 1

    def plain(self) -> list[Any]:
        """Return a fresh list of plain values."""
        return [item.plain() for item in self.items]


@dataclass(frozen=True, slots=True)
class Entry:
    """One `key: value` of a mapping."""

    key: str | int
    key_position: Position
    key_width: int
    value: Node


@dataclass(frozen=True, slots=True)
class MappingNode:
    """A mapping in written order, merges resolved, keys unique."""

    entries: dict[str | int, Entry]
    position: Position
    size: int
    depth: int
    width: int = 1

    def plain(self) -> dict[Any, Any]:
        """Return a fresh dict of plain values."""
        return {key: entry.value.plain() for key, entry in self.entries.items()}

    def walk(self, path: Path) -> Iterator[Entry | Node]:
        """Yield the entry or list item of each step of `path`, as far as the tree goes.

        A step that isn't in the tree is passed over, so a path may hold words of the validator.
        """
        node: Node = self
        for step in path:
            if isinstance(node, MappingNode) and step in node.entries:
                entry = node.entries[step]
                yield entry
                node = entry.value
            elif isinstance(node, SequenceNode) and type(step) is int and step < len(node.items):
                node = node.items[step]
                yield node


Node: TypeAlias = ScalarNode | SequenceNode | MappingNode


def mapping_of(node: MappingNode, entries: dict[str | int, Entry]) -> MappingNode:
    """Return `node` with other entries."""
    size, depth = _measure([entry.value for entry in entries.values()])
    return replace(node, entries=entries, size=size + len(entries), depth=depth)


def sequence_of(node: SequenceNode, items: Sequence[Node]) -> SequenceNode:
    """Return `node` with other items."""
    size, depth = _measure(items)
    return replace(node, items=tuple(items), size=size, depth=depth)


def scalars_of(node: Node, path: Path = ()) -> Iterator[tuple[Path, ScalarNode]]:
    """Yield all single values beneath `node`, each with its path from there."""
    if isinstance(node, ScalarNode):
        yield path, node
    elif isinstance(node, SequenceNode):
        for index, item in enumerate(node.items):
            yield from scalars_of(item, (*path, index))
    else:
        for key, entry in node.entries.items():
            yield from scalars_of(entry.value, (*path, key))


def _measure(children: Sequence[Node]) -> tuple[int, int]:
    """Return size and depth of what holds `children`."""
    size = 1 + sum(child.size for child in children)
    return size, 1 + max((child.depth for child in children), default=0)


def characters_in(node: Node) -> int:
    """Return how many characters the values and keys in `node` have, aliases expanded."""
    if isinstance(node, ScalarNode):
        return len(node.text)
    if isinstance(node, SequenceNode):
        return sum(map(characters_in, node.items))
    return sum(len(str(key)) + characters_in(each.value) for key, each in node.entries.items())
