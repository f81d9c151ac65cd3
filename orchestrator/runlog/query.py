"""Filters over the records of a log: pure functions of records."""

from __future__ import annotations

import difflib
import json
import re
import sys
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from orchestrator.errors import UsageError
from orchestrator.plan.model import Plan
from orchestrator.runlog.schema import Level

__all__ = ["Filter", "check_names", "field_of", "item_of", "last"]

T = TypeVar("T")
_SEARCHED = ("msg", "error", "traceback", "call")
_MOST_NAMED = 20
_ITEM = re.compile(r"(?P<queue>.+):(?P<number>\d+)")


@dataclass(frozen=True, kw_only=True)
class Filter:
    """What a record must be to be shown; what is not given is not asked for.

    `jobs`, `workers` and `queues`: any of these; so are `items`, pairs of queue and number, of
    which a batch's range has several. `level`: at least. `grep` is searched for in the message, in
    the fields, and in the exception's message and traceback. `fields` are all to have these values.
    """

    jobs: frozenset[str] = frozenset()
    workers: frozenset[str] = frozenset()
    queues: frozenset[str] = frozenset()
    level: Level = Level.DEBUG
    grep: re.Pattern[str] | None = None
    items: frozenset[tuple[str, int]] = frozenset()
    fields: tuple[tuple[str, str], ...] = ()

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
        if self.items and not any(_has_item(record, *item) for item in self.items):
            return False
        if not all(_has_field(record, *field) for field in self.fields):
            return False
        return self.grep is None or any(map(self.grep.search, _texts(record)))


def item_of(text: str) -> tuple[str, int]:
    """Return `queue:n` as a pair; raises UsageError for anything else."""
    found = _ITEM.fullmatch(text)
    if found is None:
        raise UsageError(f"{text!r} is no item", hint="write QUEUE:NUMBER, as in files:17")
    return found["queue"], int(found["number"])


def field_of(text: str) -> tuple[str, str]:
    """Return `key=value` as a pair; raises UsageError for anything else."""
    key, equals, value = text.partition("=")
    if not (key and equals):
        raise UsageError(f"{text!r} is no field", hint="write KEY=VALUE, as in user=ann")
    return key, value


def _has_item(record: Mapping[str, Any], queue: str, number: int) -> bool:
    """True if the record is of that item: by itself, or in a batch (`files:1-4,9`)."""
    of, _, numbers = str(record.get("item", "")).rpartition(":")
    if of != queue:
        return False
    return any(first <= number <= last for first, last in _ranges(numbers))


def _ranges(numbers: str) -> Iterator[tuple[int, int]]:
    for part in numbers.split(","):
        first, _, last = part.partition("-")
        last = last or first
        if first.isdecimal() and last.isdecimal():
            yield int(first), int(last)


def _has_field(record: Mapping[str, Any], key: str, wanted: str) -> bool:
    """True if a field of the program's own, or else of the record, has that value."""
    fields = record.get("fields")
    for found in (fields if isinstance(fields, dict) else {}, record):
        value: Any = found
        for name in (key,) if key in found else key.split("."):
            if not isinstance(value, dict) or name not in value:
                break
            value = value[name]
        else:
            return wanted == (value if isinstance(value, str) else json.dumps(value))
    return False


def _texts(record: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is searched in: a record's texts, and its fields, keys and values."""
    for key in _SEARCHED:
        if key in record:
            yield str(record[key])
    fields = record.get("fields")
    if isinstance(fields, dict) and fields:
        for key, value in fields.items():
            yield f"{key}={value if isinstance(value, str) else json.dumps(value)}"


def check_names(wanted: Filter, plan: Plan) -> None:
    """Raise UsageError if `plan` has not the jobs, workers or queues that are asked for.

    Items are of a queue; whether it had so many is not known.
    """
    for name in sorted((wanted.queues | {queue for queue, _ in wanted.items}) - plan.queues.keys()):
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
    return items if n is None or n > sys.maxsize else deque(items, maxlen=n)
