"""Which records of a log to show: pure functions of records."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from orchestrator.runlog.levels import Level

__all__ = ["Filter", "last"]

T = TypeVar("T")
_SEARCHED = ("msg", "error", "traceback")


@dataclass(frozen=True, kw_only=True)
class Filter:
    """What a record must be to be shown; what is not given is not asked for.

    `jobs` and `workers`: any of these. `level`: at least. `grep` is searched for in the message
    and in the exception's message and traceback.
    """

    jobs: frozenset[str] = frozenset()
    workers: frozenset[str] = frozenset()
    level: Level = Level.DEBUG
    grep: re.Pattern[str] | None = None

    def matches(self, record: Mapping[str, Any]) -> bool:
        """Return whether `record` is wanted."""
        if self.jobs and record.get("job") not in self.jobs:
            return False
        if self.workers and record.get("worker") not in self.workers:
            return False
        if Level.parse(str(record.get("level", ""))) < self.level:
            return False
        grep = self.grep
        return grep is None or any(grep.search(str(record.get(key, ""))) for key in _SEARCHED)


def last(items: Iterable[T], n: int | None) -> Iterable[T]:
    """Return the last `n` of `items`, holding no more than that; all of them for None."""
    return items if n is None else deque(items, maxlen=n)
