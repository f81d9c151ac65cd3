"""Families of jobs made by a matrix: `after` its name means all of them. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from orchestrator.spec.nodes import (
    Entry,
    MappingNode,
    Node,
    ScalarNode,
    SequenceNode,
    mapping_of,
    sequence_of,
)

__all__ = ["Families", "naming_all"]

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
