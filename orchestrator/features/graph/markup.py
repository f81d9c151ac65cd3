"""The graph in the languages of other tools: Mermaid and Graphviz's DOT."""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator.features.graph.drawing import Drawing, Node, NodeKind

__all__ = ["render_dot", "render_mermaid"]

_DOT_LOOKS = {
    NodeKind.JOB: 'shape=box, style="rounded"',
    NodeKind.DAEMON: 'shape=box, style="rounded,dashed"',
    NodeKind.QUEUE: "shape=oval",
}
_MERMAID_SHAPES = {
    NodeKind.JOB: ("[", "]"),
    NodeKind.DAEMON: ("[[", "]]"),
    NodeKind.QUEUE: ("([", "])"),
}


def render_mermaid(drawing: Drawing) -> str:
    """Return the graph as a Mermaid flowchart, which Markdown on most forges shows as a picture."""
    ids = _ids(drawing)
    lines = ["flowchart TD"]
    for node in drawing.nodes:
        left, right = _MERMAID_SHAPES[node.kind]
        text = _words(node).replace("\n", "<br/>")
        lines.append(f'  {ids[node.key]}{left}"{text}"{right}')
    for edge in drawing.edges:
        arrow = "-.->" if edge.waits else "-->"
        label = f"|{edge.label}|" if edge.label else ""
        lines.append(f"  {ids[edge.source]} {arrow}{label} {ids[edge.target]}")
    return "".join(f"{line}\n" for line in lines)


def render_dot(drawing: Drawing) -> str:
    """Return the graph in DOT, for `dot -Tpng` and its kin."""
    ids = _ids(drawing)
    lines = [
        f"digraph {_quoted(drawing.name)} {{",
        '  node [fontname="sans-serif"];',
        '  edge [fontname="sans-serif", fontsize=10];',
    ]
    lines += [
        f"  {ids[node.key]} [{_DOT_LOOKS[node.kind]}, label={_quoted(_words(node))}];"
        for node in drawing.nodes
    ]
    for edge in drawing.edges:
        looks = ["style=dashed"] if edge.waits else []
        looks += [f"label={_quoted(edge.label)}"] if edge.label else []
        then = f" [{', '.join(looks)}]" if looks else ""
        lines.append(f"  {ids[edge.source]} -> {ids[edge.target]}{then};")
    return "".join(f"{line}\n" for line in [*lines, "}"])


def _ids(drawing: Drawing) -> Mapping[str, str]:
    """Number the nodes: names may be words of the language, or hold what it does not allow."""
    return {
        node.key: f"{'q' if node.kind is NodeKind.QUEUE else 'j'}{n}"
        for n, node in enumerate(drawing.nodes)
    }


def _words(node: Node) -> str:
    return f"{node.name}\n{', '.join(node.facts)}"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
