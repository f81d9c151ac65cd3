"""Credits: leave to put, granted in advance or on request, and given back (rule 4)."""

from __future__ import annotations

from orchestrator.core.broker.clients import WorkerState
from orchestrator.core.broker.queue import LARGEST_CHUNK, QueueState
from orchestrator.core.broker.state import Alarm, BrokerState, ProtocolError
from orchestrator.core.broker.waiting import CreditWaiter
from orchestrator.core.protocol.messages import Grant, Shut, Unwant, Wait, Want

__all__ = ["Credits"]

COLLECT_S = 0.002
"""How long room is collected for a producer that asked for much, from the first free place on."""


class Credits:
    """Who may put how much without asking."""

    def __init__(self, state: BrokerState) -> None:
        self._state = state

    def want(self, client: WorkerState, request: Want) -> None:
        """Grant credit now, or put the producer in line."""
        queue = self._state.queue(request.queue)
        if queue not in client.job.writes:
            raise ProtocolError(f"{client.job.name} does not write {request.queue}")
        if not 1 <= request.least <= request.n <= LARGEST_CHUNK or request.want in client.wants:
            raise ProtocolError(f"want {request.want} of {request.least} to {request.n} credits")
        if len(client.wants) >= client.job.most_open:
            raise ProtocolError(f"{len(client.wants)} wants are pending")
        queue.writer_clients[client.worker] = client
        if queue.closed:
            returned = not queue.failed_downstream
            self._state.send(
                client, Shut(queue=queue.name, reader=queue.closed_by, returned=returned)
            )
            self._state.send(client, Grant(want=request.want, queue=queue.name, n=0))
        elif request.unsent is not None and client.credits.get(queue.name, 0) > request.unsent:
            self._state.send(client, Grant(want=request.want, queue=queue.name, n=0))
        elif queue.room >= self._least(queue, request) and not queue.waiters:
            self._grant(client, queue, request)
        elif not _may_wait(queue, request):
            self._state.send(client, Grant(want=request.want, queue=queue.name, n=0))
        else:
            waiter = CreditWaiter(self._state.number(), client, request, queue, now=self._state.now)
            client.wants[request.want] = waiter
            self._state.arm_limit(queue)
            self._state.begin_wait(client, for_output=True)
            self._state.dirty[queue] = None

    def unwant(self, client: WorkerState, request: Unwant) -> None:
        """A producer gives up waiting; credit granted meanwhile stays granted.

        The first in line gets the room that was being collected for it.
        """
        waiter = client.wants.get(request.want)
        if waiter is not None:
            self.end_wait(waiter)

    def end_wait(self, waiter: CreditWaiter) -> None:
        """A producer waits no longer, by its own will or as the queue lets it wait no longer."""
        client, request, (queue,) = waiter.client, waiter.request, waiter.queues
        if waiter.first_everywhere and queue.room > 0 and not queue.closed:
            self._serve(waiter)
        else:
            self._leave_line(waiter)
            self._state.send(client, Grant(want=request.want, queue=queue.name, n=0))
        self._state.dirty[queue] = None

    def _least(self, queue: QueueState, request: Want) -> int:
        """The room that must be free before any is granted; no time is none to collect it."""
        return min(request.least, queue.bound) if _may_wait(queue, request) else 1

    def _is_collected(self, queue: QueueState, request: Want) -> bool:
        """True if there is room enough, or time has been given for more (rule 4)."""
        room = queue.room
        if room < 1 or room >= self._least(queue, request):
            return room > 0
        now = self._state.now
        if queue.room_since is None:
            queue.room_since = now
            self._state.at(now + COLLECT_S, Alarm.ROOM, queue)
        return now >= queue.room_since + COLLECT_S

    def serve(self, waiter: CreditWaiter) -> bool:
        """Grant what the first in line has asked for, if there is room."""
        (queue,) = waiter.queues
        if not queue.closed and not self._is_collected(queue, waiter.request):
            return False
        self._serve(waiter)
        return True

    def _serve(self, waiter: CreditWaiter) -> None:
        client, request, (queue,) = waiter.client, waiter.request, waiter.queues
        queue.room_since = None
        self._leave_line(waiter)
        if queue.closed:
            self._state.send(client, Grant(want=request.want, queue=queue.name, n=0))
        else:
            self._grant(client, queue, request)

    def _leave_line(self, waiter: CreditWaiter) -> None:
        waiter.leave()
        waiter.client.wants.pop(waiter.request.want, None)
        self._state.end_wait(waiter.client)

    def _grant(self, client: WorkerState, queue: QueueState, request: Want) -> None:
        chunk = queue.chunk_items - client.credits.get(queue.name, 0)
        n = max(min(request.n, queue.room), min(queue.in_advance, chunk))
        client.credit(queue, n)
        self._state.send(client, Grant(want=request.want, queue=queue.name, n=n))

    def refill(self, client: WorkerState, queue: QueueState) -> None:
        """Grant room in advance when the worker has used up enough of its own (rule 4)."""
        enough = queue.chunk_items
        n = min(enough - client.credits.get(queue.name, 0), queue.room)
        if n > 0 and 4 * n >= enough and not queue.waiters and queue.may_advance:
            client.credit(queue, n)
            self._state.send(client, Grant(want=0, queue=queue.name, n=n))

    def give_back(self, client: WorkerState, returned: tuple[tuple[str, int], ...]) -> None:
        """Unused credits come back with a flush; those of a closed queue are void already."""
        totals: dict[QueueState, int] = {}
        for name, n in returned:
            queue = self._state.queue(name)
            total = totals[queue] = totals.get(queue, 0) + n
            held = client.credits.get(name, 0)
            if n < 0 or (total > held and not queue.closed):
                raise ProtocolError(f"returns {total} credits of {name} and holds {held}")
        for queue, total in totals.items():
            client.credit(queue, -min(total, client.credits.get(queue.name, 0)))
            self._state.dirty[queue] = None

    def void(self, client: WorkerState) -> None:
        """Take back all that the worker holds."""
        for name, n in client.credits.items():
            if n:
                queue = self._state.queues[name]
                client.credit(queue, -n)
                self._state.dirty[queue] = None

    def leave(self, client: WorkerState) -> None:
        """The worker is gone: its credits and its places in line go, a parked commit stays."""
        self.void(client)
        for waiter in client.wants.values():
            for queue in waiter.queues:
                self._state.dirty[queue] = None
            waiter.leave()
        client.wants.clear()


def _may_wait(queue: QueueState, request: Want) -> bool:
    """True if there is any time in which room may come; who waits for ever has the queue's."""
    if request.wait is Wait.FOREVER:
        return queue.limit_s != 0.0
    return request.wait is not Wait.NO
