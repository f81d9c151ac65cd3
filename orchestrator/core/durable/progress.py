"""Progress of a worker that is called once, counted in its outputs, for it to be called again.

Called again, it must begin with the same items: those that were put are compared and not put twice
(rule 11 of docs/semantics.md).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orchestrator.core.broker.queue import Chunk
    from orchestrator.core.broker.waiting import PendingOutput

__all__ = ["OutputProgress"]


class OutputProgress:
    """The first `n` items have the `digest`; after them, `used` items of the chunk `tail` are put.

    The digest is the worker's own, see worker/replay.py; the broker only keeps it.
    """

    __slots__ = ("digest", "n", "tail", "used")

    def __init__(
        self, n: int = 0, digest: int = 0, tail: Chunk | None = None, used: int = 0
    ) -> None:
        self.n = n
        self.digest = digest
        self.tail = tail
        self.used = used

    @property
    def total(self) -> int:
        """Return how many items are put in all."""
        return self.n + self.used

    def note(self, part: PendingOutput) -> None:
        """Some items of an output have just been put."""
        before, after = part.digests
        if self.tail is not part.chunk:
            self.n, self.digest = self.total, before
        if part.used < part.n:
            self.tail, self.used = part.chunk, part.used
        else:
            self.n, self.digest = self.n + part.n, after
            self.tail, self.used = None, 0
