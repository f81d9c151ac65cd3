"""Chunks of items: pickling, unpickling, and their sizes.

Called in the child only. A chunk is one pickle of a list. Objects that cannot change (numbers,
text, bytes) stand in it as they are; if any other item is in the chunk it is *packed*: each item is
pickled by itself, at the moment it is put, so that what the target does to an object afterwards
never reaches its reader, and one item that cannot be loaded spoils no other. Where all others can
be copied (`blocks.py`) the chunk is packed, too, and holds a row of blocks.
"""

from __future__ import annotations

import copyreg
import io
import pickle
import socket
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from multiprocessing import resource_sharer
from multiprocessing.connection import Connection
from multiprocessing.reduction import ForkingPickler
from typing import Any, Final, NoReturn

from orchestrator.core.protocol.events import Blob
from orchestrator.errors import caused_by
from orchestrator.worker.arenas import LaidChunk, WorkerArenas
from orchestrator.worker.blocks import dump_row, load_row
from orchestrator.worker.large import (
    RepeatedBufferError,
    SplitPickle,
    gather,
    pieces_of,
    spliced,
)

__all__ = [
    "BIG_ITEM",
    "CHUNK_BYTES",
    "MOST_BYTES",
    "PLAIN",
    "PROTOCOL",
    "SIZED",
    "ItemPickler",
    "ItemRun",
    "Part",
    "Piece",
    "cut_runs",
    "damaged",
    "load",
    "no_memory",
    "size_of",
    "sole",
    "unpack",
]

CHUNK_BYTES: Final = 96 * 1024
"""Chunks are closed at this size: larger ones fall into malloc's mmap path and lose half their
speed."""

BIG_ITEM: Final = 32 * 1024
"""Items of this size travel alone."""

MOST_BYTES = 1 << 30
"""The largest item, as a pickle. Of an item that gives more than that in all, a part leaves before:
a frame has a longest length (`wire.py`)."""

_FRAMING: Final = 64
"""Bytes that a chunk of one item has more than that, at most."""

PROTOCOL: Final = 5
PLAIN: Final = frozenset({int, float, complex, bool, type(None), str, bytes})
SIZED: Final = frozenset({str, bytes})


_REDUCERS: dict[type, Callable[[Any], Any]] = ForkingPickler._extra_reducers  # type: ignore[attr-defined]
_LIKE_PLAIN = {f"multiprocessing.{name}" for name in ("reduction", "managers", "heap")}
"""Modules whose reducers make the same of an item as plain pickle, where that takes it."""
_CONNECTION: Final = Connection.__module__.encode()
"""In the pickle of each Connection: plain pickle takes one, as the bare number of a descriptor."""
_CONNECTION_BYTES: Final = 80
"""Such a pickle has more: the names of its module, its class and its three attributes."""
_HANDED_OVER = (Connection, socket.socket)
_FAILED = (pickle.PicklingError, TypeError, AttributeError, RuntimeError)


class _HandedOverError(pickle.PicklingError):
    """Something in the item can be handed to another process only once."""

    def __init__(self, kind: type) -> None:
        super().__init__(
            f"a {kind.__module__}.{kind.__qualname__} is handed over once, by the process that has"
            " it open, and an item may be delivered again; send what its reader needs to open one"
        )


class ItemPickler:
    """Pickles items one by one, by the reducers of `multiprocessing` where it has some.

    `once`: no item is ever delivered again, so connections and sockets are handed over.
    """

    def __init__(self, *, once: bool = False) -> None:
        self._once = once
        self._like_plain_n = self._foreign_n = -1

    def dump(self, item: Any) -> bytes:
        """The pickle of one item.

        Raises whatever the item's own pickling raises (PicklingError, TypeError, AttributeError,
        …), ValueError for one that is too large.
        """
        return self._dump(item, None)

    def divide(self, item: Any) -> bytes | SplitPickle:
        """The pickle of one item, in pieces if some of it is large; raises as `dump`."""
        buffers: dict[pickle.PickleBuffer, memoryview] = {}
        try:
            pickled = self._dump(item, buffers)
        except RepeatedBufferError:
            return self._dump(item, None)
        if not buffers:
            return pickled
        divided = spliced(pickled, [*buffers.values()])
        if divided is None:
            return self._dump(item, None)
        if len(divided) > MOST_BYTES:
            _refuse(len(divided))
        return divided

    def _dump(self, item: Any, buffers: dict[pickle.PickleBuffer, memoryview] | None) -> bytes:
        """The pickle, but for the `buffers`: memory of the item that is to be set into it."""
        once = self._once
        beside = None if buffers is None else partial(gather, buffers, BIG_ITEM)
        try:
            if len(_REDUCERS) != self._like_plain_n and self._has_foreign():
                pickled = _reduced(item, once=once)
            else:
                pickled = pickle.dumps(item, PROTOCOL, buffer_callback=beside)
                if len(pickled) > _CONNECTION_BYTES and _CONNECTION in pickled:
                    pickled = _reduced(item, once=once)
                    if buffers:
                        buffers.clear()
        except (_HandedOverError, RecursionError):
            raise
        except _FAILED as plain:
            if buffers:
                buffers.clear()
            pickled = _dumped_after(plain, item, once=once)
        if len(pickled) > MOST_BYTES:
            _refuse(len(pickled))
        return pickled

    def _has_foreign(self) -> bool:
        """True if ForkingPickler has got a type whose reducer makes something else of it.

        To ask the table for each object of each item costs several times as much as plain pickle.
        So it is looked through once for each length it has: nothing ever leaves it.
        """
        n = len(_REDUCERS)
        if n != self._foreign_n:
            if any(
                kind is not Connection and getattr(reduce, "__module__", "") not in _LIKE_PLAIN
                for kind, reduce in _REDUCERS.items()
            ):
                self._foreign_n = n
            else:
                self._like_plain_n = n
        return n == self._foreign_n


def _dumped_after(plain: Exception, item: Any, *, once: bool) -> bytes:
    """Pickle what `multiprocessing` can and plain pickle cannot; raises what that raised."""
    try:
        return _reduced(item, once=once)
    except _HandedOverError:
        raise
    except _FAILED:
        if issubclass(
            type(plain), RuntimeError
        ):  # what is shared by inheritance only: locks, queues
            raise caused_by(pickle.PicklingError(*plain.args), plain) from plain
        raise caused_by(plain, None) from None


def _reduced(item: Any, *, once: bool) -> bytes:
    """The item's pickle, made as ForkingPickler does.

    Where what a reducer makes is handed over once (a tensor in shared memory, by its descriptor),
    and the item may come again, it is sent by its value instead.
    """
    table = {**copyreg.dispatch_table, **_REDUCERS}
    if once:
        return _dumped_by(table, item)
    refused = dict.fromkeys(_HANDED_OVER, _refuse_handed_over)
    try:
        return _dumped_by(table | refused | {resource_sharer.DupFd: _unshare}, item)
    except _SharedError:
        return _dumped_by({**copyreg.dispatch_table, **refused}, item)


def _dumped_by(table: dict[Any, Any], item: Any) -> bytes:
    buffer = io.BytesIO()
    pickler = pickle.Pickler(buffer, PROTOCOL)
    pickler.dispatch_table = table
    pickler.dump(item)
    return buffer.getvalue()


def _refuse_handed_over(handed: object) -> NoReturn:
    raise _HandedOverError(type(handed))


class _SharedError(Exception):
    """A reducer has made a descriptor ready to be fetched."""


def _unshare(shared: Any) -> NoReturn:
    """Close again what nobody will fetch."""
    sharer: Any = resource_sharer
    with sharer._resource_sharer._lock:
        _, close = sharer._resource_sharer._cache.pop(shared._id[1])
    close()
    raise _SharedError


def sole(item: Any, arenas: WorkerArenas | None = None) -> bytes | LaidChunk:
    """The chunk of one item, as it is or pickled: made while the item is put, whose memory it is.

    Raises ValueError for one that is too large.
    """
    pieces = pieces_of(item)
    size = sum(map(len, pieces))
    if size > MOST_BYTES + _FRAMING:
        _refuse(size)
    place = arenas.put(pieces, size) if arenas is not None else None
    return b"".join(pieces) if place is None else place


def _refuse(size: int) -> NoReturn:
    raise ValueError(
        f"its pickle has {size:,} bytes, and the largest item may have {MOST_BYTES:,};"
        " put the path of a file instead, or pieces"
    )


def size_of(item: Any) -> str:
    """Return how large text or bytes are, in words; nothing of other items."""
    if type(item) not in SIZED:
        return ""
    return f" of {len(item):,} {'characters' if type(item) is str else 'bytes'}"


def no_memory(what: str) -> bytes:
    """In the place of an item's pickle: raises MemoryError when it is loaded."""
    return pickle.dumps(_Raising(MemoryError, what), PROTOCOL)


def damaged(what: str) -> bytes:
    """In the place of an item's pickle: raises UnpicklingError when it is loaded."""
    return pickle.dumps(_Raising(pickle.UnpicklingError, what), PROTOCOL)


class _Raising:
    def __init__(self, kind: type[Exception], what: str) -> None:
        self._kind = kind
        self._what = what

    def __reduce__(self) -> tuple[Any, ...]:
        return _raise, (self._kind, self._what)


def _raise(kind: type[Exception], what: str) -> None:
    raise kind(what)


class Part:
    """Items as they are, or (`packed`) each pickled; `size` of them in bytes, where it varies.

    `blob`: if the last of them is big, the chunk it will be (`sole`). `copied`: some of those that
    are not pickled are copies.
    """

    __slots__ = ("blob", "copied", "items", "packed", "size")

    def __init__(
        self,
        items: list[Any],
        packed: bool,
        size: int,
        blob: bytes | LaidChunk | None = None,
        *,
        copied: bool = False,
    ) -> None:
        self.items = items
        self.packed = packed
        self.size = size
        self.blob = blob
        self.copied = copied


class ItemRun:
    """Items that will be one chunk: as they are, or (`packed`) each pickled. `size` is in bytes.

    `blob` is that chunk, where it is made already. `copied`: some of those that are not pickled are
    copies, so they are pickled as a row of blocks.
    """

    __slots__ = ("blob", "copied", "items", "packed", "size")

    def __init__(self, *, packed: bool = False) -> None:
        self.items: list[Any] = []
        self.packed = packed
        self.copied = False
        self.size = 0
        self.blob: bytes | LaidChunk | None = None

    def extend(self, part: Part) -> None:
        """Add items; those that are here cannot have changed, so a pickle tells them no less."""
        if part.packed and not self.packed and self.items:
            self.pack()
        if self.packed and not part.packed and self.items:
            self.items += [pickle.dumps(item, PROTOCOL) for item in part.items]
        else:
            self.packed = part.packed
            self.copied = self.copied or part.copied
            self.items += part.items
        self.size += part.size

    def pack(self) -> None:
        """From now on each item is a pickle."""
        self.items = [pickle.dumps(item, PROTOCOL) for item in self.items]
        self.packed = True

    def split(self, n: int) -> ItemRun:
        """Remove the first n items as a run of their own."""
        head = ItemRun()
        head.packed, head.copied = self.packed, self.copied
        head.items, self.items = self.items[:n], self.items[n:]
        return head

    def dump(self) -> bytes | LaidChunk:
        """Make the chunk. Copies for which no memory is left are pickled one by one (`packed`)."""
        if self.blob is not None:
            return self.blob
        if not self.copied or self.packed:
            return pickle.dumps(self.items, PROTOCOL)
        try:
            return pickle.dumps(dump_row(self.items, self.size), PROTOCOL)
        except MemoryError:
            self.items = [_dump_or_lose(item) for item in self.items]
            self.packed = True
            return pickle.dumps(self.items, PROTOCOL)


def _dump_or_lose(item: Any) -> bytes:
    try:
        return pickle.dumps(item, PROTOCOL)
    except MemoryError:
        return no_memory(f"no memory was left for the pickle of this {type(item).__name__}")


def cut_runs(runs: Sequence[ItemRun], n: int) -> tuple[list[tuple[int, ItemRun]], list[ItemRun]]:
    """The runs of the first n items, each with its place, and the runs of the others."""
    pieces: list[tuple[int, ItemRun]] = []
    others: list[ItemRun] = []
    start = 0
    for run in runs:
        here = min(len(run.items), n - start)
        if here:
            whole = here == len(run.items)
            pieces.append((start, run if whole else run.split(here)))
            start += here
            if whole:
                continue
        if run.items:
            others.append(run)
    return pieces, others


class Piece:
    """Neighbouring items of a chunk: each still a pickle (`packed`), or as it is.

    `loaded`: they come of blocks, and are changed by whoever gets them.
    """

    __slots__ = ("items", "loaded", "packed")

    def __init__(self, items: list[Any], packed: bool, *, loaded: bool = False) -> None:
        self.items = items
        self.packed = packed
        self.loaded = loaded

    def taken(self, start: int, stop: int) -> Iterator[Any]:
        """Items `start` to `stop`; of loaded ones each is let go once the next is asked for.

        So an item lives no longer than its call, whatever the target puts into it.
        """
        return _let_go(self.items, start, stop) if self.loaded else iter(self.items[start:stop])


def _let_go(items: list[Any], start: int, stop: int) -> Iterator[Any]:
    if start:
        items[start - 1] = None  # the last that was taken before
    for at in range(start, stop):
        yield items[at]
        items[at] = None


def load(blob: Blob, *, packed: bool, start: int, stop: int) -> Piece:
    """Items `start` to `stop` of a chunk; those of a packed one may be pickles (`unpack`)."""
    items: list[Any] = pickle.loads(blob)
    if packed and (loaded := load_row(items, start, stop)) is not None:
        return Piece(loaded, packed=False, loaded=True)
    return Piece(items if start == 0 and stop == len(items) else items[start:stop], packed)


def unpack(piece: Piece) -> Iterator[Any]:
    """The items themselves, one by one; raises what an item's own loading raises."""
    return map(pickle.loads, piece.items) if piece.packed else iter(piece.items)
