"""Blocks: items that are copied as they are put, and pickled a good many at a time.

Called in the child. An item of plain containers (dict, list, tuple) that hold nothing but numbers,
text and bytes is copied at the moment it is put, which costs less than its pickle and keeps it as
well from what the target does to it afterwards. Its chunk is a *row* of blocks: pairs of a number
of items and the pickle of a list of them. Who wants one item loads one block.

Plain typed Python of the standard library, so that it can be compiled, and read by a process that
has nothing else. Interpreted, the copy costs more than a pickle: `COPIES` says whether it pays.
"""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from types import FunctionType
from typing import Any, Final, cast

__all__ = ["CONTAINERS", "COPIES", "copy_into", "dump_row", "item_at", "load_row"]

CONTAINERS: Final = frozenset({dict, list, tuple})

_MOST_ITEMS: Final = 64
_MOST_BYTES: Final = 16 * 1024
"""A block has no more items and, unless it is one item, no more bytes."""
_GOOD_BYTES: Final = 12 * 1024
"""Blocks are cut for so many: what turns out to be too large is pickled once more."""

_LONGEST_LIST: Final = 32
_LARGEST_DICT: Final = 64
_MOST_CONTAINERS: Final = 8
_LARGEST: Final = 16 * 1024
"""Of items with more than that a copy costs about what it saves; containers are counted without the
outermost, bytes as estimated."""
_DEEPEST: Final = 6
_LONG: Final = 1 << 61
"""Numbers beyond are pickled by themselves: their length is not looked at here."""
_PROTOCOL: Final = 5


def copy_into(items: list[Any], item: object) -> int:
    """Append a copy of the item to `items`; return its bytes as estimated, or -1: pickle it.

    That goes for one with a leaf that is not exactly a number, text, bytes or None, for a container
    met twice, and for what is deep, wide or large: nothing is appended then. Nothing of the item's
    own runs here. A container is copied in one step, and then the copy is looked through: another
    thread may change the item at any time.
    """
    try:
        made, size = _copied(item, _DEEPEST, [])
    except MemoryError:
        return -1  # its pickling says whose memory it was
    if 0 <= size <= _LARGEST:
        items.append(made)
        return size
    return -1


def _copied(item: object, depth: int, seen: list[object]) -> tuple[Any, int]:
    """A copy of a container and its size; the size is negative if there is none."""
    kind = type(item)
    if kind is dict:
        table = cast("dict[Any, Any]", item)
        if len(table) > _LARGEST_DICT:
            return None, -1
        table = table.copy()
        return table, _dict_size(table, depth, seen)
    if kind is list:
        if len(cast("list[Any]", item)) > _LONGEST_LIST:
            return None, -1
        row = list(cast("list[Any]", item))
        return row, _list_size(row, depth, seen)
    if kind is tuple:
        if len(cast("tuple[Any, ...]", item)) > _LONGEST_LIST:
            return None, -1
        row = list(cast("tuple[Any, ...]", item))
        size = _list_size(row, depth, seen)
        return tuple(row), size
    return None, -1


def _dict_size(table: dict[Any, Any], depth: int, seen: list[object]) -> int:
    """The size of a dict, whose values are replaced by copies where they are containers."""
    size = 4
    for key, value in table.items():
        more = _leaf_size(key)
        if more < 0:
            return -1
        size += more
        more = _leaf_size(value)
        if more < 0:
            made, more = _nested(value, depth, seen)
            if more < 0 or size > _LARGEST:
                return -1
            table[key] = made  # a key that is there: its place stays
        size += more
    return size


def _list_size(row: list[Any], depth: int, seen: list[object]) -> int:
    """The size of a list, whose items are replaced by copies where they are containers."""
    size = 4
    for at, value in enumerate(row):
        more = _leaf_size(value)
        if more < 0:
            made, more = _nested(value, depth, seen)
            if more < 0 or size > _LARGEST:
                return -1
            row[at] = made
        size += more
    return size


def _leaf_size(value: object) -> int:
    """The size of a number, text, bytes or None; -1 for all else."""
    kind = type(value)
    if kind is str:
        return 3 + len(cast("str", value))
    if kind is int:
        return 4 if -_LONG < cast("int", value) < _LONG else -1
    if kind is float:
        return 9
    if value is None or kind is bool:
        return 1
    if kind is bytes:
        return 3 + len(cast("bytes", value))
    return 40 if kind is complex else -1


def _nested(value: object, depth: int, seen: list[object]) -> tuple[Any, int]:
    """As `_copied`; none of a container that was met before, or where too many were to tell."""
    for other in seen:
        if other is value:
            return None, -1
    seen.append(value)
    if depth == 0 or len(seen) > _MOST_CONTAINERS:
        return None, -1
    return _copied(value, depth - 1, seen)


COPIES: Final = not isinstance(copy_into, FunctionType)
"""This module is compiled, so a copy costs less than a pickle."""


def dump_row(items: Sequence[Any], size: int = 0) -> list[tuple[int, bytes]]:
    """The row of blocks of items that have `size` bytes in all, as `copy_into` estimates them."""
    row: list[tuple[int, bytes]] = []
    n = min(_MOST_ITEMS, max(1, _GOOD_BYTES * len(items) // max(1, size)))
    for at in range(0, len(items), n):
        _add_blocks(row, items[at : at + n])
    return row


def _add_blocks(row: list[tuple[int, bytes]], items: Sequence[Any]) -> None:
    n = len(items)
    block = pickle.dumps(items, _PROTOCOL)
    if n > 1 and len(block) > _MOST_BYTES:
        _add_blocks(row, items[: n // 2])
        _add_blocks(row, items[n // 2 :])
    else:
        row.append((n, block))


def load_row(
    row: Sequence[Any],
    start: int = 0,
    stop: int = sys.maxsize,
    loads: Callable[[bytes], Any] = pickle.loads,
) -> list[Any] | None:
    """Items `start` to `stop` of a row; None if it is one of pickles, each of one item.

    Raises UnpicklingError for what is neither.
    """
    kinds = set(map(type, row))
    if kinds <= {bytes}:
        return None
    if kinds != {tuple}:
        raise pickle.UnpicklingError("a packed chunk holds something that is no pickle")
    return list(chain.from_iterable(_parts(row, start, stop, loads)))


def item_at(
    items: Sequence[Any], index: int, loads: Callable[[bytes], Any], *, packed: bool
) -> tuple[Any, bool]:
    """One item of what a chunk's pickle holds, and whether it is still a pickle.

    Raises UnpicklingError for what a packed chunk cannot hold.
    """
    if packed and items and type(items[0]) is tuple:
        return (load_row(items, index, index + 1, loads) or [])[0], False
    item = items[index]
    if packed and type(item) is not bytes:
        raise pickle.UnpicklingError("a packed chunk holds something that is no pickle")
    return item, packed


def _parts(
    row: Sequence[Any], start: int, stop: int, loads: Callable[[bytes], Any]
) -> Iterator[list[Any]]:
    """Each block's share of the items `start` to `stop`."""
    first = 0
    for pair in row:
        if first >= stop:
            return
        if len(pair) != 2 or type(pair[0]) is not int or type(pair[1]) is not bytes:
            raise pickle.UnpicklingError("a packed chunk holds something that is no block")
        last = first + pair[0]
        if first < stop and last > start:
            items = loads(pair[1])
            if type(items) is not list or len(items) != last - first:
                raise pickle.UnpicklingError("a block holds other items than it says")
            yield items[max(0, start - first) : stop - first]
        first = last
