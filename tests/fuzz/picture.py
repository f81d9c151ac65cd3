"""All that a broker knows, as one value: two pictures are equal if nothing has changed."""

from __future__ import annotations

from typing import Any

from orchestrator.core.broker.broker import Broker
from orchestrator.core.broker.chunks import Segment
from orchestrator.core.broker.clients import CommitWaiter, Waiter, WorkerState
from orchestrator.core.broker.lease import LeaseState
from orchestrator.core.broker.queue import QueueState
from orchestrator.core.broker.state import BrokerState

_OF_OTHERS = frozenset({"segments", "policy", "weight", "own", "observers"})


def picture(broker: Broker) -> tuple[Any, ...]:
    """The state of every queue, worker, job and timer."""
    state = broker._state
    return (
        state._numbers,
        len(state.alarms),
        tuple(_queue(state, queue) for queue in broker.queues.values()),
        tuple(_port(client) for client in broker.clients.values()),
        tuple(
            (job.name, job.parked, job.finished, job.items_in, job.items_out, job.failed, job.dead)
            for job in broker.jobs.values()
        ),
    )


def _queue(state: BrokerState, queue: QueueState) -> tuple[Any, ...]:
    clients, weight, line = state.at[queue], queue.weight, queue.own
    own = {name: value for name, value in _attributes(queue).items() if name not in _OF_OTHERS}
    return (
        repr(own),
        repr(_attributes(queue.policy)),
        weight and (weight.size, weight.peak, weight.redelivered),
        (repr(line.reserved), repr(line.partially_emitted), line.redelivered),
        tuple(map(_segment, queue.segments)),
        tuple((pull.client.worker, pull.request.pull) for pull in clients.pulls),
        tuple(_ticket(waiter) for waiter in state.lines.of(queue)),
        tuple(client.worker for client in clients.joiners),
        tuple(clients.writers),
        tuple(clients.readers),
    )


def _attributes(thing: object) -> dict[str, Any]:
    """The attributes of an object; those of a compiled class are named by the class."""
    named = getattr(type(thing), "__mypyc_attrs__", None) or vars(thing)
    return {name: getattr(thing, name) for name in named if name != "__dict__"}


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
