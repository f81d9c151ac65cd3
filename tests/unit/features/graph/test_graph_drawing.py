"""A plan as a drawing, in each of its formats."""

import itertools
import re
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import UsageError
from orchestrator.features.graph.drawing import (
    Drawing,
    DrawnNode,
    Edge,
    NodeKind,
    drawing_of,
    render_dot,
    render_mermaid,
)
from orchestrator.features.graph.svg import render_svg
from orchestrator.features.graph.text import in_reading_order, render_text
from orchestrator.machine.machine import this_machine
from orchestrator.plan.compile import compile_spec
from orchestrator.spec import load, loads
from orchestrator.views.tables import Paper

ROOT = Path(__file__).parents[4]
SPECS = [ROOT / "jobs.yaml", *sorted(ROOT.glob("examples/*/*.yaml"))]
SVG = "{http://www.w3.org/2000/svg}"
SPEC = """
version: 1
name: a "big" <one>
queues: {lines: 5000, good: 64, bad: {maxsize: 3, when_full: drop_oldest}, far: 0}
jobs:
  status: {target: "os:getcwd", daemon: true}
  read: {target: "os:getcwd", output: lines, after: {status: ready}}
  parse: {target: "os:getcwd", input: lines, output: {a: good, b: bad}, workers: 2}
  store: {target: "os:getcwd", input: good, call: batch, batch: {size: 10}, output: far}
  end: {target: "os:getcwd", input: [bad, far], call: stream}
  graph: {target: "os:getcwd", after: {end: finished, store: succeeded}}
"""


@pytest.fixture
def drawing(tmp_path):
    return drawing_of(compile_spec(loads(SPEC, project_dir=tmp_path), this_machine()).plan)


@st.composite
def drawings(draw):
    """Draw any graph whose edges of items go onward; those that wait go anywhere."""
    kinds = draw(st.lists(st.sampled_from(NodeKind), max_size=12))
    nodes = tuple(
        DrawnNode(kind=kind, name=f"n{n}", facts=("fact",)) for n, kind in enumerate(kinds)
    )
    edges = []
    for source, target in itertools.permutations(range(len(nodes)), 2):
        ends = nodes[source].key, nodes[target].key
        how = draw(st.sampled_from(["none", "none", "none", "items", "waits"]))
        if how == "items" and source < target:
            edges.append(Edge(source=ends[0], target=ends[1]))
        if how == "waits" and all(node.kind is not NodeKind.QUEUE for node in nodes):
            edges.append(Edge(source=ends[0], target=ends[1], waits=True))
    return Drawing(name="any", nodes=nodes, edges=tuple(edges))


def test_a_plan_is_drawn_with_its_workers_bounds_and_what_jobs_wait_for(drawing):
    facts = {node.name: node.facts for node in drawing.nodes}
    assert facts["parse"] == ("item", "2 workers")
    assert facts["store"] == ("batch", "up to 10 at a time")
    assert facts["bad"] == ("holds 3", "drop_oldest when full")
    assert facts["far"] == ("unbounded",)
    assert Edge(source="job parse", target="queue bad") in drawing.edges
    assert Edge(source="job status", target="job read", waits=True, label="ready") in drawing.edges


def test_rails_follow_a_branch_to_its_end_before_the_next(drawing):
    text = render_text(drawing, Paper(width=80), unicode=True)
    assert re.findall(r"(\w+) +holds", text) == ["lines", "good", "bad"]
    assert "graph   task, after end finished, store\n" in text


def test_the_rails_of_a_fork_and_of_a_join():
    nodes = [DrawnNode(kind=NodeKind.JOB, name=name, facts=("task",)) for name in "abcd"]
    ways = [("a", "b"), ("a", "c"), ("b", "d")]
    edges = [Edge(source=f"job {a}", target=f"job {b}") for a, b in ways]
    edges.append(Edge(source="job c", target="job d", waits=True))
    drawing = Drawing(name="fork", nodes=tuple(nodes), edges=tuple(edges))
    assert render_text(drawing, Paper(), unicode=True).splitlines() == [
        "●    a  task",
        "├─╮",
        "│ ●  b  task",
        "│ │",
        "● │  c  task",
        "├─╯",
        "●    d  task, after c",
    ]
    assert render_text(drawing, Paper(), unicode=False).splitlines()[1:3] == [
        "|\\",
        "| o  b  task",
    ]


@given(drawings())
def test_each_node_has_one_line_below_all_that_leads_to_it(drawing):
    placed = [key for key, _ in in_reading_order(drawing)]
    assert sorted(placed) == sorted(node.key for node in drawing.nodes)
    for edge in drawing.edges:
        if not edge.waits:
            assert placed.index(edge.source) < placed.index(edge.target)
    text = render_text(drawing, Paper(), unicode=False)
    assert text.isascii()
    assert sorted(re.findall(r"\bn\d+(?=  )", text)) == sorted(n.name for n in drawing.nodes)


def test_a_line_is_never_wider_than_the_paper(drawing):
    text = render_text(drawing, Paper(width=24), unicode=True)
    assert max(map(len, text.splitlines())) == 24
    assert "…" in text


def test_colours_change_nothing_but_the_colour(drawing):
    painted = render_text(drawing, Paper(colour=True), unicode=True)
    assert "\x1b[36mparse\x1b[0m" in painted
    plain = render_text(drawing, Paper(), unicode=True)
    assert re.sub(r"\x1b\[\d+m", "", painted) == plain


@pytest.mark.parametrize("spec", SPECS, ids=lambda path: str(path.relative_to(ROOT)))
@pytest.mark.parametrize("unicode", [True, False])
def test_each_example_is_drawn_whole_in_80_columns(spec, unicode):
    drawing = drawing_of(compile_spec(load(spec), this_machine()).plan)
    text = render_text(drawing, Paper(width=80), unicode=unicode)
    assert max(map(len, text.splitlines())) <= 80
    assert not re.search("[…~]", text)
    for node in drawing.nodes:
        assert re.search(rf" {node.name} +{re.escape(', '.join(node.facts))}", text)


def test_mermaid_numbers_its_nodes_and_tells_ways_from_waits(drawing):
    text = render_mermaid(drawing)
    assert text.startswith("flowchart TD\n")
    assert '  j2["parse<br/>item, 2 workers"]\n' in text
    assert '  q6(["lines<br/>holds 5,000"])\n' in text
    assert "  j1 --> q6\n" in text
    assert "  j0 -.->|ready| j1\n" in text
    assert not re.search(r"^ *(end|graph)\b", text, re.MULTILINE)


def test_dot_quotes_what_the_user_named(drawing):
    text = render_dot(drawing)
    assert text.startswith('digraph "a \\"big\\" <one>" {\n')
    assert '  j2 [shape=box, style="rounded", label="parse\\nitem, 2 workers"];\n' in text
    assert '  j0 -> j1 [style=dashed, label="ready"];\n' in text


def test_an_svg_shows_each_node_apart_from_all_others_and_each_edge(drawing):
    picture = ElementTree.fromstring(render_svg(drawing))
    assert picture.find(f"{SVG}title").text == 'a "big" <one>'
    left, top, width, height = map(float, picture.get("viewBox").split())
    boxes = []
    for group in picture.findall(f"{SVG}g"):
        rect = {k: float(v) for k, v in group.find(f"{SVG}rect").attrib.items()}
        box = (rect["x"], rect["y"], rect["x"] + rect["width"], rect["y"] + rect["height"])
        assert left <= box[0] < box[2] <= left + width
        assert top <= box[1] < box[3] <= top + height
        boxes.append(box)
    assert len(boxes) == len(drawing.nodes)
    for a, b in itertools.combinations(boxes, 2):
        assert a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]
    assert len(picture.findall(f"{SVG}polyline")) == len(drawing.edges)
    labels = [t.text for t in picture.findall(f"{SVG}text")]
    assert sorted(labels) == ["finished", "ready"]


def test_an_svg_is_the_same_each_time(drawing):
    assert render_svg(drawing) == render_svg(drawing)


def test_a_drawing_without_nodes_is_an_empty_picture():
    nothing = Drawing(name="nothing", nodes=(), edges=())
    assert ElementTree.fromstring(render_svg(nothing)).tag == f"{SVG}svg"
    assert render_text(nothing, Paper(), unicode=True) == ""


@pytest.fixture
def no_renderdag(monkeypatch):
    monkeypatch.setitem(sys.modules, "renderdag", None)


@pytest.mark.usefixtures("no_renderdag")
def test_without_rails_each_node_has_an_arrow_to_where_its_items_go(drawing):
    text = render_text(drawing, Paper(width=80), unicode=True)
    assert (
        text
        == """\
◌  status  task, daemon
●  read    source, after status ready
     → lines
□  lines   holds 5,000
     → parse
●  parse   item, 2 workers
     → good, bad
□  good    holds 64
     → store
●  store   batch, up to 10 at a time
     → far
□  far     unbounded
     → end
□  bad     holds 3, drop_oldest when full
     → end
●  end     stream
●  graph   task, after end finished, store
"""
    )
    ascii_only = render_text(drawing, Paper(width=20), unicode=False)
    assert "     -> good, bad\n" in ascii_only
    assert ascii_only.isascii()
    assert max(map(len, ascii_only.splitlines())) <= 20


@pytest.mark.usefixtures("no_renderdag")
@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.parent.name)
def test_without_rails_every_example_has_a_line_for_each_job_and_queue(path):
    plan = compile_spec(load(str(path)), this_machine()).plan
    lines = render_text(drawing_of(plan), Paper(width=200), unicode=True).splitlines()
    names = [line.split()[1] for line in lines if not line.startswith(" ")]
    assert sorted(names) == sorted([*plan.jobs, *plan.queues])


def test_without_its_extra_a_picture_says_what_to_install(drawing, monkeypatch):
    monkeypatch.setitem(sys.modules, "graphlay", None)
    with pytest.raises(UsageError, match="extra svg") as caught:
        render_svg(drawing)
    assert "mporch[svg]" in caught.value.hint
