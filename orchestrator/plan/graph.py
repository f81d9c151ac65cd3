"""What must come before what: the graph of a plan's jobs and queues."""

from __future__ import annotations

import enum
import graphlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from orchestrator.plan.draft import Draft, DraftJob
from orchestrator.plan.model import AfterCondition

__all__ = [
    "Moment",
    "Node",
    "Order",
    "ancestors",
    "cycles",
    "order_of_events",
    "readers_of",
    "writers_of",
]


class Moment(enum.Enum):
    """A point in a job's or queue's life that others may wait for."""

    START = "start"
    END = "end"
    QUEUE_END = "queue end"


class Node(NamedTuple):
    """A moment in the life of the job or queue `name`."""

    name: str
    moment: Moment


Order = Mapping[Node, Sequence[Node]]
"""For each node, those that must come before it."""


def readers_of(jobs: Mapping[str, DraftJob]) -> dict[str, list[str]]:
    """Return for each queue the jobs that take from it, in spec order."""
    return _ends((wire.queue, job.name) for job in jobs.values() for wire in job.reads)


def writers_of(jobs: Mapping[str, DraftJob]) -> dict[str, list[str]]:
    """Return for each queue the jobs that put on it, in spec order."""
    return _ends((wire.queue, job.name) for job in jobs.values() for wire in job.writes)


def _ends(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for queue, job in pairs:
        jobs = found.setdefault(queue, [])
        if job not in jobs:
            jobs.append(job)
    return found


def order_of_events(draft: Draft) -> Order:
    """Return what must come before what in a run.

    A job starts before it ends; a queue ends after its writers, a reader after its queues; a job
    starts after what it is `after`.
    """
    before: dict[Node, list[Node]] = {}
    for job in draft.jobs.values():
        start, end = Node(job.name, Moment.START), Node(job.name, Moment.END)
        before[start] = [
            Node(c.job, Moment.START if c.state is AfterCondition.READY else Moment.END)
            for c in job.after
            if c.job in draft.jobs and c.job != job.name
        ]
        before[end] = [start, *(Node(wire.queue, Moment.QUEUE_END) for wire in job.reads)]
        for wire in job.writes:
            before.setdefault(Node(wire.queue, Moment.QUEUE_END), []).append(end)
    return before


def cycles(before: Order) -> Iterator[list[Node]]:
    """Yield cycles until none is left, each as its nodes in order, the first one again last.

    A cycle is cut once found, so two that share a node may be reported as one.
    """
    graph = dict(before)
    while True:
        try:
            graphlib.TopologicalSorter(graph).prepare()
        except graphlib.CycleError as error:
            found: list[Node] = error.args[1]
            yield found
            for node in found:
                graph.pop(node, None)
        else:
            return


def ancestors(before: Order, node: Node) -> set[Node]:
    """Return every node that must come before `node`."""
    seen: set[Node] = set()
    todo = [node]
    while todo:
        for earlier in before.get(todo.pop(), ()):
            if earlier not in seen:
                seen.add(earlier)
                todo.append(earlier)
    return seen
