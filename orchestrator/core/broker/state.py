"""State that the broker's parts share: queues, clients, lines, alarms, and this step's orders."""

from __future__ import annotations

import bisect
import contextlib
import enum
import heapq
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from graphlib import CycleError, TopologicalSorter

from orchestrator.core.broker.chunks import Segment
from orchestrator.core.broker.clients import (
    JobState,
    PendingPull,
    QueueClients,
    Waiter,
    WorkerState,
)
from orchestrator.core.broker.meters import Times
from orchestrator.core.broker.observers import Journal
from orchestrator.core.broker.outputs import OutputProgress
from orchestrator.core.broker.queue import QueueState
from orchestrator.core.broker.redelivery import Redelivery
from orchestrator.core.protocol.commands import Command, Notify, Send
from orchestrator.core.protocol.events import AnyBlob, SupervisorNews
from orchestrator.core.protocol.messages import ToWorker
from orchestrator.core.protocol.notifications import HeldByRate, Notification
from orchestrator.errors import caused_by

__all__ = ["Alarm", "Alarms", "BrokerState", "ProtocolError", "WaitLines"]


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


class Alarms:
    """Alarms in the order of their times, which are monotonic seconds.

    One that has become pointless by then is not taken back: it rings, and finds nothing to do.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Alarm, QueueState, Segment | None]] = []
        self._armed: dict[tuple[Alarm, QueueState], float] = {}
        self._numbers = 0

    def __len__(self) -> int:
        return len(self._heap)

    def __iter__(self) -> Iterator[tuple[Alarm, QueueState, Segment | None]]:
        """All that are set, in no order."""
        return (entry[2:] for entry in self._heap)

    def set(
        self, when: float, alarm: Alarm, queue: QueueState, segment: Segment | None = None
    ) -> None:
        """Wake at `when`."""
        self._numbers += 1  # those of one time ring in the order in which they were set
        heapq.heappush(self._heap, (when, self._numbers, alarm, queue, segment))

    def arm(self, when: float, alarm: Alarm, queue: QueueState) -> None:
        """Wake at `when` unless the queue has such an alarm that rings no later."""
        armed = self._armed.get((alarm, queue))
        if armed is None or when < armed:
            self._armed[alarm, queue] = when
            self.set(when, alarm, queue)

    def is_armed(self, alarm: Alarm, queue: QueueState) -> bool:
        """True if the queue has such an alarm."""
        return (alarm, queue) in self._armed

    @property
    def next(self) -> float | None:
        """Return when the next alarm is due."""
        return self._heap[0][0] if self._heap else None

    def due(self, now: float) -> Iterator[tuple[Alarm, QueueState, Segment | None]]:
        """Alarms whose time has come, removed."""
        while self._heap and self._heap[0][0] <= now:
            _, _, alarm, queue, segment = heapq.heappop(self._heap)
            self._armed.pop((alarm, queue), None)
            yield alarm, queue, segment


class ProtocolError(Exception):
    """A worker's message does not fit what the broker knows of it.

    Nothing has been changed.
    """


class BrokerState:
    """Everything the broker knows."""

    def __init__(
        self,
        queues: Iterable[QueueState],
        jobs: Iterable[JobState],
        journal: Journal | None = None,
    ) -> None:
        self.queues = {queue.name: queue for queue in queues}
        self.jobs = {job.name: job for job in jobs}
        # The order of the queues, in which what a job reads comes before what it writes.
        self.ranks = _ranks(self.queues.values(), self.jobs.values())
        # That of a run that is kept; of one that forgets, none is told anything.
        self.journals = (journal,) if journal is not None else ()
        for queue in self.queues.values():
            queue.observers = self.journals
        self.clients: dict[str, WorkerState] = {}
        # The clients of each queue: they stay by themselves, for a queue knows nobody.
        self.at: defaultdict[QueueState, QueueClients] = defaultdict(QueueClients)
        self.lines = WaitLines()
        self.alarms = Alarms()
        self.closed_by: dict[QueueState, str] = {}  # the job that read a queue last
        # By worker and box; only of workers whose outputs are counted.
        self.positions: dict[str, dict[str, OutputProgress]] = {}
        # Those of workers that had got items of several queues before the run was resumed.
        self.redeliveries: dict[str, Redelivery] = {}
        # Jobs of a draining run that are to be told of once their rate holds them.
        self.untold: set[str] = set()
        self.now = 0.0  # the monotonic time of the event being handled
        # Queues at which something has changed: somebody there may go on.
        self.dirty: dict[QueueState, None] = {}
        self.touched: dict[WorkerState, None] = {}
        # Queues at which a batch waits for more; those of them that have changed are `doubted`.
        self.patient: dict[QueueState, None] = {}
        self.doubted: dict[QueueState, None] = {}
        # Those whose size may have changed since they were noted last.
        self.unnoted: dict[QueueState, None] = {}
        # Something else has changed, which may have been to bring more to any of them.
        self.all_doubted = False
        self.orders: list[Command | SupervisorNews] = []
        self._numbers = 0

    @property
    def keeps(self) -> bool:
        """True if the run can be resumed: what a worker has is its own until its job is done."""
        return bool(self.journals)

    def number(self) -> int:
        """A number never given before: for leases and waiters."""
        self._numbers += 1
        return self._numbers

    def queue(self, name: str) -> QueueState:
        """The queue of that name, or ProtocolError."""
        try:
            return self.queues[name]
        except KeyError:
            error = ProtocolError(f"there is no queue {name!r}")
            raise caused_by(error, None) from None

    def remove(self, name: str) -> QueueState:
        """Forget a queue (standalone): what still comes to it finds nobody there."""
        queue = self.queues.pop(name)
        self.at.pop(queue, None)
        self.ranks.pop(queue, None)
        return queue

    def send(self, client: WorkerState, message: ToWorker, blobs: tuple[AnyBlob, ...] = ()) -> None:
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
        _book_wait(client, client.times, self.now)
        client.waits_since = None

    def times_of(self, client: WorkerState, now: float) -> Times:
        """Return where a worker's life went until `now`, the wait that is going on included."""
        times = Times()
        times.add(client.times)
        times.life = now - client.since
        ready_at = client.ready_at
        times.starting = times.life if ready_at is None else ready_at - client.since
        _book_wait(client, times, now)
        return times

    def job_times(self, now: float) -> dict[str, Times]:
        """Return where the lives of each job's workers went until `now`."""
        times = {name: Times() for name in self.jobs}
        for name, job in self.jobs.items():
            times[name].add(job.ended_times)
        for client in self.clients.values():
            times[client.job.name].add(self.times_of(client, now))
        return times

    def note_sizes(self, queues: Iterable[QueueState], now: float) -> None:
        """Note how full these queues are from `now` on."""
        lines = self.lines.at
        for queue in queues:
            weight = queue.weight
            is_heavy = weight is not None and weight.max_bytes <= weight.size
            is_full = queue in lines or queue.is_full
            queue.meter.note(now, queue.size, is_full=is_full, is_heavy=is_heavy)

    def leave(self, pending: PendingPull) -> None:
        """A pull is answered, or over: it leaves every line."""
        pending.held = False
        pending.client.pulls.pop(pending.request.pull, None)
        for queue in pending.queues:
            self.at[queue].pulls.pop(pending, None)

    def delayed(self, queue: QueueState) -> Iterator[Segment]:
        """The failed items of the queue that are to be tried again later."""
        return (part for _, of, part in self.alarms if of is queue and part is not None)


def _book_wait(client: WorkerState, times: Times, now: float) -> None:
    """Count the wait that is going on, by what the worker waits for; nothing if it does not."""
    if client.waits_since is None:
        return
    waited, job = now - client.waits_since, client.job
    if client.waits_for_output:
        times.blocked += waited
        return
    before, after = client.held_before, job.held_s(now)
    if after is before:  # NOT_HELD
        times.starved += waited
        return
    by_room = after.by_room - before.by_room
    times.blocked += by_room
    by_rate = min(after.by_rate - before.by_rate, waited - by_room)
    times.held += by_rate
    by_input = waited - by_room - by_rate
    times.starved += by_input
    times.at_end += min(after.at_end - before.at_end, by_input)


def _ranks(queues: Iterable[QueueState], jobs: Iterable[JobState]) -> defaultdict[QueueState, int]:
    """Number the queues so that what a job reads comes before what it writes.

    Where that goes in a circle (standalone queues), any order will do.
    """
    ranks = defaultdict[QueueState, int](int)
    order: TopologicalSorter[QueueState] = TopologicalSorter(dict.fromkeys(queues, ()))
    for job in jobs:
        for queue in job.writes:
            order.add(queue, *job.reads)
    with contextlib.suppress(CycleError):
        for rank, queue in enumerate(order.static_order()):
            ranks[queue] = rank
    return ranks


class WaitLines:
    """The lines of all queues."""

    def __init__(self) -> None:
        # Only the queues at which somebody waits: mostly there is none, and each put asks. To be
        # read only.
        self.at: dict[QueueState, list[Waiter]] = {}

    def of(self, queue: QueueState) -> Sequence[Waiter]:
        """Return those that wait at a queue, the oldest first."""
        return self.at.get(queue, ())

    def join(self, waiter: Waiter, queues: tuple[QueueState, ...]) -> list[QueueState]:
        """Leave the lines it stands in and join these, at the place its number gives.

        Who is first in a line no more has lost the places it held further down: returns those.
        """
        self.leave(waiter)
        waiter.queues = queues
        lost: list[QueueState] = []
        for queue in queues:
            line = self.at.setdefault(queue, [])
            bisect.insort(line, waiter, key=lambda each: each.number)
            if line[0] is waiter and len(line) > 1:
                lost += self._fall_back(line[1], queue)
        return lost

    def _fall_back(self, waiter: Waiter, last: QueueState) -> tuple[QueueState, ...]:
        """Leave the lines beyond that of a queue."""
        at = waiter.queues.index(last) + 1
        waiter.queues, beyond = waiter.queues[:at], waiter.queues[at:]
        self._remove(waiter, beyond)
        return beyond

    def leave(self, waiter: Waiter) -> None:
        """Leave every line."""
        self._remove(waiter, waiter.queues)
        waiter.queues = ()

    def _remove(self, waiter: Waiter, queues: tuple[QueueState, ...]) -> None:
        for queue in queues:
            line = self.at[queue]
            line.remove(waiter)
            if not line:
                del self.at[queue]

    def is_first(self, waiter: Waiter, queue: QueueState) -> bool:
        """True if nobody older waits at the queue, whether it stands in that line or not."""
        line = self.at.get(queue)
        return line is None or waiter.number <= line[0].number

    def is_first_everywhere(self, waiter: Waiter) -> bool:
        """True if nobody older waits for any of its queues."""
        return all(self.at[queue][0] is waiter for queue in waiter.queues)

    def overdue(self, queue: QueueState, now: float) -> list[Waiter]:
        """Return who has waited for room in this queue for as long as he may."""
        return [waiter for waiter, due in self._dues(queue) if due <= now]

    def next_due(self, queue: QueueState) -> float | None:
        """Return when the first of them has; None if nobody's time is limited."""
        return min((due for _, due in self._dues(queue)), default=None)

    def _dues(self, queue: QueueState) -> Iterator[tuple[Waiter, float]]:
        """Those who wait for room in the queue, not for ever, each with when his time is over."""
        for waiter in self.of(queue):
            if waiter.lacks is queue and (due := waiter.due) is not None:
                yield waiter, due
