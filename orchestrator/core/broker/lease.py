"""Leases: the items handed to one worker, and what its death costs the item it was at (rule 6)."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.core.broker.chunks import Segment, cut, without
from orchestrator.core.broker.queue import QueueState
from orchestrator.core.protocol.events import Blame, Phase

__all__ = ["FailedAttempt", "LeaseState", "failed_attempts"]


class LeaseState:
    """Items handed to one worker, in order: those finished, those claimed, then the others."""

    __slots__ = (
        "_known",
        "_known_bytes",
        "claimed",
        "detached",
        "finished",
        "firm",
        "in_progress",
        "in_turn",
        "number",
        "ordered",
        "partially_emitted",
        "queue",
        "recalled",
        "redelivered",
        "segments",
        "taken",
        "total",
    )

    def __init__(
        self,
        number: int,
        queue: QueueState,
        segments: list[Segment],
        *,
        in_progress: int,
        taken: int = 0,
        redelivered: bool = False,
    ) -> None:
        self.number = number
        self.queue = queue
        self.segments = segments
        self.total = 0
        for segment in segments:
            self.total += segment.stop - segment.start
        self.finished = 0  # committed and applied
        # The next after those finished: they belong to a commit that is parked or held back.
        self.claimed = 0
        # Of the unfinished, those that count as in hand: one, the whole of a batch, or none where
        # `get` is the ack.
        self.in_progress = in_progress
        # Where `get` is the ack: those that count as gone, though their commit may be on its way,
        # and so does the first, which somebody has asked for.
        self.taken = taken
        self.recalled = False  # its worker was asked for the rest
        self.firm = redelivered  # its worker keeps what is left of it: none of that can be recalled
        self.partially_emitted = False  # a part of what its next item gives has been put already
        # Its worker goes on while what it has finished is held back: nothing is in hand any more
        # once all of it is claimed.
        self.ordered = False
        self.detached = 0  # items that have ended before their turn; its worker counts them still
        self.redelivered = redelivered  # its worker had these items before the run was resumed
        # Its worker's target had got them, in an order that is kept (`Redelivery`).
        self.in_turn = False
        self._known = self._known_bytes = 0  # what the queue counts of it as hidden
        queue.outstanding += self.total
        self._note_hidden()

    @property
    def remaining(self) -> int:
        """Items not yet finished."""
        return self.total - self.finished

    @property
    def hidden(self) -> int:
        """Items that still count into the queue's bound."""
        in_progress = 0 if self.ordered and self.is_claimed else self.in_progress
        gone = max(self.finished + in_progress, self.taken)
        return self.total - gone if gone < self.total else 0

    @property
    def is_claimed(self) -> bool:
        """True if all that is not finished belongs to commits that wait."""
        return self.finished + self.claimed == self.total

    @property
    def untouched(self) -> int:
        """Items that a recall may bring back."""
        touched = max(self.finished + self.claimed + self.in_progress, self.taken)
        return 0 if self.firm else max(0, self.total - touched)

    def advance(self, n: int) -> None:
        """N more items are finished."""
        self.partially_emitted = self.partially_emitted and not n
        self.finished += n
        if self.claimed:
            self.claimed = max(0, self.claimed - n)
        self.queue.outstanding -= n
        self._note_hidden()

    def claim(self, n: int) -> list[Segment]:
        """The next n items are finished and held back; returns them."""
        begin = self.finished + self.claimed
        self.claimed += n
        self._note_hidden()
        return cut(cut(self.segments, begin)[1], n)[0]

    def detach(self) -> Segment:
        """Remove and return the first item that is not claimed: it ends now, out of turn."""
        item = self.item(self.finished + self.claimed)
        assert item is not None
        self.segments = without(self.segments, item.first)
        self.total -= 1
        self.detached += 1
        self.queue.outstanding -= 1
        self._note_hidden()
        return item

    def drop_claims(self) -> list[Segment]:
        """Give up what is held back; return those items, still to be given back."""
        self.claimed = 0
        self._note_hidden()
        return self.shorten(self.finished)

    def note_taken(self, n: int) -> None:
        """The first n items were returned by `get`, and are done: from then on none is in hand."""
        self.taken = max(self.taken, n)
        if n:
            self.in_progress = 0
        self._note_hidden()

    def shorten(self, kept: int) -> list[Segment]:
        """Keep the first `kept` items; returns the others, still to be given back."""
        self.segments, rest = cut(self.segments, kept)
        self.queue.outstanding -= self.total - kept
        self.total = kept
        self._note_hidden()
        return rest

    def _note_hidden(self) -> None:
        """Tell the queue by how many more, or less, items are hidden now, and by how many bytes.

        The queue has the sums over all its leases: its `room` is asked for once an item, and must
        not ask every lease.
        """
        hidden, queue = self.hidden, self.queue
        change, self._known = hidden - self._known, hidden
        queue.hidden += change
        if self.redelivered:
            queue.own.redelivered += change
        if (weight := queue.weight) is not None:
            # Items differ in weight: by how many their number has changed does not say by how many
            # bytes. So those that are hidden, the last of the lease, are summed anew.
            rest = cut(self.segments, self.total - hidden)[1]
            size = sum([segment.size_bytes for segment in rest])
            change, self._known_bytes = size - self._known_bytes, size
            weight.size += change
            if self.redelivered:
                weight.redelivered += change

    def item(self, index: int) -> Segment | None:
        """The one item at `index` of the lease, as a segment of its own; None if there is none."""
        for segment in self.segments:
            if 0 <= index < len(segment):
                return segment.split(index)[1].split(1)[0]
            index -= len(segment)
        return None

    def next_segments(self, n: int) -> list[Segment]:
        """The next n of the unfinished items."""
        return cut(cut(self.segments, self.finished)[1], n)[0]

    def numbers(self, index: int, stop: int | None = None) -> Iterator[int]:
        """The numbers in the queue of the items from `index` on, or to `stop` (exclusive)."""
        for at in range(index, self.total if stop is None else min(stop, self.total)):
            item = self.item(at)
            assert item is not None
            yield item.first


class FailedAttempt:
    """An attempt at an item that a worker's death has used up, so many in all.

    It was the `last` one if none is left, or if the item is `partially_emitted`: a part of what it
    gives has been put, or, of a batch (`together`), of what that gives.
    """

    def __init__(
        self,
        queue: QueueState,
        segment: Segment,
        attempts: int,
        *,
        last: bool,
    ) -> None:
        self.queue = queue
        self.segment = segment
        self.attempts = attempts
        self.last = last
        self.partially_emitted = self.together = False


def failed_attempts(lease: LeaseState, blame: Blame, attempts: int) -> list[FailedAttempt]:
    """Charge an attempt to the item its worker was at when it died; each may have so many.

    Of a batch nobody can tell which item it was: they will be handed out one by one. What has given
    a part of its outputs cannot be tried again; of a batch, that is all of it.
    """
    first = lease.finished + lease.claimed
    found: list[FailedAttempt] = []
    if lease.partially_emitted and not lease.claimed:
        partially_emitted = lease.total - first if lease.in_progress > 1 else 1
        together = lease.in_progress > 1
        for index in range(first, first + partially_emitted):
            found.append(attempt := _failed_attempt(lease, index))
            attempt.last = attempt.partially_emitted = True
            attempt.together = together
        first += partially_emitted
    if lease.number != blame.lease or blame.phase is not Phase.RUNNING:
        return found
    index = blame.index - lease.detached
    if not first <= index < lease.total:
        return found
    if lease.in_progress > 1 and lease.total - index > 1:
        lease.queue.suspects.update(lease.numbers(index))
        return found
    attempt = _failed_attempt(lease, index)
    attempt.last = attempt.attempts >= attempts
    return [*found, attempt]


def _failed_attempt(lease: LeaseState, index: int) -> FailedAttempt:
    queue, item = lease.queue, lease.item(index)
    assert item is not None
    used = queue.attempts[item.first] = queue.attempts.get(item.first, 0) + 1
    return FailedAttempt(queue, item, used, last=False)
