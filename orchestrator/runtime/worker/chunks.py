"""How items become chunks and chunks items again.

Called in the child only. A chunk is one pickle of a list. Objects that cannot change (numbers,
text, bytes) stand in it as they are; if any other item is in the chunk it is *packed*: each item is
pickled by itself, at the moment it is put, so that what the target does to an object afterwards
never reaches its reader, and one item that cannot be loaded spoils no other.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Sequence
from multiprocessing.reduction import ForkingPickler
from typing import Any, NamedTuple, NoReturn

from orchestrator.core.events import Blob

__all__ = [
    "BIG_ITEM",
    "CHUNK_BYTES",
    "MOST_BYTES",
    "PLAIN",
    "PROTOCOL",
    "SIZED",
    "Part",
    "Run",
    "dump",
    "load",
    "no_memory",
    "size_of",
    "sole",
    "unpack",
]

CHUNK_BYTES = 96 * 1024
"""Chunks are closed at this size: larger ones fall into malloc's mmap path and lose half their
speed."""

BIG_ITEM = 32 * 1024
"""Items of this size travel alone."""

MOST_BYTES = 1 << 30
"""The largest item, as a pickle. Of an item that gives more than that in all, a part leaves before:
a frame has a longest length (`wire.py`)."""

_FRAMING = 64
"""Bytes that a chunk of one item has more than that, at most."""

PROTOCOL = 5
PLAIN = frozenset({int, float, complex, bool, type(None), str, bytes})
SIZED = frozenset({str, bytes})


def dump(item: Any) -> bytes:
    """The pickle of one item; what `multiprocessing` can send and plain pickle cannot, too.

    Raises whatever the item's own pickling raises (PicklingError, TypeError, AttributeError, …),
    ValueError for one that is too large.
    """
    try:
        pickled = pickle.dumps(item, PROTOCOL)
    except (pickle.PicklingError, TypeError, AttributeError) as plain:
        try:
            pickled = bytes(ForkingPickler.dumps(item, PROTOCOL))
        except (pickle.PicklingError, TypeError, AttributeError, RuntimeError):
            raise plain from None
    if len(pickled) > MOST_BYTES:
        _refuse(len(pickled))
    return pickled


def sole(item: Any) -> bytes:
    """The chunk of one item, as it is or pickled: made while the item is put, whose memory it is.

    Raises ValueError for one that is too large.
    """
    blob = pickle.dumps([item], PROTOCOL)
    if len(blob) > MOST_BYTES + _FRAMING:
        _refuse(len(blob))
    return blob


def _refuse(size: int) -> NoReturn:
    raise ValueError(
        f"its pickle has {size:,} bytes, and the largest item may have {MOST_BYTES:,};"
        " put the path of a file instead, or pieces"
    )


def size_of(item: Any) -> str:
    """How large text or bytes are, in words; nothing of other items."""
    if type(item) not in SIZED:
        return ""
    return f" of {len(item):,} {'characters' if type(item) is str else 'bytes'}"


def no_memory(what: str) -> bytes:
    """In the place of an item's pickle: raises MemoryError when it is loaded."""
    return pickle.dumps(_NoMemory(what), PROTOCOL)


class _NoMemory:
    def __init__(self, what: str) -> None:
        self._what = what

    def __reduce__(self) -> tuple[Any, ...]:
        return _raise_memory_error, (self._what,)


def _raise_memory_error(what: str) -> None:
    raise MemoryError(what)


class Part(NamedTuple):
    """Items as they are, or (`packed`) each pickled; `size` of them in bytes, where it varies.

    `blob`: if the last of them is big, the chunk it will be (`sole`).
    """

    items: list[Any]
    packed: bool
    size: int
    blob: bytes | None = None


class Run:
    """Items that will be one chunk: as they are, or (`packed`) each pickled. `size` is in bytes.

    `blob` is that chunk, where it is made already.
    """

    __slots__ = ("blob", "items", "packed", "size")

    def __init__(self, *, packed: bool = False) -> None:
        self.items: list[Any] = []
        self.packed = packed
        self.size = 0
        self.blob: bytes | None = None

    def extend(self, part: Part) -> None:
        """Add items; those that are here cannot have changed, so a pickle tells them no less."""
        if part.packed and not self.packed and self.items:
            self.pack()
        if self.packed and not part.packed and self.items:
            self.items += [pickle.dumps(item, PROTOCOL) for item in part.items]
        else:
            self.packed = part.packed
            self.items += part.items
        self.size += part.size

    def pack(self) -> None:
        """From now on each item is a pickle."""
        self.items = [pickle.dumps(item, PROTOCOL) for item in self.items]
        self.packed = True

    def split(self, n: int) -> Run:
        """Remove the first n items as a run of their own."""
        head = Run()
        head.packed = self.packed
        head.items, self.items = self.items[:n], self.items[n:]
        return head


def load(blob: Blob, *, packed: bool, start: int, stop: int) -> Sequence[Any]:
    """Items `start` to `stop` of a chunk; those of a packed one are still pickles (`unpack`)."""
    items: list[Any] = pickle.loads(blob)
    if packed and set(map(type, items)) - {bytes}:
        raise pickle.UnpicklingError("a packed chunk holds something that is no pickle")
    return items if start == 0 and stop == len(items) else items[start:stop]


def unpack(raw: Sequence[Any], *, packed: bool) -> Iterator[Any]:
    """The items themselves, one by one; raises what an item's own loading raises."""
    return map(pickle.loads, raw) if packed else iter(raw)
