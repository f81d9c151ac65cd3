"""Chunks of pickled items, and segments: neighbouring items of a chunk that are together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from orchestrator.core.durable.records import NewChunk
from orchestrator.core.protocol.events import AnyBlob

__all__ = ["Chunk", "Segment", "cut", "shares", "without"]


class Chunk:
    """An immutable blob of so many pickled items, as a producer sent it, with its checksum.

    Its `number` is that in the store, 0 where nothing of it is kept.
    """

    __slots__ = ("_blob", "_crc", "_size", "items", "number", "packed")

    def __init__(
        self,
        blob: AnyBlob | Callable[[], NewChunk],
        *,
        packed: bool,
        items: int,
        crc: int = 0,
        number: int = 0,
    ) -> None:
        self._blob = blob
        self._crc = crc
        self._size = -1 if callable(blob) else len(blob)
        self.packed = packed
        self.items = items
        self.number = number

    @property
    def blob(self) -> AnyBlob:
        """The pickle; that of a resumed run's chunk is read from its store each time."""
        return self._read() if callable(self._blob) else self._blob

    @property
    def crc(self) -> int:
        """The pickle's checksum: its producer has made it, or the store has checked it."""
        if self._size < 0:
            self._read()
        return self._crc

    @property
    def size_bytes(self) -> int:
        """The pickle's length."""
        if self._size < 0:
            self._read()
        return self._size

    def _read(self) -> AnyBlob:
        assert callable(self._blob)
        stored = self._blob()
        self._size, self._crc = len(stored.blob), stored.crc
        return stored.blob


class Segment:
    """Items `start` to `stop` of a chunk; the first of them has the id `first` in its queue."""

    __slots__ = ("chunk", "first", "start", "stop")

    def __init__(self, chunk: Chunk, start: int, stop: int, first: int) -> None:
        self.chunk = chunk
        self.start = start
        self.stop = stop
        self.first = first

    def __len__(self) -> int:
        return self.stop - self.start

    @property
    def numbers(self) -> range:
        """The ids of its items in their queue."""
        return range(self.first, self.first + len(self))

    @property
    def size_bytes(self) -> int:
        """Its even share of the chunk; the parts of a segment add up to it exactly."""
        return _bytes(self.chunk, self.start, self.stop)

    def share(self, index: int) -> int:
        """The bytes of one item; -1 is the last."""
        at = range(self.start, self.stop)[index]
        return _bytes(self.chunk, at, at + 1)

    def split(self, n: int) -> tuple[Segment, Segment]:
        """The first n items, and the others."""
        middle = self.start + n
        return (
            Segment(self.chunk, self.start, middle, self.first),
            Segment(self.chunk, middle, self.stop, self.first + n),
        )


def _bytes(chunk: Chunk, start: int, stop: int) -> int:
    size = chunk.size_bytes
    return size * stop // chunk.items - size * start // chunk.items


def shares(segments: Sequence[Segment], *, newest_first: bool) -> Iterator[int]:
    """The bytes of each item, the last one first or the first."""
    for segment in reversed(segments) if newest_first else segments:
        places = range(len(segment))
        yield from map(segment.share, reversed(places) if newest_first else places)


def cut(segments: Iterable[Segment], n: int) -> tuple[list[Segment], list[Segment]]:
    """The first n items, and the others."""
    first: list[Segment] = []
    others: list[Segment] = []
    for segment in segments:
        if n >= len(segment):
            first.append(segment)
        elif n > 0:
            kept, rest = segment.split(n)
            first.append(kept)
            others.append(rest)
        else:
            others.append(segment)
        n -= len(segment)
    return first, others


def without(segments: Iterable[Segment], number: int) -> list[Segment]:
    """All items but the one with this id."""
    others: list[Segment] = []
    for segment in segments:
        at = number - segment.first
        if 0 <= at < len(segment):
            before, rest = segment.split(at)
            others += [part for part in (before, rest.split(1)[1]) if len(part)]
        else:
            others.append(segment)
    return others
