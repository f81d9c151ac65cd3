"""All that a broker knows, as one value: two pictures are equal if nothing has changed."""

from __future__ import annotations

from typing import Any

from orchestrator.core.broker.broker import Broker
from orchestrator.core.broker.clients import LeaseState, WorkerState
from orchestrator.core.broker.queue import QueueState, Segment
from orchestrator.core.broker.waiting import CommitWaiter, Waiter

_OF_OTHERS = frozenset(
    {"writer_clients", "reader_clients", "pulls", "joiners", "waiters", "segments"}
)


def picture(broker: Broker) -> tuple[Any, ...]:
    """The state of every queue, worker, job and timer."""
    state = broker._state
    return (
        state._numbers,
        len(state._timers),
        tuple(_queue(queue) for queue in broker.queues.values()),
        tuple(_port(client) for client in broker.clients.values()),
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
        tuple((pull.client.worker, pull.request.pull) for pull in queue.pulls),
        tuple(_ticket(waiter) for waiter in queue.waiters),
        tuple(client.worker for client in queue.joiners),
        tuple(queue.writer_clients),
        tuple(queue.reader_clients),
    )


def _segment(segment: Segment) -> tuple[int, int, int, int]:
    return (id(segment.chunk), segment.start, segment.stop, segment.first)


def _ticket(waiter: Waiter) -> tuple[Any, ...]:
    at = waiter.at if isinstance(waiter, CommitWaiter) else -1
    return (waiter.number, at, tuple(queue.name for queue in waiter.queues))


def _lease(lease: LeaseState) -> tuple[Any, ...]:
    counts = (
        lease.number,
        lease.total,
        lease.finished,
        lease.claimed,
        lease.in_progress,
        lease.taken,
    )
    marks = (lease.recalled, lease.firm, lease.partially_emitted)
    return (*counts, *marks, tuple(map(_segment, lease.segments)))


def _port(client: WorkerState) -> tuple[Any, ...]:
    return (
        client.worker,
        client.fenced,
        client.last_seq,
        id(client.last_answer),
        id(client.parked),
        tuple(client.credits.items()),
        tuple(map(_lease, client.leases.values())),
        tuple(client.pulls),
        tuple(client.wants),
        tuple(client.joins),
        client.waits_since,
    )
