"""Credits: leave to put; a producer waits here for room in a full queue (back-pressure, rule 4)."""

from __future__ import annotations

from orchestrator.core.broker.bounds import SOFT_ITEMS
from orchestrator.core.broker.clients import CreditWaiter, WorkerState
from orchestrator.core.broker.queue import LARGEST_CHUNK, QueueState, chunk_items
from orchestrator.core.broker.room import PutLimits
from orchestrator.core.broker.state import Alarm, BrokerState, ProtocolError
from orchestrator.core.protocol.messages import Grant, Shut, Unwant, Wait, Want

__all__ = ["Credits"]

COLLECT_S = 0.002
"""How long room is collected for a producer that asked for much, from the first free place on."""


class Credits:
    """Grants credit in advance or on request, and lines up producers that find a queue full."""

    def __init__(self, state: BrokerState, limits: PutLimits) -> None:
        self._state = state
        self._limits = limits
        self._lines = state.lines
        # Queues at which room is collected for the first in line, since then.
        self._collecting: dict[QueueState, float] = {}

    def want(self, client: WorkerState, request: Want) -> None:
        """Grant credit now, or put the producer in line."""
        queue = self._state.queue(request.queue)
        if queue not in client.job.writes:
            raise ProtocolError(f"{client.job.name} does not write {request.queue}")
        if not 1 <= request.least <= request.n <= LARGEST_CHUNK or request.want in client.wants:
            raise ProtocolError(f"want {request.want} of {request.least} to {request.n} credits")
        if len(client.wants) >= client.job.most_open:
            raise ProtocolError(f"{len(client.wants)} wants are pending")
        self._state.at[queue].writers[client.worker] = client
        if queue.closed:
            returned = not queue.failed_downstream
            reader = self._state.closed_by.get(queue, "")
            self._state.send(client, Shut(queue=queue.name, reader=reader, returned=returned))
            self._state.send(client, Grant(want=request.want, queue=queue.name, n=0))
        elif request.unsent is not None and client.credits.get(queue.name, 0) > request.unsent:
            self._state.send(client, Grant(want=request.want, queue=queue.name, n=0))
        elif queue.credit_room >= self.least(queue, request) and queue not in self._lines.at:
            self._grant(client, queue, request)
        elif request.whole and _may_exceed(queue, request):
            n = min(request.n, queue.room_in_items)
            client.credit(queue, n)
            self._state.send(client, Grant(want=request.want, queue=queue.name, n=n))
        elif not _may_wait(queue, request):
            self._state.send(client, Grant(want=request.want, queue=queue.name, n=0))
        else:
            waiter = CreditWaiter(self._state.number(), client, request, queue, now=self._state.now)
            self._lines.join(waiter, (queue,))
            client.wants[request.want] = waiter
            self._limits.arm(queue)
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
        if self._lines.is_first_everywhere(waiter) and queue.credit_room > 0 and not queue.closed:
            self._serve(waiter)
        else:
            self._leave_line(waiter)
            self._state.send(client, Grant(want=request.want, queue=queue.name, n=0))
        self._state.dirty[queue] = None

    def least(self, queue: QueueState, request: Want) -> int:
        """The room that must be free before any is granted; no time is none to collect it."""
        if not _may_wait(queue, request):
            return 1
        least = min(request.least, queue.bound)
        return min(least, self.chunk_items(queue)) if queue.is_soft else least

    def _is_collected(self, queue: QueueState, request: Want) -> bool:
        """True if there is room enough, or time has been given for more (rule 4)."""
        room = queue.credit_room
        if room < 1 or room >= self.least(queue, request):
            return room > 0
        now = self._state.now
        if queue not in self._collecting:
            self._collecting[queue] = now
            self._state.alarms.set(now + COLLECT_S, Alarm.ROOM, queue)
        return now >= self._collecting[queue] + COLLECT_S

    def serve(self, waiter: CreditWaiter) -> bool:
        """Grant what the first in line has asked for, if there is room."""
        (queue,) = waiter.queues
        if not queue.closed and not self._is_collected(queue, waiter.request):
            return False
        self._serve(waiter)
        return True

    def _serve(self, waiter: CreditWaiter) -> None:
        client, request, (queue,) = waiter.client, waiter.request, waiter.queues
        self._collecting.pop(queue, None)
        self._leave_line(waiter)
        if queue.closed:
            self._state.send(client, Grant(want=request.want, queue=queue.name, n=0))
        else:
            self._grant(client, queue, request)

    def _leave_line(self, waiter: CreditWaiter) -> None:
        self._lines.leave(waiter)
        waiter.client.wants.pop(waiter.request.want, None)
        self._state.end_wait(waiter.client)

    def _grant(self, client: WorkerState, queue: QueueState, request: Want) -> None:
        chunk = self.chunk_items(queue) - client.credits.get(queue.name, 0)
        n = max(min(request.n, queue.credit_room), min(self._in_advance(queue), chunk))
        client.credit(queue, n)
        self._state.send(client, Grant(want=request.want, queue=queue.name, n=n))

    def refill(self, client: WorkerState, queue: QueueState) -> None:
        """Grant room in advance when the worker has used up enough of its own (rule 4)."""
        enough = self.chunk_items(queue)
        n = min(enough - client.credits.get(queue.name, 0), queue.credit_room)
        if n > 0 and 4 * n >= enough and queue not in self._lines.at and self.may_advance(queue):
            client.credit(queue, n)
            self._state.send(client, Grant(want=0, queue=queue.name, n=n))

    def go_with_lease(self, client: WorkerState) -> None:
        """Grant a worker that gets items what it will put them with, if it has none left.

        After an idle spell it has given its credits back, and would ask for them with each item in
        hand. It has put on these queues before, so it keeps account of them.
        """
        if client.parked is not None:
            return
        for name, n in client.credits.items():
            if not n and not (queue := self._state.queues[name]).closed:
                self.refill(client, queue)

    def chunk_items(self, queue: QueueState) -> int:
        """Items a producer should put in one chunk."""
        producers = queue.producers or len(self._state.at[queue].writers)
        n, weight = chunk_items(queue.maxsize, producers), queue.weight
        return weight.as_light(n, producers) if weight is not None and weight.soft else n

    def _in_advance(self, queue: QueueState) -> int:
        """Items for which credit may be given in advance to one producer (rule 4).

        Of several each may have its share of half of the room: nobody is kept from putting by it.
        """
        weight = queue.weight
        if weight is not None and not weight.soft and weight.size * 2 >= weight.bound:
            return 0
        if queue.producers == 1:
            return queue.credit_room
        return queue.credit_room // (
            2 * (queue.producers or max(1, len(self._state.at[queue].writers)))
        )

    def may_advance(self, queue: QueueState) -> bool:
        """True if credit may be given before anybody asks: to the only producer, or a chunk."""
        return self._in_advance(queue) >= (1 if queue.producers == 1 else self.chunk_items(queue))

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
            self._lines.leave(waiter)
        client.wants.clear()


def _may_exceed(queue: QueueState, request: Want) -> bool:
    """True if a soft bound gives way to a transaction."""
    if not queue.is_soft or queue.room_in_items < 1:
        return False
    return bool(request.unsent) or queue.size + queue.granted < SOFT_ITEMS


def _may_wait(queue: QueueState, request: Want) -> bool:
    """True if there is any time in which room may come; who waits for ever has the queue's."""
    if request.wait is Wait.FOREVER:
        return queue.policy.limit_s != 0.0
    return request.wait is not Wait.NO
