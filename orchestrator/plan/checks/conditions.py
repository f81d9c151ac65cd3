"""The rule on `after`: what a job waits for can all come true."""

from __future__ import annotations

import graphlib
from collections.abc import Iterator
from itertools import combinations

from orchestrator.errors import Problem
from orchestrator.plan.graph import GraphNode, Moment, order_of_events
from orchestrator.plan.model import AfterCondition, FailurePolicy, Shape
from orchestrator.plan.resolved_spec import Condition, ResolvedJob, ResolvedSpec
from orchestrator.spec import rules

__all__ = ["RULES"]

_FAILED = AfterCondition.FAILED
_MAY_RETURN_EARLY = (Shape.STREAM, Shape.HANDLES)


def never_true(draft: ResolvedSpec) -> Iterator[Problem]:
    """No job waits for a failure, and for what that failure makes impossible."""
    failures: _Failures | None = None
    for job in draft.jobs.values():
        known = [each for each in job.after if each.job in draft.jobs and each.job != job.name]
        for one, other in combinations(known, 2):
            failed, second = (one, other) if one.state is _FAILED else (other, one)
            if failed.state is not _FAILED or second.state is AfterCondition.FINISHED:
                continue
            if not draft.broken.isdisjoint((failed.job, second.job)):
                continue
            failures = failures or _Failures(draft)
            if why := failures.contradiction(failed, second):
                hint = "all that is under after must hold: write finished, or make two jobs of it"
                yield draft.spec.problem(rules.NEVER_TRUE, second.path, why, hint)


class _Failures:
    """What the failure of a job keeps from coming true.

    Jobs whose failure somebody waits for are bits of an integer: a set of names for each of
    thousands of jobs would fill the memory. Where there is a cycle, which is told of elsewhere,
    nothing is known.
    """

    def __init__(self, draft: ResolvedSpec) -> None:
        self._jobs = draft.jobs
        names = {c.job for job in draft.jobs.values() for c in job.after if c.state is _FAILED}
        self._bits = {name: 1 << place for place, name in enumerate(names)}
        self._before = order_of_events(draft)
        self._ended: dict[GraphNode, int] = {}
        self._succeeded: dict[str, int] = {}
        try:
            for node in graphlib.TopologicalSorter(self._before).static_order():
                self._ended[node] = self._ended_before(node)
                if node.moment is Moment.START and node.name in self._jobs:
                    self._succeeded[node.name] = self._succeeded_before(self._jobs[node.name])
        except graphlib.CycleError:
            self._ended, self._succeeded = {}, {}

    def contradiction(self, failed: Condition, other: Condition) -> str:
        """Return why `other` cannot hold where `failed` does; empty if it can."""
        first, second = self._jobs[failed.job], self._jobs[other.job]
        stops = first.settings.on_failure is FailurePolicy.STOP
        if other.state is _FAILED:
            if stops and second.settings.on_failure is FailurePolicy.STOP:
                return f"{first.name} and {second.name}: the failure of one stops the other"
            return ""
        bit = self._bits[first.name]
        if self._succeeded.get(second.name, 0) & bit:
            return f"{second.name} is skipped when {first.name} has failed"
        moment = Moment.START if other.state is AfterCondition.READY else Moment.END
        if stops and self._ended.get(GraphNode(second.name, moment), 0) & bit:
            return f"the run stops when {first.name} fails, before {second.name} has {_come(other)}"
        return ""

    def _ended_before(self, node: GraphNode) -> int:
        """Return the jobs that have ended before; one may return before its input has."""
        job = self._jobs.get(node.name) if node.moment is Moment.END else None
        early = job is not None and job.shape in _MAY_RETURN_EARLY
        found = 0
        for earlier in self._before.get(node, ()):
            if early and earlier.moment is Moment.QUEUE_END:
                continue
            found |= self._ended[earlier]
            if earlier.moment is Moment.END:
                found |= self._bits.get(earlier.name, 0)
        return found

    def _succeeded_before(self, job: ResolvedJob) -> int:
        """Return the jobs that must have succeeded for this one to start."""
        found = 0
        for condition in job.after:
            if condition.state is AfterCondition.FINISHED:
                continue
            found |= self._succeeded.get(condition.job, 0)
            if condition.state is AfterCondition.SUCCEEDED:
                found |= self._bits.get(condition.job, 0)
        return found


def _come(condition: Condition) -> str:
    return "succeeded" if condition.state is AfterCondition.SUCCEEDED else "become ready"


RULES = (never_true,)
