"""What a worker of the model has put and not sent yet."""

from __future__ import annotations

import itertools
import random
import zlib
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .replay import Replay

NO_LIMIT = 1 << 40


def digest_of(identities: Iterable[int], before: int = 0) -> int:
    """A digest of items that follow others, however they are cut into chunks."""
    return zlib.crc32(b"".join(n.to_bytes(8, "big") for n in identities), before)


class Box:
    """What is put and not sent yet, for one queue or for several that get a copy each.

    `digest` is that of all it has ever sent, those that its `replay` has skipped included. One that
    is `free` needs no credit, and gives what an item gives as a whole. Of one that is `limited`
    some queue lets nobody wait for ever.
    """

    replay: Replay | None = None
    free = limited = False

    def __init__(
        self, queues: tuple[str, ...], part: int, chunk: int, weighed: tuple[str, ...] = ()
    ) -> None:
        self.queues = queues
        self.part = part
        self.chunk = chunk
        self.weighed = weighed
        self.credits = dict.fromkeys(queues, 0)
        self.closed: set[str] = set()
        self.items: list[int] = []
        self.seals: list[int] = []
        self.digest = 0

    def repeats(self, identity: int) -> bool:
        """Whether the item was put in a life before, so that it is not to be put again."""
        if self.replay is None or not self.replay.repeats(identity):
            return False
        self.digest = self.replay.digest
        return True

    @property
    def sealed(self) -> int:
        return self.seals[-1] if self.seals else 0

    @property
    def shut(self) -> bool:
        return len(self.closed) == len(self.queues)

    @property
    def allowance(self) -> int:
        if self.free:
            return NO_LIMIT
        held = [n for queue, n in self.credits.items() if queue not in self.closed]
        return min(held, default=NO_LIMIT) - len(self.items)

    def overdraws(self, with_open: bool) -> bool:
        """Whether what can be sent is more than its credits cover."""
        n = len(self.items) if with_open else self.sealed
        held = [n for queue, n in self.credits.items() if queue not in self.closed]
        return not self.free and min(held, default=n) < n

    @property
    def is_due(self) -> bool:
        return bool(self.items) and (self.allowance < 1 or len(self.items) >= self.chunk)

    def cut(self, with_open: bool, rng: random.Random) -> list[tuple[list[int], tuple[int, ...]]]:
        """Remove what can be sent, in one or several chunks, each with its counts an item."""
        n = len(self.items) if with_open else self.sealed
        edges = sorted({0, n, *(rng.randrange(n + 1) for _ in range(rng.choice((0, 0, 1, 2))))})
        bounds = list(zip([0, *self.seals], [*self.seals, n], strict=False))
        if n == self.sealed:
            bounds = bounds[: len(self.seals)]
        chunks = [
            (
                self.items[start:stop],
                tuple(max(0, min(b, stop) - max(a, start)) for a, b in bounds),
            )
            for start, stop in itertools.pairwise(edges)
        ]
        del self.items[:n]
        self.seals.clear()
        if self.free:
            return chunks
        for queue in self.queues:
            if queue not in self.closed:
                self.credits[queue] -= n
        if n:
            self.credits.update(dict.fromkeys(self.weighed, 0))
        return chunks
