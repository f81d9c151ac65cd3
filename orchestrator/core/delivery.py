"""Delivery: pulls are answered with leases, leases come back, queues end and close."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from orchestrator.core.board import Alarm, Board, ProtocolError
from orchestrator.core.charging import Charge, charges
from orchestrator.core.events import Blame, InputEnded
from orchestrator.core.facts import QueueClosed, QueueEnded
from orchestrator.core.liveness import can_come
from orchestrator.core.messages import (
    Ended,
    Leased,
    NoLease,
    Pull,
    Range,
    Recall,
    Released,
    Shut,
    Unpull,
    Wait,
)
from orchestrator.core.ports import JobPorts, Lease, PendingPull, Port
from orchestrator.core.queues import QueueState, Segment, without
from orchestrator.core.repetition import Repetition
from orchestrator.core.throttle import Throttle
from orchestrator.plan.model import Batch

__all__ = ["Delivery"]

RECALL_AFTER_S = 0.02
"""How long a worker waits for input before the untouched rest of another's lease is asked back."""


class Delivery:
    """The consumers' half of the broker."""

    def __init__(self, board: Board, *, ack_on_get: bool = False) -> None:
        self._board = board
        self._ack_on_get = ack_on_get

    # -- pulls ------------------------------------------------------------------------------------

    def checked(self, port: Port, request: Pull) -> PendingPull:
        """The pull if it fits; raises ProtocolError if not, and nothing is changed."""
        board = self._board
        queues = tuple([board.queue(name) for name in request.queues])
        if not queues or request.least < 1 or request.most < request.least:
            raise ProtocolError(f"pull of {request.least} to {request.most} items")
        for queue in queues:
            if queue not in port.job.reads:
                raise ProtocolError(f"{port.job.name} does not read {queue.name}")
        if request.least > 1 and not _is_of_batch(port.job.batch, request):
            raise ProtocolError(f"pull of at least {request.least} items of {port.job.name}")
        if request.pull in port.pulls:
            raise ProtocolError(f"pull {request.pull} is pending")
        if len(port.pulls) >= port.job.most_open or len(port.leases) > port.job.most_open:
            raise ProtocolError(f"{len(port.pulls)} pulls and {len(port.leases)} leases are open")
        return PendingPull(port, request, queues)

    def pull(self, pending: PendingPull) -> None:
        """Answer a pull with a lease now, or let it wait."""
        board, port, request, queues = self._board, pending.port, pending.request, pending.queues
        for queue in queues:
            queue.reader_ports[port.worker] = port
        repetition = board.repetitions.get(port.worker)
        if repetition is not None and not repetition.is_over:
            if self._repeat(pending, repetition):
                return
            request = pending.request
        if self._serve_again(pending):
            return
        for queue in queues:
            if queue.queued and self._serve(pending, queue):
                return
        if queues[0].ended and all(queue.ended for queue in queues):
            self._tell_end(pending)
        elif request.wait is Wait.NO:
            board.send(port, NoLease(pull=request.pull))
        else:
            port.pulls[request.pull] = pending
            board.begin_wait(port, for_output=False)
            for queue in queues:
                queue.pulls[pending] = None
                board.dirty[queue] = None

    def _serve_again(self, pending: PendingPull) -> bool:
        """Give the worker what is its own.

        None of it is recalled: what the worker has put may be its outputs.
        """
        for queue in pending.queues:
            if queue.reserved:
                again = queue.take_reserved(pending.port.worker, pending.request.most)
                if again:
                    self._lease(pending, queue, again, again=True)
                    return True
        return False

    # -- what is got again, of several queues -----------------------------------------------------

    def _repeat(self, pending: PendingPull, repetition: Repetition) -> bool:
        """Give the worker what has its turn, or let it wait for that; whether this was all.

        Of one queue it gets one item at a time: what lies in the worker has not been got.
        """
        port, queues, request = pending.port, pending.queues, pending.request
        if len(queues) == 1 and request.most > 1:
            request = pending.request = msgspec.structs.replace(request, most=1)
        if queues[0] in repetition.told and queues[0].ended:
            self._tell_end(pending)
            return True
        while turn := repetition.turn(queues, polls=request.polls):
            queue, n = turn
            if not n:
                break
            if again := queue.take_reserved(port.worker, min(n, request.most)):
                repetition.take(turn, sum(map(len, again)))
                self._lease(pending, queue, again, again=True).in_turn = True
                self._serve_held(port)
                return True
            repetition.forget(queue)
        if repetition.is_over or not request.polls:
            return False
        if turn is not None and queues[0].ended:
            self._tell_end(pending)
        elif request.wait is Wait.NO:
            self._board.send(port, NoLease(pull=request.pull))
        else:
            pending.held = True
            port.pulls[request.pull] = pending
            self._board.begin_wait(port, for_output=False)
        return True

    def _serve_held(self, port: Port) -> None:
        """Serve those of a worker's pulls that waited for their turn, if that has come."""
        for pending in [pull for pull in port.pulls.values() if pull.held]:
            pending.leave()
            self._board.end_wait(port)
            self.pull(pending)

    def _tell_end(self, pending: PendingPull) -> None:
        """All queues of a pull have ended."""
        port = pending.port
        self._board.send(port, Ended(pull=pending.request.pull))
        if repetition := self._board.repetitions.get(port.worker):
            for queue in pending.queues:
                repetition.tell_end(queue)
            self._serve_held(port)

    def unpull(self, port: Port, request: Unpull) -> None:
        """Withdraw a pull; one that was answered meanwhile is no error."""
        pending = port.pulls.get(request.pull)
        if pending is not None:
            pending.leave()
            self._board.end_wait(port)
            self._board.send(port, NoLease(pull=request.pull))

    def serve(self, queue: QueueState) -> None:
        """Give what is queued to those that wait."""
        while queue.pulls and queue.queued:
            if not self._serve(next(iter(queue.pulls)), queue):
                self._serve_others(queue)
                break
        if queue.pulls and not self._ready(queue):
            self._arm_recall(queue)

    def _serve_others(self, queue: QueueState) -> None:
        """The first in line waits for a batch: so do all of its job, but maybe not other jobs."""
        if len(queue.open_readers) > 1:
            for pending in list(queue.pulls):
                self._serve(pending, queue)

    def _serve(self, pending: PendingPull, queue: QueueState) -> bool:
        ready = self._ready(queue)
        if not ready:
            return False
        request, throttle = pending.request, pending.port.job.throttle
        if throttle is not None:
            return self._serve_one(pending, throttle)
        together = queue.before_alone(request.most) if request.least > 1 else request.most
        if not together:
            self._lease(pending, queue, queue.take_together(1))
            return True
        if queue.queued < request.least and not self._batch_must_go(pending, queue):
            return False
        n = min(request.most, ready)
        if n > 1:
            share = -(-ready // max(1, len(queue.reader_ports)))
            n = min(n, max(request.least, share), together)
        self._lease(pending, queue, queue.take(n))
        return True

    def let_a_batch_go(self) -> bool:
        """Send one batch out that nothing can fill any more; False if there is none (rule 9).

        Those upstream come first: what they bring may fill the others.
        """
        board = self._board
        queues = board.patient if board.all_doubted else board.doubted
        for queue in sorted(queues, key=lambda queue: queue.rank):
            board.doubted.pop(queue, None)
            pending = next((pull for pull in queue.pulls if pull.is_of_batch), None)
            if pending is None or not queue.queued:
                board.patient.pop(queue, None)
            elif not can_come(queue):
                self._lease(pending, queue, queue.take_together(pending.request.most))
                return True
        board.all_doubted = False
        return False

    def _serve_one(self, pending: PendingPull, throttle: Throttle) -> bool:
        """Give a worker the next item if that is due: only one, so that it starts at once.

        Several of its queues may hold items that were not due before: the earlier goes first.
        """
        board = self._board
        ready = [queue for queue in pending.queues if self._ready(queue)]
        if board.now < throttle.due_at:
            board.held(pending.port.job, throttle.due_at)
            for queue in ready:  # others may have emptied one of them by then
                if throttle.hold(board.now, queue.name):
                    board.at(throttle.due_at, Alarm.RATE, queue)
            return False
        throttle.start(board.now)
        self._lease(pending, ready[0], ready[0].take(1))
        return True

    @staticmethod
    def _ready(queue: QueueState) -> int:
        """How many of the queued items may be leased now."""
        return queue.queued if queue.row is None else queue.row.leasable(queue)

    def _batch_must_go(self, pending: PendingPull, queue: QueueState) -> bool:
        if not queue.open_writers or queue.is_full:
            return True
        board, job, within_s = self._board, pending.port.job, pending.request.within_s
        now = board.now
        if queue.waited_for_since is None:
            queue.waited_for_since = now
        due = queue.waited_for_since + within_s
        if now >= due:
            if within_s:
                job.short_batches += 1
                job.waiting_within_s += now - queue.waited_for_since
            return True
        board.patient[queue] = board.doubted[queue] = None
        if queue.patience_at is None or due < queue.patience_at:
            queue.patience_at = due
            board.at(due, Alarm.PATIENCE, queue)
        return False

    def _lease(
        self,
        pending: PendingPull,
        queue: QueueState,
        segments: list[Segment],
        *,
        again: bool = False,
    ) -> Lease:
        board, port, request = self._board, pending.port, pending.request
        hand = 0 if self._ack_on_get else request.most if request.least > 1 else 1
        taken = int(self._ack_on_get)
        lease = Lease(board.number(), queue, segments, hand=hand, taken=taken, again=again)
        lease.firm = again
        if queue.row is not None:
            lease.ordered = True
            queue.row.deal(segments)
        port.leases[lease.number] = lease
        if board.journal is not None and not port.job.by_item:
            board.journal.dealt(port, queue.name, segments)
        pending.leave()
        board.end_wait(port)
        leased = Leased(
            pull=request.pull,
            lease=lease.number,
            queue=queue.name,
            ranges=tuple(map(_range, segments)),
            tried=queue.tried(segments) if queue.attempts else (),
        )
        board.send(port, leased, tuple([segment.chunk.blob for segment in segments]))
        board.dirty[queue] = None
        return lease

    # -- leases come back -------------------------------------------------------------------------

    def _arm_recall(self, queue: QueueState) -> None:
        if queue.recall_at is None and len(queue.reader_ports) > 1 and queue.hidden:
            queue.recall_at = self._board.now + RECALL_AFTER_S
            self._board.at(queue.recall_at, Alarm.RECALL, queue)

    def recall(self, queue: QueueState) -> None:
        """Ask back the largest untouched rests, one item at least for each who still waits."""
        queue.recall_at = None
        if self._ready(queue) or not queue.pulls:
            return
        leases = [
            (lease.untouched, port, lease)
            for port in queue.reader_ports.values()
            for lease in port.leases.values()
            if lease.queue is queue and lease.untouched and not lease.recalled
        ]
        leases.sort(key=lambda found: found[0], reverse=True)
        lacking, asked = len(queue.pulls), 0
        for untouched, port, lease in leases:
            if lacking <= 0:
                break
            lease.recalled = True
            self._board.send(port, Recall(lease=lease.number))
            lacking -= untouched
            asked += 1
        if asked < len(leases):
            self._arm_recall(queue)

    def released(self, port: Port, message: Released) -> None:
        """A worker keeps only the first items of a lease; a lease that is over is no error."""
        lease = port.leases.get(message.lease)
        if lease is None:
            return
        kept = message.kept - lease.detached
        if not lease.finished + lease.claimed <= kept <= lease.total:
            raise ProtocolError(f"keeps {kept} items of a lease of {lease.total}")
        lease.firm = True
        self._give_back(port, lease, lease.shorten(kept))
        self._end_lease_if_done(port, lease)
        self._board.dirty[lease.queue] = None

    def _give_back(self, port: Port, lease: Lease, segments: list[Segment]) -> None:
        """Items return to the head of their queue, or stay the worker's if it had them before."""
        if lease.again and segments:
            lease.queue.reserve(port.worker, segments)
            if lease.in_turn:
                repetition = self._board.repetitions[port.worker]
                repetition.give_back(lease.queue, sum(map(len, segments)))
            return
        if self._board.journal is not None and not port.job.by_item:
            self._board.journal.returned(port.worker, lease.queue.name, segments)
        lease.queue.give_back(segments)

    def _end_lease_if_done(self, port: Port, lease: Lease) -> None:
        """An ordered lease is the row's alone once all of it is claimed."""
        if not lease.remaining or (lease.ordered and lease.is_claimed):
            port.leases.pop(lease.number, None)

    def advance(self, port: Port, lease: Lease, n: int) -> None:
        """N items of the lease are finished."""
        lease.advance(n)
        self._end_lease_if_done(port, lease)
        self._board.dirty[lease.queue] = None

    def abandon(self, port: Port, blame: Blame, taken: Mapping[int, int]) -> list[Charge]:
        """The worker is gone or fenced: what it had not finished goes back to the head.

        What a parked commit of it has finished stays leased until that is applied; where `get` is
        the ack, what it has `taken` of each lease is finished. Returns the items that this cost an
        attempt; those for which it was the last are nowhere any more.
        """
        charged: list[Charge] = []
        for pending in list(port.pulls.values()):
            pending.leave()
        for lease in reversed(list(port.leases.values())):
            acked = min(taken.get(lease.number, 0), lease.total) - lease.finished
            if acked > 0:
                lease.queue.done += acked
                lease.advance(acked)
            found = charges(port, lease, blame)
            rest = lease.shorten(lease.finished + lease.claimed)
            for charge in found:
                if charge.last:
                    rest = without(rest, charge.segment.first)
            charged += found
            if self._board.journal is not None and not port.job.by_item:
                lease.queue.reserve(port.worker, rest)
            else:
                lease.queue.give_back(rest)
            self._end_lease_if_done(port, lease)
            self._board.dirty[lease.queue] = None
        return charged

    def postpone(self, queue: QueueState, segment: Segment, delay_s: float) -> None:
        """An item that failed is tried again later, if somebody will be there to do so."""
        if queue.closed:
            queue.give_back([segment])
            return
        queue.delayed += len(segment)
        queue.weigh([segment])
        self._board.at(self._board.now + delay_s, Alarm.RETRY, queue, segment)

    def requeue(self, queue: QueueState, segment: Segment) -> None:
        """A postponed item's time has come; if its queue has closed, it is booked already."""
        if not queue.closed:
            queue.delayed -= len(segment)
            queue.weigh([segment], -1)
            queue.give_back([segment])
            self._board.dirty[queue] = None

    # -- ends -------------------------------------------------------------------------------------

    def check_end(self, queue: QueueState) -> None:
        """End-of-stream: all writers have finished and nothing of the queue is anywhere."""
        if queue.ended or queue.open_writers or not queue.drained:
            return
        queue.ended = True
        board = self._board
        board.report(QueueEnded(queue=queue.name, ledger=queue.ledger(final=False)))
        for pending in list(queue.pulls):
            if all(other.ended for other in pending.queues):
                pending.leave()
                board.end_wait(pending.port)
                self._tell_end(pending)
        for port in queue.reader_ports.values():
            if port.worker in board.repetitions:
                self._serve_held(port)
        for job in board.jobs.values():
            if queue in job.reads:
                self._check_input(job)

    def _check_input(self, job: JobPorts) -> None:
        if not job.input_ended and all(queue.ended for queue in job.reads):
            job.input_ended = True
            if job.finished is None:
                self._board.orders.append(InputEnded(job=job.name))

    def reader_finished(self, queue: QueueState, job: str, *, clean: bool) -> None:
        """A reading job is over; with the last one the queue closes.

        What is in it then is dropped only if all of them have had enough.
        """
        own = [worker for worker in queue.reserved if worker.rpartition("-")[0] == job]
        if clean:
            for worker in own:
                queue.release_reserved(worker)
        else:
            queue.leave_own(job, own)
        self._board.dirty[queue] = None
        queue.open_readers.discard(job)
        queue.still_wanted = queue.still_wanted or not clean
        if queue.open_readers or queue.closed or queue.ended:
            return
        board = self._board
        gone = queue.close(clean=not queue.still_wanted, delayed=board.delayed(queue))
        queue.closed_by = job
        if gone or queue.open_writers:
            dropped, left = (0, gone) if queue.still_wanted else (gone, 0)
            board.report(QueueClosed(queue=queue.name, dropped=dropped, left=left))
        for port in queue.writer_ports.values():
            port.credit(queue, -port.credits.get(queue.name, 0))
            board.send(port, Shut(queue=queue.name, reader=job, returned=clean))


def _is_of_batch(batch: Batch | None, request: Pull) -> bool:
    """Whether a pull asks for no more, and waits no longer, than the batches of its job."""
    if batch is None:
        return False
    return request.most <= batch.size and 0 <= request.within_s <= batch.within_s


def _range(segment: Segment) -> Range:
    return Range(
        start=segment.start,
        stop=segment.stop,
        first=segment.first,
        size=len(segment.chunk.blob),
        packed=segment.chunk.packed,
    )
