"""State that the broker's parts share: queues, clients, timers, and the orders of this step."""

from __future__ import annotations

import contextlib
import enum
import heapq
from collections.abc import Iterable, Iterator
from graphlib import CycleError, TopologicalSorter

from orchestrator.core.broker.clients import JobState, WorkerState
from orchestrator.core.broker.queue import QueueState, Segment
from orchestrator.core.broker.redelivery import Redelivery
from orchestrator.core.broker.waiting import Waiter
from orchestrator.core.durable.journal import Journal
from orchestrator.core.durable.progress import OutputProgress
from orchestrator.core.protocol.commands import Command, Notify, Send
from orchestrator.core.protocol.events import Blob, SupervisorNews
from orchestrator.core.protocol.messages import ToWorker
from orchestrator.core.protocol.notifications import HeldByRate, Notification

__all__ = ["Alarm", "BrokerState", "ProtocolError"]


class Alarm(enum.Enum):
    """What is to be done to a queue at a certain time."""

    PATIENCE = enum.auto()
    """A batch must do with what is there."""
    RECALL = enum.auto()
    """Somebody still waits for items that others hold untouched."""
    ROOM = enum.auto()
    """A producer must do with the room there is."""
    RETRY = enum.auto()
    """A failed item is tried again."""
    PUT_LIMIT = enum.auto()
    """What waits for room may have waited for as long as the queue lets it."""
    RATE = enum.auto()
    """A job may start its next item."""


_NEXT_PULL_S = 0.25
"""How long a limit of time is at least, once the reader has got anew all that it had."""
_FOR_PULLS = (Alarm.PATIENCE, Alarm.RATE)


class ProtocolError(Exception):
    """A worker's message does not fit what the broker knows of it.

    Nothing has been changed.
    """


class BrokerState:
    """Everything the broker knows.

    `now` is the monotonic time of the event being handled. `positions` are those of workers whose
    outputs are counted, by worker and box; the `journal` is None where nothing is kept.
    `redeliveries` are those of workers that had got items of several queues before the run was
    resumed. `untold`: jobs of a draining run that are to be told of once their rate holds them. At
    the `patient` queues a batch waits for more; those of them that have changed are `doubted`, and
    `all_doubted` says that something else has, which may have been to bring it.
    """

    def __init__(
        self,
        queues: Iterable[QueueState],
        jobs: Iterable[JobState],
        journal: Journal | None = None,
    ) -> None:
        self.queues = {queue.name: queue for queue in queues}
        self.jobs = {job.name: job for job in jobs}
        _rank(self.queues.values(), self.jobs.values())
        self.clients: dict[str, WorkerState] = {}
        self.positions: dict[str, dict[str, OutputProgress]] = {}
        self.redeliveries: dict[str, Redelivery] = {}
        self.untold: set[str] = set()
        self.journal = journal
        for queue in self.queues.values():
            queue.journal = journal
        self.now = 0.0
        self.dirty: dict[QueueState, None] = {}
        self.touched: dict[WorkerState, None] = {}
        self.patient: dict[QueueState, None] = {}
        self.doubted: dict[QueueState, None] = {}
        self.all_doubted = False
        self.orders: list[Command | SupervisorNews] = []
        self._timers: list[tuple[float, int, Alarm, QueueState, Segment | None]] = []
        self._numbers = 0

    def number(self) -> int:
        """A number never given before: for leases, waiters and timers."""
        self._numbers += 1
        return self._numbers

    def queue(self, name: str) -> QueueState:
        """The queue of that name, or ProtocolError."""
        try:
            return self.queues[name]
        except KeyError:
            raise ProtocolError(f"there is no queue {name!r}") from None

    def send(self, client: WorkerState, message: ToWorker, blobs: tuple[Blob, ...] = ()) -> None:
        """Order a frame to a worker that lives."""
        if client.alive and not client.fenced:
            self.orders.append(Send(worker=client.worker, message=message, blobs=blobs))

    def report(self, notification: Notification) -> None:
        """Order a fact to be told."""
        self.orders.append(Notify(notification=notification))

    def held(self, job: JobState, due_at: float) -> None:
        """The rate of a job lets nothing start before `due_at`: if the run drains, say so once."""
        if job.name in self.untold:
            self.untold.remove(job.name)
            queued = sum([queue.queued for queue in job.reads])
            self.report(HeldByRate(job=job.name, queued=queued, next_s=due_at - self.now))

    def touch(self, client: WorkerState) -> None:
        """The client may have begun or stopped waiting."""
        self.touched[client] = None

    def begin_wait(self, client: WorkerState, *, for_output: bool) -> None:
        """The worker waits from now on."""
        self.touch(client)
        if client.waits_since is None:
            client.waits_since = self.now
            client.waits_for_output = for_output
            client.held_before = client.job.held_s(self.now)

    def end_wait(self, client: WorkerState) -> None:
        """The worker goes on; its wait is booked to its job."""
        self.touch(client)
        if client.waits_since is None or client.parked or client.pulls or client.wants:
            return
        waited, job = self.now - client.waits_since, client.job
        client.waits_since = None
        if client.waits_for_output:
            job.waiting_output_s += waited
            return
        by_room, by_rate, at_end = (
            after - before
            for before, after in zip(client.held_before, job.held_s(self.now), strict=True)
        )
        job.waiting_output_s += by_room
        job.waiting_rate_s += (by_rate := min(by_rate, waited - by_room))
        job.waiting_input_s += (by_input := waited - by_room - by_rate)
        job.waiting_end_s += min(at_end, by_input)

    def at(
        self, when: float, alarm: Alarm, queue: QueueState, segment: Segment | None = None
    ) -> None:
        """Wake at `when`; an alarm that has become pointless by then is ignored."""
        heapq.heappush(self._timers, (when, self.number(), alarm, queue, segment))

    def arm_limit(self, queue: QueueState) -> None:
        """See to it that nobody waits for room here for longer than the queue lets him."""
        due = min((due for _, due in _dues(queue)), default=None)
        if due is not None and (queue.limit_at is None or due < queue.limit_at):
            queue.limit_at = due
            self.at(due, Alarm.PUT_LIMIT, queue)

    def overdue(self, queue: QueueState) -> list[Waiter]:
        """Return who has waited for room in this queue for as long as he may."""
        return [waiter for waiter, due in _dues(queue) if due <= self.now]

    def mind_repetition(self, queue: QueueState) -> None:
        """Let the queue's limit of time rest while a reader gets anew what it had.

        Then whoever waits here begins to wait once more, and the reader has a moment for its next
        pull.
        """
        if queue.rests is queue.repeats:
            return
        queue.rests = queue.repeats
        for waiter in queue.waiters:
            if waiter.lacks is queue:
                self.touch(waiter.client)
                waiter.since = self.now + max(0.0, _NEXT_PULL_S - (queue.patience_s or 0.0))
        self.arm_limit(queue)

    @property
    def is_due(self) -> bool:
        """True if an alarm's time has come."""
        return bool(self._timers) and self._timers[0][0] <= self.now

    def due(self) -> Iterator[tuple[Alarm, QueueState, Segment | None]]:
        """Alarms whose time has come, removed."""
        while self._timers and self._timers[0][0] <= self.now:
            yield heapq.heappop(self._timers)[2:]

    def delayed(self, queue: QueueState) -> Iterator[Segment]:
        """The failed items of the queue that are to be tried again later."""
        return (part for *_, of, part in self._timers if of is queue and part is not None)

    def next_deadline(self) -> float | None:
        """Return when the next alarm is due."""
        return self._timers[0][0] if self._timers else None

    @property
    def something_is_timed(self) -> bool:
        """True if an alarm will move items."""
        return any(
            (alarm is Alarm.RETRY and queue.delayed)
            or (alarm in _FOR_PULLS and queue.pulls and queue.queued)
            or (alarm is Alarm.ROOM and queue.waiters and queue.room > 0)
            for _, _, alarm, queue, _ in self._timers
        )


def _dues(queue: QueueState) -> Iterator[tuple[Waiter, float]]:
    """Those who wait for room in the queue, not for ever, each with when his time is over."""
    for waiter in queue.waiters:
        if waiter.lacks is queue and (due := waiter.due) is not None:
            yield waiter, due


def _rank(queues: Iterable[QueueState], jobs: Iterable[JobState]) -> None:
    """Number the queues so that what a job reads comes before what it writes.

    Where that goes in a circle (standalone queues), any order will do.
    """
    order: TopologicalSorter[QueueState] = TopologicalSorter(dict.fromkeys(queues, ()))
    for job in jobs:
        for queue in job.writes:
            order.add(queue, *job.reads)
    with contextlib.suppress(CycleError):
        for rank, queue in enumerate(order.static_order()):
            queue.rank = rank
