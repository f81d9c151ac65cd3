"""Arena: shared memory of one producer, in which large chunks lie while only their places travel.

The orchestrator's side makes one for each worker that puts items, sealed so that nobody can change
its length, and hands it over by a descriptor. The worker alone decides what lies where (`Places`).
In its frames such a chunk is a `Stub`: where it lies, how long it is, and a check of its ends.
"""

from __future__ import annotations

import bisect
import fcntl
import os
import socket
import struct
import zlib
from typing import NamedTuple

__all__ = ["Handover", "Places", "Stub", "check_of", "give", "make", "receive"]

_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
"""Who reads a page that has been cut off is killed by SIGBUS."""
_STUB = struct.Struct("<IQQI")
_HANDOVER = struct.Struct("<IQ?")
_FD = struct.Struct("i")
_RIGHTS = (socket.SOL_SOCKET, socket.SCM_RIGHTS)
_PAGE = 4096
_ENDS = 4096
_LOOKED_AT = 64


class Stub(NamedTuple):
    """The place of a chunk: `size` bytes at `offset` of an arena, and the `check` of its ends."""

    arena: int
    offset: int
    size: int
    check: int

    def encode(self) -> bytes:
        """The bytes that travel in the chunk's stead."""
        return _STUB.pack(*self)

    @classmethod
    def decode(cls, data: bytes | bytearray | memoryview) -> Stub | None:
        """The place; None if that is none."""
        return cls(*_STUB.unpack(data)) if len(data) == _STUB.size else None


def check_of(chunk: memoryview) -> int:
    """The checksum of the first and the last 4 KiB of a chunk.

    Of all of it that would take longer than to copy it several times, and no wire is between: what
    it is to find is a place that was written to too early, and a producer that writes where it must
    not.
    """
    return zlib.crc32(chunk[-_ENDS:], zlib.crc32(chunk[:_ENDS]))


def make(size: int) -> int:
    """Return the descriptor of a new arena, of which no page is used yet. Raises OSError."""
    fd = os.memfd_create("mporch-arena", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        os.truncate(fd, size)
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SEALS)
    except OSError:
        os.close(fd)
        raise
    return fd


class Handover(NamedTuple):
    """An arena as it arrives: its number and size, whether it is one's own, whose it is, its fd.

    That is -1 where the process had no descriptor left: the kernel drops what it cannot give.
    """

    arena: int
    size: int
    own: bool
    owner: str
    fd: int


def give(sock: socket.socket, arena: Handover) -> None:
    """Send an arena by a datagram. Raises OSError, BlockingIOError if there is no room for it."""
    head = _HANDOVER.pack(arena.arena, arena.size, arena.own) + arena.owner.encode()
    socket.send_fds(sock, [head], [arena.fd])


def receive(sock: socket.socket, least_fd: int = 0) -> Handover | None:
    """Take the next arena, without waiting; None if there is none. Raises OSError.

    Its descriptor has a number from `least_fd` on.
    """
    flags = socket.MSG_DONTWAIT | socket.MSG_CMSG_CLOEXEC
    try:  # `socket.recv_fds` of CPython 3.11 knows no flags
        head, ancillary, _, _ = sock.recvmsg(1024, socket.CMSG_SPACE(_FD.size), flags)
    except BlockingIOError:
        return None
    if not head:  # there is nobody at the other end
        return None
    fds = [data for level, kind, data in ancillary if (level, kind) == _RIGHTS]
    fd = _moved(fds[0], least_fd) if fds else -1
    arena, size, own = _HANDOVER.unpack_from(head)
    return Handover(arena, size, own, head[_HANDOVER.size :].decode(), fd)


def _moved(received: bytes, least_fd: int) -> int:
    (came,) = _FD.unpack(received)
    try:
        return fcntl.fcntl(came, fcntl.F_DUPFD_CLOEXEC, least_fd)
    except OSError:
        return -1
    finally:
        os.close(came)


class Places:
    """What lies where in an arena of `size` bytes; pure.

    The lowest place that fits is taken, so that few pages are ever used, and those again and again.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self.top = 0
        """Above this nothing lies."""
        self._taken: dict[int, int] = {}
        self._holes: list[int] = []
        self._lengths: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._taken)

    def take(self, size: int) -> int | None:
        """Return the offset of a free place; None if none is large enough."""
        length = max(1, -(-size // _PAGE)) * _PAGE
        room = self._size - self.top >= length
        for at, offset in enumerate(self._holes):
            if self._lengths[offset] >= length:
                self._cut(at, length)
                self._taken[offset] = length
                return offset
            if room and at >= _LOOKED_AT:  # a take must not take longer the more holes there are
                break
        if not room:
            return None
        offset, self.top = self.top, self.top + length
        self._taken[offset] = length
        return offset

    def free(self, offset: int) -> None:
        """The place is free again; nothing happens if it was not taken."""
        if (length := self._taken.pop(offset, 0)) == 0:
            return
        at = bisect.bisect_left(self._holes, offset)
        if at < len(self._holes) and self._holes[at] == offset + length:
            length += self._lengths.pop(self._holes.pop(at))
        if at and self._holes[at - 1] + self._lengths[self._holes[at - 1]] == offset:
            at -= 1
            offset = self._holes.pop(at)
            length += self._lengths.pop(offset)
        if offset + length == self.top:
            self.top = offset
        else:
            self._holes.insert(at, offset)
            self._lengths[offset] = length

    def _cut(self, at: int, length: int) -> None:
        """Take the beginning of a hole."""
        offset = self._holes[at]
        rest = self._lengths.pop(offset) - length
        if rest:
            self._holes[at] = offset + length
            self._lengths[offset + length] = rest
        else:
            del self._holes[at]
