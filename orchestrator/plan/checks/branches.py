"""The rule on branches that join again: a queue that fills while its reader waits at another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from orchestrator.errors import Problem
from orchestrator.plan.callees import Callee
from orchestrator.plan.graph import readers_of, writers_of
from orchestrator.plan.model import AfterCondition, Shape, WhenFull
from orchestrator.plan.read_order import drained_first
from orchestrator.plan.resolved_spec import ResolvedJob, ResolvedSpec, Wire
from orchestrator.spec import rules
from orchestrator.spec.parts import QueueSpec

__all__ = ["joined_branches"]

_MOST_STEPS = 100_000
_SMALL = QueueSpec().maxsize
"""Items. Who has asked for a queue that holds more has thought of what it must hold."""


def joined_branches(draft: ResolvedSpec, callees: Mapping[str, Callee]) -> Iterator[Problem]:
    """Tell of jobs that read one handle to its end while another's queue holds up its writer.

    Only a job with handles can: any other takes from whichever of its inputs has an item.
    """
    flow: _Flow | None = None
    for name, callee in callees.items():
        job = draft.jobs[name]
        results = callee.call.results if callee.call is not None else None
        handles = {wire.parameter: wire for wire in job.reads if wire.parameter is not None}
        if job.shape is not Shape.HANDLES or len(handles) < 2 or results is None:
            continue
        first = drained_first(results.function, handles)
        if first is None:
            continue
        flow = flow or _Flow(draft)
        end = handles[first].queue
        for full in (wire for parameter, wire in handles.items() if parameter != first):
            if draft.is_unclear(full.queue):
                continue
            if both := flow.held_up(full.queue, name) & flow.needed(end):
                who = next(each for each in draft.jobs if each in both)
                yield _joined(draft, full, f"{callee.name} ({callee.place})", end, who)


def _joined(draft: ResolvedSpec, full: Wire, reader: str, end: str, writer: str) -> Problem:
    message = (
        f"{reader} reads {end} to its end before it takes from {full.queue}: once that is full,"
        f" {writer} comes to wait for room, and {end} never ends"
    )
    hint = f"take from both in turn, or let {full.queue} hold all that is ever put on it"
    return draft.spec.problem(rules.JOINED_BRANCHES, full.path, message, hint)


class _Flow:
    """What of a draft waits for what, when a queue is full or is to end.

    A spec with thousands of such readers has the first of them followed only, within a second.
    """

    def __init__(self, draft: ResolvedSpec) -> None:
        self._left = _MOST_STEPS
        self._jobs = draft.jobs
        self._queues = draft.spec.document.queues
        self._readers = readers_of(draft.jobs)
        self._writers = writers_of(draft.jobs)

    def held_up(self, queue: str, reader: str) -> set[str]:
        """Return the jobs that come to wait for room if `reader` takes nothing from `queue`."""
        stuck = {reader}
        found: set[str] = set()
        todo = [queue]
        while todo and self._left > 0:
            self._left -= 1
            here = todo.pop()
            if not self._makes_wait(here) or not set(self._readers.get(here, ())) <= stuck:
                continue
            for writer in self._writers.get(here, ()):
                if writer not in found:
                    found.add(writer)
                    stuck.add(writer)
                    todo += [wire.queue for wire in self._jobs[writer].reads]
        return found

    def needed(self, queue: str) -> set[str]:
        """Return the jobs that must end before `queue` can."""
        found: set[str] = set()
        todo = list(self._writers.get(queue, ()))
        while todo and self._left > 0:
            self._left -= 1
            name = todo.pop()
            if name in found or name not in self._jobs:
                continue
            found.add(name)
            todo += self._before(self._jobs[name])
        return found

    def _before(self, job: ResolvedJob) -> Iterator[str]:
        for wire in job.reads:
            yield from self._writers.get(wire.queue, ())
        for condition in job.after:
            if condition.state is not AfterCondition.READY:
                yield condition.job

    def _makes_wait(self, name: str) -> bool:
        """True if a queue that is not read makes its writers wait, and soon."""
        queue = self._queues.get(name)
        if queue is None or queue.when_full is not WhenFull.BLOCK or queue.put_timeout is not None:
            return False
        return 0 < queue.maxsize <= _SMALL
