"""The graph as lines of text, a node a line, as `git log --graph` draws history."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from orchestrator.features.graph.drawing import Drawing, Edge, Node, NodeKind
from orchestrator.features.graph.order import in_reading_order
from orchestrator.views.tables import Paper
from orchestrator.views.text import Style, paint

__all__ = ["render_rails"]

_STYLES = {NodeKind.JOB: Style.CYAN, NodeKind.DAEMON: Style.MAGENTA, NodeKind.QUEUE: Style.YELLOW}
_UNICODE = {NodeKind.JOB: "●", NodeKind.DAEMON: "◌", NodeKind.QUEUE: "□"}
_ASCII = {NodeKind.JOB: "o", NodeKind.DAEMON: "@", NodeKind.QUEUE: "#"}
_WIDEST_NAME = 32


@dataclass(frozen=True, kw_only=True)
class _Line:
    """The rails of a line, and what is told beside them: a name and facts, or nothing."""

    rails: str
    node: Node | None = None
    facts: str = ""


def render_rails(drawing: Drawing, paper: Paper, *, unicode: bool) -> str:
    """Return the graph from sources to sinks, no line wider than the paper.

    Rails of lines are the ways of items, those of dots what a job waits for. With `unicode` false
    all is ASCII.
    """
    lines = list(_lines(drawing, unicode=unicode))
    while lines and not lines[-1].rails:
        lines.pop()
    rails = max((len(line.rails) for line in lines), default=0)
    names = max((len(node.name) for node in drawing.nodes), default=0)
    columns = rails + 2, min(names, _WIDEST_NAME)
    more = "…" if unicode else "~"
    return "".join(f"{_told(line, columns, paper, more)}\n" for line in lines)


def _lines(drawing: Drawing, *, unicode: bool) -> Iterator[_Line]:
    from renderdag import Ancestor, GraphRowRenderer  # noqa: PLC0415 -- only where it is drawn

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
        yield _Line(rails=first, node=node, facts=_facts(node, drawing.edges))
        for rails in others:
            yield _Line(rails=rails)


def _facts(node: Node, edges: Sequence[Edge]) -> str:
    after = [
        f"{edge.source.removeprefix('job ')} {edge.label}".rstrip()
        for edge in edges
        if edge.waits and edge.target == node.key
    ]
    return ", ".join([*node.facts, *([f"after {', '.join(after)}"] if after else [])])


def _told(line: _Line, columns: tuple[int, int], paper: Paper, more: str) -> str:
    """Return the whole line; what the paper has no room for is cut off."""
    if line.node is None:
        return line.rails
    rails, names = columns
    name = line.node.name
    text = f"{line.rails:<{rails}}{name:<{names}}  {line.facts}".rstrip()
    if len(text) > paper.width:
        text = text[: paper.width - 1] + more
    shown = text[rails : rails + len(name)]
    return (
        text[:rails]
        + paint(shown, _STYLES[line.node.kind], colour=paper.colour)
        + text[rails + len(name) :]
    )
