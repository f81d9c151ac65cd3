"""Leasing: pulls are answered with leases, a batch when it is full or must go; leases come back."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from orchestrator.core.broker.chunks import Segment, without
from orchestrator.core.broker.clients import PendingPull, WorkerState
from orchestrator.core.broker.credits import Credits
from orchestrator.core.broker.lease import FailedAttempt, LeaseState, failed_attempts
from orchestrator.core.broker.liveness import can_come
from orchestrator.core.broker.queue import QueueState
from orchestrator.core.broker.ratelimit import RateLimiter
from orchestrator.core.broker.redelivery import Redelivery
from orchestrator.core.broker.state import Alarm, BrokerState, ProtocolError
from orchestrator.core.protocol.events import Blame
from orchestrator.core.protocol.messages import (
    Ended,
    Leased,
    NoLease,
    Pull,
    Range,
    Recall,
    Released,
    Unpull,
    Wait,
)
from orchestrator.plan.model import BatchPlan

__all__ = ["Leasing", "Returns"]

RECALL_AFTER_S = 0.02
"""How long a worker waits for input before the untouched rest of another's lease is asked back."""


class Leasing:
    """The consumers' half of the broker."""

    def __init__(
        self, state: BrokerState, returns: Returns, credits_: Credits, *, ack_on_get: bool = False
    ) -> None:
        self._state = state
        self._returns = returns
        self._credits = credits_
        self._ack_on_get = ack_on_get

    # -- pulls ------------------------------------------------------------------------------------

    def checked(self, client: WorkerState, request: Pull) -> PendingPull:
        """The pull if it fits; raises ProtocolError if not, and nothing is changed."""
        state = self._state
        queues = tuple([state.queue(name) for name in request.queues])
        if not queues or request.least < 1 or request.most < request.least:
            raise ProtocolError(f"pull of {request.least} to {request.most} items")
        for queue in queues:
            if queue not in client.job.reads:
                raise ProtocolError(f"{client.job.name} does not read {queue.name}")
        if request.least > 1 and not _is_of_batch(client.job.batch, request):
            raise ProtocolError(f"pull of at least {request.least} items of {client.job.name}")
        if request.pull in client.pulls:
            raise ProtocolError(f"pull {request.pull} is pending")
        if len(client.pulls) >= client.job.most_open or len(client.leases) > client.job.most_open:
            raise ProtocolError(
                f"{len(client.pulls)} pulls and {len(client.leases)} leases are open"
            )
        return PendingPull(client, request, queues)

    def pull(self, pending: PendingPull) -> None:
        """Answer a pull with a lease now, or let it wait."""
        state, client, request, queues = (
            self._state,
            pending.client,
            pending.request,
            pending.queues,
        )
        for queue in queues:
            state.at[queue].readers[client.worker] = client
        redelivery = state.redeliveries.get(client.worker)
        if redelivery is not None and not redelivery.is_over:
            if self._repeat(pending, redelivery):
                return
            request = pending.request
        if self._serve_again(pending):
            return
        for queue in queues:
            if queue.queued and self._serve(pending, queue):
                return
        if queues[0].ended and all(queue.ended for queue in queues):
            self.tell_end(pending)
        elif request.wait is Wait.NO:
            state.send(client, NoLease(pull=request.pull))
        else:
            client.pulls[request.pull] = pending
            state.begin_wait(client, for_output=False)
            for queue in queues:
                state.at[queue].pulls[pending] = None
                state.dirty[queue] = None

    def _serve_again(self, pending: PendingPull) -> bool:
        """Give the worker what is its own.

        None of it is recalled: what the worker has put may be its outputs.
        """
        for queue in pending.queues:
            if queue.own.reserved:
                redelivered = queue.own.take(pending.client.worker, pending.request.most)
                if redelivered:
                    self._lease(pending, queue, redelivered, redelivered=True)
                    return True
        return False

    # -- what is got again, of several queues -----------------------------------------------------

    def _repeat(self, pending: PendingPull, redelivery: Redelivery) -> bool:
        """Give the worker what has its turn, or let it wait for that; whether this was all.

        Of one queue it gets one item at a time: what lies in the worker has not been got.
        """
        client, queues, request = pending.client, pending.queues, pending.request
        if len(queues) == 1 and request.most > 1:
            request = pending.request = msgspec.structs.replace(request, most=1)
        if queues[0] in redelivery.told and queues[0].ended:
            self.tell_end(pending)
            return True
        while turn := redelivery.turn(queues, polls=request.polls):
            queue, n = turn
            if not n:
                break
            if redelivered := queue.own.take(client.worker, min(n, request.most)):
                redelivery.take(turn, sum(map(len, redelivered)))
                self._lease(pending, queue, redelivered, redelivered=True).in_turn = True
                self.serve_held(client)
                return True
            redelivery.forget(queue)
        if redelivery.is_over or not request.polls:
            return False
        if turn is not None and queues[0].ended:
            self.tell_end(pending)
        elif request.wait is Wait.NO:
            self._state.send(client, NoLease(pull=request.pull))
        else:
            pending.held = True
            client.pulls[request.pull] = pending
            self._state.begin_wait(client, for_output=False)
        return True

    def serve_held(self, client: WorkerState) -> None:
        """Serve those of a worker's pulls that waited for their turn, if that has come."""
        for pending in [pull for pull in client.pulls.values() if pull.held]:
            self._state.leave(pending)
            self._state.end_wait(client)
            self.pull(pending)

    def tell_end(self, pending: PendingPull) -> None:
        """All queues of a pull have ended."""
        client = pending.client
        self._state.send(client, Ended(pull=pending.request.pull))
        if redelivery := self._state.redeliveries.get(client.worker):
            for queue in pending.queues:
                redelivery.tell_end(queue)
            self.serve_held(client)

    def unpull(self, client: WorkerState, request: Unpull) -> None:
        """Withdraw a pull; one that was answered meanwhile is no error."""
        pending = client.pulls.get(request.pull)
        if pending is not None:
            self._state.leave(pending)
            self._state.end_wait(client)
            self._state.send(client, NoLease(pull=request.pull))

    def serve(self, queue: QueueState) -> None:
        """Give what is queued to those that wait."""
        pulls = self._state.at[queue].pulls
        while pulls and queue.queued:
            if not self._serve(next(iter(pulls)), queue):
                self._serve_others(queue)
                break
        if pulls and not queue.leasable:
            self._returns.arm_recall(queue)

    def _serve_others(self, queue: QueueState) -> None:
        """The first in line waits for a batch: so do all of its job, but maybe not other jobs."""
        if len(queue.open_readers) > 1:
            for pending in list(self._state.at[queue].pulls):
                self._serve(pending, queue)

    def _serve(self, pending: PendingPull, queue: QueueState) -> bool:
        """Lease to one pull what is there; a batch only when it is full or must go."""
        ready = queue.leasable
        if not ready:
            return False
        request, rate_limit = pending.request, pending.client.job.rate_limit
        if rate_limit is not None:
            return self._serve_one(pending, rate_limit)
        together = queue.before_alone(request.most) if request.least > 1 else request.most
        if not together:
            self._lease(pending, queue, queue.take_together(1))
            return True
        if queue.queued < request.least and not self._batch_must_go(pending, queue):
            return False
        # An even share of what is there: who comes first would else get all, and others be idle.
        n = min(request.most, ready)
        if n > 1:
            share = -(-ready // max(1, len(self._state.at[queue].readers)))
            n = min(n, max(request.least, share), together)
        self._lease(pending, queue, queue.take(n))
        return True

    def let_a_batch_go(self) -> bool:
        """Send one batch out that nothing can fill any more; False if there is none (rule 9).

        Those upstream come first: what they bring may fill the others.
        """
        state = self._state
        queues = state.patient if state.all_doubted else state.doubted
        if not queues:  # asked after each event
            state.all_doubted = False
            return False
        for queue in sorted(queues, key=state.ranks.__getitem__):
            state.doubted.pop(queue, None)
            pending = next((pull for pull in state.at[queue].pulls if pull.is_of_batch), None)
            if pending is None or not queue.queued:
                state.patient.pop(queue, None)
            elif not can_come(state, queue):
                self._lease(pending, queue, queue.take_together(pending.request.most))
                return True
        state.all_doubted = False
        return False

    def _serve_one(self, pending: PendingPull, rate_limit: RateLimiter) -> bool:
        """Give a worker the next item if that is due: only one, so that it starts at once.

        Several of its queues may hold items that were not due before: the earlier goes first.
        """
        state = self._state
        ready = [queue for queue in pending.queues if queue.leasable]
        if state.now < rate_limit.due_at:
            state.held(pending.client.job, rate_limit.due_at)
            for queue in ready:  # others may have emptied one of them by then
                if rate_limit.hold(state.now, queue.name):
                    state.alarms.set(rate_limit.due_at, Alarm.RATE, queue)
            return False
        rate_limit.start(state.now)
        self._lease(pending, ready[0], ready[0].take(1))
        return True

    def _batch_must_go(self, pending: PendingPull, queue: QueueState) -> bool:
        """True if it goes out though not full: its patience is over, or nothing more can come."""
        if not queue.open_writers or queue.is_full:
            return True
        state, job, within_s = self._state, pending.client.job, pending.request.within_s
        now = state.now
        if queue.waited_for_since is None:
            queue.waited_for_since = now
        due = queue.waited_for_since + within_s
        if now >= due:
            if within_s:
                job.short_batches += 1
                job.waiting_within_s += now - queue.waited_for_since
            return True
        state.patient[queue] = state.doubted[queue] = None
        state.alarms.arm(due, Alarm.PATIENCE, queue)
        return False

    def _lease(
        self,
        pending: PendingPull,
        queue: QueueState,
        segments: list[Segment],
        *,
        redelivered: bool = False,
    ) -> LeaseState:
        state, client, request = self._state, pending.client, pending.request
        in_progress = 0 if self._ack_on_get else request.most if request.least > 1 else 1
        taken = int(self._ack_on_get)
        lease = LeaseState(
            state.number(),
            queue,
            segments,
            in_progress=in_progress,
            taken=taken,
            redelivered=redelivered,
        )
        if queue.reorder is not None:
            lease.ordered = True
            queue.reorder.deal(segments)
        client.leases[lease.number] = lease
        if not client.job.by_item:
            for journal in state.journals:
                journal.dealt(client, queue.name, segments)
        state.leave(pending)
        state.end_wait(client)
        blobs = tuple([segment.chunk.blob for segment in segments])
        leased = Leased(
            pull=request.pull,
            lease=lease.number,
            queue=queue.name,
            ranges=tuple(map(_range, segments)),
            tried=queue.tried(segments) if queue.attempts else (),
        )
        self._credits.go_with_lease(client)
        state.send(client, leased, blobs)
        state.dirty[queue] = None
        return lease


class Returns:
    """The way back of leases: what is not finished goes to the head of its queue (rules 5, 6)."""

    def __init__(self, state: BrokerState) -> None:
        self._state = state

    def arm_recall(self, queue: QueueState) -> None:
        """Somebody waits for items of which others hold some: see to it, after a moment."""
        if queue.hidden and len(self._state.at[queue].readers) > 1:
            self._state.alarms.arm(self._state.now + RECALL_AFTER_S, Alarm.RECALL, queue)

    def recall(self, queue: QueueState) -> None:
        """Ask back the largest untouched rests, one item at least for each who still waits."""
        clients = self._state.at[queue]
        if queue.leasable or not clients.pulls:
            return
        leases = [
            (lease.untouched, client, lease)
            for client in clients.readers.values()
            for lease in client.leases.values()
            if lease.queue is queue and lease.untouched and not lease.recalled
        ]
        leases.sort(key=lambda found: found[0], reverse=True)
        lacking, asked = len(clients.pulls), 0
        for untouched, client, lease in leases:
            if lacking <= 0:
                break
            lease.recalled = True
            self._state.send(client, Recall(lease=lease.number))
            lacking -= untouched
            asked += 1
        if asked < len(leases):
            self.arm_recall(queue)

    def released(self, client: WorkerState, message: Released) -> None:
        """A worker keeps only the first items of a lease; a lease that is over is no error."""
        lease = client.leases.get(message.lease)
        if lease is None:
            return
        kept = message.kept - lease.detached
        if not lease.finished + lease.claimed <= kept <= lease.total:
            raise ProtocolError(f"keeps {kept} items of a lease of {lease.total}")
        lease.firm = True
        self._give_back(client, lease, lease.shorten(kept))
        self._end_lease_if_done(client, lease)
        self._state.dirty[lease.queue] = None

    def _give_back(self, client: WorkerState, lease: LeaseState, segments: list[Segment]) -> None:
        """Items return to the head of their queue, or stay the worker's if it had them before."""
        if lease.redelivered and segments:
            lease.queue.own.reserve(client.worker, segments)
            if lease.in_turn:
                redelivery = self._state.redeliveries[client.worker]
                redelivery.give_back(lease.queue, sum(map(len, segments)))
            return
        if not client.job.by_item:
            for journal in self._state.journals:
                journal.returned(client.worker, lease.queue.name, segments)
        lease.queue.give_back(segments)

    def _end_lease_if_done(self, client: WorkerState, lease: LeaseState) -> None:
        """An ordered lease is the reorder buffer's alone once all of it is claimed."""
        if not lease.remaining or (lease.ordered and lease.is_claimed):
            client.leases.pop(lease.number, None)

    def advance(self, client: WorkerState, lease: LeaseState, n: int) -> None:
        """N items of the lease are finished."""
        lease.advance(n)
        self._end_lease_if_done(client, lease)
        self._state.dirty[lease.queue] = None

    def abandon(
        self, client: WorkerState, blame: Blame, taken: Mapping[int, int]
    ) -> list[FailedAttempt]:
        """The worker is gone or fenced: what it had not finished goes back to the head.

        What a parked commit of it has finished stays leased until that is applied; where `get` is
        the ack, what it has `taken` of each lease is finished. Returns the items that this cost an
        attempt; those for which it was the last are nowhere any more.
        """
        job, charged = client.job, list[FailedAttempt]()
        for pending in list(client.pulls.values()):
            self._state.leave(pending)
        for lease in reversed(list(client.leases.values())):
            acked = min(taken.get(lease.number, 0), lease.total) - lease.finished
            if acked > 0:
                lease.queue.done += acked
                lease.advance(acked)
            found = failed_attempts(lease, blame, job.retry.attempts) if job.by_item else []
            rest = lease.shorten(lease.finished + lease.claimed)
            for attempt in found:
                if attempt.last:
                    rest = without(rest, attempt.segment.first)
            charged += found
            if self._state.keeps and not job.by_item:
                lease.queue.own.reserve(client.worker, rest)
            else:
                lease.queue.give_back(rest)
            self._end_lease_if_done(client, lease)
            self._state.dirty[lease.queue] = None
        return charged

    def postpone(self, queue: QueueState, segment: Segment, delay_s: float) -> None:
        """An item that failed is tried again later, if somebody will be there to do so."""
        if queue.closed:
            queue.give_back([segment])
            return
        queue.delayed += len(segment)
        queue.weigh([segment])
        self._state.alarms.set(self._state.now + delay_s, Alarm.RETRY, queue, segment)

    def requeue(self, queue: QueueState, segment: Segment) -> None:
        """A postponed item's time has come; if its queue has closed, it is booked already."""
        if not queue.closed:
            queue.delayed -= len(segment)
            queue.weigh([segment], -1)
            queue.give_back([segment])
            self._state.dirty[queue] = None


def _is_of_batch(batch: BatchPlan | None, request: Pull) -> bool:
    """True if a pull asks for no more, and waits no longer, than the batches of its job."""
    if batch is None:
        return False
    return request.most <= batch.size and 0 <= request.within_s <= batch.within_s


def _range(segment: Segment) -> Range:
    chunk = segment.chunk
    return Range(
        start=segment.start,
        stop=segment.stop,
        first=segment.first,
        size=chunk.size_bytes,
        packed=chunk.packed,
        crc=chunk.crc,
    )
