"""Holds items against what a case expects: plain values, or maps of `$` words.

A list stands for a list or tuple, a number for a number of the same value; true and false are no
numbers. Items are held against it in a child, which unpickles them; events of the log anywhere.
"""

from __future__ import annotations

import math
import numbers
import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

__all__ = ["is_matcher", "matches", "unmatched"]

_QUICK = frozenset({int, str})
_RELATIVE = 1e-6
_ABSOLUTE = 1e-12


def is_matcher(value: object) -> bool:
    """True if it is a map of `$` words, instead of a value that is to be equal."""
    return isinstance(value, Mapping) and any(
        isinstance(key, str) and key.startswith("$") for key in value
    )


def matches(expected: Any, item: Any) -> bool:
    """True if the item is as expected. What the item's own code raises counts as no."""
    try:
        return _matches(expected, item)
    except Exception:  # noqa: BLE001 -- __eq__, __repr__ and properties are anybody's code
        return False


def unmatched(expected: Sequence[Any], items: Sequence[Any]) -> tuple[list[int], list[int]]:
    """Pair each expected value with an item of its own, as many as can be.

    Return the indices of the values, and those of the items, that were left over.
    """
    pairing = _Pairing(expected, items)
    missing = [value for value in range(len(expected)) if not pairing.claim(value)]
    return missing, [at for at in range(len(items)) if at not in pairing.owner]


class _Pairing:
    """Values and items, of which some are paired; `owner` is the value that an item belongs to."""

    def __init__(self, expected: Sequence[Any], items: Sequence[Any]) -> None:
        self.owner: dict[int, int] = {}
        self._has: dict[int, int] = {}
        self._expected = expected
        self._items = items
        self._places: dict[object, list[int]] = {}
        for at, item in enumerate(items):
            if type(item) in _QUICK:
                self._places.setdefault(item, []).append(at)

    def claim(self, first: int) -> bool:
        """Find an item for a value, by which others may change theirs (an augmenting path)."""
        wanted_by: dict[int, int] = {}
        todo = deque([first])
        while todo:
            value = todo.popleft()
            for at in self._candidates(value):
                if at in wanted_by or not matches(self._expected[value], self._items[at]):
                    continue
                wanted_by[at] = value
                if at not in self.owner:
                    self._hand_over(at, wanted_by)
                    return True
                todo.append(self.owner[at])
        return False

    def _candidates(self, value: int) -> Iterator[int]:
        """Yield all items, first those that it is most often."""
        if value < len(self._items):
            yield value
        expected = self._expected[value]
        if type(expected) in _QUICK:
            yield from self._places.get(expected, ())
        yield from range(len(self._items))

    def _hand_over(self, at: int, wanted_by: Mapping[int, int]) -> None:
        free: int | None = at
        while free is not None:
            value = wanted_by[free]
            self.owner[free] = value
            before = self._has.get(value)
            self._has[value] = free
            free = before


def _matches(expected: Any, item: Any) -> bool:
    if is_matcher(expected):
        return all(_WORDS[word](operand, item) for word, operand in expected.items())
    match expected:
        case None | bool():
            return item is expected
        case str():
            return isinstance(item, str) and item == expected
        case int() | float():
            return _is_number(item) and _same_number(expected, item)
        case Mapping():
            return isinstance(item, Mapping) and _same_map(expected, item)
        case _:
            return isinstance(item, list | tuple) and _same_list(expected, item)


def _is_number(item: Any) -> bool:
    return isinstance(item, numbers.Number) and not isinstance(item, bool)


def _same_number(expected: float, item: Any) -> bool:
    return bool(item == expected) or (expected != expected and item != item)  # noqa: PLR0124 -- NaN


def _same_map(expected: Mapping[Any, Any], item: Mapping[Any, Any]) -> bool:
    return expected.keys() == item.keys() and all(
        _matches(value, item[key]) for key, value in expected.items()
    )


def _same_list(expected: Sequence[Any], item: Sequence[Any]) -> bool:
    return len(expected) == len(item) and all(map(_matches, expected, item))


def _is_of_type(name: str, item: Any) -> bool:
    """True if the item is of that class or one derived from it: by its name, or with its module."""
    return any(
        name in (kind.__name__, kind.__qualname__, f"{kind.__module__}.{kind.__qualname__}")
        for kind in type(item).__mro__
    )


def _has(wanted: Mapping[str, Any], item: Any) -> bool:
    """True if these keys of a mapping, or attributes of an object, are as expected."""
    for name, expected in wanted.items():
        value = item[name] if isinstance(item, Mapping) else getattr(item, name)
        if not _matches(expected, value):
            return False
    return True


def _is_near(expected: float, item: Any) -> bool:
    return _is_number(item) and math.isclose(item, expected, rel_tol=_RELATIVE, abs_tol=_ABSOLUTE)


_WORDS: Mapping[str, Callable[[Any, Any], bool]] = {
    "$type": _is_of_type,
    "$where": _has,
    "$repr": lambda text, item: repr(item) == text,
    "$str": lambda text, item: str(item) == text,
    "$regex": lambda pattern, item: re.search(pattern, str(item)) is not None,
    "$approx": _is_near,
    "$value": lambda value, item: (
        _same_map(value, item) if isinstance(value, Mapping) else _matches(value, item)
    ),
}
