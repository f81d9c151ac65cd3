"""The pages that processes share with their broker: acks, and the size of each queue.

The acks of items that were fetched ahead travel with the next commit, up to 10 ms later; what a
killed process had returned from `get` by then must not be delivered again, and what it had not must
be. So a process notes on its page of acks what `get` has returned, and the broker reads it when the
process is dead: how many slots are in use, then pairs of a lease and how many of its items were
returned.

The page of a queue tells its size without asking the broker. Each process that puts counts in a
slot of its own what it has sent; the broker notes how many puts it has applied, and what is on the
queue then. Where both agree nothing is on its way, and what the broker has noted is true: whoever
was told of a put sees it counted, though the broker has not read it yet. All are 64-bit integers,
written by one side each.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
from typing import NamedTuple

__all__ = [
    "JOIN",
    "NEW_QUEUE",
    "SEALS",
    "WATCH",
    "AckPage",
    "Size",
    "SizePage",
    "new_page",
    "read_acks",
]

_BYTES = 1 << 20
SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
"""Who reads a page that was cut off is killed by SIGBUS: the broker takes none without them."""
_SLOTS = (_BYTES // 8 - 1) // 2


class AckPage:
    """Called in the process that uses the queues. One slot for each queue it reads."""

    def __init__(self) -> None:
        self.fd = os.memfd_create("mporch-acks", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(self.fd, _BYTES)
        fcntl.fcntl(self.fd, fcntl.F_ADD_SEALS, SEALS)
        self._map = mmap.mmap(self.fd, _BYTES)
        self.words = memoryview(self._map).cast("q")
        self._free: list[int] = []

    def slot(self) -> int:
        """The index of a free slot's lease; the count of its items is the word behind it.

        Raises OSError when there are none: no process can open so many queues.
        """
        if self._free:
            return self._free.pop()
        used = self.words[0]
        if used == _SLOTS:
            raise OSError(f"a process can read at most {_SLOTS} queues")
        self.words[0] = used + 1
        return 1 + 2 * used

    def free(self, slot: int) -> None:
        """The slot's queue is read no more, and all its acks are sent."""
        self.words[slot] = 0
        self._free.append(slot)

    def close_fd(self) -> None:
        """The broker has the page; the mapping stays."""
        os.close(self.fd)

    def close(self) -> None:
        """Nothing is read any more."""
        self.words.release()
        self._map.close()


def read_acks(page: mmap.mmap) -> tuple[tuple[int, int], ...]:
    """Called in the broker: leases, and how many of their items `get` has returned."""
    with memoryview(page).cast("q") as words:
        used = max(0, min(words[0], _SLOTS))
        found = words[1 : 1 + 2 * used].tolist()
    return tuple((lease, n) for lease, n in zip(found[::2], found[1::2], strict=True) if lease)


_SIZE_BYTES = 1 << 16
_VERSION, _PUT, _QUEUED, _SIZE, _KEPT, _USED, _GONE = range(7)
"""`kept`: the broker keeps the page up to date. `gone`: what processes that have ended had sent."""
_FIRST = 8
_LAST = _SIZE_BYTES // 8 - 2


class Size(NamedTuple):
    """What is on its way to the queue, on it and not leased, and put but not known to be got."""

    coming: int
    queued: int
    size: int


def new_page() -> int:
    """The descriptor of an empty page."""
    fd = os.memfd_create("mporch-size", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(fd, _SIZE_BYTES)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, SEALS)
    return fd


class SizePage:
    """A view of the page; `fd` is closed with it."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._map = mmap.mmap(fd, _SIZE_BYTES)
        self._words = memoryview(self._map).cast("q")

    def close(self) -> None:
        """Nobody looks at it here any more."""
        self._words.release()
        self._map.close()
        os.close(self.fd)

    # -- in the processes that use the queue ------------------------------------------------------

    def slot(self, owner: int) -> int:
        """A slot for what `owner` sends; 0 if all are taken: then nobody can tell any more."""
        words = self._words
        fcntl.lockf(self.fd, fcntl.LOCK_EX)
        try:
            if words[_USED] > _LAST + 2:
                return 0
            slot = next((i for i in range(_FIRST, words[_USED], 2) if not words[i]), 0)
            if not slot:
                slot = max(_FIRST, words[_USED])
                words[_USED] = slot + 2
                if slot > _LAST:
                    return 0
            words[slot] = owner
        finally:
            fcntl.lockf(self.fd, fcntl.LOCK_UN)
        return slot

    def count(self, slot: int, n: int) -> None:
        """The owner of the slot is about to send n more items."""
        self._words[slot + 1] += n

    def look(self) -> Size | None:
        """Return what is there; None if only the broker can tell."""
        words = self._words
        used = words[_USED]
        if used > _LAST + 2:
            return None
        sent = words[_GONE] + sum(words[_FIRST + 1 : used : 2])
        version, put, queued, size, kept = words[:5].tolist()
        if not kept or version & 1 or words[_VERSION] != version or sent < put:
            return None
        return Size(sent - put, queued, size)

    # -- in the broker ----------------------------------------------------------------------------

    def note(self, put: int, queued: int, size: int) -> None:
        """So many puts are applied, and this is what is there; from now on it is kept so."""
        words = self._words
        if (words[_PUT], words[_QUEUED], words[_SIZE], words[_KEPT]) != (put, queued, size, 1):
            words[_VERSION] += 1
            words[_PUT], words[_QUEUED], words[_SIZE], words[_KEPT] = put, queued, size, 1
            words[_VERSION] += 1

    def leave(self, owner: int, received: int) -> None:
        """A process has ended, of whose puts so many were received."""
        words = self._words
        owners = words[_FIRST : min(words[_USED], _LAST + 2) : 2].tolist()
        if owner in owners:
            slot = _FIRST + 2 * owners.index(owner)
            words[slot + 1] = words[slot] = 0  # first: what is too small is not believed
            words[_GONE] += received


NEW_QUEUE = struct.Struct("<Qq")
"""Home to broker: a queue's number and its bound; beside it travel the broker's end of its token
and the page of its size."""

JOIN = struct.Struct("<4sQ")
"""Process to broker, on any queue's token, to begin a session: `join` and its id. Beside it travel
the broker's end of the stream, the page of acks and the process's own pidfd."""

WATCH = struct.Struct("<5sQ")
"""Process to broker, on a queue's token: `watch` and its session's id; beside it travels an event
that shall be readable while the queue has an item for whoever asks."""
