"""Looks through items on their way, in a process that may do nothing else.

Called in the child of `tap`: each request is a piece of a queue, and is answered by those of its
items that fulfil a condition. What is answered is of bounded size, whatever the items are. Standard
library only.
"""

from __future__ import annotations

import base64
import collections
import functools
import pickle
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from orchestrator.opening.child import items_of, json_of, reason_of, serve, text_of
from orchestrator.restricted import Unknown, safe_loads
from orchestrator.where import MISSING, Part, compile_condition, read_path
from orchestrator.worker.blocks import load_row

__all__ = ["main", "part_of"]

_LONGEST_JSON = 1 << 16
_ITEM = "item"
"""The name of the item itself, unless it has a part of that name."""


def main() -> None:
    """Answer requests until there are no more."""
    serve(_look_through)


def _look_through(request: dict[str, Any]) -> dict[str, Any]:
    """Return the items of a piece that are wanted: each with its place, and what it is."""
    try:
        items = list(_opened(request))
    except Exception as error:  # noqa: BLE001 -- the bytes may be anything, and so what they raise
        return {"unreadable": reason_of(error, b""), "items": []}
    found: list[list[Any]] = []
    matches = _condition(request["where"])
    for at, item in items:
        if isinstance(item, Exception):
            if not request["where"]:
                found.append([at, {"is": "unreadable", "value": reason_of(item, b"")}])
        elif matches(_Item(item)):
            found.append([at, _shown(item, request)])
            if len(found) >= request["most"]:
                break
    return {"items": found}


@functools.lru_cache(maxsize=1)
def _condition(text: str) -> Callable[[Any], bool]:
    return compile_condition(text, part_of) if text else lambda _: True


def _opened(request: dict[str, Any]) -> Iterator[tuple[int, Any]]:
    """Yield each item of the piece, with its place; in its stead what its own pickle raises."""
    start, stop, packed = request["start"], request["stop"], request["packed"]
    items = items_of(base64.b64decode(request["chunk"]))
    if packed and items and type(items[0]) is tuple:
        items, packed = load_row(items, start, stop, safe_loads) or [], False
    else:
        items = items[start:stop]
    for at, item in enumerate(items, start):
        try:
            value = _unpickled(item) if packed else item
        except Exception as error:  # noqa: BLE001 -- the bytes may be anything
            value = error
        yield at, value


def _unpickled(item: Any) -> Any:
    if type(item) is not bytes:
        raise pickle.UnpicklingError("a packed chunk holds what is no pickle")
    return safe_loads(item)


class _Item:
    """What names in a condition are looked up in."""

    def __init__(self, value: Any) -> None:
        self.value = value


def part_of(value: Any, part: Part) -> Any:
    """A part of an item, of plain data or of what a pickle says of an object; else MISSING."""
    if isinstance(value, _Item):
        found = part_of(value.value, part)
        return value.value if found is MISSING and part == _ITEM else found
    if isinstance(value, Mapping):
        return value.get(part, MISSING)
    if isinstance(value, Unknown):
        return _part_of_object(value, part)
    row = isinstance(value, list | tuple | collections.deque)
    if row and type(part) is int and -len(value) <= part < len(value):
        return value[part]
    return MISSING


def _part_of_object(value: Unknown, part: Part) -> Any:
    if type(part) is int:
        return part_of(value.items or value.arguments, part)
    for state in value.states:
        for each in state if type(state) is tuple else (state,):
            if type(each) is dict and part in each:
                return each[part]
    return next((held for key, held in value.pairs if type(key) is str and key == part), MISSING)


def _shown(item: Any, request: dict[str, Any]) -> dict[str, Any]:
    """Return what is to be shown of an item: it, or its fields by name."""
    as_json, limit = request["json"], request["limit"]
    if not request["fields"]:
        return _value(item, as_json=as_json, limit=limit)
    fields = {}
    for name in request["fields"]:
        value = _at(_Item(item), read_path(name))
        if value is not MISSING:
            fields[name] = _value(value, as_json=as_json, limit=limit)
    return {"is": "fields", "value": fields}


def _at(value: Any, path: Sequence[Part]) -> Any:
    for part in path:
        value = part_of(value, part)
    return value


def _value(value: Any, *, as_json: bool, limit: int) -> dict[str, str]:
    found = json_of(value) if as_json else None
    if found is not None and len(found) <= _LONGEST_JSON:
        return {"is": "json", "value": found}
    return {"is": "repr", "value": text_of(value, limit)}
