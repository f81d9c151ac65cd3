"""The broker's record of one worker, its client: its leases, its credits and its waits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from orchestrator.core.broker.queue import QueueState, Segment, cut, without
from orchestrator.core.broker.stopwatch import Stopwatch
from orchestrator.core.protocol.messages import Committed, JoinQueue, Pull, Wait, Want
from orchestrator.plan.model import BatchPlan, ErrorAction, RetryPlan

if TYPE_CHECKING:
    from orchestrator.core.broker.ratelimit import RateLimiter
    from orchestrator.core.broker.reorder import ReorderBuffer
    from orchestrator.core.broker.waiting import CommitWaiter, CreditWaiter, Waiter

__all__ = ["JobState", "LeaseState", "PendingPull", "WorkerState"]


_ONCE = RetryPlan()


class LeaseState:
    """Items handed to one worker, in order.

    `finished` of `total` are committed and applied, the next `claimed` belong to a commit that is
    parked. `in_progress` is how many of the unfinished count as in hand: one, or the whole of a
    batch. Where `get` is the ack, none is; those `taken` count as gone, though their commit may be
    on its way, and so does the first, which somebody has asked for. `recalled`: its worker was
    asked for the rest; `firm`: it has said what it keeps. `partially_emitted`: a part of what its
    next item gives has been put already. `ordered`: its worker goes on while what it has finished
    is held back, so that nothing is in hand any more once all of it is claimed; `detached` items
    have ended before their turn, and its worker counts them still. `redelivered`: its worker had
    these items before the run was resumed; `in_turn`: its target had got them.
    """

    __slots__ = (
        "claimed",
        "detached",
        "finished",
        "firm",
        "hidden_bytes",
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
        self.redelivered = redelivered
        self.in_turn = False
        self.number = number
        self.queue = queue
        self.segments = segments
        self.total = 0
        for segment in segments:
            self.total += segment.stop - segment.start
        self.in_progress = in_progress
        self.finished = 0
        self.claimed = 0
        self.taken = taken
        self.recalled = self.firm = self.partially_emitted = self.ordered = False
        self.hidden_bytes = self.detached = 0
        queue.outstanding += self.total
        self._note_hidden(0)

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
        before = self.hidden
        self.partially_emitted = self.partially_emitted and not n
        self.finished += n
        if self.claimed:
            self.claimed = max(0, self.claimed - n)
        self.queue.outstanding -= n
        self._note_hidden(before)

    def claim(self, n: int) -> list[Segment]:
        """The next n items are finished and held back; returns them."""
        before, begin = self.hidden, self.finished + self.claimed
        self.claimed += n
        self._note_hidden(before)
        return cut(cut(self.segments, begin)[1], n)[0]

    def detach(self) -> Segment:
        """Remove and return the first item that is not claimed: it ends now, out of turn."""
        before, item = self.hidden, self.item(self.finished + self.claimed)
        assert item is not None
        self.segments = without(self.segments, item.first)
        self.total -= 1
        self.detached += 1
        self.queue.outstanding -= 1
        self._note_hidden(before)
        return item

    def drop_claims(self) -> list[Segment]:
        """Give up what is held back; return those items, still to be given back."""
        before, self.claimed = self.hidden, 0
        self._note_hidden(before)
        return self.shorten(self.finished)

    def note_taken(self, n: int) -> None:
        """The first n items were returned by `get`, and are done: from then on none is in hand."""
        before = self.hidden
        self.taken = max(self.taken, n)
        if n:
            self.in_progress = 0
        self._note_hidden(before)

    def shorten(self, kept: int) -> list[Segment]:
        """Keep the first `kept` items; returns the others, still to be given back."""
        before = self.hidden
        self.segments, rest = cut(self.segments, kept)
        self.queue.outstanding -= self.total - kept
        self.total = kept
        self._note_hidden(before)
        return rest

    def _note_hidden(self, before: int) -> None:
        """Tell the queue how many items are hidden now, and their bytes where those count."""
        hidden = self.hidden
        self.queue.hidden += hidden - before
        if self.redelivered:
            self.queue.redelivered += hidden - before
        if self.queue.weighs:
            weight, rest = self.hidden_bytes, cut(self.segments, self.total - hidden)[1]
            self.hidden_bytes = sum([segment.size_bytes for segment in rest])
            self.queue.size_bytes += self.hidden_bytes - weight
            if self.redelivered:
                self.queue.redelivered_bytes += self.hidden_bytes - weight

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


class PendingPull:
    """A pull that waits in the line of each of its queues, or (`held`) for its turn."""

    __slots__ = ("client", "held", "queues", "request")

    def __init__(self, client: WorkerState, request: Pull, queues: tuple[QueueState, ...]) -> None:
        self.client = client
        self.request = request
        self.queues = queues
        self.held = False

    @property
    def is_of_batch(self) -> bool:
        """True if it waits for several items."""
        return self.request.least > 1

    def leave(self) -> None:
        """It is answered, or over: leave every line."""
        self.held = False
        self.client.pulls.pop(self.request.pull, None)
        for queue in self.queues:
            queue.pulls.pop(self, None)


class Held(NamedTuple):
    """For how long, so far, a reorder buffer was held by a lack of room, items by a rate.

    `at_end`: since all who write what it reads have ended.
    """

    by_room: float = 0.0
    by_rate: float = 0.0
    at_end: float = 0.0


class JobState:
    """A job as the broker sees it: its queues, its workers and what they did.

    `by_item`: it is called for each item or batch, so that an item can be called for again;
    `otherwise` becomes of one whose attempts are used up. `counted`: it is called once, maybe once
    more, and how far it has come with what it puts is known (`core.durable.progress`). Only who is
    called with a `batch` may ask for several items or none. A worker may have `most_open` pulls,
    wants, joins and leases at a time, each. What it gives leaves in the order of its `reorder`, and
    its items start when its `rate_limit` lets them, if it has those. `final`: it has succeeded, and
    will not be run again though the run is resumed.
    """

    def __init__(
        self,
        name: str,
        reads: Iterable[QueueState],
        writes: Iterable[QueueState],
        *,
        retry: RetryPlan = _ONCE,
        otherwise: ErrorAction = ErrorAction.FAIL,
        by_item: bool = True,
        counted: bool = False,
        can_unblock: bool = True,
        batch: BatchPlan | None = None,
        most_open: int = 1024,
        reorder: ReorderBuffer | None = None,
        rate_limit: RateLimiter | None = None,
    ) -> None:
        self.name = name
        self.reads = tuple(dict.fromkeys(reads))
        self.writes = tuple(dict.fromkeys(writes))
        self.retry = retry
        self.otherwise = otherwise
        self.by_item = by_item
        self.counted = counted
        self.can_unblock = can_unblock
        self.batch = batch
        self.most_open = most_open
        self.rate_limit = rate_limit
        self.reorder = reorder
        if reorder is not None:
            for queue in self.reads:
                queue.reorder = reorder
        self.parked = 0
        self.finished: bool | None = None
        self.final = False
        self.input_ended = not self.reads
        self.items_in = self.items_out = self.failed = self.skipped = self.retried = self.dead = 0
        self.short_batches = 0
        self.waiting_within_s = 0.0
        self.busy_s = self.waiting_input_s = self.waiting_output_s = self.waiting_rate_s = 0.0
        self.waiting_end_s = 0.0
        self.at_end = Stopwatch()

    def held_s(self, now: float) -> Held:
        """For how long what it waits for was no item of its writers."""
        reorder, rate_limit = self.reorder, self.rate_limit
        return Held(
            by_room=reorder.blocked.total_s(now) if reorder is not None else 0.0,
            by_rate=rate_limit.held.total_s(now) if rate_limit is not None else 0.0,
            at_end=self.at_end.total_s(now),
        )

    def note_writers(self, now: float) -> None:
        """A writer of one of its queues has ended: perhaps it was the last of all."""
        if self.reads and not any(queue.open_writers for queue in self.reads):
            self.at_end.start(now)

    def waits_for(self) -> str:
        """Say what its reorder buffer waits for; empty if nothing of it has its turn."""
        waiter = self.reorder.waiter if self.reorder is not None else None
        if waiter is None or not waiter.queues:
            return ""
        return f"{_room(waiter)} for what {self.name} holds back to keep the order"


class WorkerState:
    """One worker's side of the broker."""

    def __init__(self, worker: str, job: JobState) -> None:
        self.worker = worker
        self.job = job
        self.alive = True
        self.fenced = False
        self.made_progress = False
        self.ready_at: float | None = None
        self.leases: dict[int, LeaseState] = {}
        self.credits: dict[str, int] = {}
        self.pulls: dict[int, PendingPull] = {}
        self.wants: dict[int, CreditWaiter] = {}
        self.joins: dict[int, JoinQueue] = {}
        self.parked: CommitWaiter | None = None
        self.last_seq = 0
        self.last_answer: Committed | None = None
        self.waits_since: float | None = None
        self.waits_for_output = False
        self.held_before = Held()
        self.counted_as_stuck = False

    @property
    def stuck(self) -> bool:
        """True if the worker can only be freed by another one: it waits without a time limit."""
        if not self.alive:
            return False
        if self.parked is not None:
            return self.parked.limit_s is None
        return bool(self.pulls or self.joins or self.wants) and (
            any(p.request.wait is Wait.FOREVER for p in self.pulls.values())
            or any(j.wait is Wait.FOREVER for j in self.joins.values())
            or any(t.forever for t in self.wants.values())
        )

    def waits_for(self) -> str:
        """Return what the worker waits for, in words."""
        if self.parked is not None:
            return _room(self.parked)
        for waiter in self.wants.values():
            return _room(waiter)
        for pull in self.pulls.values():
            return self.job.waits_for() or "items of " + ", ".join(q.name for q in pull.queues)
        for join in self.joins.values():
            return f"the last task_done of {join.queue}"
        return ""

    def credit(self, queue: QueueState, n: int) -> None:
        """Change the worker's credits of a queue by n."""
        self.credits[queue.name] = self.credits.get(queue.name, 0) + n
        queue.granted += n


def _room(waiter: Waiter) -> str:
    """Return what a waiter waits for: there is room in all of its queues but the last."""
    return f"room in {waiter.queues[-1].name}"


def wanted(request: Want) -> bool:
    """True if a want may wait."""
    return request.wait is not Wait.NO
