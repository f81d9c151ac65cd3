"""Limits of time of puts: when a parked commit is refused, and what of it is undone then.

So is who asked for room; and no time counts while a reader gets anew what it had.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

from orchestrator.core.events import Blame
from orchestrator.core.messages import Wait
from orchestrator.core.queues import QueueState
from orchestrator.core.row import RowTicket
from orchestrator.core.tickets import CommitTicket, WantTicket

from .ledger import check

if TYPE_CHECKING:
    from .world import World

Place = tuple[QueueState, int, int]
"""What a ticket waits for: a queue, for its next item, or its next output."""

Waits = dict[CommitTicket, tuple[Place, float]]
"""Where each parked commit of an item or batch job stands, and since when."""


Asked = dict[WantTicket, float]
"""Since when each producer that asked for room without a time of its own has waited."""

_NEXT_PULL_S = 0.25
"""A reader that has got anew all it had is given so long to make room."""


def after_each_event(world: World, parked: Iterable[CommitTicket]) -> None:
    """Check that nobody waits for longer than the queue lets him, but for a tick that is due."""
    waits = world.waits
    world.waits = {}
    _note_repetitions(world)
    _after_each_event_of_askers(world)
    for ticket in parked:
        if isinstance(ticket, RowTicket) or not ticket.port.job.by_item:
            continue
        since = _since(waits, ticket, world.now)
        world.waits[ticket] = _place(ticket), since
        _check_not_late(world, ticket.port.worker, ticket.queues[-1], since)


def _after_each_event_of_askers(world: World) -> None:
    asked, world.asked = world.asked, {}
    for port in world.broker.ports.values():
        for ticket in port.wants.values():
            if ticket.request.wait is Wait.FOREVER:
                world.asked[ticket] = since = asked.get(ticket, world.now)
                _check_not_late(world, port.worker, ticket.queues[0], since)


def _check_not_late(world: World, worker: str, queue: QueueState, since: float) -> None:
    if (due := _due(world, queue, since, rested=True)) is None or _repeats(world, queue):
        return
    deadline = world.broker.next_deadline()
    is_told = world.now == due and deadline is not None and deadline <= due
    late = world.now >= due and not is_told
    check(not late, f"{worker} waits for room in {queue.name} too long")


def _due(world: World, queue: QueueState, since: float, *, rested: bool) -> float | None:
    """When who has waited since then has waited for too long; None if he may for ever.

    `rested`: who has begun at the moment when a repetition was over is taken to have begun before.
    """
    if (patience_s := world.topology.patience.get(queue.name)) is None:
        return None
    over = world.rested.get(queue.name, -1.0)
    if over > since or (rested and over == since):
        return over + max(patience_s, _NEXT_PULL_S)
    return since + patience_s


def _repeats(world: World, queue: QueueState) -> bool:
    """Whether a worker is still to get, or to begin, what it had in a life before."""
    leases = [lease for port in world.broker.ports.values() for lease in port.leases.values()]
    return any(queue.reserved.values()) or any(
        lease.again and lease.queue is queue and lease.remaining > lease.hand for lease in leases
    )


def _note_repetitions(world: World) -> None:
    """Note when each queue was last such that a reader got anew what it had."""
    for name in world.topology.patience:
        queue = world.broker.queues[name]
        if _repeats(world, queue):
            world.rested[name] = math.inf
            if queue.tickets:
                world.met.add("waits for a repetition")
        elif world.rested.get(name) == math.inf:
            world.rested[name] = world.now


def _place(ticket: CommitTicket) -> Place:
    return ticket.queues[-1], ticket.at, sum(part.used for part in ticket.parts)


def _since(waits: Waits, ticket: CommitTicket, now: float) -> float:
    place, since = waits.get(ticket, (None, now))
    return since if place == _place(ticket) else now


def watch(world: World) -> None:
    """Be told of each commit that the broker is about to refuse."""
    admission = world.broker._admission
    refuse = admission.refuse

    def told(ticket: CommitTicket) -> None:
        _refused(world, ticket)
        refuse(ticket)

    admission.refuse = told  # type: ignore[method-assign]
    credits_ = world.broker._credits
    end_wait = credits_.end_wait

    def asked(ticket: WantTicket) -> None:
        if ticket.request.wait is Wait.FOREVER:
            _check_over(world, ticket.port.worker, ticket.queues[0], world.asked[ticket])
            world.met.add("asked in vain")
        end_wait(ticket)

    credits_.end_wait = asked  # type: ignore[method-assign]


def _check_over(world: World, worker: str, queue: QueueState, since: float) -> None:
    check(not _repeats(world, queue), f"{worker} is refused while {queue.name} repeats")
    due = _due(world, queue, since, rested=False)
    check(due is not None and world.now >= due, f"{worker} is refused at {queue.name} too early")


def _refused(world: World, ticket: CommitTicket) -> None:
    """The rest of the commit is undone in the books: its items are not finished, and go back."""
    port, books = ticket.port, world.books
    _check_over(world, port.worker, ticket.queues[-1], _since(world.waits, ticket, world.now))
    is_gone = world.broker.ports.get(port.worker) is not port or port.fenced
    holder = f"{port.worker} is gone" if is_gone else port.worker
    world.met.add("refused, gone" if is_gone else "refused")
    for part in reversed(ticket.parts):  # the last that was sent comes first
        identities = books.chunk_of(bytes(part.chunk.blob))[part.used : part.n]
        for put in part.queues:
            books.take_back(put.name, port.worker, identities)
    job = world.employers[port.job.name].job
    at = 0
    for lease, n in ticket.leases:
        places = range(max(at, ticket.at), at + n)
        if places:
            ends = [ticket.marks[place].end if place in ticket.marks else None for place in places]
            first = lease.finished
            numbers = list(lease.numbers(first, first + len(places)))
            books.undo(holder, (lease.number, lease.queue.name), numbers, ends, job, gone=is_gone)
        at += n
    held = {number: (lease.hand, lease.emitted) for number, lease in port.leases.items()}
    if any(emitted for _, emitted in held.values()):
        world.met.add("refused with a part out")
    if ticket.at:
        world.met.add("refused in part")
    world._came_back += books.left(holder, job, Blame(), held)
    if not is_gone:
        world.agents[port.worker].refused = True
