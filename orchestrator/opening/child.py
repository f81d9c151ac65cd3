"""Opens the items of dead letters and taps, in a process that may do nothing else.

Called in the child of `opener`: requests come in on standard input, a line each, and are answered
in turn on standard output. What is answered is of bounded size, whatever the data is. Standard
library only.
"""

from __future__ import annotations

import base64
import collections
import json
import math
import os
import pickle
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from orchestrator.files import open_regular
from orchestrator.restricted import Unknown, confine, limit_cpu, names_in, safe_loads
from orchestrator.worker.blocks import item_at

__all__ = ["items_of", "json_of", "main", "reason_of", "serve", "text_of"]


_CPU_S = 10


def main() -> None:
    """Answer requests until there are no more."""
    chunks = _Chunks()
    serve(lambda request: _answer(chunks, request))


def serve(answer_to: Callable[[dict[str, Any]], object]) -> None:
    """Answer requests until there are no more, each within its limits."""
    confine()
    for line in sys.stdin:
        limit_cpu(_CPU_S)
        answer = answer_to(json.loads(line))
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


class _Chunks:
    """The chunk opened last: letters of one follow each other."""

    def __init__(self) -> None:
        self._path = ""
        self._items: list[Any] = []

    def items(self, path: str) -> list[Any]:
        if path != self._path:
            self._items = []
            with os.fdopen(open_regular(path, os.O_RDONLY), "rb") as file:
                self._items = items_of(file.read())
            self._path = path
        return self._items


def items_of(chunk: bytes) -> list[Any]:
    """The items of a chunk, or their pickles, or the blocks they are in; raises anything."""
    found = safe_loads(chunk)
    if type(found) is not list:
        raise pickle.UnpicklingError("the chunk is no list")
    return found


def _answer(chunks: _Chunks, request: dict[str, Any]) -> dict[str, str]:
    """Return what is wanted of an item: `is` says what `value` is."""
    data = b""
    try:
        items, index, packed = chunks.items(request["path"]), request["index"], request["packed"]
        item, packed = item_at(items, index, safe_loads, packed=packed)
        data = item if packed else b""
        if request["want"] == "pickle":
            pickled = data or pickle.dumps(item, 5)
            return {"is": "pickle", "value": base64.b64encode(pickled).decode("ascii")}
        value = safe_loads(data) if packed else item
        if request["want"] == "json" and (found := json_of(value)) is not None:
            return {"is": "json", "value": found}
        return {"is": "repr", "value": text_of(value, request["limit"])}
    except Exception as error:  # noqa: BLE001 -- the bytes may be anything, and so what they raise
        return {"is": "unreadable", "value": reason_of(error, data)}


def reason_of(error: Exception, data: bytes) -> str:
    """Return in words why an item cannot be read."""
    text = f"{type(error).__name__}: {error}"[:500].removesuffix(": ")
    if not data:
        return text
    names = ", ".join(names_in(data)) or "nothing"
    return f"{text} ({len(data):,} bytes that name {names})"


_DEEPEST = 50
_MOST_NODES = 1_000_000
_LONGEST_INT_BITS = 10_000
_BRACKETS: dict[type, tuple[str, str]] = {
    list: ("[", "]"),
    tuple: ("(", ")"),
    set: ("{", "}"),
    frozenset: ("frozenset({", "})"),
    collections.deque: ("deque([", "])"),
}
_MAPPINGS: dict[type, tuple[str, str]] = {
    dict: ("{", "}"),
    collections.OrderedDict: ("OrderedDict({", "})"),
    collections.Counter: ("Counter({", "})"),
    collections.defaultdict: ("defaultdict({", "})"),
}


def text_of(value: Any, limit: int) -> str:
    """The value as Python would write it, cut after `limit` characters.

    Objects of classes that were not loaded are written as a call with what the pickle says of them.
    """
    pieces: list[str] = []
    room = limit
    for piece in _pieces(value, limit, 0):
        pieces.append(piece[:room])
        room -= len(piece)
        if room < 0:
            return "".join(pieces) + " …"
    return "".join(pieces)


def _pieces(value: Any, limit: int, depth: int) -> Iterator[str]:
    """The text bit by bit: who reads no further keeps it from ever being made."""
    kind = type(value)
    if depth > _DEEPEST:
        yield "…"
    elif kind in _BRACKETS and (value or kind not in (set, frozenset)):
        first, last = _BRACKETS[kind]
        yield first
        yield from _joined(_pieces(each, limit, depth + 1) for each in value)
        yield "," + last if kind is tuple and len(value) == 1 else last
    elif kind in _MAPPINGS:
        first, last = _MAPPINGS[kind]
        yield first
        yield from _joined(_pair(each, ": ", limit, depth) for each in value.items())
        yield last
    elif isinstance(value, Unknown):
        yield f"{value.called}("
        yield from _joined(_contents(value, limit, depth))
        yield ")"
    else:
        yield _leaf(value, limit)


def _joined(parts: Iterable[Iterator[str]]) -> Iterator[str]:
    for place, part in enumerate(parts):
        if place:
            yield ", "
        yield from part


def _pair(pair: tuple[Any, Any], between: str, limit: int, depth: int) -> Iterator[str]:
    key, value = pair
    yield from _pieces(key, limit, depth + 1)
    yield between
    yield from _pieces(value, limit, depth + 1)


def _contents(value: Unknown, limit: int, depth: int) -> Iterator[Iterator[str]]:
    """Yield what a stand-in was given: arguments, attributes, items."""
    for argument in (*value.arguments, *value.items):
        yield _pieces(argument, limit, depth + 1)
    for pair in value.pairs:
        yield _pair(pair, ": ", limit, depth)
    for state in value.states:
        # Classes with __slots__ have a pair: the instance's dict or None, and the slots'.
        for part in state if type(state) is tuple and len(state) == 2 else (state,):
            if type(part) is dict and all(type(name) is str for name in part):
                for name, attribute in part.items():
                    yield _attribute(name, attribute, limit, depth)
            elif part is not None:
                yield _pieces(part, limit, depth + 1)


def _attribute(name: str, value: Any, limit: int, depth: int) -> Iterator[str]:
    yield f"{name}="
    yield from _pieces(value, limit, depth + 1)


def _leaf(value: Any, limit: int) -> str:
    if isinstance(value, type):
        return f"<{value.called if issubclass(value, Unknown) else value.__name__}>"
    if isinstance(value, str | bytes | bytearray):
        return repr(value if len(value) <= limit else value[: limit + 1])
    if type(value) is int and value.bit_length() > _LONGEST_INT_BITS:
        return f"<an int of {value.bit_length():,} bits>"
    return repr(value)


def json_of(value: Any) -> str | None:
    """The value as JSON (a tuple as an array), or None where JSON has no such thing."""
    if not _is_plain(value):
        return None
    try:
        return json.dumps(value, allow_nan=False)
    except ValueError:  # an int too long to be written
        return None


def _is_plain(value: Any) -> bool:
    """True if all of it is what JSON knows; no deeper and no more than can be written."""
    todo: list[tuple[Any, int]] = [(value, 0)]
    for _ in range(_MOST_NODES):
        if not todo:
            return True
        value, depth = todo.pop()
        kind = type(value)
        if depth > _DEEPEST or (kind is float and not math.isfinite(value)):
            return False
        if kind is dict:
            if not all(type(key) is str for key in value):
                return False
            todo += ((each, depth + 1) for each in value.values())
        elif kind in (list, tuple):
            todo += ((each, depth + 1) for each in value)
        elif kind not in (type(None), bool, int, float, str):
            return False
    return False
