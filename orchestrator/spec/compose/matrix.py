"""Matrices: their combinations, the names of the jobs made of them, and the jobs in the tree. Pure.

`exclude` and `include` are those of GitHub Actions. What has not the form of a matrix is left to
the validator.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from orchestrator.errors import Rule
from orchestrator.spec import rules
from orchestrator.spec.compose.variables import Scope
from orchestrator.spec.types import is_name
from orchestrator.spec.wording import HintedError, did_you_mean, show
from orchestrator.spec.yaml.composer import MAX_NODES
from orchestrator.spec.yaml.nodes import (
    Entry,
    MappingNode,
    Node,
    Path,
    Position,
    ScalarNode,
    SequenceNode,
    mapping_of,
    scalars_of,
    sequence_of,
)
from orchestrator.spec.yaml.parser import Flaw
from orchestrator.spec.yaml.source import MAX_BYTES

__all__ = ["MAX_MADE", "Families", "MatrixExpander", "MatrixFlaw", "made_of", "naming_all"]

MAX_MADE = 256
"""How many jobs one matrix may make."""

_LONGEST_NAME = 64
_REFINED = ("include", "exclude")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}", re.ASCII)
_NEGATIVE = re.compile(r"-\.?[0-9]", re.ASCII)
_NO_WORD = re.compile(r"[^A-Za-z0-9]+", re.ASCII)


class MatrixFlaw(HintedError):  # noqa: N818 -- it becomes a flaw, as SyntaxFlaw does
    """A matrix that makes no jobs, or none that can be. `position` and `width` say where."""

    def __init__(
        self, at: Entry | Node, message: str, hint: str, rule: Rule = rules.BAD_MATRIX
    ) -> None:
        super().__init__(message, hint)
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
    raise MatrixFlaw(matrix, message, hint, rules.MADE_NAME)


_Jobs = Mapping[str | int, Entry]


class MatrixExpander:
    """Makes the jobs of one spec. `expand` puts in variables, with those of a matrix.

    `families` has the names of the jobs made, by that of the job that has the matrix; `wrong` says
    that a matrix makes none, so that what it should name is not known.
    """

    def __init__(self, expand: Callable[[Node, Path, Scope | None], Node]) -> None:
        self.families: dict[str, tuple[str, ...]] = {}
        self.wrong = False
        self._expand = expand
        self._nodes = 0
        self._characters = 0

    def jobs(self, section: MappingNode, flaws: list[Flaw]) -> MappingNode:
        """Return what is under `jobs`, expanded; what is wrong with a matrix goes to `flaws`."""
        jobs: dict[str | int, Entry] = {}
        for name, entry in section.entries.items():
            job = entry.value
            if isinstance(job, MappingNode) and "matrix" in job.entries:
                jobs |= self._made(entry, job, {*section.entries, *jobs}, flaws)
            else:
                jobs[name] = replace(entry, value=self._expand(job, ("jobs", name), None))
        return naming_all(mapping_of(section, jobs), self.families)

    def _made(
        self, entry: Entry, job: MappingNode, taken: Collection[object], flaws: list[Flaw]
    ) -> _Jobs:
        path: Path = ("jobs", entry.key)
        written = job.entries["matrix"]
        matrix = replace(written, value=self._expand(written.value, (*path, "matrix"), None))
        rest = mapping_of(job, {key: each for key, each in job.entries.items() if key != "matrix"})
        made: Mapping[str, MappingNode] = {}
        try:
            if is_name(entry.key):
                made = made_of(str(entry.key), matrix, taken)
                self._charge(rest, len(made), matrix)
        except MatrixFlaw as flaw:
            made = {}
            flaws.append(
                Flaw(
                    rule=flaw.rule,
                    message=str(flaw),
                    hint=flaw.hint,
                    position=flaw.position,
                    width=flaw.width,
                    path=(*path, "matrix"),
                )
            )
        if not made:
            return self._unmade(entry, rest, matrix)
        self.families[str(entry.key)] = tuple(made)
        return {
            name: replace(entry, key=name, value=self._expand(rest, ("jobs", name), Scope(values)))
            for name, values in made.items()
        }

    def _unmade(self, entry: Entry, rest: MappingNode, matrix: Entry) -> _Jobs:
        """Return the job as it is, with its matrix: so the validator sees what is wrong."""
        self.wrong = True
        expanded = self._expand(rest, ("jobs", entry.key), Scope(None))
        assert isinstance(expanded, MappingNode)
        whole = mapping_of(expanded, {**expanded.entries, "matrix": matrix})
        return {entry.key: replace(entry, value=whole)}

    def _charge(self, job: MappingNode, n: int, matrix: Entry) -> None:
        """Count what the matrices of the spec make; together it must stay within bounds."""
        self._nodes += n * job.size
        self._characters += n * sum(len(scalar.text) for _, scalar in scalars_of(job))
        if self._nodes > MAX_NODES or self._characters > MAX_BYTES:
            message = f"matrices make too much: over {MAX_NODES:,} keys and values, or 1 MiB"
            raise MatrixFlaw(matrix, message, "give them fewer values, or their jobs less text")


Families = Mapping[str, Collection[str]]
"""The names of the jobs made, by the name of the job that has the matrix."""


def naming_all(jobs: MappingNode, families: Families) -> MappingNode:
    """Return `jobs` whose `after` names, instead of a job with a matrix, all that it makes."""
    return mapping_of(
        jobs, {name: _with_after(entry, families) for name, entry in jobs.entries.items()}
    )


def _with_after(entry: Entry, families: Families) -> Entry:
    job = entry.value
    if not isinstance(job, MappingNode) or "after" not in job.entries:
        return entry
    after = job.entries["after"]
    named = replace(after, value=_all(after.value, families))
    return replace(entry, value=mapping_of(job, {**job.entries, "after": named}))


def _all(after: Node, families: Families) -> Node:
    if isinstance(after, ScalarNode):
        names = _names(after, families)
        empty = SequenceNode((), after.position, 1, 1, after.width)
        return sequence_of(empty, names) if names else after
    if isinstance(after, SequenceNode):
        items = [name for item in after.items for name in _names(item, families) or [item]]
        return sequence_of(after, items)
    entries: dict[str | int, Entry] = {}
    for key, entry in after.entries.items():
        for name in families.get(str(key), (key,)):
            entries[name] = replace(entry, key=name)
    return mapping_of(after, entries)


def _names(node: Node, families: Families) -> list[Node]:
    """Return the names of the jobs made, each at the place of `node`, if that names a family."""
    if not isinstance(node, ScalarNode):
        return []
    names = families.get(str(node.value), ())
    return [replace(node, value=name, text=name, quoted=True) for name in names]
