"""Credits: leave to put, granted in advance or on request, and given back (rule 4)."""

from __future__ import annotations

from orchestrator.core.board import Alarm, Board, ProtocolError
from orchestrator.core.messages import Grant, Shut, Unwant, Wait, Want
from orchestrator.core.ports import Port
from orchestrator.core.queues import LARGEST_CHUNK, QueueState
from orchestrator.core.tickets import WantTicket

__all__ = ["Credits"]

COLLECT_S = 0.002
"""How long room is collected for a producer that asked for much, from the first free place on."""


class Credits:
    """Who may put how much without asking."""

    def __init__(self, board: Board) -> None:
        self._board = board

    def want(self, port: Port, request: Want) -> None:
        """Grant credit now, or put the producer in line."""
        queue = self._board.queue(request.queue)
        if queue not in port.job.writes:
            raise ProtocolError(f"{port.job.name} does not write {request.queue}")
        if not 1 <= request.least <= request.n <= LARGEST_CHUNK or request.want in port.wants:
            raise ProtocolError(f"want {request.want} of {request.least} to {request.n} credits")
        if len(port.wants) >= port.job.most_open:
            raise ProtocolError(f"{len(port.wants)} wants are pending")
        queue.writer_ports[port.worker] = port
        if queue.closed:
            returned = not queue.failed_downstream
            self._board.send(
                port, Shut(queue=queue.name, reader=queue.closed_by, returned=returned)
            )
            self._board.send(port, Grant(want=request.want, queue=queue.name, n=0))
        elif request.unsent is not None and port.credits.get(queue.name, 0) > request.unsent:
            self._board.send(port, Grant(want=request.want, queue=queue.name, n=0))
        elif queue.room >= self._least(queue, request) and not queue.tickets:
            self._grant(port, queue, request)
        elif not _may_wait(queue, request):
            self._board.send(port, Grant(want=request.want, queue=queue.name, n=0))
        else:
            ticket = WantTicket(self._board.number(), port, request, queue, now=self._board.now)
            port.wants[request.want] = ticket
            self._board.arm_limit(queue)
            self._board.begin_wait(port, for_output=True)
            self._board.dirty[queue] = None

    def unwant(self, port: Port, request: Unwant) -> None:
        """A producer gives up waiting; credit granted meanwhile stays granted.

        The first in line gets the room that was being collected for it.
        """
        ticket = port.wants.get(request.want)
        if ticket is not None:
            self.end_wait(ticket)

    def end_wait(self, ticket: WantTicket) -> None:
        """A producer waits no longer, by its own will or as the queue lets it wait no longer."""
        port, request, (queue,) = ticket.port, ticket.request, ticket.queues
        if ticket.first_everywhere and queue.room > 0 and not queue.closed:
            self._serve(ticket)
        else:
            self._leave_line(ticket)
            self._board.send(port, Grant(want=request.want, queue=queue.name, n=0))
        self._board.dirty[queue] = None

    def _least(self, queue: QueueState, request: Want) -> int:
        """How much room must be free before any of it is granted; no time is none to collect it."""
        return min(request.least, queue.bound) if _may_wait(queue, request) else 1

    def _is_collected(self, queue: QueueState, request: Want) -> bool:
        """Whether there is room enough, or time has been given for more (rule 4)."""
        room = queue.room
        if room < 1 or room >= self._least(queue, request):
            return room > 0
        now = self._board.now
        if queue.room_since is None:
            queue.room_since = now
            self._board.at(now + COLLECT_S, Alarm.ROOM, queue)
        return now >= queue.room_since + COLLECT_S

    def serve(self, ticket: WantTicket) -> bool:
        """Grant what the first in line has asked for, if there is room."""
        (queue,) = ticket.queues
        if not queue.closed and not self._is_collected(queue, ticket.request):
            return False
        self._serve(ticket)
        return True

    def _serve(self, ticket: WantTicket) -> None:
        port, request, (queue,) = ticket.port, ticket.request, ticket.queues
        queue.room_since = None
        self._leave_line(ticket)
        if queue.closed:
            self._board.send(port, Grant(want=request.want, queue=queue.name, n=0))
        else:
            self._grant(port, queue, request)

    def _leave_line(self, ticket: WantTicket) -> None:
        ticket.leave()
        ticket.port.wants.pop(ticket.request.want, None)
        self._board.end_wait(ticket.port)

    def _grant(self, port: Port, queue: QueueState, request: Want) -> None:
        chunk = queue.chunk_items - port.credits.get(queue.name, 0)
        n = max(min(request.n, queue.room), min(queue.in_advance, chunk))
        port.credit(queue, n)
        self._board.send(port, Grant(want=request.want, queue=queue.name, n=n))

    def refill(self, port: Port, queue: QueueState) -> None:
        """Grant room in advance when the worker has used up enough of its own (rule 4)."""
        enough = queue.chunk_items
        n = min(enough - port.credits.get(queue.name, 0), queue.room)
        if n > 0 and 4 * n >= enough and not queue.tickets and queue.may_advance:
            port.credit(queue, n)
            self._board.send(port, Grant(want=0, queue=queue.name, n=n))

    def give_back(self, port: Port, returned: tuple[tuple[str, int], ...]) -> None:
        """Unused credits come back with a flush; those of a closed queue are void already."""
        totals: dict[QueueState, int] = {}
        for name, n in returned:
            queue = self._board.queue(name)
            total = totals[queue] = totals.get(queue, 0) + n
            held = port.credits.get(name, 0)
            if n < 0 or (total > held and not queue.closed):
                raise ProtocolError(f"returns {total} credits of {name} and holds {held}")
        for queue, total in totals.items():
            port.credit(queue, -min(total, port.credits.get(queue.name, 0)))
            self._board.dirty[queue] = None

    def void(self, port: Port) -> None:
        """Take back all that the worker holds."""
        for name, n in port.credits.items():
            if n:
                queue = self._board.queues[name]
                port.credit(queue, -n)
                self._board.dirty[queue] = None

    def leave(self, port: Port) -> None:
        """The worker is gone: its credits and its places in line go, a parked commit stays."""
        self.void(port)
        for ticket in port.wants.values():
            for queue in ticket.queues:
                self._board.dirty[queue] = None
            ticket.leave()
        port.wants.clear()


def _may_wait(queue: QueueState, request: Want) -> bool:
    """Whether there is any time in which room may come; who waits for ever has the queue's."""
    if request.wait is Wait.FOREVER:
        return queue.limit_s != 0.0
    return request.wait is not Wait.NO
