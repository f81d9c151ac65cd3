"""Leases as their worker sees them: items to hand out one by one.

Called in the child.
"""

from __future__ import annotations

import pickle
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import chain, repeat
from typing import Any

from orchestrator.core.protocol.events import Blob
from orchestrator.core.protocol.messages import Leased, Range
from orchestrator.worker import chunks
from orchestrator.worker.arenas import DamagedChunkError, Placed
from orchestrator.worker.large import is_sole, item_of

__all__ = ["Lease", "Leases"]


class Lease:
    """Items of one queue."""

    __slots__ = (
        "_blobs",
        "_loaded",
        "_next",
        "_ranges",
        "_rest",
        "_tried",
        "finished",
        "limit",
        "number",
        "packed",
        "queue",
        "started",
        "total",
    )

    def __init__(self, message: Leased, blobs: Sequence[Blob | Placed]) -> None:
        self.number = message.lease
        self.queue = message.queue
        self.started = 0
        """So many of them have been handed to the target."""
        self.finished = 0
        """So many have ended."""
        self.limit = 0
        """So many there are: the `total`, or those that were started before a recall."""
        for part in message.ranges:
            self.limit += part.stop - part.start
        self.total = self.limit
        self._ranges = message.ranges
        self._tried = message.tried
        self._blobs = blobs
        self._next = 0
        self._rest: list[Any] = []
        """What was not taken of the chunk at hand, the next one last: nothing stays here that the
        target has, and may let grow."""
        self._loaded = False
        self.packed = False
        """Those are still pickles."""

    def pieces(self) -> Iterator[chunks.Piece]:
        """The items chunk by chunk."""
        for part, blob in zip(self._ranges, self._blobs, strict=True):
            yield _load(part, blob)

    def take(self) -> tuple[Any, bool]:
        """Start the next item; returns it, and whether it still has to be unpickled."""
        self.started += 1
        while not self._rest:
            part, blob = self._ranges[self._next], self._blobs[self._next]
            piece = _load(part, blob)
            self._rest, self.packed, self._loaded = piece.items, piece.packed, piece.loaded
            self._rest.reverse()
            self._next += 1
        return self._rest.pop(), self.packed

    @property
    def at_hand(self) -> int:
        """The number of items for the target that the chunk of the item taken last still has."""
        return max(0, min(self.limit - self.started, len(self._rest)))

    def ahead(self, n: int) -> tuple[Iterator[Any], Iterator[Any]]:
        """The next n of those, to be taken one by one, and what says how many are left of them.

        `skip` says how many of them were started.
        """
        rest = self._rest
        if self._loaded:
            left = repeat(-1, n)
            return map(rest.pop, left), left
        values = iter(rest[: -n - 1 : -1])
        return values, values

    def skip(self, n: int) -> None:
        """The next n of those at hand were started."""
        if n and not self._loaded:
            del self._rest[-n:]

    def put_back(self, item: Any) -> None:
        """The item taken last was not started after all."""
        self.started -= 1
        self._rest.append(item)

    def __iter__(self) -> Iterator[Any]:
        """The items themselves; raises what an item's own loading raises."""
        return chain.from_iterable(map(chunks.unpack, self.pieces()))

    def item_id(self, index: int) -> str:
        """The id of the item at `index`: `queue:n`."""
        return f"{self.queue}:{self.number_of(index)}"

    def range_id(self, first: int, last: int) -> str:
        """The ids of neighbouring items: `queue:1-4`, or `queue:1-4,9` where some are missing."""
        runs: list[list[int]] = []
        for index in range(first, last + 1):
            number = self.number_of(index)
            if runs and runs[-1][1] == number - 1:
                runs[-1][1] = number
            else:
                runs.append([number, number])
        told = ",".join(f"{a}-{b}" if a != b else f"{a}" for a, b in runs)
        return f"{self.queue}:{told}"

    def attempt(self, index: int) -> int:
        """Return which attempt at the item at `index` this is, from 1."""
        return 1 + dict(self._tried).get(self.number_of(index), 0)

    def attempt_of_range(self, first: int, last: int) -> int:
        """The highest attempt among neighbouring items."""
        if not self._tried:
            return 1
        return max(self.attempt(index) for index in range(first, last + 1))

    def bytes_of(self, index: int) -> int | None:
        """The bytes of the item at `index`, if it is known: where it is a chunk by itself."""
        for part, blob in zip(self._ranges, self._blobs, strict=True):
            if index < part.stop - part.start:
                size = _size(part, blob)
                return size if size >= chunks.BIG_ITEM else None
            index -= part.stop - part.start
        raise IndexError(index)

    def number_of(self, index: int) -> int:
        """Return the number on its queue of the item at `index`."""
        for part in self._ranges:
            if index < part.stop - part.start:
                return part.first + index
            index -= part.stop - part.start
        raise IndexError(index)


class Leases:
    """The leases that a worker has, by their numbers (lock held)."""

    def __init__(self) -> None:
        self.by_number: dict[int, Lease] = {}
        self._shared: dict[str, deque[Lease]] = {}

    @property
    def started(self) -> int:
        """Return how many items of them were started."""
        return sum(lease.started for lease in self.by_number.values())

    def add(self, lease: Lease) -> None:
        """A lease has come."""
        self.by_number[lease.number] = lease
        if (shared := self._shared.get(lease.queue)) is not None:
            shared.append(lease)

    def shared(self, queue: str) -> deque[Lease]:
        """The leases of a queue whose readers are threads: each takes from whichever has come."""
        return self._shared.setdefault(queue, deque())

    def drop_finished(self, numbers: Iterable[int]) -> None:
        """The ends of items of these leases are on their way: forget those that are used up."""
        for number in numbers:
            lease = self.by_number.get(number)
            if lease is not None and lease.finished == lease.limit:
                del self.by_number[number]

    def forget_queue(self, queue: str) -> None:
        """Nobody reads the queue here any more."""
        self._shared.pop(queue, None)


def _size(part: Range, blob: Blob | Placed) -> int:
    return len(blob) if part.placed else part.size


def _piece(part: Range, chunk: Blob) -> chunks.Piece:
    """The items of a chunk: nobody but this worker has looked at what its producer has sent."""
    return _checked(part, chunks.load(chunk, packed=part.packed, start=part.start, stop=part.stop))


def _placed_piece(part: Range, chunk: Blob) -> chunks.Piece:
    """The items of a chunk that is in an arena, which its producer may have written to since."""
    if is_sole(chunk):
        return _checked(part, chunks.Piece([item_of(chunk, packed=part.packed)], part.packed))
    return _piece(part, chunk)


def _checked(part: Range, piece: chunks.Piece) -> chunks.Piece:
    if type(piece.items) is not list or len(piece.items) != part.stop - part.start:
        raise pickle.UnpicklingError("it holds other items than were announced")
    return piece


def _load(part: Range, blob: Blob | Placed) -> chunks.Piece:
    """The items of a chunk; those that no memory is left for raise, or that are damaged."""
    try:
        if isinstance(blob, Placed):
            return blob.load(partial(_placed_piece, part))
        if blob:
            return _piece(part, blob)
    except MemoryError:
        pass
    except DamagedChunkError as error:
        return _damaged(part, str(error))
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the end of these items only
        return _damaged(part, f"its producer has sent what is no chunk: {error}")
    lost = chunks.no_memory(f"no memory is left for the {_size(part, blob):,} bytes of the item")
    return chunks.Piece([lost] * (part.stop - part.start), packed=True)


def _damaged(part: Range, why: str) -> chunks.Piece:
    return chunks.Piece([chunks.damaged(why)] * (part.stop - part.start), packed=True)
