"""The order in which a graph is read: sources first, and what belongs together side by side."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.features.graph.drawing import Drawing, Edge

__all__ = ["in_reading_order"]


def in_reading_order(drawing: Drawing) -> Iterator[tuple[str, list[Edge]]]:
    """Yield each node's key, after all nodes that lead to it, with the edges that lead on.

    A branch is followed to its end, or to where it meets another, before the next begins. A job
    that waits for another to be ready may feed that one: such an edge, which would close a circle,
    is left out.
    """
    onward = _without_circles(drawing)
    waiting = dict.fromkeys(onward, 0)
    for edges in onward.values():
        for edge in edges:
            waiting[edge.target] += 1
    ready = [key for key in reversed(onward) if not waiting[key]]
    while ready:
        key = ready.pop()
        yield key, onward[key]
        for edge in reversed(onward[key]):
            waiting[edge.target] -= 1
            if not waiting[edge.target]:
                ready.append(edge.target)


def _without_circles(drawing: Drawing) -> dict[str, list[Edge]]:
    """Return for each node its edges onward: all ways of items, then what closes no circle."""
    onward: dict[str, list[Edge]] = {node.key: [] for node in drawing.nodes}
    for edge in sorted(drawing.edges, key=lambda edge: edge.waits):
        if not edge.waits or not _leads(onward, edge.target, edge.source):
            onward[edge.source].append(edge)
    return onward


def _leads(onward: dict[str, list[Edge]], start: str, end: str) -> bool:
    seen, todo = {start}, [start]
    while todo:
        here = todo.pop()
        if here == end:
            return True
        following = {edge.target for edge in onward[here]} - seen
        seen |= following
        todo += following
    return False
