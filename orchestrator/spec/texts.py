"""Places of a spec where text is wanted, and whole numbers there as they were written. Pure."""

from __future__ import annotations

import enum
from collections.abc import Collection
from dataclasses import replace

from orchestrator.spec.nodes import (
    MappingNode,
    Node,
    Path,
    ScalarNode,
    SequenceNode,
    mapping_of,
    sequence_of,
)

__all__ = ["Wanted", "wanted_at", "with_texts"]


class Wanted(enum.Enum):
    """What a single value at a place is to be."""

    VALUE = enum.auto()
    """Typed as YAML has it."""
    TEXT = enum.auto()
    """Text, whatever it looks like."""
    SCRIPT = enum.auto()
    """Text that the shell reads."""


_Way = tuple[str | None, ...]
"""A path in which None stands for any step."""

_HANDED_ON: tuple[_Way, ...] = (
    ("jobs", None, "env", None),
    ("jobs", None, "command", None),
    ("defaults", "env", None),
)
"""What a program gets as text."""

_TEXT: tuple[_Way, ...] = (
    *_HANDED_ON,
    ("jobs", None, "cwd"),
    ("jobs", None, "description"),
    ("defaults", "cwd"),
    ("name",),
    ("pythonpath", None),
)

_SCRIPT: _Way = ("jobs", None, "command")


def wanted_at(path: Path) -> Wanted:
    """Return what a variable gives at `path`."""
    if _is_on(path, _SCRIPT):
        return Wanted.SCRIPT
    return Wanted.TEXT if any(_is_on(path, way) for way in _TEXT) else Wanted.VALUE


def with_texts(root: MappingNode) -> MappingNode:
    """Return the tree with each whole number that is handed on as text, as it was written."""
    read = _read(root, _HANDED_ON)
    assert isinstance(read, MappingNode)
    return read


def _is_on(path: Path, way: _Way) -> bool:
    if len(path) != len(way):
        return False
    return all(wanted in (None, step) for wanted, step in zip(way, path, strict=True))


def _read(node: Node, ways: Collection[_Way]) -> Node:
    if isinstance(node, ScalarNode):
        return _as_written(node) if () in ways else node
    if isinstance(node, SequenceNode):
        items = [_read(item, _beyond(ways, n)) for n, item in enumerate(node.items)]
        same = all(new is old for new, old in zip(items, node.items, strict=True))
        return node if same else sequence_of(node, items)
    changed = {
        key: replace(entry, value=new)
        for key, entry in node.entries.items()
        if (inner := _beyond(ways, key)) and (new := _read(entry.value, inner)) is not entry.value
    }
    return mapping_of(node, {**node.entries, **changed}) if changed else node


def _beyond(ways: Collection[_Way], step: str | int) -> list[_Way]:
    return [way[1:] for way in ways if way and way[0] in (None, step)]


def _as_written(node: ScalarNode) -> ScalarNode:
    """Return a whole number as text: `+7` and `0x1F` mean to a program what they say."""
    if type(node.value) is int and node.text:
        return replace(node, value=node.text)
    return node
