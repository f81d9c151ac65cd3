"""Makes several jobs of each that has a matrix, in the positioned tree."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace

from orchestrator.spec.compose import MAX_NODES
from orchestrator.spec.events import Flaw
from orchestrator.spec.families import naming_all
from orchestrator.spec.fields import is_name
from orchestrator.spec.matrices import MatrixFlaw, made_of
from orchestrator.spec.nodes import Entry, MappingNode, Node, Path, mapping_of, scalars_of
from orchestrator.spec.source import MAX_BYTES
from orchestrator.spec.variables import Scope

__all__ = ["Maker"]

_Jobs = Mapping[str | int, Entry]


class Maker:
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
