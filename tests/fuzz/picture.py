"""All that a broker knows, as one value: two pictures are equal if nothing has changed."""

from __future__ import annotations

from typing import Any

from orchestrator.core.broker import Broker
from orchestrator.core.ports import Lease, Port
from orchestrator.core.queues import QueueState, Segment
from orchestrator.core.tickets import CommitTicket, Ticket

_OF_OTHERS = frozenset({"writer_ports", "reader_ports", "pulls", "joiners", "tickets", "segments"})


def picture(broker: Broker) -> tuple[Any, ...]:
    """The state of every queue, worker, job and timer."""
    board = broker._board
    return (
        board._numbers,
        len(board._timers),
        tuple(_queue(queue) for queue in broker.queues.values()),
        tuple(_port(port) for port in broker.ports.values()),
        tuple(
            (job.name, job.parked, job.finished, job.items_in, job.items_out, job.failed, job.dead)
            for job in broker.jobs.values()
        ),
    )


def _queue(queue: QueueState) -> tuple[Any, ...]:
    own = {name: value for name, value in vars(queue).items() if name not in _OF_OTHERS}
    return (
        repr(own),
        tuple(map(_segment, queue.segments)),
        tuple((pull.port.worker, pull.request.pull) for pull in queue.pulls),
        tuple(_ticket(ticket) for ticket in queue.tickets),
        tuple(port.worker for port in queue.joiners),
        tuple(queue.writer_ports),
        tuple(queue.reader_ports),
    )


def _segment(segment: Segment) -> tuple[int, int, int, int]:
    return (id(segment.chunk), segment.start, segment.stop, segment.first)


def _ticket(ticket: Ticket) -> tuple[Any, ...]:
    at = ticket.at if isinstance(ticket, CommitTicket) else -1
    return (ticket.number, at, tuple(queue.name for queue in ticket.queues))


def _lease(lease: Lease) -> tuple[Any, ...]:
    counts = (lease.number, lease.total, lease.finished, lease.claimed, lease.hand, lease.taken)
    marks = (lease.recalled, lease.firm, lease.emitted)
    return (*counts, *marks, tuple(map(_segment, lease.segments)))


def _port(port: Port) -> tuple[Any, ...]:
    return (
        port.worker,
        port.fenced,
        port.last_seq,
        id(port.last_answer),
        id(port.parked),
        tuple(port.credits.items()),
        tuple(map(_lease, port.leases.values())),
        tuple(port.pulls),
        tuple(port.wants),
        tuple(port.joins),
        port.waits_since,
    )
