"""Frames: how messages and chunks travel over a stream socket.

Used on both sides of the fork. A frame is a fixed header, a head (one MessagePack message) and a
body (the chunks the message speaks of, laid end to end). The CRC covers head and body, so a stray
write into the socket is noticed. Source: docs/semantics.md, *Frames*.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import Any, Generic, TypeVar

import msgspec

from orchestrator.core.events import Blob
from orchestrator.core.messages import Commit, FromWorker, Leased, ToWorker

__all__ = ["FrameError", "FrameReader", "encode", "from_worker", "to_worker"]

M = TypeVar("M")

_HEADER = struct.Struct("<2sBBIII")
_MAGIC = b"MP"
_VERSION = 1
_MAX_HEAD = 16 << 20
_MAX_BODY = (1 << 32) - 1
_encoder = msgspec.msgpack.Encoder()


class FrameError(Exception):
    """What arrived is not a frame of this protocol."""


def encode(message: FromWorker | ToWorker, blobs: tuple[Blob, ...] = ()) -> list[Blob]:
    """The buffers of one frame, in order; the chunks are not copied."""
    head = _encoder.encode(message)
    crc = zlib.crc32(head)
    body = 0
    for blob in blobs:
        crc = zlib.crc32(blob, crc)
        body += len(blob)
    if body > _MAX_BODY:
        raise FrameError(f"a frame holds at most {_MAX_BODY} bytes of items, not {body}")
    return [_HEADER.pack(_MAGIC, _VERSION, 0, len(head), body, crc) + head, *blobs]


def _sizes(message: Any) -> list[int]:
    if isinstance(message, Commit):
        return [output.size for output in message.outputs]
    if isinstance(message, Leased):
        return [piece.size for piece in message.ranges]
    return []


class FrameReader(Generic[M]):
    """Cuts a byte stream into messages and chunks; bytes in, messages out, no I/O."""

    def __init__(self, decoder: msgspec.msgpack.Decoder[M]) -> None:
        self._decoder = decoder
        self._pending = bytearray()
        self._needed = 0

    def feed(self, data: memoryview) -> Iterator[tuple[M, tuple[Blob, ...]]]:
        """The frames that `data` completes.

        Raises FrameError at the first that does not check.
        """
        if self._pending:
            self._pending += data
            if len(self._pending) < self._needed:
                return
            data, self._pending = memoryview(self._pending), bytearray()
        at = 0
        while (end := self._end_of_frame(data, at)) <= len(data):
            yield self._frame(data[at:end])
            at = end
        if at < len(data):
            self._needed = end - at
            self._pending = bytearray(data[at:])

    @property
    def torn(self) -> bool:
        """Whether the stream has stopped in the middle of a frame."""
        return bool(self._pending)

    def _end_of_frame(self, data: memoryview, at: int) -> int:
        if len(data) - at < _HEADER.size:
            return at + _HEADER.size
        magic, version, flags, head, body, _ = _HEADER.unpack_from(data, at)
        if magic != _MAGIC or version != _VERSION or flags or head > _MAX_HEAD:
            raise FrameError("the stream holds something that is no frame")
        return at + _HEADER.size + int(head) + int(body)

    def _frame(self, frame: memoryview) -> tuple[M, tuple[Blob, ...]]:
        *_, head, _, crc = _HEADER.unpack_from(frame)
        content = frame[_HEADER.size :]
        if zlib.crc32(content) != crc:
            raise FrameError("a frame's checksum does not match")
        try:
            message = self._decoder.decode(content[:head])
        except msgspec.DecodeError as error:
            raise FrameError(f"a frame holds no message: {error}") from error
        blobs: list[bytes] = []
        at = head
        for size in _sizes(message):
            blobs.append(bytes(content[at : at + size]))
            at += size
        if at != len(content):
            raise FrameError(f"a frame announces {at - head} bytes and has {len(content) - head}")
        return message, tuple(blobs)


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
