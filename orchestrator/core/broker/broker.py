"""The broker: owns every queue.

Events in, commands out; no I/O, no clock, no pickle. The rules it keeps are numbered in
docs/semantics.md. `delivery.py` is the consumers' half of it, `admission.py` and `credits.py` the
producers'; all work on one `BrokerState`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import chain
from typing import Any

from orchestrator.core.broker.clients import JobState, WorkerState
from orchestrator.core.broker.commits import Admission
from orchestrator.core.broker.credits import Credits
from orchestrator.core.broker.leasing import Leasing
from orchestrator.core.broker.outcomes import Outcomes
from orchestrator.core.broker.queries import Queries
from orchestrator.core.broker.queue import QueueState
from orchestrator.core.broker.restore import Resumption, restore
from orchestrator.core.broker.setup import states_of
from orchestrator.core.broker.stall import can_move, waits
from orchestrator.core.broker.state import Alarm, BrokerState, ProtocolError
from orchestrator.core.broker.tap import Tap
from orchestrator.core.broker.waiting import CommitWaiter, CreditWaiter
from orchestrator.core.durable.journal import Journal
from orchestrator.core.durable.progress import OutputProgress
from orchestrator.core.durable.records import JournalEntry
from orchestrator.core.protocol.commands import Command
from orchestrator.core.protocol.events import (
    Blame,
    Blob,
    BrokerNews,
    Event,
    Fenced,
    JobFinished,
    Phase,
    PutRefused,
    Received,
    SourcesClosed,
    StallDetected,
    SupervisorNews,
    Ticked,
    WorkerJoined,
    WorkerLeft,
)
from orchestrator.core.protocol.messages import (
    Ask,
    Commit,
    Failure,
    JoinQueue,
    Pull,
    Ready,
    Released,
    Stop,
    TaskDone,
    Unpull,
    Unwant,
    Want,
)
from orchestrator.core.reasons import at_item, full
from orchestrator.plan.model import Plan

__all__ = ["Broker", "ProtocolError"]


_DIED = Failure(kind="WorkerDied", message="the worker died at this item")


class Broker:
    """Every queue of a run.

    `ack_on_get` is the rule of standalone queues, where an item that `get` has returned is done:
    queues come and go, and a process reads or writes a queue from its first use on.
    """

    def __init__(
        self,
        queues: Iterable[QueueState],
        jobs: Iterable[JobState],
        *,
        ack_on_get: bool = False,
        journal: Journal | None = None,
    ) -> None:
        self._state = BrokerState(queues, jobs, journal)
        self._leasing = Leasing(self._state, ack_on_get=ack_on_get)
        self._credits = credits_ = Credits(self._state)
        self._outcomes = Outcomes(self._state, self._leasing)
        self._admission = Admission(self._state, credits_, self._outcomes)
        self._queries = questions = Queries(self._state)
        self._ack_on_get = ack_on_get
        self._live = self._stuck = 0
        self._stalled = False
        self._handlers: dict[type, Callable[[Any], None]] = {
            Received: self._received,
            Ticked: lambda _: None,
            WorkerJoined: self._worker_joined,
            WorkerLeft: self._worker_left,
            JobFinished: self._job_finished,
            SourcesClosed: self._sources_closed,
            Fenced: self._fenced,
        }
        self._messages: dict[type, Callable[[WorkerState, Any], None]] = {
            Ready: self._ready,
            Unpull: self._leasing.unpull,
            Want: credits_.want,
            Unwant: credits_.unwant,
            Released: self._leasing.released,
            Ask: questions.ask,
            TaskDone: questions.task_done,
            JoinQueue: questions.join,
        }

    @classmethod
    def of_plan(
        cls, plan: Plan, resumption: Resumption | None = None, tap: Tap | None = None
    ) -> Broker:
        """The broker of a planned run, or of one that is resumed; the `tap` sees what is put."""
        journal = None
        if plan.durability.keeps:
            journal = Journal(resumption.stored.last_chunk + 1 if resumption else 1)
        broker = cls(*states_of(plan), journal=journal)
        if resumption is not None:
            restore(broker._state, resumption)
            for job in broker.jobs.values():
                job.note_writers(0.0)
        if tap is not None:
            for name in tap.queues:
                broker.queues[name].tap = tap
        return broker

    @property
    def queues(self) -> dict[str, QueueState]:
        """The queues by name; to be read only."""
        return self._state.queues

    @property
    def jobs(self) -> dict[str, JobState]:
        """The jobs' counts by name; to be read only."""
        return self._state.jobs

    @property
    def clients(self) -> dict[str, WorkerState]:
        """The workers that live, by name; to be read only."""
        return self._state.clients

    def add_queue(self, queue: QueueState, job: JobState) -> None:
        """A queue made while the broker lives (standalone), read and written by the job."""
        self._state.queues[queue.name] = queue
        job.reads += (queue,)
        job.writes += (queue,)

    def remove_queue(self, name: str, job: JobState) -> None:
        """Nobody holds the queue any more (standalone): its items go with it."""
        queue = self._state.queues.pop(name)
        job.reads = tuple(other for other in job.reads if other is not queue)
        job.writes = tuple(other for other in job.writes if other is not queue)
        for client in self._state.clients.values():
            client.credits.pop(name, None)
            for lease in [lease for lease in client.leases.values() if lease.queue is queue]:
                del client.leases[lease.number]
        queue.close(clean=True)

    def note_taken(self, worker: str, taken: Iterable[tuple[int, int]]) -> None:
        """Note what `get` has returned of each lease, before its commit (standalone)."""
        client = self._state.clients[worker]
        for number, n in taken:
            if lease := client.leases.get(number):
                lease.note_taken(n)
                self._state.dirty[lease.queue] = None

    def positions_of(self, worker: str) -> Mapping[str, OutputProgress]:
        """Return a worker's position in what it puts, by box; empty if it is not counted."""
        return self._state.positions.get(worker, {})

    def left_items(self) -> dict[str, list[range]]:
        """By queue, the numbers of all items that are left if the run ends now."""
        left = {name: list(queue.left_items) for name, queue in self.queues.items()}
        for name, queue in self.queues.items():
            delayed = self._state.delayed(queue) if queue.delayed else ()
            own = chain(*queue.reserved.values(), *queue.partially_emitted.values())
            left[name] += [part.numbers for part in chain(queue.segments, delayed, own)]
        for client in self.clients.values():
            for lease in client.leases.values():
                unfinished = lease.next_segments(lease.remaining)
                left[lease.queue.name] += [part.numbers for part in unfinished]
        return left

    def take_entry(self) -> JournalEntry | None:
        """Return what a store is to keep of all that was handled since this was last called."""
        return self._state.journal.take() if self._state.journal is not None else None

    def next_deadline(self) -> float | None:
        """Return when `Ticked` is due, as monotonic seconds."""
        return self._state.next_deadline()

    def handle(self, event: Event | BrokerNews, now: float) -> list[Command | SupervisorNews]:
        """Take one event; returns the orders it leads to.

        Raises ProtocolError, having changed nothing, when a worker's message does not fit.
        """
        state = self._state
        state.now = now
        state.orders = []
        handler = self._handlers.get(type(event))
        if handler is not None:
            handler(event)
            self._settle()
        return state.orders

    def item_at(self, worker: str, blame: Blame) -> str:
        """The id of the item a progress cell points to; empty if there is none."""
        client = self._state.clients.get(worker)
        lease = client.leases.get(blame.lease) if client else None
        item = lease.item(blame.index - lease.detached) if lease else None
        return f"{lease.queue.name}:{item.first}" if lease and item else ""

    def among(self, worker: str, blame: Blame) -> int:
        """Count the items that a progress cell may point to: those of a batch from it on."""
        client = self._state.clients.get(worker)
        lease = client.leases.get(blame.lease) if client else None
        if lease is None or lease.in_progress < 2:
            return 1
        return max(1, lease.total - (blame.index - lease.detached))

    def doing(self, worker: str, blame: Blame) -> str:
        """At which item a worker is, or what it waits for, in words; empty if neither is known."""
        client = self._state.clients.get(worker)
        if client is not None and (waited_for := client.waits_for()):
            return f"waits for {waited_for}"
        item = self.item_at(worker, blame) if blame.phase is Phase.RUNNING else ""
        return at_item(item, self.among(worker, blame)).lstrip()

    def has_made_progress(self, worker: str) -> bool:
        """True if an item that this process of the worker has finished is committed."""
        client = self._state.clients.get(worker)
        return client is not None and client.made_progress

    def has_committed(self, worker: str) -> bool:
        """True if this process of the worker has committed anything: an item's end, or outputs."""
        client = self._state.clients.get(worker)
        return client is not None and client.last_seq > 0

    # -- events -----------------------------------------------------------------------------------

    def _received(self, event: Received) -> None:
        client = self._state.clients.get(event.worker)
        if client is None or client.fenced:
            return
        message = event.message
        if type(message) is Pull:
            self._pull(client, message, event.blobs)
        elif type(message) is Commit:
            self._admission.commit(client, message, event.blobs)
        elif handler := self._messages.get(type(message)):
            handler(client, message)
        else:
            return
        self._state.touch(client)

    def _pull(self, client: WorkerState, request: Pull, blobs: tuple[Blob, ...]) -> None:
        """Commit, then pull; neither if one of them does not fit."""
        pending = self._leasing.checked(client, request)
        if request.commit is not None:
            self._admission.commit(client, request.commit, blobs)
            self._move()  # those who wait already come first
        self._leasing.pull(pending)

    def _ready(self, client: WorkerState, _: Ready) -> None:
        client.ready_at = self._state.now
        self._outcomes.end_partially_emitted(client)

    def _worker_joined(self, event: WorkerJoined) -> None:
        job = self._state.jobs[event.job]
        client = self._state.clients[event.worker] = WorkerState(event.worker, job)
        if not self._ack_on_get:
            for queue in job.reads:
                queue.reader_clients[event.worker] = client
            for queue in job.writes:
                queue.writer_clients[event.worker] = client
        if job.can_unblock:
            self._live += 1

    def _worker_left(self, event: WorkerLeft) -> None:
        client = self._state.clients.get(event.worker)
        if client is None:
            return
        self._leave(client, event.blame, event.taken, event.failure, redelivered=event.replaced)
        client.alive = False
        del self._state.clients[event.worker]
        if client.ready_at is not None:
            client.job.busy_s += self._state.now - client.ready_at
        for queue in client.job.reads:
            queue.reader_clients.pop(event.worker, None)
            if event.returned:
                queue.release_reserved(event.worker)
            self._state.dirty[queue] = None
        for queue in client.job.writes:
            queue.writer_clients.pop(event.worker, None)
        if client.job.can_unblock:
            self._live -= 1

    def _fenced(self, event: Fenced) -> None:
        client = self._state.clients.get(event.worker)
        if client is not None and not client.fenced:
            self._leave(client, event.blame)
            client.fenced = True

    def _leave(
        self,
        client: WorkerState,
        blame: Blame,
        taken: Iterable[tuple[int, int]] = (),
        failure: Failure | None = None,
        *,
        redelivered: bool = True,
    ) -> None:
        self._admission.leave(client)
        for attempt in self._leasing.abandon(client, blame, dict(taken)):
            self._outcomes.attempt_failed(client, attempt, failure or _DIED, again=redelivered)
        self._credits.leave(client)
        self._queries.leave(client)
        self._state.end_wait(client)

    def _job_finished(self, event: JobFinished) -> None:
        job = self._state.jobs[event.job]
        job.finished, job.final = event.clean, event.final
        journal = self._state.journal
        if journal is not None and event.final:
            journal.job_done(job.name)
        # Whoever has returned since nobody takes what it gives has not had enough, if that failed.
        enough = event.clean and not any(queue.failed_downstream for queue in job.writes)
        for queue in job.reads:
            if journal is None or not event.awaited:
                self._leasing.reader_finished(queue, job.name, clean=enough)
            else:
                queue.awaited.add(job.name)
                self._state.dirty[queue] = None
        if job.reorder is not None:
            job.reorder.over = True
            self._state.dirty.update(dict.fromkeys(job.reads))
        self._close_outputs(job)

    def _close_outputs(self, job: JobState) -> None:
        if job.finished is not None and not job.parked:
            for queue in job.writes:
                if job.name in queue.open_writers:
                    queue.open_writers.discard(job.name)
                    for reader in queue.open_readers:
                        self._state.jobs[reader].note_writers(self._state.now)
                self._state.dirty[queue] = None

    def _sources_closed(self, event: SourcesClosed) -> None:
        for worker in event.workers:
            if client := self._state.clients.get(worker):
                self._state.send(client, Stop())
        for job in self._state.jobs.values():
            if job.rate_limit is not None:
                self._state.untold.add(job.name)
                self._state.dirty.update(dict.fromkeys(job.reads))

    # -- after each event -------------------------------------------------------------------------

    def _settle(self) -> None:
        state = self._state
        if state.is_due:
            self._fire_timers()
        while True:
            self._move()
            self._watch()
            if not (state.dirty or self._leasing.let_a_batch_go()):
                return

    def _move(self) -> None:
        """Let go on who can, at the queues that have changed."""
        dirty = self._state.dirty
        while dirty:
            queue, _ = dirty.popitem()
            if queue.reorder is not None:
                self._admission.release(queue.reorder)
            if queue.patience_s is not None:
                self._state.mind_repetition(queue)
            if queue.waiters:
                self._admission.admit(queue)
            if queue.pulls:
                self._leasing.serve(queue)
            if not queue.open_writers:
                self._leasing.check_end(queue)

    def _fire_timers(self) -> None:
        for alarm, queue, segment in self._state.due():
            if segment is not None:
                self._leasing.requeue(queue, segment)
            elif alarm is Alarm.RECALL:
                self._leasing.recall(queue)
            elif alarm is Alarm.PUT_LIMIT:
                self._end_waits(queue)
            else:
                if alarm is Alarm.PATIENCE:
                    queue.patience_at = None
                self._state.dirty[queue] = None

    def _end_waits(self, queue: QueueState) -> None:
        """Fail those that have waited for room for longer than the queue lets them (rule 2).

        His other items go back with those that found no room, as if he were dead. Who has asked for
        room is told that there is none.
        """
        queue.limit_at = None
        for waiter in self._state.overdue(queue):
            if isinstance(waiter, CreditWaiter):
                self._credits.end_wait(waiter)
                continue
            assert isinstance(waiter, CommitWaiter)
            client, failure = waiter.client, full(waiter.client.job.name, queue.name)
            self._admission.refuse(waiter)
            self._leave(client, Blame(), failure=failure, redelivered=False)
            client.fenced = True
            self._state.orders.append(PutRefused(worker=client.worker, failure=failure))
        self._state.arm_limit(queue)

    def _watch(self) -> None:
        state = self._state
        for client in state.touched:
            job = client.job
            if client.waits_since is not None or not client.alive:
                state.all_doubted = True
            stuck = job.can_unblock and client.stuck
            if stuck != client.counted_as_stuck:
                client.counted_as_stuck = stuck
                self._stuck += 1 if stuck else -1
            if job.finished is not None:
                self._close_outputs(job)
        state.touched.clear()

    @property
    def everybody_waits(self) -> bool:
        """True if every worker that could free another one waits itself."""
        return 0 < self._live == self._stuck

    def stall(self) -> StallDetected | None:
        """Rule 14, to be asked once everything known has been handled; reported once."""
        if self._stalled or not self.everybody_waits or can_move(self._state):
            return None
        self._stalled = True
        return StallDetected(waits=tuple(waits(self._state)))
