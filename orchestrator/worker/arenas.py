"""Arenas of a worker: its own, where its large chunks lie, and those of others, which it reads.

Called in the child. They come beside the log socket, the worker's own at its start and any other
before the first lease that has something in it. Whatever fails here costs speed only: a chunk that
finds no place travels in its frame.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import mmap
import os
import socket
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from orchestrator.core.protocol.events import Blob
from orchestrator.core.protocol.messages import Leased
from orchestrator.ipc.arena import (
    Handover,
    Places,
    Stub,
    check_of,
    receive,
)
from orchestrator.kernel.calls import FIRST_PRIVATE_FD, low_numbers_taken

__all__ = [
    "DamagedChunkError",
    "LaidChunk",
    "OwnArena",
    "Placed",
    "UnseenArenaError",
    "WorkerArenas",
]

T = TypeVar("T")

_LOG = logging.getLogger("mporch")
_SLOWER = "large items go through the orchestrator, which takes longer"
_STEP = 8 << 20
_KEPT = 64 << 20
"""Pages that nothing lies on any more are given back from here on."""


class DamagedChunkError(Exception):
    """A chunk in an arena is not what its producer has announced."""


class UnseenArenaError(Exception):
    """A chunk lies in an arena that this worker could not take, for want of descriptors."""

    def __init__(self, arena: int) -> None:
        super().__init__(f"arena {arena} cannot be read")
        self.arena = arena


class LaidChunk:
    """A chunk that lies in the worker's own arena; its place is free once nobody has this.

    From when it is `sent` on the broker says when that is.
    """

    __slots__ = ("_arena", "sent", "stub")

    def __init__(self, arena: OwnArena, stub: Stub) -> None:
        self._arena = arena
        self.stub = stub
        self.sent = False

    def __len__(self) -> int:
        return self.stub.size

    def __del__(self) -> None:
        if not self.sent:
            self._arena.freed.append(self.stub.offset)


class Placed:
    """A chunk that lies in another's arena; `owner` is the worker that has put it there.

    Its `view` is None where no memory was left to read it.
    """

    __slots__ = ("_stub", "owner", "view")

    def __init__(self, view: Blob | None, stub: Stub, owner: str) -> None:
        self.view = view
        self.owner = owner
        self._stub = stub

    def __len__(self) -> int:
        return self._stub.size

    def load(self, read: Callable[[Blob], T]) -> T:
        """Return what `read` makes of it. Raises DamagedChunkError, MemoryError."""
        if self.view is None:
            raise MemoryError
        if check_of(memoryview(self.view)) != self._stub.check:
            raise DamagedChunkError(f"its memory was written to after {self.owner} had put it")
        try:
            return read(self.view)
        except MemoryError:
            raise
        except Exception as error:  # of text and bytes nothing else can come of
            raise DamagedChunkError(f"it is not as {self.owner} had put it: {error}") from error


class WorkerArenas:
    """All arenas that a worker has; they come by `sock`, None if none ever will.

    `limited`: a key of the job for which it gets none of its own, as shared memory would count.
    """

    def __init__(self, sock: socket.socket | None = None, *, limited: str = "") -> None:
        self._sock = sock
        self._limited = limited
        self._own: OwnArena | None = None
        self._told = False
        self._others: dict[int, _OthersArena] = {}

    def put(self, parts: Sequence[Blob], size: int) -> LaidChunk | None:
        """Lay down a chunk, which comes in parts; None if it has to travel in its frame."""
        if self._own is None:
            self._look()
            if self._own is None:
                if self._limited:
                    _LOG.info(f"{_SLOWER}, for the job has %s", self._limited)
                    self._limited = ""
                return None
        return self._write(self._own, parts, size)

    def lay(self, chunk: bytes) -> LaidChunk | None:
        """Lay down a chunk of small items; None if it travels in its frame, which nobody minds."""
        if self._own is None:
            self._look()
        return None if self._own is None else self._write(self._own, [chunk], len(chunk))

    def _write(self, own: OwnArena, parts: Iterable[Blob], size: int) -> LaidChunk | None:
        return own.put(parts, size)

    def freed(self, offsets: Iterable[int]) -> None:
        """These places of the worker's own arena are free again."""
        if self._own is not None:
            self._own.freed.extend(offsets)

    def found(self, message: Leased, blobs: tuple[Blob, ...]) -> Sequence[Blob | Placed]:
        """The chunks of a lease, wherever they lie. Raises UnseenArenaError."""
        for part in message.ranges:
            if part.placed:
                return [
                    self.placed(blob) if part.placed else blob
                    for part, blob in zip(message.ranges, blobs, strict=True)
                ]
        return blobs

    def placed(self, data: Blob) -> Placed:
        """The chunk that a stub stands for. Raises UnseenArenaError."""
        stub = Stub.decode(data)
        assert stub is not None
        if stub.arena not in self._others:
            self._look()
        try:
            arena = self._others[stub.arena]
            return Placed(arena.view(stub), stub, arena.owner)
        except (KeyError, OSError) as error:
            self._say_once(getattr(error, "strerror", os.strerror(errno.EMFILE)))
            raise UnseenArenaError(stub.arena) from error

    def forget(self, arena: int) -> None:
        """Nothing will ever be read of that arena any more."""
        if (found := self._others.pop(arena, None)) is not None:
            found.close()

    def _look(self) -> None:
        """Take what has come."""
        with contextlib.suppress(OSError):
            while (
                self._sock is not None
                and (came := receive(self._sock, FIRST_PRIVATE_FD)) is not None
            ):
                if came.fd < 0:
                    self._say_once(os.strerror(errno.EMFILE))
                elif came.own:
                    self._own = _owned(came)
                else:
                    self._others[came.arena] = _OthersArena(came)

    def _say_once(self, why: str) -> None:
        if not self._told:
            self._told = True
            _say(why)


def _owned(came: Handover) -> OwnArena | None:
    try:
        return OwnArena(came)
    except OSError as error:
        os.close(came.fd)
        _say(str(error))
        return None


def _map(fd: int, size: int, protection: int) -> mmap.mmap:
    if sys.version_info >= (3, 13):
        pages = mmap.mmap(fd, size, mmap.MAP_SHARED, protection, trackfd=False)
    else:
        with low_numbers_taken():
            pages = mmap.mmap(fd, size, mmap.MAP_SHARED, protection)
    for advice in (mmap.MADV_DONTDUMP, mmap.MADV_DONTFORK):
        with contextlib.suppress(OSError):
            pages.madvise(advice)
    return pages


class OwnArena:
    """The arena that the worker writes to. Raises OSError if it cannot be mapped."""

    def __init__(self, came: Handover) -> None:
        self.freed: deque[int] = deque()
        """Places that are free again: added to by whoever lets one go, at any moment."""
        self._number = came.arena
        self._pages = _map(came.fd, came.size, mmap.PROT_READ | mmap.PROT_WRITE)
        self._view = memoryview(self._pages)
        self._fd = came.fd
        self._inode = _inode(came.fd)
        self._places = Places(came.size)
        self._reserved = 0
        self._told = False
        self._lock = threading.Lock()

    def put(self, parts: Iterable[Blob], size: int) -> LaidChunk | None:
        """Copy the parts to a place of their own; None, and said once, if there is none."""
        with self._lock:
            places, freed = self._places, self.freed
            while freed:
                places.free(freed.popleft())
            if self._reserved - places.top > _KEPT + places.top:
                self._give_back()
            offset = places.take(size)
            if offset is not None and places.top > self._reserved and not self._reserve():
                places.free(offset)
                return None
        if offset is None:
            self._say_once("all of it is in use")
            return None
        at, view = offset, self._view
        for part in parts:
            end = at + len(part)
            view[at:end] = part
            at = end
        check = check_of(view[offset:at])
        return LaidChunk(self, Stub(self._number, offset, at - offset, check))

    def _reserve(self) -> bool:
        """Have memory for all that is taken: to write where there is none would be the end."""
        wanted = min(len(self._view), -(-self._places.top // _STEP) * _STEP)
        try:
            if _inode(self._fd) != self._inode:  # the target has closed what is not its own
                raise OSError(errno.EBADF, os.strerror(errno.EBADF))
            os.posix_fallocate(self._fd, self._reserved, wanted - self._reserved)
        except OSError as error:
            self._say_once(error.strerror or str(error))
            return False
        self._reserved = wanted
        return True

    def _give_back(self) -> None:
        """Give pages back that nothing lies on."""
        kept = min(self._reserved, -(-(self._places.top + _KEPT // 2) // _STEP) * _STEP)
        with contextlib.suppress(OSError):
            self._pages.madvise(mmap.MADV_REMOVE, kept, self._reserved - kept)
            self._reserved = kept

    def _say_once(self, why: str) -> None:
        if not self._told:
            self._told = True
            _say(why)


class _OthersArena:
    """The arena of another worker, to be read only: mapped if that can be."""

    def __init__(self, came: Handover) -> None:
        self.owner = came.owner
        self._fd = came.fd
        self._inode = _inode(came.fd)
        self._view: memoryview | None = None
        with contextlib.suppress(OSError):
            self._view = memoryview(_map(came.fd, came.size, mmap.PROT_READ))
            self.close()

    def view(self, stub: Stub) -> Blob | None:
        """The chunk; None if there is no memory for it. Raises OSError if it cannot be read."""
        if self._view is not None:
            return self._view[stub.offset : stub.offset + stub.size]
        if _inode(self._fd) != self._inode:  # the target has closed what is not its own
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        try:
            return os.pread(self._fd, stub.size, stub.offset)
        except MemoryError:
            return None

    def close(self) -> None:
        """Close the descriptor; a mapping is undone when its last view is gone."""
        with contextlib.suppress(OSError):
            if self._fd >= 0 and _inode(self._fd) == self._inode:
                os.close(self._fd)
        self._fd = -1


def _inode(fd: int) -> tuple[int, int]:
    status = os.fstat(fd)
    return status.st_dev, status.st_ino


def _say(why: str) -> None:
    _LOG.warning(f"{_SLOWER}: shared memory: %s", why)
