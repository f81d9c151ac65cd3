"""The broker: owns every queue.

Events in, commands out; no I/O, no clock, no pickle. The rules it keeps are numbered in
docs/semantics.md. `leasing.py` is the consumers' half of it, `commits.py` and
`credits.py` the producers'; all work on one `BrokerState`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import chain
from typing import Any, Final

import msgspec

from orchestrator.core.broker.clients import CommitWaiter, CreditWaiter, JobState, WorkerState
from orchestrator.core.broker.commits import Admission
from orchestrator.core.broker.credits import Credits
from orchestrator.core.broker.end_of_stream import QueueEnds
from orchestrator.core.broker.leasing import Leasing, Returns
from orchestrator.core.broker.liveness import StallWatch, relieve
from orchestrator.core.broker.meters import Times
from orchestrator.core.broker.observers import Journal, Tap
from orchestrator.core.broker.outcomes import Outcomes
from orchestrator.core.broker.outputs import OutputProgress
from orchestrator.core.broker.queries import Queries
from orchestrator.core.broker.queue import QueueState
from orchestrator.core.broker.room import PutLimits, RoomForOutputs
from orchestrator.core.broker.setup import Resumption, journal_of, restore, states_of
from orchestrator.core.broker.state import Alarm, BrokerState, ProtocolError
from orchestrator.core.durable.records import JournalEntry
from orchestrator.core.protocol.commands import Command
from orchestrator.core.protocol.events import (
    AnyBlob,
    Blame,
    BrokerNews,
    Event,
    Fenced,
    JobFinished,
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
    SourceTotal,
    Stop,
    TaskDone,
    Unpull,
    Unwant,
    Want,
)
from orchestrator.core.reasons import full
from orchestrator.plan.model import Plan

__all__ = ["Broker", "ProtocolError"]

_MOST_ITEMS: Final = 1 << 53
"""So many a source may say it has: what all workers say can be added up."""


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
        self._state = state = BrokerState(queues, jobs, journal)
        self._returns = returns = Returns(state)
        self._limits = limits = PutLimits(state)
        self._credits = credits_ = Credits(state, limits)
        self._leasing = leasing = Leasing(state, returns, credits_, ack_on_get=ack_on_get)
        self._ends = QueueEnds(state, leasing)
        self._outcomes = outcomes = Outcomes(state, returns)
        self._admission = Admission(state, RoomForOutputs(state, limits), credits_, outcomes)
        self.queries = queries = Queries(state)
        self._stalls = StallWatch(state)
        self._ack_on_get = ack_on_get
        self._handlers: dict[type, Callable[[Any], None]] = {
            Received: self._received,
            Ticked: lambda _: None,
            WorkerJoined: self._worker_joined,
            WorkerLeft: self._worker_left,
            JobFinished: self._job_finished,
            SourcesClosed: self._sources_closed,
            Fenced: self._fenced,
        }
        self._is_metered = not ack_on_get
        self._messages: dict[type, Callable[[WorkerState, Any], None]] = {
            Ready: self._ready,
            Unpull: leasing.unpull,
            Want: credits_.want,
            Unwant: credits_.unwant,
            Released: returns.released,
            Ask: queries.ask,
            TaskDone: queries.task_done,
            JoinQueue: queries.join,
            SourceTotal: _note_total,
        }

    @classmethod
    def of_plan(
        cls, plan: Plan, resumption: Resumption | None = None, tap: Tap | None = None
    ) -> Broker:
        """The broker of a planned run, or of one that is resumed; the `tap` sees what is put."""
        broker = cls(*states_of(plan), journal=journal_of(plan, resumption))
        if resumption is not None:
            restore(broker._state, resumption)
        if tap is not None:
            for name in tap.queues:
                broker.queues[name].observers += (tap,)
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
        queue = self._state.remove(name)
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

    def job_times(self, now: float) -> dict[str, Times]:
        """Return where the lives of each job's workers went until `now`."""
        return self._state.job_times(now)

    def times_of(self, client: WorkerState, now: float) -> Times:
        """Return where a worker's life went until `now`."""
        return self._state.times_of(client, now)

    def note_sizes(self, now: float) -> None:
        """Bring the meters of all queues to `now`."""
        self._state.note_sizes(self.queues.values(), now)

    def readers_of(self, name: str) -> Iterable[str]:
        """Return the workers that live and read a queue."""
        return self._state.at[self.queues[name]].readers

    def positions_of(self, worker: str) -> Mapping[str, OutputProgress]:
        """Return a worker's position in what it puts, by box; empty if it is not counted."""
        return self._state.positions.get(worker, {})

    def left_items(self) -> dict[str, list[range]]:
        """By queue, the numbers of all items that are left if the run ends now."""
        left = {name: list(queue.left_items) for name, queue in self.queues.items()}
        for name, queue in self.queues.items():
            delayed = self._state.delayed(queue) if queue.delayed else ()
            here = chain(queue.segments, delayed, queue.own.segments())
            left[name] += [part.numbers for part in here]
        for client in self.clients.values():
            for lease in client.leases.values():
                unfinished = lease.next_segments(lease.remaining)
                left[lease.queue.name] += [part.numbers for part in unfinished]
        return left

    def take_entry(self) -> JournalEntry | None:
        """Return what a store is to keep of all that was handled since this was last called.

        It is to be kept before any order of `handle` is carried out: a reply that a worker has had
        must not be forgotten by a run that is resumed.
        """
        return next((journal.take() for journal in self._state.journals), None)

    def next_deadline(self) -> float | None:
        """Return when `Ticked` is due, as monotonic seconds."""
        return self._state.alarms.next

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
            if state.unnoted:
                self._note_sizes()
        return state.orders

    def _note_sizes(self) -> None:
        state = self._state
        if self._is_metered:
            state.note_sizes(state.unnoted, state.now)
        state.unnoted.clear()

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

    def _pull(self, client: WorkerState, request: Pull, blobs: tuple[AnyBlob, ...]) -> None:
        """Commit, then pull; neither if one of them does not fit."""
        pending = self._leasing.checked(client, request)
        if request.commit is not None:
            self._admission.commit(client, request.commit, blobs)
            # Those who wait already come first: what this commit has put, and the room that it has
            # made, are theirs before the same worker gets more.
            self._move()
        self._leasing.pull(pending)

    def _ready(self, client: WorkerState, _: Ready) -> None:
        client.ready_at = self._state.now
        self._outcomes.end_partially_emitted(client)

    def _worker_joined(self, event: WorkerJoined) -> None:
        job = self._state.jobs[event.job]
        client = self._state.clients[event.worker] = WorkerState(
            event.worker, job, since=self._state.now
        )
        if not self._ack_on_get:
            for queue in job.reads:
                self._state.at[queue].readers[event.worker] = client
                if queue.weight is not None:
                    queue.weight.attend()
            for queue in job.writes:
                self._state.at[queue].writers[event.worker] = client
        self._stalls.joined(client)

    def _worker_left(self, event: WorkerLeft) -> None:
        client = self._state.clients.get(event.worker)
        if client is None:
            return
        self._leave(client, event.blame, event.taken, event.failure, redelivered=event.replaced)
        client.alive = False
        del self._state.clients[event.worker]
        client.job.ended_times.add(self._state.times_of(client, self._state.now))
        for queue in client.job.reads:
            self._state.at[queue].readers.pop(event.worker, None)
            if event.returned:
                queue.release_reserved(event.worker)
            self._state.dirty[queue] = None
        for queue in client.job.writes:
            self._state.at[queue].writers.pop(event.worker, None)
        self._stalls.left(client)

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
        at = self.queries.item_at(client.worker, blame)
        for attempt in self._returns.abandon(client, blame, dict(taken)):
            why = failure or _DIED
            if f"{attempt.queue.name}:{attempt.segment.first}" != at:
                why = msgspec.structs.replace(why, item_name="")
            self._outcomes.attempt_failed(client, attempt, why, again=redelivered)
        self._credits.leave(client)
        self.queries.leave(client)
        self._state.end_wait(client)

    def _job_finished(self, event: JobFinished) -> None:
        job = self._state.jobs[event.job]
        job.finished, job.final = event.clean, event.final
        if event.final:
            for journal in self._state.journals:
                journal.job_done(job.name)
        # Whoever has returned since nobody takes what it gives has not had enough, if that failed.
        enough = event.clean and not any(queue.failed_downstream for queue in job.writes)
        for queue in job.reads:
            if self._state.keeps and event.awaited:
                queue.awaited.add(job.name)
                self._state.dirty[queue] = None
            else:
                self._ends.reader_finished(queue, job.name, clean=enough)
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
        # Until nothing has changed any more: who goes on changes what others wait for. A batch goes
        # out short only then, one at a time, since what it brings may fill the next (rule 9).
        state = self._state
        if (due := state.alarms.next) is not None and due <= state.now:
            self._fire_timers()
        doubted = False
        while True:
            self._move()
            doubted |= self._watch()
            if not (state.dirty or self._leasing.let_a_batch_go() or (doubted and relieve(state))):
                return

    def _move(self) -> None:
        """Let go on who can, at the queues that have changed."""
        state = self._state
        dirty, unnoted = state.dirty, state.unnoted
        while dirty:
            queue, _ = dirty.popitem()
            unnoted[queue] = None
            # What makes room comes before who waits for it, and both before who waits for items;
            # whether the queue has ended shows last.
            if queue.reorder is not None:
                self._admission.release(queue.reorder)
            if queue.policy.patience_s is not None:
                self._limits.mind_repetition(queue)
            if queue in state.lines.at:
                self._admission.admit(queue)
            if state.at[queue].pulls:
                self._leasing.serve(queue)
            if not queue.open_writers:
                self._ends.check_end(queue)

    def _fire_timers(self) -> None:
        for alarm, queue, segment in self._state.alarms.due(self._state.now):
            if segment is not None:
                self._returns.requeue(queue, segment)
            elif alarm is Alarm.RECALL:
                self._returns.recall(queue)
            elif alarm is Alarm.PUT_LIMIT:
                self._end_waits(queue)
            else:
                self._state.dirty[queue] = None

    def _end_waits(self, queue: QueueState) -> None:
        """Fail those that have waited for room for longer than the queue lets them (rule 2).

        His other items go back with those that found no room, as if he were dead. Who has asked for
        room is told that there is none.
        """
        for waiter in self._state.lines.overdue(queue, self._state.now):
            if isinstance(waiter, CreditWaiter):
                self._credits.end_wait(waiter)
                continue
            assert isinstance(waiter, CommitWaiter)
            client, failure = waiter.client, full(waiter.client.job.name, queue.name)
            self._admission.refuse(waiter)
            self._leave(client, Blame(), failure=failure, redelivered=False)
            client.fenced = True
            self._state.orders.append(PutRefused(worker=client.worker, failure=failure))
        self._limits.arm(queue)

    def _watch(self) -> bool:
        """Look at those who may have begun or stopped waiting; whether one waits or has left."""
        state, doubted = self._state, False
        for client in state.touched:
            job = client.job
            if client.waits_since is not None or not client.alive:
                state.all_doubted = doubted = True
            self._stalls.look_at(client)
            if job.finished is not None:
                self._close_outputs(job)
        state.touched.clear()
        return doubted

    @property
    def everybody_waits(self) -> bool:
        """True if every worker that could free another one waits itself."""
        return self._stalls.everybody_waits

    def stall(self) -> StallDetected | None:
        """Rule 14, to be asked once everything known has been handled; reported once."""
        return self._stalls.stall()


def _note_total(client: WorkerState, told: SourceTotal) -> None:
    if not client.job.reads:
        client.job.totals[client.worker] = min(told.total, _MOST_ITEMS)
