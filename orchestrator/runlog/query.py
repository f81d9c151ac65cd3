"""Filters over the records of a log: pure functions of records."""

from __future__ import annotations

import difflib
import re
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from orchestrator.errors import UsageError
from orchestrator.plan.model import Plan
from orchestrator.runlog.levels import Level

__all__ = ["Filter", "check_names", "last"]

T = TypeVar("T")
_SEARCHED = ("msg", "error", "traceback")
_MOST_NAMED = 20


@dataclass(frozen=True, kw_only=True)
class Filter:
    """What a record must be to be shown; what is not given is not asked for.

    `jobs`, `workers` and `queues`: any of these. `level`: at least. `grep` is searched for in the
    message, and in the exception's message and traceback.
    """

    jobs: frozenset[str] = frozenset()
    workers: frozenset[str] = frozenset()
    queues: frozenset[str] = frozenset()
    level: Level = Level.DEBUG
    grep: re.Pattern[str] | None = None

    def matches(self, record: Mapping[str, Any]) -> bool:
        """Return whether `record` is wanted."""
        if self.jobs and record.get("job") not in self.jobs:
            return False
        if self.workers and record.get("worker") not in self.workers:
            return False
        if self.queues and record.get("queue") not in self.queues:
            return False
        if Level.parse(str(record.get("level", ""))) < self.level:
            return False
        grep = self.grep
        return grep is None or any(grep.search(str(record.get(key, ""))) for key in _SEARCHED)


def check_names(wanted: Filter, plan: Plan) -> None:
    """Raise UsageError if `plan` has not the jobs, workers or queues that are asked for."""
    for name in sorted(wanted.queues - plan.queues.keys()):
        raise UsageError(f"the run has no queue {name!r}", hint=_suggest(name, plan.queues))
    workers = {
        name: [f"{name}-{n + 1}" for n in range(plan.jobs[name].workers)] for name in plan.jobs
    }
    for name in sorted(wanted.jobs - workers.keys()):
        job = name.rpartition("-")[0]
        hint = f"{name} is a worker: --worker {name}" if name in workers.get(job, ()) else ""
        raise UsageError(f"the run has no job {name!r}", hint=hint or _suggest(name, workers))
    known = [each for job in wanted.jobs or workers for each in workers[job]]
    for name in sorted(wanted.workers.difference(known)):
        whose = f" of {' or '.join(sorted(wanted.jobs))}" if wanted.jobs else ""
        hint = f"{name} is a job: --job {name}" if name in workers else _suggest(name, known)
        raise UsageError(f"the run has no worker {name!r}{whose}", hint=hint)


def _suggest(name: str, known: Iterable[str]) -> str:
    """Return the nearest of the names that are known, or the names themselves."""
    known = list(known)
    if close := difflib.get_close_matches(name, known, n=1):
        return f"did you mean {close[0]}?"
    more = ", …" if len(known) > _MOST_NAMED else ""
    return f"it has {', '.join(known[:_MOST_NAMED]) or 'none'}{more}"


def last(items: Iterable[T], n: int | None) -> Iterable[T]:
    """Return the last `n` of `items`, holding no more than that; all of them for None."""
    return items if n is None else deque(items, maxlen=n)
