"""Files laid over a spec: what they say is merged into it, and knows where it was written."""

from __future__ import annotations

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

__all__ = ["in_file", "laid_over", "merged", "with_vars_of"]


def merged(below: MappingNode, above: MappingNode) -> MappingNode:
    """Return `below` with what `above` says.

    Mappings are merged key by key; a list or a single value replaces what is there; null removes
    it, and stands for itself where nothing is.
    """
    entries = dict(below.entries)
    for key, entry in above.entries.items():
        before = entries.get(key)
        if before is None:
            entries[key] = entry
        elif isinstance(entry.value, ScalarNode) and entry.value.value is None:
            del entries[key]
        elif isinstance(entry.value, MappingNode) and isinstance(before.value, MappingNode):
            entries[key] = replace(before, value=merged(before.value, entry.value))
        else:
            entries[key] = entry
    return mapping_of(below, entries)


def laid_over(below: Node, above: Node) -> Node:
    """Return a job's value over that of `defaults`: mappings merged to any depth, null a value."""
    if not (isinstance(below, MappingNode) and isinstance(above, MappingNode)):
        return above
    entries = dict(below.entries)
    for key, entry in above.entries.items():
        before = entries.get(key)
        value = entry.value if before is None else laid_over(before.value, entry.value)
        entries[key] = replace(entry, value=value)
    return mapping_of(below, entries)


def with_vars_of(root: MappingNode, case: str) -> MappingNode:
    """Return `root` with the `vars` of one of its cases, if that has any, over its own."""
    steps = list(root.walk(("tests", case, "vars")))
    if len(steps) < 3 or not isinstance(entry := steps[-1], Entry):
        return root
    return merged(root, mapping_of(root, {"vars": entry}))


def in_file(root: MappingNode, file: str) -> MappingNode:
    """Return a tree whose places are in `file`."""
    moved = replace(root, position=root.position._replace(file=file))
    return mapping_of(moved, {key: _entry(entry, file) for key, entry in root.entries.items()})


def _entry(entry: Entry, file: str) -> Entry:
    place = entry.key_position._replace(file=file)
    return replace(entry, key_position=place, value=_node(entry.value, file))


def _node(node: Node, file: str) -> Node:
    if isinstance(node, MappingNode):
        return in_file(node, file)
    moved = replace(node, position=node.position._replace(file=file))
    if isinstance(moved, SequenceNode):
        return sequence_of(moved, [_node(item, file) for item in moved.items])
    return moved
