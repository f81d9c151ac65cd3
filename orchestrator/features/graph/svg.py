"""The graph as a picture. graphlay (the extra `svg`) says where everything goes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from xml.etree import ElementTree as Xml

from orchestrator.errors import UsageError
from orchestrator.features.graph.drawing import Drawing, DrawnNode, Edge, NodeKind

__all__ = ["render_svg"]

_CHARACTER_PX = 7.9
"""The width of a character of 13 px in any fixed-pitch font, rounded up."""
_NODE_PX = {NodeKind.JOB: 46.0, NodeKind.DAEMON: 46.0, NodeKind.QUEUE: 40.0}
_SIDES_PX = 30.0
_MARGIN_PX = 16.0
_OPTIONS = {
    "direction": "topbottom",
    "spacing": {"layer_gap": 34.0, "node_gap": 30.0, "isolated_gap": 30.0},
}
_STYLE = """
svg { color-scheme: light dark }
text { font: 13px ui-monospace, Menlo, Consolas, monospace; text-anchor: middle; fill: #1f2430 }
.facts, .label { font-size: 11px; fill: #596273 }
.paper { fill: #ffffff }
.label { paint-order: stroke; stroke: #ffffff; stroke-width: 5px }
g rect, .edge { stroke-width: 1.5; fill: none }
.job rect, .daemon rect { fill: #e8f1fc; stroke: #3a6ea5 }
.daemon rect { stroke-dasharray: 5 3 }
.queue rect { fill: #fdf3dc; stroke: #a8791a }
.edge { stroke: #596273; stroke-linejoin: round }
.waits { stroke-dasharray: 2 4 }
marker path { fill: #596273 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6e9ef } .facts, .label { fill: #a9b1c0 }
  .job rect, .daemon rect { fill: #1d3047; stroke: #6ea3dd }
  .queue rect { fill: #3a2f14; stroke: #d8a941 }
  .paper { fill: #14181f } .label { stroke: #14181f }
  .edge { stroke: #a9b1c0 } marker path { fill: #a9b1c0 }
}
"""


def render_svg(drawing: Drawing) -> str:
    """Return the graph as an SVG document, in light or dark as its viewer prefers.

    Raises UsageError if the library for the layout is not installed.
    """
    try:
        import graphlay  # noqa: PLC0415 -- an extra
    except ImportError:
        raise UsageError(
            "a picture needs the extra svg",
            hint="pip install 'mporch[svg]', or `--format dot` and Graphviz: dot -Tsvg",
        ) from None
    graph = graphlay.Graph()
    for node in drawing.nodes:
        graph.node(node.key, width=_width(node), height=_NODE_PX[node.kind])
    for edge in drawing.edges:
        graph.edge(edge.source, edge.target, **_label_size(edge))
    layout = graphlay.layout(graph, options=_OPTIONS)
    labels = max((len(edge.label) for edge in drawing.edges), default=0)
    picture = _paper(drawing.name, layout.bounds, _MARGIN_PX + _CHARACTER_PX * labels / 2)
    for edge, way in zip(drawing.edges, layout.edges, strict=True):
        _draw_edge(picture, edge, way)
    for edge, way in zip(drawing.edges, layout.edges, strict=True):
        if edge.label:
            anchor = way["label_anchor"]
            _write(picture, "label", edge.label, anchor["x"], anchor["y"] + 4)
    for node, place in zip(drawing.nodes, layout.nodes, strict=True):
        _draw_node(picture, node, place["center"])
    Xml.indent(picture)
    return f"{Xml.tostring(picture, encoding='unicode')}\n"


def _width(node: DrawnNode) -> float:
    return _CHARACTER_PX * max(map(len, (node.name, ", ".join(node.facts)))) + _SIDES_PX


def _label_size(edge: Edge) -> dict[str, Any]:
    if not edge.label:
        return {}
    return {"label_size": {"width": _CHARACTER_PX * len(edge.label), "height": 14.0}}


def _paper(name: str, bounds: Mapping[str, Any], sides_px: float) -> Xml.Element:
    """Return a document for what lies within `bounds`; a label may stand out of them."""
    left, top = bounds["min"]["x"] - sides_px, bounds["min"]["y"] - _MARGIN_PX
    width = bounds["max"]["x"] + sides_px - left
    height = bounds["max"]["y"] + _MARGIN_PX - top
    picture = Xml.Element(
        "svg",
        xmlns="http://www.w3.org/2000/svg",
        viewBox=_numbers([left, top, width, height]),
        width=_numbers([width]),
        height=_numbers([height]),
        role="img",
    )
    Xml.SubElement(picture, "title").text = name
    Xml.SubElement(picture, "style").text = _STYLE
    arrow = Xml.SubElement(
        Xml.SubElement(picture, "defs"),
        "marker",
        id="arrow",
        viewBox="0 0 10 10",
        refX="9",
        refY="5",
        markerWidth="7",
        markerHeight="7",
        orient="auto",
    )
    Xml.SubElement(arrow, "path", d="M0 1 10 5 0 9Z")
    paper = {"class": "paper", "x": _numbers([left]), "y": _numbers([top])}
    Xml.SubElement(picture, "rect", paper, width="100%", height="100%")
    return picture


def _draw_edge(picture: Xml.Element, edge: Edge, way: Mapping[str, Any]) -> None:
    points = [(point["x"], point["y"]) for point in way["points"]]
    Xml.SubElement(
        picture,
        "polyline",
        {"class": "edge waits" if edge.waits else "edge", "marker-end": "url(#arrow)"},
        points=" ".join(_numbers(point) for point in points),
    )


def _draw_node(picture: Xml.Element, node: DrawnNode, centre: Mapping[str, float]) -> None:
    width, height = _width(node), _NODE_PX[node.kind]
    group = Xml.SubElement(picture, "g", {"class": node.kind.value})
    Xml.SubElement(
        group,
        "rect",
        x=_numbers([centre["x"] - width / 2]),
        y=_numbers([centre["y"] - height / 2]),
        width=_numbers([width]),
        height=_numbers([height]),
        rx=_numbers([height / 2 if node.kind is NodeKind.QUEUE else 6]),
    )
    _write(group, "name", node.name, centre["x"], centre["y"] - 2)
    _write(group, "facts", ", ".join(node.facts), centre["x"], centre["y"] + 14)


def _write(parent: Xml.Element, kind: str, text: str, x: float, y: float) -> None:
    place = {"class": kind, "x": _numbers([x]), "y": _numbers([y])}
    Xml.SubElement(parent, "text", place).text = text


def _numbers(values: Iterable[float]) -> str:
    return " ".join(f"{round(value, 1):g}" for value in values)
