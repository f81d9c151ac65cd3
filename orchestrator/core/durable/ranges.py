"""Sets of items by chunk, as plain data."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

__all__ = ["ItemRange", "ItemRanges", "take"]


class ItemRange(msgspec.Struct, array_like=True):
    """Items `start` to `stop` (exclusive) of a chunk; the first of them has the id `first`."""

    chunk: int
    start: int
    stop: int
    first: int

    def __len__(self) -> int:
        return self.stop - self.start

    @property
    def numbers(self) -> range:
        """The ids of the items in their queue."""
        return range(self.first, self.first + len(self))

    def cut(self, start: int, stop: int) -> ItemRange:
        """Those of the items that are `start` to `stop` of the chunk, all of them here."""
        return ItemRange(self.chunk, start, stop, self.first + start - self.start)


class ItemRanges(msgspec.Struct, array_like=True):
    """Ranges by their chunks, in the order in which the chunks came."""

    of_chunk: dict[int, list[ItemRange]] = {}

    def __iter__(self) -> Iterator[ItemRange]:
        for parts in self.of_chunk.values():
            yield from parts

    def add(self, part: ItemRange) -> None:
        """Add a range, to the one before it where it goes on."""
        parts = self.of_chunk.setdefault(part.chunk, [])
        if parts and parts[-1].stop == part.start and _follows(parts[-1], part):
            parts[-1].stop = part.stop
        else:
            parts.append(part)

    def remove(self, chunk: int, start: int, stop: int) -> list[ItemRange]:
        """Remove items of a chunk; returns those that were there."""
        parts = self.of_chunk.get(chunk, [])
        removed = take(parts, chunk, start, stop)
        if not parts:
            self.of_chunk.pop(chunk, None)
        return removed


def take(
    parts: list[ItemRange], chunk: int, start: int, stop: int, *, from_head: bool = False
) -> list[ItemRange]:
    """Remove items of a chunk from a list of ranges; returns those that were there.

    They are looked for from the end, where most are, or `from_head`.
    """
    taken: list[ItemRange] = []
    lacking, at = stop - start, 0 if from_head else len(parts) - 1
    while lacking and 0 <= at < len(parts):
        part = parts[at]
        begin, end = max(part.start, start), min(part.stop, stop)
        if part.chunk == chunk and begin < end:
            taken.append(part.cut(begin, end))
            lacking -= end - begin
            sides = part.cut(part.start, begin), part.cut(end, part.stop)
            left = [side for side in sides if len(side)]
            parts[at : at + 1] = left
            at += len(left) - 1 if from_head else 0
        at += 1 if from_head else -1
    return sorted(taken, key=lambda part: part.first)


def _follows(before: ItemRange, part: ItemRange) -> bool:
    return before.first + len(before) == part.first
