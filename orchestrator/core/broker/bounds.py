"""Bounds of a queue: policies for once it is full (`when_full`), and its bytes, exact or soft.

Each value of `when_full` is one class here, and `POLICIES` finds it. A queue has one policy, for as
long as it lives, and asks it for room after each put (rule 1 of docs/semantics.md).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import ClassVar, Final, Protocol

from orchestrator.core.broker.chunks import Segment, shares
from orchestrator.plan.model import QueuePlan, WhenFull

__all__ = ["POLICIES", "SOFT_ITEMS", "UNBOUNDED", "ByteBound", "FullPolicy", "Unread", "patience_s"]

UNBOUNDED: Final = 1 << 62
"""A bound that nothing reaches."""
SOFT_ITEMS: Final = 1000
"""Items that every queue without a `maxsize` holds, however large, rather than stop a run."""
_FIRST_CREDITS: Final = 16
"""What is granted at a soft bound before the first item is there."""
_FAIL_S = 0.25
"""Until then all credit that other producers hold and do not use has come back."""


class Full(Protocol):
    """A queue as its policy sees it: its items in order, and what takes some of them off."""

    segments: deque[Segment]
    queued: int

    def take(self, n: int) -> list[Segment]:
        """Remove items from the head."""

    def take_last(self, n: int) -> list[Segment]:
        """Remove items from the tail."""

    def give_back(self, segments: list[Segment]) -> None:
        """Return items to the head, in their order."""


class FullPolicy:
    """The policy `block`: who puts waits for room, and no item goes. Base of the others."""

    when_full: ClassVar[WhenFull] = WhenFull.BLOCK
    unread: ClassVar[bool] = False
    """Nobody reads the queue: what is put is dropped at once."""

    def __init__(self, patience_s: float | None = None) -> None:
        self.patience_s = patience_s  # how long a commit may wait for room, None for ever
        # That limit rests while a reader gets anew what it had: it makes no room until then.
        self.rests = False
        # Anybody may put at any time: the bounds are out of reach for who puts.
        self.drops = self.when_full.drops or self.unread
        self.dropped = 0  # items dropped because there was no room for them

    @property
    def limit_s(self) -> float | None:
        """Return how long who puts may wait for room now, None for ever."""
        return None if self.rests else self.patience_s

    @staticmethod
    def planned_s(put_timeout_s: float | None, producers: int) -> float | None:  # noqa: ARG004
        """Return the patience of a planned queue that so many workers write."""
        return put_timeout_s

    def make_room(self, queue: Full, items: int, size_bytes: int) -> list[Segment]:  # noqa: ARG002
        """Remove and return what goes of a queue that drops, and is full after a put.

        It holds so many items too many, and so many bytes above its bound: 0 is as many as it may
        hold, which is full; negative is less.
        """
        return []


class Fail(FullPolicy):
    """The policy `fail`: who puts fails if there is no room at once."""

    when_full = WhenFull.FAIL

    @staticmethod
    def planned_s(put_timeout_s: float | None, producers: int) -> float | None:  # noqa: ARG004
        """Return none for the only producer, else what unused credit takes to come back."""
        return 0.0 if producers == 1 else _FAIL_S


class DropOldest(FullPolicy):
    """The policy `drop_oldest`: those go that have waited longest."""

    when_full = WhenFull.DROP_OLDEST

    def make_room(self, queue: Full, items: int, size_bytes: int) -> list[Segment]:
        """Remove from the head until the newest came while there was room."""
        newest = queue.segments[-1].share(-1)
        heavy = _as_heavy(shares(queue.segments, newest_first=False), size_bytes, newest)
        gone = min(max(items, heavy), queue.queued)
        return queue.take(gone) if gone > 0 else []


class DropNewest(FullPolicy):
    """The policy `drop_newest`: what has come last goes."""

    when_full = WhenFull.DROP_NEWEST

    def make_room(self, queue: Full, items: int, size_bytes: int) -> list[Segment]:
        """Remove from the tail until the last that stays came while there was room."""
        heavy = _as_heavy(shares(queue.segments, newest_first=True), size_bytes)
        gone = min(max(items, heavy), queue.queued)
        return queue.take_last(gone) if gone > 0 else []


def _as_heavy(weights: Iterable[int], size_bytes: int, newest: int | None = None) -> int:
    """Count how many items have to go of a queue that holds so many bytes above its bound.

    As many, that the queue was not full when the `newest` of those that stay came: itself, if
    they go from the tail.
    """
    gone = 0
    for weight in weights:
        if size_bytes < (weight if newest is None else newest):
            break
        size_bytes -= weight
        gone += 1
    return gone


class Unread(FullPolicy):
    """The policy of a queue that nobody reads, whatever its `when_full`."""

    unread = True


_EACH: tuple[type[FullPolicy], ...] = (
    FullPolicy,
    Fail,
    DropNewest,
    DropOldest,
)
"""A new policy is a class above, and is named here."""
POLICIES = {policy.when_full: policy for policy in _EACH}
"""The policy of each value of `when_full`."""


def patience_s(queue: QueuePlan, producers: int) -> float | None:
    """Return how long a put may wait for room, None for ever; so many workers write the queue."""
    return POLICIES[queue.when_full].planned_s(queue.put_timeout_s, producers)


class ByteBound:
    """The bytes of the items that a queue counts as being on it, and how many these may be.

    A queue is full while it holds `max_bytes`, and a producer's commit may exceed that once.

    A `soft` bound is that of a queue whose spec names none: it keeps memory small, and must not
    stop what would go on without it. So it holds only while a `batch` of its readers is queued, and
    there are at least `floor` items: SOFT_ITEMS until one of them has started, and where no room
    could come. Credit is good for as many commits as without it, but no more is given than the rest
    of the bytes has room for, at the mean weight of what is there.
    """

    __slots__ = (
        "batch",
        "bound",
        "each",
        "floor",
        "max_bytes",
        "peak",
        "redelivered",
        "size",
        "soft",
    )

    def __init__(self, max_bytes: int, *, drops: bool, soft: bool = False, batch: int = 1) -> None:
        self.soft = soft
        self.batch = 0 if drops or batch == 1 else batch
        self.floor = 0 if drops else SOFT_ITEMS
        # The mean weight of an item: at first nobody knows it, and little credit is given.
        self.each = max(1, max_bytes // _FIRST_CREDITS)
        self.max_bytes = max_bytes or UNBOUNDED
        # What a producer is kept to: nothing, where items are dropped instead.
        self.bound = UNBOUNDED if drops else self.max_bytes
        self.size = self.peak = 0
        # Those leased and hidden that a worker had before a resume: no part of a peak.
        self.redelivered = 0

    def note_peak(self) -> None:
        """Something was put."""
        self.peak = max(self.peak, self.size - self.redelivered)

    def gives_way(self, items: int, queued: int) -> bool:
        """True if a soft bound is none now: of so many items so many are queued."""
        return self.soft and (queued < self.batch or items < self.floor)

    def attend(self) -> None:
        """A reader has started: a soft bound holds from now on."""
        self.floor = 0

    def note_mean(self, items: int) -> None:
        """Something was put on a queue with a soft bound, on which there are so many items now."""
        self.each = max(1, -(-self.size // max(1, items)))

    def as_light(self, n: int, producers: int) -> int:
        """Return how many of n items a chunk has for half of a producer's share of the bytes."""
        return max(1, min(n, self.bound // (2 * max(1, producers) * self.each)))

    def as_credit(self, items: int, queued: int) -> int:
        """Return how many credits a soft bound lets be out, at most."""
        rest = (self.bound - self.size) // self.each
        return max(rest, self.batch - queued, self.floor - items)
