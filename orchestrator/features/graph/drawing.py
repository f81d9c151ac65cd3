"""The drawing of a plan: nodes with a few words each, and edges; its source for Mermaid and DOT."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from orchestrator.plan.model import AfterCondition, JobPlan, Plan, QueuePlan, WhenFull
from orchestrator.views.plan import size
from orchestrator.views.text import escaped, number

__all__ = ["Drawing", "DrawnNode", "Edge", "NodeKind", "drawing_of", "render_dot", "render_mermaid"]


class NodeKind(enum.Enum):
    """What a node stands for."""

    JOB = "job"
    DAEMON = "daemon"
    QUEUE = "queue"


@dataclass(frozen=True, kw_only=True)
class DrawnNode:
    """A job or a queue. `facts` are a few words each, such as `2 workers` or `holds 64`."""

    kind: NodeKind
    name: str
    facts: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """Return what an edge calls it: a job and a queue may have the same name."""
        return _queue_key(self.name) if self.kind is NodeKind.QUEUE else _job_key(self.name)


@dataclass(frozen=True, kw_only=True)
class Edge:
    """An arrow between the nodes of two keys.

    With `waits` no items travel along it: the second job only starts after the first, when that is
    in the state of the `label` (nothing: it succeeded).
    """

    source: str
    target: str
    waits: bool = False
    label: str = ""


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """All nodes of a plan, jobs before queues and each in spec order, and all edges."""

    name: str
    nodes: tuple[DrawnNode, ...]
    edges: tuple[Edge, ...]


def drawing_of(plan: Plan) -> Drawing:
    """Return what there is to draw of `plan`."""
    jobs = tuple(map(_job, plan.jobs.values()))
    queues = tuple(map(_queue, plan.queues.values()))
    return Drawing(name=escaped(plan.name), nodes=jobs + queues, edges=tuple(_edges(plan)))


def _job_key(name: str) -> str:
    return f"job {name}"


def _queue_key(name: str) -> str:
    return f"queue {name}"


def _edges(plan: Plan) -> Iterator[Edge]:
    for job in plan.jobs.values():
        own = _job_key(job.name)
        for other, state in job.after:
            label = "" if state is AfterCondition.SUCCEEDED else state.value
            yield Edge(source=_job_key(other), target=own, waits=True, label=label)
        for queue in job.reads:
            yield Edge(source=_queue_key(queue), target=own)
        for queue in job.writes:
            yield Edge(source=own, target=_queue_key(queue))


def _job(job: JobPlan) -> DrawnNode:
    facts = [job.shape.value]
    if job.workers > 1:
        facts.append(f"{job.workers} workers")
    if job.batch:
        facts.append(f"up to {number(job.batch.size)} at a time")
    if job.daemon:
        facts.append("daemon")
    kind = NodeKind.DAEMON if job.daemon else NodeKind.JOB
    return DrawnNode(kind=kind, name=job.name, facts=tuple(facts))


def _queue(queue: QueuePlan) -> DrawnNode:
    facts = [f"holds {number(queue.maxsize)}" if queue.maxsize else "unbounded"]
    if queue.soft_bytes is not None:
        facts = [f"{facts[0]} or {size(queue.soft_bytes)}"]
    if not queue.readers:
        facts = ["read by nobody: dropped"]
    elif queue.when_full is not WhenFull.BLOCK:
        facts.append(f"{queue.when_full.value} when full")
    return DrawnNode(kind=NodeKind.QUEUE, name=queue.name, facts=tuple(facts))


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


def _words(node: DrawnNode) -> str:
    return f"{node.name}\n{', '.join(node.facts)}"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
