"""Rules on what comes before what: `after`, cycles, and waits that can never end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import groupby

from orchestrator.errors import Problem, Rule
from orchestrator.plan.graph import (
    GraphNode,
    Moment,
    cycles,
    order_of_events,
    readers_of,
    writers_before,
)
from orchestrator.plan.model import AfterCondition
from orchestrator.plan.resolved_spec import Condition, ResolvedJob, ResolvedSpec
from orchestrator.spec import rules
from orchestrator.spec.wording import Guesses

__all__ = ["RULES"]

_MOST_NAMED = 12


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
            maxsize = queues[wire.queue].maxsize if wire.queue in queues else 0
            if not maxsize or not names or draft.is_unclear(wire.queue):
                continue
            if all(earlier(job.name, name) for name in names):
                yield draft.spec.problem(
                    rules.READ_TOO_LATE,
                    wire.path,
                    f"{wire.queue} is read only after {job.name} has ended: if that writes more "
                    f"than {maxsize} items, both wait for ever",
                    "let the reader start with it, or set maxsize to the most it can write",
                )


RULES = (impossible_after, repeated_after, cycle, full_queue_before_reader)
