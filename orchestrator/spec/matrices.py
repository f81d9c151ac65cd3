"""Matrices: their combinations, and the names of the jobs made of them. Pure.

`exclude` and `include` are those of GitHub Actions. What has not the form of a matrix is left to
the validator.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from orchestrator.errors import Rule
from orchestrator.spec.nodes import (
    Entry,
    MappingNode,
    Node,
    Position,
    ScalarNode,
    SequenceNode,
    mapping_of,
    scalars_of,
)
from orchestrator.spec.rules import variables
from orchestrator.spec.wording import did_you_mean, show

__all__ = ["MAX_MADE", "MatrixFlaw", "made_of"]

MAX_MADE = 256
"""How many jobs one matrix may make."""

_LONGEST_NAME = 64
_REFINED = ("include", "exclude")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}", re.ASCII)
_NEGATIVE = re.compile(r"-\.?[0-9]", re.ASCII)
_NO_WORD = re.compile(r"[^A-Za-z0-9]+", re.ASCII)


class MatrixFlaw(Exception):  # noqa: N818 -- it becomes a flaw, as SyntaxFlaw does
    """A matrix that makes no jobs, or none that can be. `position` and `width` say where."""

    def __init__(
        self, at: Entry | Node, message: str, hint: str, rule: Rule = variables.BAD_MATRIX
    ) -> None:
        super().__init__(message)
        self.hint = hint
        self.position: Position = at.key_position if isinstance(at, Entry) else at.position
        self.width = at.key_width if isinstance(at, Entry) else at.width
        self.rule = rule


@dataclass(kw_only=True)
class _Made:
    """One job to be made: its values, and what its name has of them."""

    word: str
    values: dict[str, Entry] = field(default_factory=dict)


def made_of(job: str, matrix: Entry, taken: Collection[object]) -> dict[str, MappingNode]:
    """Return the values of each job that `matrix` makes of `job`, by the name that it gets.

    `taken` are names that other jobs have. There are none if it has not the form of a matrix.

    Raises:
        MatrixFlaw: it makes no job, too many, or two of one name.

    """
    node = matrix.value
    if not isinstance(node, MappingNode) or not _has_form(node):
        return {}
    axes = {str(key): entry for key, entry in node.entries.items() if key not in _REFINED}
    _check_size(matrix, math.prod(len(_items(axis)) for axis in axes.values()))
    for axis in axes.values():
        _check_axis(axis)
    made = _product(axes) if axes else []
    for excluded in _mappings(node, "exclude"):
        _check_known(excluded, axes)
        made = [each for each in made if not _agree(each.values, excluded)]
    made = _with_included(made, axes, _mappings(node, "include"))
    _check_size(matrix, len(made))
    if not made:
        hint = "exclude leaves nothing" if axes else "give it a name and a list of values"
        raise MatrixFlaw(matrix, "this matrix makes no job", hint)
    found: dict[str, MappingNode] = {}
    for each in made:
        name = f"{job}_{each.word}"
        _check_name(name, matrix, found, taken)
        entries: dict[str | int, Entry] = dict(each.values.items())
        found[name] = mapping_of(node, entries)
    return found


def _has_form(matrix: MappingNode) -> bool:
    """True if each name has a list, what refines it are lists of mappings, and all is known."""
    for key, entry in matrix.entries.items():
        items = entry.value.items if isinstance(entry.value, SequenceNode) else (None,)
        kinds = MappingNode if key in _REFINED else Node
        if not all(isinstance(item, kinds) for item in items):
            return False
    return all(scalar.known and not scalar.late for _, scalar in scalars_of(matrix))


def _product(axes: Mapping[str, Entry]) -> list[_Made]:
    worded = [
        list(zip(_words(_items(axis)), _entries(axis), strict=True)) for axis in axes.values()
    ]
    return [
        _Made(
            word="_".join(word for word, _ in chosen),
            values={str(entry.key): entry for _, entry in chosen},
        )
        for chosen in itertools.product(*worded)
    ]


def _with_included(
    made: list[_Made], axes: Mapping[str, Entry], included: Sequence[dict[str, Entry]]
) -> list[_Made]:
    """Add each to the combinations it agrees with; with none, it is a combination of its own."""
    alone: list[_Made] = []
    for number, values in enumerate(included, 1):
        for entry in values.values():
            _check_axis_name(entry)
        more = {name: entry for name, entry in values.items() if name not in axes}
        wanted = {name: entry for name, entry in values.items() if name in axes}
        fitting = [each for each in made if _agree(each.values, wanted)]
        for each in fitting:
            each.values |= more
        if values and not fitting:
            words = (_word(entry.value) or str(number) for entry in values.values())
            alone.append(_Made(word="_".join(words), values=values))
    return made + alone


def _agree(values: Mapping[str, Entry], wanted: Mapping[str, Entry]) -> bool:
    return all(_same(values[name].value, entry.value) for name, entry in wanted.items())


def _same(one: Node, other: Node) -> bool:
    a, b = one.plain(), other.plain()
    return type(a) is type(b) and bool(a == b)


def _words(values: Sequence[Node]) -> list[str]:
    """Return a word for each value of one name: its own, unless not all have one: their places."""
    words = [_word(value) for value in values]
    if all(words) and len(set(words)) == len(words):
        return words
    return [str(place) for place in range(1, len(values) + 1)]


def _word(value: Node) -> str:
    """Return the letters and digits of a value, `_` for all else; empty if it has no word.

    What the environment gave has none: names of jobs are told and kept.
    """
    if not isinstance(value, ScalarNode) or value.shown is not None:
        return ""
    text = f"minus{value.text[1:]}" if _NEGATIVE.match(value.text) else value.text
    return _NO_WORD.sub("_", text).strip("_")


def _items(entry: Entry | None) -> Sequence[Node]:
    return entry.value.items if entry and isinstance(entry.value, SequenceNode) else ()


def _entries(axis: Entry) -> list[Entry]:
    return [Entry(axis.key, axis.key_position, axis.key_width, item) for item in _items(axis)]


def _mappings(matrix: MappingNode, key: str) -> list[dict[str, Entry]]:
    return [
        {str(name): entry for name, entry in item.entries.items()}
        for item in _items(matrix.entries.get(key))
        if isinstance(item, MappingNode)
    ]


def _check_size(matrix: Entry, n: int) -> None:
    if n > MAX_MADE:
        message = f"this matrix makes {n:,} jobs, and the most is {MAX_MADE}"
        raise MatrixFlaw(matrix, message, "give it fewer values")


def _check_axis(axis: Entry) -> None:
    _check_axis_name(axis)
    values = _items(axis)
    if not values:
        message = f"{axis.key} has no value, so this matrix makes no job"
        raise MatrixFlaw(axis, message, "give it one, or remove it")
    for one, other in itertools.combinations(values, 2):
        if _same(one, other):
            message = f"{axis.key} has the value {show(one.plain())} twice"
            hint = "remove one of the two"
            if isinstance(other, ScalarNode) and other.text != getattr(one, "text", ""):
                hint = f'they are one number: put them in quotes if they are text ("{other.text}")'
            raise MatrixFlaw(other, message, hint)


def _check_axis_name(entry: Entry) -> None:
    if not isinstance(entry.key, str) or not _NAME.fullmatch(entry.key):
        message = f"{show(entry.key)} cannot be named as ${{matrix.…}}"
        hint = "a name has up to 64 ASCII letters, digits, _ and -, a letter or _ first"
        raise MatrixFlaw(entry, message, hint)


def _check_known(excluded: Mapping[str, Entry], axes: Mapping[str, Entry]) -> None:
    for name, entry in excluded.items():
        if name not in axes:
            hint = did_you_mean(name, axes) or "combinations of the names above are excluded"
            raise MatrixFlaw(entry, f"there is no {name} in this matrix", hint)


def _check_name(
    name: str, matrix: Entry, found: Collection[str], taken: Collection[object]
) -> None:
    if len(name) > _LONGEST_NAME:
        message = f"the name {show(name)} of a job made of this matrix is too long"
        hint = f"names have up to {_LONGEST_NAME} characters: shorten the job's, or the values"
    elif name in taken:
        message, hint = f"this matrix makes a job {name}, and there is one", "rename one of them"
    elif name in found:
        message, hint = f"this matrix makes two jobs {name}", "change one of the values"
    else:
        return
    raise MatrixFlaw(matrix, message, hint, variables.MADE_NAME)
