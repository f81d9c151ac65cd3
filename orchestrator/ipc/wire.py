"""Frames: how messages and chunks travel over a stream socket.

Used on both sides of the fork. A frame is a fixed header, a head (one MessagePack message) and a
body (the chunks the message speaks of, laid end to end). The CRC of a frame covers its head, which
has that of each chunk, and begins with the body's length: a stray write into the socket is noticed,
and a chunk's checksum, made by its producer, goes on with it and is never made anew. What a worker
sends is believed in nothing: a frame has a longest length, and a long one is looked at as soon as
its head is there.

Source: docs/semantics.md, *Frames*.
"""

from __future__ import annotations

import contextlib
import mmap
import struct
import zlib
from collections.abc import Sequence
from typing import Any, Final, Generic, TypeVar

import msgspec

from orchestrator.core.protocol.events import Blob
from orchestrator.core.protocol.messages import (
    Commit,
    FromWorker,
    Leased,
    Output,
    Pull,
    Range,
    ToWorker,
)
from orchestrator.errors import caused_by

__all__ = ["FrameError", "FrameReader", "encode", "from_worker", "to_worker"]

M = TypeVar("M")

_HEADER: Final = struct.Struct("<4sIQI")
_START: Final = b"MP\x02\x00"
"""Magic, version 2, no flags."""
_MAX_HEAD: Final = 16 << 20
_MAX_BODY = 2 << 30
"""Of a worker's frame: the largest item, behind all that goes before it (`chunks.MOST_BYTES`)."""
_ANY_BODY = 1 << 62
_LOW: Final = 0xFFFFFFFF
_SMALL: Final = 4096
_LARGE = 16 << 20
"""Chunks from here on are mapped: that costs at most a huge page more than they have, 2 MiB."""
_AT_ONCE = 2 << 20
"""Buffers of chunks up to here are made whole at once, announced or come: no more than that huge
page is lost by one that never comes."""
_UNREADABLE: tuple[type[BaseException], ...] = (
    msgspec.MsgspecError,
    UnicodeDecodeError,
    RecursionError,
    MemoryError,
)
"""What msgspec raises of bytes that are no message; the last two of such as are made to do harm."""
_encoder: Final = msgspec.msgpack.Encoder()


class FrameError(Exception):
    """What arrived is not a frame of this protocol."""


def encode(message: FromWorker | ToWorker, blobs: tuple[Blob, ...] = ()) -> list[Blob]:
    """The buffers of one frame, in order; the chunks are not copied, unless they are small.

    The message has their sizes and checksums.
    """
    head = _encoder.encode(message)
    if not blobs:
        return [_HEADER.pack(_START, len(head), 0, zlib.crc32(head)) + head]
    body = len(blobs[0]) if len(blobs) == 1 else sum(map(len, blobs))
    header = _HEADER.pack(_START, len(head), body, zlib.crc32(head, body & _LOW))
    if body <= _SMALL:
        return [b"".join((header, head, *blobs))]
    return [header + head, *blobs]


class FrameReader(Generic[M]):
    """Cuts a byte stream into messages and chunks; bytes in, messages out, no I/O.

    No body may be longer than `most`, in bytes. One that does not come at once is taken in chunk by
    chunk, each in a buffer of its own, into which whoever reads may read as well (`room`).
    `reserves`: all memory of a chunk is asked for when it begins, and where none is left for it
    nothing of the chunk is kept: it is empty. If not, memory is used as the chunk comes, unless it
    is little, for what is announced may never come.
    """

    def __init__(
        self, decoder: msgspec.msgpack.Decoder[M], *, most: int = _ANY_BODY, reserves: bool = False
    ) -> None:
        self._decoder = decoder
        self._most = most
        self._reserves = reserves
        self._body: _Body[M] | None = None
        self._pending = bytearray()
        self._needed = 0

    def feed(self, data: memoryview) -> list[tuple[M, tuple[Blob, ...]]]:
        """The frames that `data` completes. Raises FrameError if one does not check."""
        if (body := self._body) is None:
            return self._cut_frames(data)
        taken = body.take(data)
        data = data[taken:]
        if not body.is_whole:
            return []
        self._body = None
        return [body.frame(), *self._cut_frames(data)]

    def room(self) -> memoryview | None:
        """The place of the bytes that come next, None if they are to be fed.

        Bytes that are written there are told by `filled`, and not fed.
        """
        return None if self._body is None else self._body.room()

    def filled(self, n: int) -> list[tuple[M, tuple[Blob, ...]]]:
        """The frame that n bytes in the `room` complete, if they do. Raises as `feed`."""
        body = self._body
        assert body is not None
        body.note(n)
        if not body.is_whole:
            return []
        self._body = None
        return [body.frame()]

    def _cut_frames(self, data: memoryview) -> list[tuple[M, tuple[Blob, ...]]]:
        if self._pending:
            self._pending += data
            if len(self._pending) < self._needed:
                return []
            data, self._pending = memoryview(self._pending), bytearray()
        frames: list[tuple[M, tuple[Blob, ...]]] = []
        at, length = 0, len(data)
        self._needed = _HEADER.size
        while length - at >= _HEADER.size:
            start, head, body, crc = _HEADER.unpack_from(data, at)
            if start != _START or head > _MAX_HEAD or body > self._most:
                raise self._refusal(start, head, body)
            begin = at + _HEADER.size
            end = begin + head + body
            if end > length:
                if begin + head <= length:
                    self._begin_body(data[begin:], head, body, crc)
                    return frames
                self._needed = begin + head - at
                break
            message = self._decoded(data[begin : begin + head], body, crc)
            frames.append((message, _cut(message, data[begin + head : end]) if body else ()))
            at = end
        if at < length:
            self._pending = bytearray(data[at:])
        return frames

    def _begin_body(self, content: memoryview, head: int, body: int, crc: int) -> None:
        """Refuse a body that is still to come if the head, which is there, does not announce it."""
        message = self._decoded(content[:head], body, crc)
        announced = _announced(message)
        sizes = [part.size for part in announced]
        if sum(sizes) != body or min(sizes) < 0:
            raise FrameError("a frame's body is not what its head announces")
        self._body = _Body(message, announced, reserves=self._reserves)
        self._body.take(content[head:])

    def _refusal(self, start: bytes, head: int, body: int) -> FrameError:
        if start != _START or head > _MAX_HEAD:
            return FrameError("the stream holds something that is no frame")
        return FrameError(f"a frame announces {body} bytes of items, and may have {self._most}")

    def _decoded(self, head: memoryview, body: int, crc: int) -> M:
        if zlib.crc32(head, body & _LOW) != crc:
            raise FrameError("a frame's checksum does not match")
        try:
            return self._decoder.decode(head)
        except _UNREADABLE as error:
            found = FrameError(f"a frame holds no message: {error}")
            raise caused_by(found, error) from error


class _Body(Generic[M]):
    """The body of a frame as it arrives, each chunk in a buffer of its own; see FrameReader."""

    def __init__(self, message: M, announced: Sequence[Output | Range], *, reserves: bool) -> None:
        self._message = message
        self._announced = announced
        self._reserves = reserves
        self._crc = 0
        self._chunks: list[bytearray | memoryview] = []
        self._left = 0

    @property
    def is_whole(self) -> bool:
        """True if all of it has come."""
        return not self._left and len(self._chunks) == len(self._announced)

    def take(self, data: memoryview) -> int:
        """Take what is this body's from the beginning of the data; returns how many bytes.

        Raises FrameError if a chunk, now that it is whole, does not check.
        """
        at = 0
        while not self.is_whole:
            if not self._left:
                self._begin(self._announced[len(self._chunks)].size)
                continue
            if not (piece := data[at : at + self._left]):
                break
            self._keep(piece)
            self._count(piece)
            at += len(piece)
        return at

    def room(self) -> memoryview | None:
        """The rest of the chunk that has begun, if its buffer is made; see FrameReader."""
        chunk = self._chunks[-1] if self._left else None
        return chunk[-self._left :] if isinstance(chunk, memoryview) and chunk else None

    def note(self, n: int) -> None:
        """N bytes were written there. Raises as `take`."""
        room = self.room()
        assert room is not None
        self._count(room[:n])

    def _count(self, piece: memoryview) -> None:
        self._crc = zlib.crc32(piece, self._crc)
        self._left -= len(piece)
        if not self._left and self._crc != self._announced[len(self._chunks) - 1].crc:
            raise FrameError("a chunk's checksum does not match")

    def _begin(self, size: int) -> None:
        chunk: bytearray | memoryview | None = _mapped(size) if size >= _LARGE else None
        if chunk is None and self._reserves:
            chunk = memoryview(_buffer(size))
        elif chunk is None:
            chunk = memoryview(bytearray(size)) if size <= _AT_ONCE else bytearray()
        self._chunks.append(chunk)
        self._left, self._crc = size, 0

    def _keep(self, piece: memoryview) -> None:
        chunk = self._chunks[-1]
        if isinstance(chunk, bytearray):
            chunk += piece
        elif chunk:
            begin = len(chunk) - self._left
            chunk[begin : begin + len(piece)] = piece

    def frame(self) -> tuple[M, tuple[Blob, ...]]:
        """The message and its chunks."""
        return self._message, tuple(self._chunks)


def _mapped(size: int) -> memoryview | None:
    """Pages of its own for a chunk, huge ones if it can be; None if the system refuses.

    They are used when they are written, never moved, and gone with the chunk. A buffer that grows
    is copied again and again where several chunks come at the same time.
    """
    try:
        pages = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    except (OSError, MemoryError):
        return None
    if hasattr(mmap, "MADV_HUGEPAGE"):
        with contextlib.suppress(OSError):  # a kernel without them
            pages.madvise(mmap.MADV_HUGEPAGE)
    return memoryview(pages)


def _buffer(size: int) -> bytearray:
    try:
        return bytearray(size)
    except MemoryError:
        return bytearray()


def _cut(message: Any, body: memoryview) -> tuple[Blob, ...]:
    """The chunks that a message announces, out of its frame's body."""
    parts = _announced(message)
    if len(parts) == 1 and parts[0].size == len(body):  # most frames of single items
        blob = bytes(body)
        if zlib.crc32(blob) != parts[0].crc:
            raise FrameError("a chunk's checksum does not match")
        return (blob,)
    blobs: list[Blob] = []
    at = 0
    for announced in parts:
        if announced.size < 0:
            break
        blob = bytes(body[at : at + announced.size])
        at += announced.size
        if zlib.crc32(blob) != announced.crc and at <= len(body):
            raise FrameError("a chunk's checksum does not match")
        blobs.append(blob)
    if at != len(body):
        raise FrameError("a frame's body is not what its head announces")
    return tuple(blobs)


def _announced(message: Any) -> tuple[Output, ...] | tuple[Range, ...]:
    if type(message) is Leased:
        return message.ranges
    commit = message.commit if type(message) is Pull else message
    if type(commit) is Commit:
        return commit.outputs
    raise FrameError(f"a {type(message).__name__} has no body")


def from_worker() -> FrameReader[FromWorker]:
    """Called in the parent.

    A reader of what one worker sends.
    """
    return FrameReader(msgspec.msgpack.Decoder(FromWorker), most=_MAX_BODY)


def to_worker() -> FrameReader[ToWorker]:
    """Called in the child.

    A reader of what the broker sends.
    """
    return FrameReader(msgspec.msgpack.Decoder(ToWorker), reserves=True)
