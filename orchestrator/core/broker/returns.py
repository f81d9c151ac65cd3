"""Returns of leases: items finished, recalled, given up by the dead, or to be tried again."""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator.core.broker.alarms import Alarm
from orchestrator.core.broker.chunks import Segment, without
from orchestrator.core.broker.clients import WorkerState
from orchestrator.core.broker.lease import FailedAttempt, LeaseState, failed_attempts
from orchestrator.core.broker.queue import QueueState
from orchestrator.core.broker.state import BrokerState, ProtocolError
from orchestrator.core.protocol.events import Blame
from orchestrator.core.protocol.messages import Recall, Released

__all__ = ["Returns"]

RECALL_AFTER_S = 0.02
"""How long a worker waits for input before the untouched rest of another's lease is asked back."""


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
