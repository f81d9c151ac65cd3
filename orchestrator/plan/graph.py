"""The graph of a plan's jobs and queues: the order among them."""

from __future__ import annotations

import enum
import graphlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from orchestrator.plan.model import AfterCondition
from orchestrator.plan.resolved_spec import ResolvedJob, ResolvedSpec

__all__ = [
    "GraphNode",
    "Moment",
    "Order",
    "cycles",
    "order_of_events",
    "readers_of",
    "writers_before",
    "writers_of",
]


class Moment(enum.IntEnum):  # an integer is hashed at once, and nodes are hashed all the time
    """A point in a job's or queue's life that others may wait for."""

    START = 0
    END = 1
    QUEUE_END = 2


class GraphNode(NamedTuple):
    """A moment in the life of the job or queue `name`."""

    name: str
    moment: Moment


Order = Mapping[GraphNode, Sequence[GraphNode]]
"""For each node, those that must come before it."""


def readers_of(jobs: Mapping[str, ResolvedJob]) -> dict[str, list[str]]:
    """Return for each queue the jobs that take from it, in spec order."""
    return _ends((wire.queue, job.name) for job in jobs.values() for wire in job.reads)


def writers_of(jobs: Mapping[str, ResolvedJob]) -> dict[str, list[str]]:
    """Return for each queue the jobs that put on it, in spec order."""
    return _ends((wire.queue, job.name) for job in jobs.values() for wire in job.writes)


def _ends(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for queue, job in pairs:
        jobs = found.setdefault(queue, [])
        if job not in jobs:
            jobs.append(job)
    return found


def order_of_events(draft: ResolvedSpec) -> Order:
    """Return what must come before what in a run.

    A job starts before it ends; a queue ends after its writers, a reader after its queues; a job
    starts after what it is `after`.
    """
    before: dict[GraphNode, list[GraphNode]] = {}
    for job in draft.jobs.values():
        start, end = GraphNode(job.name, Moment.START), GraphNode(job.name, Moment.END)
        before[start] = [
            GraphNode(c.job, Moment.START if c.state is AfterCondition.READY else Moment.END)
            for c in job.after
            if c.job in draft.jobs and c.job != job.name
        ]
        before[end] = [start, *(GraphNode(wire.queue, Moment.QUEUE_END) for wire in job.reads)]
        for wire in job.writes:
            before.setdefault(GraphNode(wire.queue, Moment.QUEUE_END), []).append(end)
    return before


def cycles(before: Order) -> Iterator[list[GraphNode]]:
    """Yield cycles until none is left, each as its nodes in order, the first one again last.

    A cycle is cut once found, so two that share a node may be reported as one. Each node is
    visited once, depth first: tens of thousands of nodes, or of cycles, take no second.
    """
    seen: set[GraphNode] = set()
    for root in before:
        path: dict[GraphNode, Iterator[GraphNode]] = {}
        following: GraphNode | None = root
        while following is not None:
            if following in path:
                nodes = list(path)
                cycle = nodes[nodes.index(following) :]
                yield [cycle[0], *reversed(cycle)]
                for node in cycle:
                    del path[node]
            elif following not in seen:
                seen.add(following)
                path[following] = iter(before.get(following, ()))
            following = _next(path)


def _next(path: dict[GraphNode, Iterator[GraphNode]]) -> GraphNode | None:
    """Return the next node to go to, going back along the path where there is none."""
    while path:
        last = next(reversed(path))
        for node in path[last]:
            return node
        del path[last]
    return None


def writers_before(draft: ResolvedSpec) -> Callable[[str, str], bool]:
    """Return a function that tells whether one job, a writer, has ended before another starts.

    Who comes before a node is a set of writers in an integer, a bit for each: a set of names for
    each of thousands of jobs would fill the memory. Where there is a cycle it tells of none.
    """
    before = order_of_events(draft)
    bits = {
        GraphNode(name, Moment.END): 1 << place
        for place, name in enumerate(job.name for job in draft.jobs.values() if job.writes)
    }
    earlier: dict[GraphNode, int] = {}
    try:
        for node in graphlib.TopologicalSorter(before).static_order():
            found = 0
            for other in before.get(node, ()):
                found |= earlier[other] | bits.get(other, 0)
            earlier[node] = found
    except graphlib.CycleError:
        return lambda _writer, _job: False
    return lambda writer, job: bool(
        earlier[GraphNode(job, Moment.START)] & bits[GraphNode(writer, Moment.END)]
    )
