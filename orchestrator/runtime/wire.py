"""Frames: how messages and chunks travel over a stream socket.

Used on both sides of the fork. A frame is a fixed header, a head (one MessagePack message) and a
body (the chunks the message speaks of, laid end to end). The CRC covers head and body, so a stray
write into the socket is noticed. Source: docs/semantics.md, *Frames*.
"""

from __future__ import annotations

import struct
import zlib
from typing import Any, Generic, TypeVar

import msgspec

from orchestrator.core.events import Blob
from orchestrator.core.messages import Commit, FromWorker, Leased, Output, Pull, Range, ToWorker

__all__ = ["FrameError", "FrameReader", "encode", "from_worker", "to_worker"]

M = TypeVar("M")

_HEADER = struct.Struct("<4sIII")
_START = b"MP\x01\x00"
"""Magic, version 1, no flags."""
_MAX_HEAD = 16 << 20
_MAX_BODY = (1 << 32) - 1
_SMALL = 4096
_encoder = msgspec.msgpack.Encoder()


class FrameError(Exception):
    """What arrived is not a frame of this protocol."""


def encode(message: FromWorker | ToWorker, blobs: tuple[Blob, ...] = ()) -> list[Blob]:
    """The buffers of one frame, in order; the chunks are not copied, unless they are small."""
    head = _encoder.encode(message)
    body = sum(map(len, blobs)) if blobs else 0
    if body <= _SMALL:
        content = b"".join((head, *blobs)) if blobs else head
        return [_HEADER.pack(_START, len(head), body, zlib.crc32(content)) + content]
    if body > _MAX_BODY:
        raise FrameError(f"a frame holds at most {_MAX_BODY} bytes of items, not {body}")
    crc = zlib.crc32(head)
    for blob in blobs:
        crc = zlib.crc32(blob, crc)
    return [_HEADER.pack(_START, len(head), body, crc) + head, *blobs]


class FrameReader(Generic[M]):
    """Cuts a byte stream into messages and chunks; bytes in, messages out, no I/O."""

    def __init__(self, decoder: msgspec.msgpack.Decoder[M]) -> None:
        self._decoder = decoder
        self._pending = bytearray()
        self._needed = 0

    def feed(self, data: memoryview) -> list[tuple[M, tuple[Blob, ...]]]:
        """The frames that `data` completes. Raises FrameError if one does not check."""
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
            if start != _START or head > _MAX_HEAD:
                raise FrameError("the stream holds something that is no frame")
            begin = at + _HEADER.size
            end = begin + head + body
            if end > length:
                self._needed = end - at
                break
            content = data[begin:end]
            if zlib.crc32(content) != crc:
                raise FrameError("a frame's checksum does not match")
            frames.append(self._message(content, head))
            at = end
        if at < length:
            self._pending = bytearray(data[at:])
        return frames

    def _message(self, content: memoryview, head: int) -> tuple[M, tuple[Blob, ...]]:
        try:
            message = self._decoder.decode(content[:head])
        except msgspec.DecodeError as error:
            raise FrameError(f"a frame holds no message: {error}") from error
        if head == len(content):
            return message, ()
        return message, _cut(message, content, head)


def _cut(message: Any, content: memoryview, at: int) -> tuple[Blob, ...]:
    """The chunks that a message announces, out of its frame's body."""
    blobs: list[Blob] = []
    for announced in _announced(message):
        if announced.size < 0:
            break
        blobs.append(bytes(content[at : at + announced.size]))
        at += announced.size
    if at != len(content):
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
    return FrameReader(msgspec.msgpack.Decoder(FromWorker))


def to_worker() -> FrameReader[ToWorker]:
    """Called in the child.

    A reader of what the broker sends.
    """
    return FrameReader(msgspec.msgpack.Decoder(ToWorker))
