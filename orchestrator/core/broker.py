"""The broker: owns every queue.

Events in, commands out; no I/O, no clock, no pickle. The rules it keeps are numbered in
docs/semantics.md. `delivery.py` is the consumers' half of it, `admission.py` and `credits.py` the
producers'; all work on one `Board`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import chain
from typing import Any

from orchestrator.core.admission import Admission
from orchestrator.core.board import Alarm, Board, ProtocolError
from orchestrator.core.commands import Command
from orchestrator.core.credits import Credits
from orchestrator.core.delivery import Delivery
from orchestrator.core.endings import Endings
from orchestrator.core.events import (
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
    Stalled,
    SupervisorNews,
    Ticked,
    WorkerJoined,
    WorkerLeft,
)
from orchestrator.core.journal import Journal
from orchestrator.core.messages import (
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
from orchestrator.core.planned import states_of
from orchestrator.core.ports import JobPorts, Port
from orchestrator.core.position import Position
from orchestrator.core.questions import Questions
from orchestrator.core.queues import QueueState
from orchestrator.core.restoring import Resumption, restore
from orchestrator.core.stall import can_move, waits
from orchestrator.core.steps import Entry
from orchestrator.core.tap import Tap
from orchestrator.core.tickets import CommitTicket, WantTicket
from orchestrator.core.wording import at_item, full
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
        jobs: Iterable[JobPorts],
        *,
        ack_on_get: bool = False,
        journal: Journal | None = None,
    ) -> None:
        self._board = Board(queues, jobs, journal)
        self._delivery = Delivery(self._board, ack_on_get=ack_on_get)
        self._credits = credits_ = Credits(self._board)
        self._endings = Endings(self._board, self._delivery)
        self._admission = Admission(self._board, credits_, self._endings)
        self._questions = questions = Questions(self._board)
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
        self._messages: dict[type, Callable[[Port, Any], None]] = {
            Ready: self._ready,
            Unpull: self._delivery.unpull,
            Want: credits_.want,
            Unwant: credits_.unwant,
            Released: self._delivery.released,
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
            journal = Journal(resumption.image.last_chunk + 1 if resumption else 1)
        broker = cls(*states_of(plan), journal=journal)
        if resumption is not None:
            restore(broker._board, resumption)
            for job in broker.jobs.values():
                job.note_writers(0.0)
        if tap is not None:
            for name in tap.queues:
                broker.queues[name].tap = tap
        return broker

    @property
    def queues(self) -> dict[str, QueueState]:
        """The queues by name; to be read only."""
        return self._board.queues

    @property
    def jobs(self) -> dict[str, JobPorts]:
        """The jobs' counts by name; to be read only."""
        return self._board.jobs

    @property
    def ports(self) -> dict[str, Port]:
        """The workers that live, by name; to be read only."""
        return self._board.ports

    def add_queue(self, queue: QueueState, job: JobPorts) -> None:
        """A queue made while the broker lives (standalone), read and written by the job."""
        self._board.queues[queue.name] = queue
        job.reads += (queue,)
        job.writes += (queue,)

    def remove_queue(self, name: str, job: JobPorts) -> None:
        """Nobody holds the queue any more (standalone): its items go with it."""
        queue = self._board.queues.pop(name)
        job.reads = tuple(other for other in job.reads if other is not queue)
        job.writes = tuple(other for other in job.writes if other is not queue)
        for port in self._board.ports.values():
            port.credits.pop(name, None)
            for lease in [lease for lease in port.leases.values() if lease.queue is queue]:
                del port.leases[lease.number]
        queue.close(clean=True)

    def note_taken(self, worker: str, taken: Iterable[tuple[int, int]]) -> None:
        """What `get` has returned of each lease, known before its commit (standalone)."""
        port = self._board.ports[worker]
        for number, n in taken:
            if lease := port.leases.get(number):
                lease.note_taken(n)
                self._board.dirty[lease.queue] = None

    def positions_of(self, worker: str) -> Mapping[str, Position]:
        """How far a worker has come with what it puts, by box; empty if that is not counted."""
        return self._board.positions.get(worker, {})

    def left_items(self) -> dict[str, list[range]]:
        """By queue, the numbers of all items that are left if the run ends now."""
        left = {name: list(queue.left_items) for name, queue in self.queues.items()}
        for name, queue in self.queues.items():
            delayed = self._board.delayed(queue) if queue.delayed else ()
            own = chain(*queue.reserved.values(), *queue.parted.values())
            left[name] += [part.numbers for part in chain(queue.segments, delayed, own)]
        for port in self.ports.values():
            for lease in port.leases.values():
                unfinished = lease.next_segments(lease.remaining)
                left[lease.queue.name] += [part.numbers for part in unfinished]
        return left

    def take_entry(self) -> Entry | None:
        """What a store is to keep of all that was handled since this was last called."""
        return self._board.journal.take() if self._board.journal is not None else None

    def next_deadline(self) -> float | None:
        """When `Ticked` is due, as monotonic seconds."""
        return self._board.next_deadline()

    def handle(self, event: Event | BrokerNews, now: float) -> list[Command | SupervisorNews]:
        """Take one event; returns the orders it leads to.

        Raises ProtocolError, having changed nothing, when a worker's message does not fit.
        """
        board = self._board
        board.now = now
        board.orders = []
        handler = self._handlers.get(type(event))
        if handler is not None:
            handler(event)
            self._settle()
        return board.orders

    def item_at(self, worker: str, blame: Blame) -> str:
        """The id of the item a progress cell points to; empty if there is none."""
        port = self._board.ports.get(worker)
        lease = port.leases.get(blame.lease) if port else None
        item = lease.item(blame.index - lease.detached) if lease else None
        return f"{lease.queue.name}:{item.first}" if lease and item else ""

    def among(self, worker: str, blame: Blame) -> int:
        """How many items may be the one a progress cell points to: those of a batch from it on."""
        port = self._board.ports.get(worker)
        lease = port.leases.get(blame.lease) if port else None
        if lease is None or lease.hand < 2:
            return 1
        return max(1, lease.total - (blame.index - lease.detached))

    def doing(self, worker: str, blame: Blame) -> str:
        """At which item a worker is, or what it waits for, in words; empty if neither is known."""
        port = self._board.ports.get(worker)
        if port is not None and (waited_for := port.waits_for()):
            return f"waits for {waited_for}"
        item = self.item_at(worker, blame) if blame.phase is Phase.RUNNING else ""
        return at_item(item, self.among(worker, blame)).lstrip()

    def is_fruitful(self, worker: str) -> bool:
        """Whether an item that this process of the worker has finished is committed."""
        port = self._board.ports.get(worker)
        return port is not None and port.fruitful

    def has_committed(self, worker: str) -> bool:
        """Whether this process of the worker has committed anything: an item's end, or outputs."""
        port = self._board.ports.get(worker)
        return port is not None and port.last_seq > 0

    # -- events -----------------------------------------------------------------------------------

    def _received(self, event: Received) -> None:
        port = self._board.ports.get(event.worker)
        if port is None or port.fenced:
            return
        message = event.message
        if type(message) is Pull:
            self._pull(port, message, event.blobs)
        elif type(message) is Commit:
            self._admission.commit(port, message, event.blobs)
        elif handler := self._messages.get(type(message)):
            handler(port, message)
        else:
            return
        self._board.touch(port)

    def _pull(self, port: Port, request: Pull, blobs: tuple[Blob, ...]) -> None:
        """Commit, then pull; neither if one of them does not fit."""
        pending = self._delivery.checked(port, request)
        if request.commit is not None:
            self._admission.commit(port, request.commit, blobs)
            self._move()  # those who wait already come first
        self._delivery.pull(pending)

    def _ready(self, port: Port, _: Ready) -> None:
        port.ready_at = self._board.now
        self._endings.end_parted(port)

    def _worker_joined(self, event: WorkerJoined) -> None:
        job = self._board.jobs[event.job]
        port = self._board.ports[event.worker] = Port(event.worker, job)
        if not self._ack_on_get:
            for queue in job.reads:
                queue.reader_ports[event.worker] = port
            for queue in job.writes:
                queue.writer_ports[event.worker] = port
        if job.can_unblock:
            self._live += 1

    def _worker_left(self, event: WorkerLeft) -> None:
        port = self._board.ports.get(event.worker)
        if port is None:
            return
        self._leave(port, event.blame, event.taken, event.failure, again=event.replaced)
        port.alive = False
        del self._board.ports[event.worker]
        if port.ready_at is not None:
            port.job.busy_s += self._board.now - port.ready_at
        for queue in port.job.reads:
            queue.reader_ports.pop(event.worker, None)
            if event.returned:
                queue.release_reserved(event.worker)
            self._board.dirty[queue] = None
        for queue in port.job.writes:
            queue.writer_ports.pop(event.worker, None)
        if port.job.can_unblock:
            self._live -= 1

    def _fenced(self, event: Fenced) -> None:
        port = self._board.ports.get(event.worker)
        if port is not None and not port.fenced:
            self._leave(port, event.blame)
            port.fenced = True

    def _leave(
        self,
        port: Port,
        blame: Blame,
        taken: Iterable[tuple[int, int]] = (),
        failure: Failure | None = None,
        *,
        again: bool = True,
    ) -> None:
        self._admission.leave(port)
        for charge in self._delivery.abandon(port, blame, dict(taken)):
            self._endings.charged(port, charge, failure or _DIED, again=again)
        self._credits.leave(port)
        self._questions.leave(port)
        self._board.end_wait(port)

    def _job_finished(self, event: JobFinished) -> None:
        job = self._board.jobs[event.job]
        job.finished, job.final = event.clean, event.final
        journal = self._board.journal
        if journal is not None and event.final:
            journal.job_done(job.name)
        # Whoever has returned since nobody takes what it gives has not had enough, if that failed.
        enough = event.clean and not any(queue.failed_downstream for queue in job.writes)
        for queue in job.reads:
            if journal is None or not event.awaited:
                self._delivery.reader_finished(queue, job.name, clean=enough)
            else:
                queue.awaited.add(job.name)
                self._board.dirty[queue] = None
        if job.row is not None:
            job.row.over = True
            self._board.dirty.update(dict.fromkeys(job.reads))
        self._close_outputs(job)

    def _close_outputs(self, job: JobPorts) -> None:
        if job.finished is not None and not job.parked:
            for queue in job.writes:
                if job.name in queue.open_writers:
                    queue.open_writers.discard(job.name)
                    for reader in queue.open_readers:
                        self._board.jobs[reader].note_writers(self._board.now)
                self._board.dirty[queue] = None

    def _sources_closed(self, event: SourcesClosed) -> None:
        for worker in event.workers:
            if port := self._board.ports.get(worker):
                self._board.send(port, Stop())
        for job in self._board.jobs.values():
            if job.throttle is not None:
                self._board.untold.add(job.name)
                self._board.dirty.update(dict.fromkeys(job.reads))

    # -- after each event -------------------------------------------------------------------------

    def _settle(self) -> None:
        board = self._board
        if board.is_due:
            self._fire_timers()
        while True:
            self._move()
            self._watch()
            if not (board.dirty or self._delivery.let_a_batch_go()):
                return

    def _move(self) -> None:
        """Let go on who can, at the queues that have changed."""
        dirty = self._board.dirty
        while dirty:
            queue, _ = dirty.popitem()
            if queue.row is not None:
                self._admission.release(queue.row)
            if queue.patience_s is not None:
                self._board.mind_repetition(queue)
            if queue.tickets:
                self._admission.admit(queue)
            if queue.pulls:
                self._delivery.serve(queue)
            if not queue.open_writers:
                self._delivery.check_end(queue)

    def _fire_timers(self) -> None:
        for alarm, queue, segment in self._board.due():
            if segment is not None:
                self._delivery.requeue(queue, segment)
            elif alarm is Alarm.RECALL:
                self._delivery.recall(queue)
            elif alarm is Alarm.PUT_LIMIT:
                self._end_waits(queue)
            else:
                if alarm is Alarm.PATIENCE:
                    queue.patience_at = None
                self._board.dirty[queue] = None

    def _end_waits(self, queue: QueueState) -> None:
        """Who has waited for room for longer than the queue lets him has failed (rule 2).

        His other items go back with those that found no room, as if he were dead. Who has asked for
        room is told that there is none.
        """
        queue.limit_at = None
        for ticket in self._board.overdue(queue):
            if isinstance(ticket, WantTicket):
                self._credits.end_wait(ticket)
                continue
            assert isinstance(ticket, CommitTicket)
            port, failure = ticket.port, full(ticket.port.job.name, queue.name)
            self._admission.refuse(ticket)
            self._leave(port, Blame(), failure=failure, again=False)
            port.fenced = True
            self._board.orders.append(PutRefused(worker=port.worker, failure=failure))
        self._board.arm_limit(queue)

    def _watch(self) -> None:
        board = self._board
        for port in board.touched:
            job = port.job
            if port.waits_since is not None or not port.alive:
                board.all_doubted = True
            stuck = job.can_unblock and port.stuck
            if stuck != port.counted_as_stuck:
                port.counted_as_stuck = stuck
                self._stuck += 1 if stuck else -1
            if job.finished is not None:
                self._close_outputs(job)
        board.touched.clear()

    @property
    def everybody_waits(self) -> bool:
        """Whether every worker that could free another one waits itself."""
        return 0 < self._live == self._stuck

    def stall(self) -> Stalled | None:
        """Rule 14, to be asked once everything known has been handled; reported once."""
        if self._stalled or not self.everybody_waits or can_move(self._board):
            return None
        self._stalled = True
        return Stalled(waits=tuple(waits(self._board)))
