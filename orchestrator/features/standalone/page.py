"""The page on which a process notes what `get` has returned, read by the broker when it is dead.

The acks of items that were fetched ahead travel with the next commit, up to 10 ms later; what a
killed process had returned from `get` by then must not be delivered again, and what it had not must
be. The page holds 64-bit integers: how many slots are in use, then pairs of a lease and how many of
its items were returned.
"""

from __future__ import annotations

import fcntl
import mmap
import os

__all__ = ["SEALS", "AckPage", "read_acks"]

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
