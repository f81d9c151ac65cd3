"""The page of a queue that tells its size without asking the broker.

Each process that puts counts in a slot of its own what it has sent; the broker notes how many puts
it has applied, and what is on the queue then. Where both agree nothing is on its way, and what the
broker has noted is true: whoever was told of a put sees it counted, though the broker has not read
it yet. All are 64-bit integers, written by one side each.
"""

from __future__ import annotations

import fcntl
import mmap
import os
from typing import NamedTuple

from orchestrator.features.standalone.page import SEALS

__all__ = ["Size", "SizePage", "new_page"]

_BYTES = 1 << 16
_VERSION, _PUT, _QUEUED, _SIZE, _KEPT, _USED, _GONE = range(7)
"""`kept`: the broker keeps the page up to date. `gone`: what processes that have ended had sent."""
_FIRST = 8
_LAST = _BYTES // 8 - 2


class Size(NamedTuple):
    """What is on its way to the queue, on it and not leased, and put but not known to be got."""

    coming: int
    queued: int
    size: int


def new_page() -> int:
    """The descriptor of an empty page."""
    fd = os.memfd_create("mporch-size", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(fd, _BYTES)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, SEALS)
    return fd


class SizePage:
    """A view of the page; `fd` is closed with it."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._map = mmap.mmap(fd, _BYTES)
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
