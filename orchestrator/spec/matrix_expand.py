"""Expands matrices: several jobs of each that has one, in the positioned tree."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace

from orchestrator.spec.compose import MAX_NODES
from orchestrator.spec.events import Flaw
from orchestrator.spec.fields import is_name
from orchestrator.spec.matrices import MatrixFlaw, made_of
from orchestrator.spec.nodes import (
    Entry,
    MappingNode,
    Node,
    Path,
    ScalarNode,
    SequenceNode,
    mapping_of,
    scalars_of,
    sequence_of,
)
from orchestrator.spec.source import MAX_BYTES
from orchestrator.spec.variables import Scope

__all__ = ["Families", "MatrixExpander", "naming_all"]

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
