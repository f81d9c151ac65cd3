"""Rules on what comes before what: `after`, cycles, and waits that can never end."""

from __future__ import annotations

import graphlib
from collections.abc import Iterator, Mapping
from itertools import combinations, groupby

from orchestrator.errors import Problem, Rule
from orchestrator.plan.graph import (
    GraphNode,
    Moment,
    cycles,
    order_of_events,
    readers_of,
    writers_before,
)
from orchestrator.plan.model import AfterCondition, FailurePolicy, Shape
from orchestrator.plan.resolved_spec import Condition, ResolvedJob, ResolvedSpec
from orchestrator.spec import rules
from orchestrator.spec.wording import Guesses

__all__ = ["RULES"]

_MOST_NAMED = 12
_FAILED = AfterCondition.FAILED
_MAY_RETURN_EARLY = (Shape.STREAM, Shape.HANDLES)


def impossible_after(draft: ResolvedSpec) -> Iterator[Problem]:
    """Every `after` names another job, and a state that job can reach in time."""
    known = Guesses((*draft.spec.families, *draft.spec.names("jobs")))
    for job in draft.jobs.values():
        for condition in (*job.after, *_of_wrong_states(draft, job, known)):
            if flaw := _impossible(draft, job, condition, known):
                rule, message, hint = flaw
                key = rule is rules.UNKNOWN_JOB and condition.path[-1] == condition.job
                yield draft.spec.problem(rule, condition.path, message, hint, key=key)


def _of_wrong_states(draft: ResolvedSpec, job: ResolvedJob, known: Guesses) -> Iterator[Condition]:
    """Yield the waits for another state than there is whose job is wrong too, whatever was meant.

    The document has nothing of them.
    """
    for path in draft.spec.wrong:
        if len(path) == 4 and path[:3] == job.path("after") and isinstance(name := path[3], str):
            condition = Condition(job=name, state=AfterCondition.SUCCEEDED, path=path)
            if name == job.name or name not in known:
                yield condition


def _impossible(
    draft: ResolvedSpec, job: ResolvedJob, condition: Condition, known: Guesses
) -> tuple[Rule, str, str] | None:
    name = condition.job
    if name == job.name:
        return rules.WAITS_FOR_ITSELF, f"{name} waits for itself", "remove it from after"
    if name not in known:
        hint = known.hint(name) or "name a job of this spec"
        return rules.UNKNOWN_JOB, f"there is no job {name}", hint
    if name in draft.disabled:
        if condition.state is not AfterCondition.FAILED:
            return None
        message = f"{name} is disabled, so it never fails"
        return rules.WAITS_FOR_DISABLED, message, f"enable {name}, or disable {job.name} as well"
    other = draft.jobs.get(name)
    if other and other.settings.daemon and condition.state is not AfterCondition.READY:
        message = f"the daemon {name} ends when all others are done, {job.name} among them"
        return rules.WAITS_FOR_DAEMON, message, f"write after: {{{name}: ready}}"
    return None


def repeated_after(draft: ResolvedSpec) -> Iterator[Problem]:
    """A job is waited for once."""
    for job in draft.jobs.values():
        seen: set[str] = set()
        for condition in job.after:
            if condition.job in seen:
                message = f"{condition.job} is given twice"
                yield draft.spec.problem(rules.WAITS_TWICE, condition.path, message, "name it once")
            seen.add(condition.job)


def cycle(draft: ResolvedSpec) -> Iterator[Problem]:
    """Nothing waits, over queues and `after`, for its own end."""
    rank = {name: place for place, name in enumerate(draft.jobs)}
    for nodes in cycles(order_of_events(draft)):
        path = _as_path(nodes, rank)
        if len(path) > 2:
            message = f"a cycle, in which each waits for the one before: {_told(path)}"
            hint = "cut it: give one job a queue of its own, or remove an after"
            place = ("jobs", path[0])
            yield draft.spec.problem(rules.CYCLE, place, message, hint, key=True)


def _as_path(nodes: list[GraphNode], rank: Mapping[str, int]) -> list[str]:
    """Return the names along a cycle from its first job in the spec; that one comes again last."""
    groups = groupby(nodes[1:], key=lambda node: (node.moment is Moment.QUEUE_END, node.name))
    places = [place for place, _ in groups]
    if len(places) > 1 and places[0] == places[-1]:
        places.pop()
    first = places.index(min((p for p in places if not p[0]), key=lambda p: rank[p[1]]))
    around = [*places[first:], *places[: first + 1]]
    return [name for _, name in around]


def _told(path: list[str]) -> str:
    if len(path) > _MOST_NAMED:
        left_out = f"… ({len(path) - _MOST_NAMED} more) …"
        path = [*path[: _MOST_NAMED // 2], left_out, *path[-_MOST_NAMED // 2 :]]
    return " → ".join(path)


def full_queue_before_reader(draft: ResolvedSpec) -> Iterator[Problem]:
    """A queue whose readers all start after its writer has ended holds all that is written."""
    if not any(job.reads and job.after for job in draft.jobs.values()):
        return
    readers, queues = readers_of(draft.jobs), draft.spec.document.queues
    earlier = writers_before(draft)
    for job in draft.jobs.values():
        for wire in job.writes:
            names = readers.get(wire.queue, [])
            queue = queues.get(wire.queue)
            if not (queue and queue.maxsize and names) or draft.is_unclear(wire.queue):
                continue
            if all(earlier(job.name, name) for name in names):
                large = "" if "maxsize" in queue.model_fields_set else ", or 1000 large ones"
                yield draft.spec.problem(
                    rules.READ_TOO_LATE,
                    wire.path,
                    f"{wire.queue} is read only after {job.name} has ended: if that writes more "
                    f"than {queue.maxsize} items{large}, both wait for ever",
                    "let the reader start with it, or set maxsize to the most it can write",
                )


# What a job waits for, by `after`, can all come true.


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


RULES = (
    impossible_after,
    repeated_after,
    cycle,
    full_queue_before_reader,
    never_true,
)
