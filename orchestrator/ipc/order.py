"""Orders to a worker at its start.

Made in the parent, read in the child.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping

import msgspec

from orchestrator.plan.model import JobPlan

__all__ = ["Emitted", "Order", "QueueInfo"]


class QueueInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker must know of a queue: its bound in items (0: none) and a good chunk's items.

    `max_bytes` bounds it too, unless None; `share_bytes` is how much of that one producer may
    gather before it sends. `soft_share` is for how many bytes one may keep credit, at the weight of
    what it has just sent; 0 is any number. `patience_s` is how long a put may wait for room, None
    for ever. One that `drops` has room for whatever is put at once.
    """

    maxsize: int
    chunk_items: int
    max_bytes: int | None = None
    share_bytes: int = 0
    soft_share: int = 0
    patience_s: float | None = None
    drops: bool = False


class Emitted(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker that is called again has put before: `n` items with a digest, then a tail.

    The tail is the first `used` items of a chunk.
    """

    n: int
    digest: int
    tail: bytes = b""
    packed: bool = False
    used: int = 0


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """One worker's job, its place in it, and the queues it may use.

    `index` counts the job's workers from 1; paths are absolute. `counted`: what it puts is counted
    and gets a digest; `emitted` is what it has put before, by the first queue of each box.
    `repeats_gets`: the order in which its target gets items of several queues is told. `draws`:
    what its log handlers make for the console is shown. It may hold secrets, so that no traceback
    shows it.
    """

    run: str
    run_dir: str
    project_dir: str
    pythonpath: tuple[str, ...]
    job: JobPlan
    worker: str
    index: int
    queues: Mapping[str, QueueInfo]
    counted: bool = False
    repeats_gets: bool = False
    emitted: Mapping[str, Emitted] = {}
    draws: bool = True

    def __repr__(self) -> str:
        return f"<Order of {self.worker}>"

    @property
    def limited(self) -> str:
        """The key of the job for which it has no shared memory, as that would count; or nothing."""
        if self.job.limits.memory_bytes is not None:
            return "limits.memory"
        return "recycle.max_rss" if self.job.recycle.max_rss_bytes is not None else ""

    def encode(self) -> bytes:
        """Called in the parent."""
        return pickle.dumps(self, 5)

    @staticmethod
    def decode(payload: bytes) -> Order:
        """Called in the child."""
        order = pickle.loads(payload)
        assert isinstance(order, Order)
        return order
