"""Clients of the broker: jobs, their workers, and what these wait for: items, credit, or room.

A record each, which names the others; all that changes them is in the broker's parts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from orchestrator.core.broker.chunks import Segment
from orchestrator.core.broker.lease import LeaseState
from orchestrator.core.broker.meters import Times
from orchestrator.core.broker.outputs import PendingOutput
from orchestrator.core.broker.queue import QueueState
from orchestrator.core.broker.ratelimit import RateLimiter, Stopwatch
from orchestrator.core.broker.reorder import ReorderBuffer
from orchestrator.core.protocol.messages import Commit, Committed, JoinQueue, Pull, Wait, Want
from orchestrator.plan.model import BatchPlan, ErrorAction, RetryPlan

__all__ = [
    "CommitWaiter",
    "CreditWaiter",
    "JobState",
    "OrderedWaiter",
    "PendingPull",
    "QueueClients",
    "Waiter",
    "WorkerState",
]


_ONCE = RetryPlan()


class Held:
    """For how long, so far, a reorder buffer was held by a lack of room, items by a rate.

    `at_end`: since all who write what it reads have ended.
    """

    def __init__(self, by_room: float = 0.0, by_rate: float = 0.0, at_end: float = 0.0) -> None:
        self.by_room = by_room
        self.by_rate = by_rate
        self.at_end = at_end


NOT_HELD: Final = Held()


class JobState:
    """A job as the broker sees it: its queues, its workers and what they did.

    `by_item`: it is called for each item or batch, so that an item can be called for again;
    `otherwise` becomes of one whose attempts are used up. `counted`: it is called once, maybe once
    more, and how far it has come with what it puts is known (`core.broker.outputs`). Only who is
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
        reorder: ReorderBuffer[OrderedWaiter] | None = None,
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
        self.totals: dict[str, int] = {}
        """How many items there are, as each worker of a source has said."""
        self.short_batches = 0
        self.waiting_within_s = 0.0
        self.at_end = Stopwatch()
        self.ended_times = Times()
        """Those of its workers that have ended."""

    def held_s(self, now: float) -> Held:
        """For how long what it waits for was no item of its writers.

        Asked twice for each wait: of most jobs it is always the same, `NOT_HELD`.
        """
        reorder, rate_limit = self.reorder, self.rate_limit
        if reorder is None and rate_limit is None and not self.at_end.was_started:
            return NOT_HELD
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
        return f"{_room_for(waiter)} for what {self.name} holds back to keep the order"


class WorkerState:
    """One worker's side of the broker."""

    def __init__(self, worker: str, job: JobState, *, since: float = 0.0) -> None:
        self.worker = worker
        self.job = job
        self.since = since
        self.times = Times()
        """Of its waits only those that are over; `state.BrokerState.times_of` has them all."""
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
            return _room_for(self.parked)
        for waiter in self.wants.values():
            return _room_for(waiter)
        for pull in self.pulls.values():
            return self.job.waits_for() or "items of " + ", ".join(q.name for q in pull.queues)
        for join in self.joins.values():
            return f"the last task_done of {join.queue}"
        return ""

    def credit(self, queue: QueueState, n: int) -> None:
        """Change the worker's credits of a queue by n."""
        self.credits[queue.name] = self.credits.get(queue.name, 0) + n
        queue.granted += n


class QueueClients:
    """The clients of one queue: workers that read and write it, and who waits for its items."""

    __slots__ = ("joiners", "pulls", "readers", "writers")

    def __init__(self) -> None:
        self.readers: dict[str, WorkerState] = {}
        self.writers: dict[str, WorkerState] = {}
        self.pulls: dict[PendingPull, None] = {}  # in line, the oldest first
        self.joiners: dict[WorkerState, None] = {}  # those that wait for its last `task_done`


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


class Waiter:
    """A place in line for room, by its number: the lines themselves are `state.WaitLines`."""

    def __init__(self, number: int, client: WorkerState) -> None:
        self.number = number
        self.client = client
        # Those that it waits for now, upstream first: it stands in the line of one further down
        # only while it is first in those before.
        self.queues: tuple[QueueState, ...] = ()
        self.lacks: QueueState | None = None  # that in which it has waited for room `since` then
        self.since = 0.0

    @property
    def limit_s(self) -> float | None:
        """Return how long that may take, None for ever."""
        return self.lacks.policy.limit_s if self.lacks is not None else None

    @property
    def due(self) -> float | None:
        """Return when it has waited for as long as it may."""
        return None if (limit_s := self.limit_s) is None else self.since + limit_s


class CreditWaiter(Waiter):
    """A producer that asked for credit, and waits since `now`."""

    def __init__(
        self, number: int, client: WorkerState, request: Want, queue: QueueState, *, now: float
    ) -> None:
        super().__init__(number, client)
        self.request = request
        self.lacks, self.since = queue, now

    @property
    def limit_s(self) -> float | None:
        """Return how long that may take: who sets himself a time keeps it himself."""
        return super().limit_s if self.request.wait is Wait.FOREVER else None

    @property
    def forever(self) -> bool:
        """True if nothing but room ends the wait."""
        return self.request.wait is Wait.FOREVER and self.limit_s is None


class CommitWaiter(Waiter):
    """A commit on its way: `at` of its finished items are applied."""

    def __init__(
        self,
        number: int,
        client: WorkerState,
        request: Commit,
        leases: list[tuple[LeaseState, int]],
        parts: list[PendingOutput],
    ) -> None:
        super().__init__(number, client)
        self.request = request
        self.leases = leases
        self.parts = parts
        self.marks = {mark.at: mark for mark in request.marks}
        self.items = sum(n for _, n in leases)
        self.at = 0

    @property
    def limit_s(self) -> float | None:
        """The limit of that, None for ever: who is called once has asked for room before.

        What an ordered job holds back waits for its turn, which nobody can limit.
        """
        job = self.client.job
        return super().limit_s if job.by_item and job.reorder is None else None

    def claim(self) -> None:
        """The commit is parked: what it has still to finish belongs to it, whatever comes."""
        at = 0
        for lease, n in self.leases:
            lease.claimed += max(0, at + n - max(at, self.at))
            at += n

    def undo(self) -> None:
        """Give what it has still to finish back to its lease, and drop what it has to put."""
        for lease in dict.fromkeys(lease for lease, _ in self.leases):
            lease.claimed = 0
        for part in self.parts:
            part.cut()

    def needs(self) -> dict[QueueState, int]:
        """Room its next finished item takes; empty when only open outputs are left."""
        needs: dict[QueueState, int] = {}
        if self.at < self.items:
            for part in self.parts:
                for queue in part.queues:
                    if n := part.of_item(self.at):
                        needs[queue] = needs.get(queue, 0) + n
        return needs

    def fitting(self, queue: QueueState, room: int, most: int) -> int:
        """Count its next items that together put `room` at most on a queue; `most` if all."""
        parts = [part for part in self.parts if queue in part.queues]
        if len(parts) == 1 and parts[0].counts is None:
            return most if parts[0].of_items(self.at, most) <= room else max(0, room)
        for n in range(most):
            for part in parts:
                room -= part.of_item(self.at + n)
            if room < 0:
                return n
        return most

    def as_many_as(self, size_bytes: int, queue: QueueState) -> int:
        """Return how many outputs for a queue have no more bytes, whichever they are."""
        chunks = [part.chunk for part in self.parts if queue in part.queues]
        return min(size_bytes * chunk.items // chunk.size_bytes for chunk in chunks)

    def open_parts(self) -> Iterator[PendingOutput]:
        """Parts with outputs left over once every finished item is applied."""
        return (part for part in self.parts if part.used < part.n)


class OrderedWaiter(CommitWaiter):
    """Finished items that wait for their turn, and then for room: neighbours of one lease.

    `first` is the number in the queue of the first of them.
    """

    def __init__(
        self,
        client: WorkerState,
        request: Commit,
        items: tuple[LeaseState, int],
        parts: list[PendingOutput],
        *,
        first: int,
    ) -> None:
        super().__init__(0, client, request, [items], parts)
        self.marks = {}
        self.first = first

    @property
    def lease(self) -> LeaseState:
        """The lease that its items belong to."""
        ((lease, _),) = self.leases
        return lease

    @property
    def outputs(self) -> int:
        """Outputs that it has still to put."""
        return sum(part.n - part.used for part in self.parts)

    @property
    def goes_in_parts(self) -> bool:
        """True if its next item gives more than a queue may hold, and so cannot leave at once."""
        if self.lease.partially_emitted:
            return True
        items: dict[QueueState, int] = {}
        weights: dict[QueueState, int] = {}
        for part in self.parts:
            if n := part.of_item(self.at):
                weight = Segment(part.chunk, part.used, part.used + n, 0)
                for queue in part.queues:
                    items[queue] = items.get(queue, 0) + n
                    if queue.is_exact:
                        weights[queue] = weights.get(queue, 0) + weight.size_bytes
        return any(n > queue.bound for queue, n in items.items()) or any(
            queue.weight is not None and n > queue.weight.bound for queue, n in weights.items()
        )

    def needs(self) -> dict[QueueState, int]:
        """Room its next item takes, or the next output of an item that leaves in parts."""
        if self.at < self.items and self.goes_in_parts:
            for part in self.parts:
                if part.rest_of(self.at):
                    return dict.fromkeys(part.queues, 1)
        return super().needs()


def _room_for(waiter: Waiter) -> str:
    """Return what a waiter waits for: there is room in all of its queues but the last."""
    return f"room in {waiter.queues[-1].name}"
