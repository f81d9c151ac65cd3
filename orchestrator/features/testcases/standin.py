"""The targets of jobs that a case gives items by, or that stand in for others.

Called in the child.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import zip_longest
from typing import Any

__all__ = ["give", "stand_in", "stand_in_source"]

Gives = Mapping[str, Sequence[Any]]
"""The values to put on each handle, by its parameter."""


def give(items: Sequence[Any]) -> Iterable[Any]:
    """Give the items of a queue."""
    return iter(items)


def stand_in(taken: Iterable[Any], gives: Gives, **handles: Any) -> None:
    """Take all that comes; the n-th item gives the n-th value, and what is left comes at the end.

    Of several handles each has its own values.
    """
    missing = object()
    rows = iter(zip_longest(*gives.values(), fillvalue=missing))

    def put(row: Sequence[Any]) -> None:
        for parameter, value in zip(gives, row, strict=False):
            if value is not missing:
                handles[parameter].put(value)

    for _ in taken:
        put(next(rows, ()))
    for row in rows:
        put(row)


def stand_in_source(gives: Gives, **handles: Any) -> None:
    """Give all values."""
    stand_in((), gives, **handles)
