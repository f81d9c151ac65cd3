"""`null` in a job: the key counts as not written, and no default of the spec holds for it.

Only where it is written so: a key with nothing after it was forgotten, and is told.
"""

from __future__ import annotations

from dataclasses import replace

from pydantic import BaseModel

from orchestrator.spec.model import JobSettings
from orchestrator.spec.nodes import Entry, MappingNode, Node, Path, ScalarNode, mapping_of

__all__ = ["VALUES", "without_nulls"]

VALUES = frozenset({("timeouts", "start")})
"""Where null is a value, and not the one that holds if nobody writes any."""


def without_nulls(root: MappingNode) -> tuple[MappingNode, frozenset[Path]]:
    """Return the tree without the keys of jobs that are null, and the paths of these."""
    found: set[Path] = set()
    entries = dict(root.entries)
    if (entry := entries.get("defaults")) is not None:
        entries["defaults"] = _rid(entry, ("defaults",), found)
    jobs = entries.get("jobs")
    if jobs is not None and isinstance(jobs.value, MappingNode):
        inner = {
            name: _rid(entry, ("jobs", name), found) for name, entry in jobs.value.entries.items()
        }
        entries["jobs"] = replace(jobs, value=mapping_of(jobs.value, inner))
    return (mapping_of(root, entries) if found else root), frozenset(found)


def _rid(entry: Entry, path: Path, found: set[Path]) -> Entry:
    value = _without(entry.value, JobSettings(), path, (), found)
    return entry if value is entry.value else replace(entry, value=value)


def _without(
    node: Node, part: BaseModel, path: Path, keys: tuple[str, ...], found: set[Path]
) -> Node:
    """Return a part of a job without its nulls; `keys` lead from the job to the part."""
    if not isinstance(node, MappingNode):
        return node
    entries: dict[str | int, Entry] = {}
    for key, entry in node.entries.items():
        if not isinstance(key, str) or key not in type(part).model_fields:
            entries[key] = entry
            continue
        here = (*keys, key)
        if here not in VALUES and _is_null(entry.value):
            found.add((*path, key))
            continue
        inner = getattr(part, key)
        if isinstance(inner, BaseModel):
            value = _without(entry.value, inner, (*path, key), here, found)
            if value is not entry.value:
                entries[key] = replace(entry, value=value)
                continue
        entries[key] = entry
    same = len(entries) == len(node.entries) and all(
        entries[key] is node.entries[key] for key in entries
    )
    return node if same else mapping_of(node, entries)


def _is_null(node: Node) -> bool:
    return isinstance(node, ScalarNode) and node.value is None and bool(node.text)
