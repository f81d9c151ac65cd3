"""A tap: what comes onto some queues, noted as it passes and not changed."""

from __future__ import annotations

from collections.abc import Set
from typing import TYPE_CHECKING

import msgspec

from orchestrator.core.protocol.events import Blob

if TYPE_CHECKING:
    from orchestrator.core.broker.chunks import Chunk

__all__ = ["Tap", "Tapped"]


class Tapped(msgspec.Struct, frozen=True, kw_only=True):
    """Items `start` to `stop` of a chunk have come onto a queue, also if nobody reads it any more.

    `packed`: each of them is a pickle in the pickled list that `blob` is.
    """

    queue: str
    blob: Blob
    packed: bool
    start: int
    stop: int


class Tap:
    """Notes what is put on `queues`, in the order in which it comes, until it is taken."""

    def __init__(self, queues: Set[str]) -> None:
        self.queues = queues
        self._noted: list[Tapped] = []

    def put(self, queue: str, chunk: Chunk, start: int, stop: int) -> None:
        """Items come onto a queue."""
        self._noted.append(
            Tapped(queue=queue, blob=chunk.blob, packed=chunk.packed, start=start, stop=stop)
        )

    def take(self) -> list[Tapped]:
        """Return what was noted since this was last called."""
        noted, self._noted = self._noted, []
        return noted
