"""Places of a spec: where text is wanted, and where values may stand that are known later. Pure.

A whole number where text is wanted is the text that was written.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Collection, Iterator
from dataclasses import replace

from orchestrator.spec import rules
from orchestrator.spec.model import TEXTS
from orchestrator.spec.wording import listed
from orchestrator.spec.yaml.nodes import (
    MappingNode,
    Node,
    Path,
    ScalarNode,
    SequenceNode,
    StartVar,
    mapping_of,
    scalars_of,
    sequence_of,
)
from orchestrator.spec.yaml.parser import Flaw

__all__ = ["Wanted", "hint_for_late", "misplaced", "wanted_at", "with_texts"]


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
    *(("jobs", None, key) for key in TEXTS),
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


_ITEM = re.compile(r"items?([.\[][^${}]*)?")
_KEYS = ("args", "kwargs", "env", "cwd")
"""What a worker is started with; all else shapes the plan."""


def misplaced(root: Node) -> Iterator[Flaw]:
    """Yield a flaw for each value that is needed before the run has begun, and is not known."""
    for path, scalar in scalars_of(root):
        if not scalar.late or _may_be_late(path):
            continue
        pieces = [piece for piece in scalar.late if isinstance(piece, StartVar)]
        names = [f"${{{name}}}" for name in dict.fromkeys(piece.value for piece in pieces)]
        verb = "is" if len(names) == 1 else "are"
        yield Flaw(
            rule=rules.NOT_YET_KNOWN,
            message=f"{listed(names, last='and')} {verb} not known yet where this is needed",
            hint=f"it may stand in {listed(_KEYS, last='and')} of a job, and in what is under vars",
            position=scalar.position,
            width=scalar.width,
            path=path,
        )


def hint_for_late(name: str, path: Path) -> str:
    """Return how to write what `${name}` at `path` was meant to be: the item, or of a start.

    It is empty where nothing of the kind was meant.
    """
    in_command = path[:1] == ("jobs",) and path[2:3] == ("command",)
    if found := _ITEM.fullmatch(name):
        if in_command:
            return f"write {{item{found[1] or ''}}}, without the dollar"
        return (
            "the target is called with the item: it needs no reference" if path[0] == "jobs" else ""
        )
    names = [f"${{{each.value}}}" for each in StartVar if each.value.partition(".")[0] == name]
    if not names:
        return ""
    if in_command:
        return f'name it under env, as in env: {{IT: "{names[0]}"}}, and write $IT here'
    return f"write {listed(names)}"


def _may_be_late(path: Path) -> bool:
    match path:
        case ("vars", *_):
            return True
        case ("jobs", _, key, *_) | ("defaults", key, *_):
            return key in _KEYS
        case _:
            return False
