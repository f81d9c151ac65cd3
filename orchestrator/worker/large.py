"""Large items: their chunks, made without a copy but the one into the arena or the frame.

Called in the child. Such a chunk is a pickle as any other, put together of pieces: what protocol 5
gives beside a pickle (arrays, by their own `__reduce_ex__`) is set into it where it stands for it,
as if it had been pickled in band. So whoever reads a chunk needs to know nothing of this.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Sequence
from typing import Any

from orchestrator.core.protocol.events import Blob

__all__ = [
    "RepeatedBufferError",
    "SplitPickle",
    "gather",
    "is_sole",
    "item_of",
    "pieces_of",
    "spliced",
]

_PROTOCOL = b"\x80\x05"
_FRAME = b"\x95"[0]
_FRAME_END = 11
_NEXT_BUFFER, _READONLY_BUFFER = b"\x97", b"\x98"
_BYTES, _BYTEARRAY, _TEXT = b"\x8e", b"\x96", b"\x8d"
_LIST_OF, _END = _PROTOCOL + b"]", b"a."
_HEAD = len(_LIST_OF) + 9


class SplitPickle:
    """The pickle of an item in pieces, some of which are the item's own memory.

    It is to be laid down (`take`) before the item can change.
    """

    __slots__ = ("_pieces", "size")

    def __init__(self, pieces: list[Blob]) -> None:
        self._pieces = pieces
        self.size = sum(map(len, pieces))

    def __len__(self) -> int:
        return self.size

    def take(self) -> list[Blob]:
        """Return the pieces, which are not kept."""
        pieces, self._pieces = self._pieces, []
        return pieces


class RepeatedBufferError(Exception):
    """One buffer stands twice in an item: it is one to its reader only in an undivided pickle."""


def gather(
    buffers: dict[pickle.PickleBuffer, memoryview], least: int, buffer: pickle.PickleBuffer
) -> bool:
    """A `buffer_callback`, but for its first arguments: gather what has at least so many bytes.

    Raises RepeatedBufferError.
    """
    try:
        raw = buffer.raw()
    except BufferError:  # it is not in one piece: pickle says so itself
        return True
    if len(raw) < least:
        return True
    if buffer in buffers:
        raise RepeatedBufferError
    buffers[buffer] = raw
    return False


def spliced(head: bytes, buffers: Sequence[memoryview]) -> SplitPickle | None:
    """Set the buffers into the pickle that was made without them; None if that cannot be."""
    at = _places_of(head, len(buffers))
    return None if at is None else SplitPickle(list(_spliced(head, at, buffers)))


def _places_of(head: bytes, n: int) -> Sequence[int] | None:
    """The places of the n buffers; None if the pickle has several frames, whose lengths would lie.

    The opcode that stands for a buffer may be part of a number or text as well.
    """
    if head[2] != _FRAME or int.from_bytes(head[3:_FRAME_END], "little") != len(head) - _FRAME_END:
        return None
    if head.count(_NEXT_BUFFER, _FRAME_END) == n:
        found, at = [], _FRAME_END - 1
        for _ in range(n):
            at = head.index(_NEXT_BUFFER, at + 1)
            found.append(at)
        return found
    import pickletools  # noqa: PLC0415 -- which hardly anybody needs

    return [
        at for op, _, at in pickletools.genops(head) if op.name == "NEXT_BUFFER" and at is not None
    ]


def _spliced(head: bytes, places: Sequence[int], buffers: Sequence[memoryview]) -> Iterator[Blob]:
    yield _PROTOCOL
    begin = _FRAME_END
    for at, buffer in zip(places, buffers, strict=True):
        opcode, end = _BYTEARRAY, at + 1
        if head[end : end + 1] == _READONLY_BUFFER:
            opcode, end = _BYTES, end + 1
        yield head[begin:at] + opcode + len(buffer).to_bytes(8, "little")
        yield buffer
        begin = end
    yield head[begin:]


def pieces_of(item: Any) -> list[Blob]:
    """The pieces of the chunk that has only this item: text, bytes, or a pickle."""
    if isinstance(item, SplitPickle):
        return [_LIST_OF + _BYTES + len(item).to_bytes(8, "little"), *item.take(), _END]
    if isinstance(item, str):
        text = item.encode("utf-8", "surrogatepass")
        return [_LIST_OF + _TEXT + len(text).to_bytes(8, "little"), text, _END]
    return [_LIST_OF + _BYTES + len(item).to_bytes(8, "little"), item, _END]


def is_sole(chunk: Blob) -> bool:
    """True if `pieces_of` has made the chunk: any other begins with a frame."""
    return bytes(memoryview(chunk)[: len(_LIST_OF)]) == _LIST_OF


def item_of(chunk: Blob, *, packed: bool) -> Any:
    """The only item of a chunk that `pieces_of` has made, or, if it is packed, its pickle there."""
    view = memoryview(chunk)
    if packed:
        return view[_HEAD : len(view) - len(_END)]
    (item,) = pickle.loads(view)
    return item
