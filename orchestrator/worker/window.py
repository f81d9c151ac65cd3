"""A window: items that a target works through while nobody holds the lock.

Called in the child. The lock is taken once for a window, not for each item: what has ended is told
by a list that only grows. The main thread appends to it, one entry for each end; whoever holds the
lock (the main thread between windows, the flusher during one) books what is there. Under the global
interpreter lock an append is atomic and what is there stays.
"""

from __future__ import annotations

import operator
from collections import deque
from collections.abc import Callable
from typing import Any, ClassVar, Protocol

from orchestrator.ipc.cell import INDEX
from orchestrator.worker.arenas import LaidChunk
from orchestrator.worker.blocks import CONTAINERS, copy_into
from orchestrator.worker.chunks import (
    BIG_ITEM,
    CHUNK_BYTES,
    PLAIN,
    SIZED,
    Part,
)
from orchestrator.worker.large import SplitPickle
from orchestrator.worker.lease import Lease
from orchestrator.worker.outbox import Outbox

__all__ = ["ItemWindow", "StreamWindow", "Window"]

_NONE = frozenset({type(None)})
_FIXED = PLAIN - SIZED


class Window(Protocol):
    """Items that end while nobody holds the lock; every method needs it."""

    @property
    def n(self) -> int:
        """The most that may end."""

    @property
    def lease(self) -> Lease | None:
        """The lease they are of; None for a source's own."""

    @property
    def outbox(self) -> Outbox | None:
        """The outbox of what they give; None if that is nothing, or put by whoever takes them."""

    @property
    def started(self) -> int:
        """Return how many items of the lease have been started."""

    def take_in(self) -> int:
        """Return how many items have ended since this was last called.

        What they gave is in the outbox.
        """

    def close(self) -> None:
        """The window has ended."""


class ItemWindow:
    """The next `n` items of a lease, or of a source (`lease` None).

    `ends` has one entry for each item that has ended: what goes into the `outbox`, None for
    nothing. `settled`: types of results that go into it as they are; for others ask `settle`.
    `words` is the progress cell; `dump` makes an item's pickle, `sole` the chunk of one item;
    `holes` says that some items of the lease gave nothing.
    """

    __slots__ = (
        "_blob",
        "_blob_at",
        "_booked",
        "_booked_size",
        "_chunk_bytes",
        "_copied",
        "_copies",
        "_dump",
        "_next_packed",
        "_packed",
        "_pickled_from",
        "_size",
        "_sole",
        "ends",
        "holes",
        "lease",
        "n",
        "outbox",
        "settled",
        "words",
    )

    def __init__(
        self,
        lease: Lease | None,
        outbox: Outbox | None,
        n: int,
        words: memoryview,
        *,
        dump: Callable[[Any], bytes | SplitPickle],
        sole: Callable[[Any], bytes | LaidChunk],
    ) -> None:
        self.lease = lease
        self.outbox = outbox
        self.n = n
        self.words = words
        self._dump = dump
        self._sole = sole
        self._blob: bytes | LaidChunk | None = None
        self._blob_at = -1
        self.ends: list[Any] = []
        self.holes = False
        self._booked = 0
        self._packed = self._next_packed = outbox is not None and outbox.packs
        self._copies = outbox is not None and outbox.copies
        self._copied = False
        self._size = self._booked_size = outbox.size if outbox is not None else 0
        self._chunk_bytes = outbox.chunk_bytes if outbox is not None else CHUNK_BYTES
        self._pickled_from = 0 if self._packed else n
        self.settled = self._settled()

    def _settled(self) -> frozenset[Any]:
        if self.outbox is None:
            return _NONE
        if self._packed:
            return frozenset()
        return _FIXED if self.lease is None else _FIXED - _NONE

    @property
    def started(self) -> int:
        """Return how many items of the lease have been started."""
        return self.words[INDEX] + 1

    def settle(self, result: Any) -> bool:
        """An item has ended with this; False when the window must end here.

        Raises UnpicklableItemError.
        """
        if self._packed:
            return self._settle_pickled(result)
        if self._copies and type(result) in CONTAINERS:
            self._copied = True  # told before it is seen
            if (size := copy_into(self.ends, result)) >= 0:
                self._size += size
                return self._size < self._chunk_bytes
        if self.outbox is None or (result is None and self.lease is not None):
            self.holes = True  # told before it is seen
            self.ends.append(None)
            return True
        if type(result) in SIZED:
            if len(result) < BIG_ITEM:
                self.ends.append(result)
                return self._has_grown(len(result))
            if self.outbox.digest is None:
                self._make_big(result)
                self.ends.append(result)
                return self._has_grown(len(result))
        self._pickled_from = len(self.ends)
        self._settle_pickled(result)
        self._next_packed = not (self._copies and self._blob_at >= 0)
        return False

    def _settle_pickled(self, result: Any) -> bool:
        if result is None and self.lease is not None:
            self.holes = True
            self.ends.append(None)
            return True
        pickled = self._dump(result)
        if not self.ends:
            self._next_packed = type(result) not in PLAIN and not self._can_copy(result)
        if len(pickled) >= BIG_ITEM:
            self._make_big(pickled)
        self.ends.append(pickled)
        return self._has_grown(len(pickled))

    def _can_copy(self, result: Any) -> bool:
        return self._copies and type(result) in CONTAINERS and copy_into([], result) >= 0

    def _make_big(self, item: Any) -> None:
        """The next end, which will be the last, is a chunk by itself; told before it is seen."""
        self._blob = self._sole(item)
        self._blob_at = len(self.ends)

    def _has_grown(self, size: int) -> bool:
        self._size += size
        return size < BIG_ITEM and self._size < self._chunk_bytes

    def take_in(self) -> int:
        """See Window."""
        n, parts = self.book()
        if self.outbox is not None:
            for part in parts:
                if self.lease is None:
                    self.outbox.extend(part)
                else:
                    self.outbox.finish(part, holes=self.holes)
        return n

    def book(self) -> tuple[int, list[Part]]:
        """Count the items that have ended since the last call, with what they gave (lock held)."""
        done = len(self.ends)
        first, self._booked = self._booked, done
        size, self._booked_size = self._size - self._booked_size, self._size
        middle = min(max(self._pickled_from, first), done)
        parts = []
        if first < middle:
            copied = self._copied
            parts.append(Part(self.ends[first:middle], packed=False, size=size, copied=copied))
        if middle < done:
            parts.append(Part(self.ends[middle:done], packed=True, size=size))
        if first <= self._blob_at < done:
            parts[-1].blob = self._blob
        return done - first, parts

    def close(self) -> None:
        """The window has ended (lock held): tell what its successor should expect."""
        if self.lease is not None:
            self.lease.started = self.lease.finished
        if self.outbox is not None:
            self.outbox.packs = self._next_packed or self.outbox.weighs


class StreamWindow:
    """Items of a lease that a stream's iterator hands out without the lock.

    Of `values` it is known how many they have still to give, and to take one is one step under the
    global interpreter lock. So what was started is known to whoever holds the lock, and all that
    was started but the last has ended. Outputs are put before the iterator is advanced: whoever
    sees an item ended finds them in their boxes.
    """

    __slots__ = ("_first", "_left", "_stopped", "lease", "n", "packed", "values")

    outbox: ClassVar[None] = None
    """What the items give is put by who takes them, with the lock held."""

    def __init__(self, lease: Lease) -> None:
        self.lease = lease
        self.n = n = lease.at_hand
        self.packed = lease.packed
        self.values, self._left = lease.ahead(n)
        self._first = lease.started
        self._stopped: int | None = None

    @property
    def started(self) -> int:
        """Return how many items of the lease have been started."""
        if self._stopped is not None:
            return self._stopped
        return self._first + self.n - operator.length_hint(self._left)

    def take_in(self) -> int:
        """Count the items that have ended since the last call (lock held)."""
        return max(0, self.lease.started - 1 - self.lease.finished)

    def close(self) -> None:
        """No more of its items are handed out (lock held); the last may be in hand."""
        self._stopped = self.lease.started = self.started
        self.lease.skip(self._stopped - self._first)
        deque(self._left, maxlen=0)
