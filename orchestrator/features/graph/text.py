"""The graph as lines of text, a node a line: with rails, as `git log --graph` draws history.

renderdag (the extra `graph`) draws the rails. Without it the graph is a list with arrows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from orchestrator.features.graph.drawing import Drawing, DrawnNode, Edge, NodeKind
from orchestrator.views.tables import Paper
from orchestrator.views.text import Style, paint

__all__ = ["in_reading_order", "render_text"]


_STYLES = {NodeKind.JOB: Style.CYAN, NodeKind.DAEMON: Style.MAGENTA, NodeKind.QUEUE: Style.YELLOW}
_UNICODE = {NodeKind.JOB: "●", NodeKind.DAEMON: "◌", NodeKind.QUEUE: "□"}
_ASCII = {NodeKind.JOB: "o", NodeKind.DAEMON: "@", NodeKind.QUEUE: "#"}
_WIDEST_NAME = 32


@dataclass(frozen=True, kw_only=True)
class _Line:
    """The marks of a line, and what is told beside them: a name and facts, or nothing."""

    marks: str
    node: DrawnNode | None = None
    facts: str = ""


def render_text(drawing: Drawing, paper: Paper, *, unicode: bool) -> str:
    """Return the graph from sources to sinks, no line of a node wider than the paper.

    Rails of lines, or arrows, are the ways of items, those of dots what a job waits for. With
    `unicode` false all is ASCII.
    """
    try:
        lines = list(_with_rails(drawing, unicode=unicode))
    except ImportError:
        lines = list(_with_arrows(drawing, unicode=unicode))
    while lines and not lines[-1].marks and not lines[-1].facts:
        lines.pop()
    marks = max((len(line.marks) for line in lines), default=0)
    names = max((len(node.name) for node in drawing.nodes), default=0)
    columns = marks + 2, min(names, _WIDEST_NAME)
    more = "…" if unicode else "~"
    return "".join(f"{_told(line, columns, paper, more)}\n" for line in lines)


def _with_rails(drawing: Drawing, *, unicode: bool) -> Iterator[_Line]:
    from renderdag import Ancestor, GraphRowRenderer  # noqa: PLC0415 -- an extra

    output = GraphRowRenderer().output()
    renderer = output.build_box_drawing() if unicode else output.build_ascii()
    glyphs = _UNICODE if unicode else _ASCII
    nodes = {node.key: node for node in drawing.nodes}
    for key, onward in in_reading_order(drawing):
        node = nodes[key]
        # The last one keeps the rail of its source, so the others, which are told first, branch off
        # and end before it goes on.
        ways = [
            Ancestor.ancestor(edge.target) if edge.waits else Ancestor.parent(edge.target)
            for edge in reversed(onward)
        ]
        first, *others = renderer.next_row(key, ways, glyphs[node.kind], "").splitlines()
        yield _Line(marks=first, node=node, facts=_facts(node, drawing.edges))
        for rails in others:
            yield _Line(marks=rails)


def _with_arrows(drawing: Drawing, *, unicode: bool) -> Iterator[_Line]:
    """Yield each node, and below it where its items go."""
    glyphs, arrow = (_UNICODE, "→") if unicode else (_ASCII, "->")
    nodes = {node.key: node for node in drawing.nodes}
    for key, _ in in_reading_order(drawing):
        node = nodes[key]
        yield _Line(marks=glyphs[node.kind], node=node, facts=_facts(node, drawing.edges))
        ways = (edge for edge in drawing.edges if edge.source == key and not edge.waits)
        if onward := ", ".join(nodes[edge.target].name for edge in ways):
            yield _Line(marks="", facts=f"{arrow} {onward}")


def _facts(node: DrawnNode, edges: Sequence[Edge]) -> str:
    after = [
        f"{edge.source.removeprefix('job ')} {edge.label}".rstrip()
        for edge in edges
        if edge.waits and edge.target == node.key
    ]
    return ", ".join([*node.facts, *([f"after {', '.join(after)}"] if after else [])])


def _told(line: _Line, columns: tuple[int, int], paper: Paper, more: str) -> str:
    """Return the whole line; what the paper has no room for is cut off."""
    marks, names = columns
    if line.node is None and not line.facts:
        return line.marks
    name = line.node.name if line.node is not None else ""
    beside = f"{name:<{names}}  {line.facts}" if name else f"  {line.facts}"
    text = f"{line.marks:<{marks}}{beside}".rstrip()
    if len(text) > paper.width:
        text = text[: paper.width - 1] + more
    if line.node is None:
        return text
    shown = text[marks : marks + len(name)]
    painted = paint(shown, _STYLES[line.node.kind], colour=paper.colour)
    return text[:marks] + painted + text[marks + len(name) :]


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
