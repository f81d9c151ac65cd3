"""Limits of time of puts: when a parked commit is refused, and what of it is undone then."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from orchestrator.core.events import Blame
from orchestrator.core.queues import QueueState
from orchestrator.core.row import RowTicket
from orchestrator.core.tickets import CommitTicket

from .ledger import check

if TYPE_CHECKING:
    from .world import World

Place = tuple[QueueState, int, int]
"""What a ticket waits for: a queue, for its next item, or its next output."""

Waits = dict[CommitTicket, tuple[Place, float]]
"""Where each parked commit of an item or batch job stands, and since when."""


def after_each_event(world: World, parked: Iterable[CommitTicket]) -> None:
    """Check that nobody waits for longer than the queue lets him, but for a tick that is due."""
    waits, deadline = world.waits, world.broker.next_deadline()
    world.waits = {}
    for ticket in parked:
        if isinstance(ticket, RowTicket) or not ticket.port.job.by_item:
            continue
        since = _since(waits, ticket, world.now)
        world.waits[ticket] = _place(ticket), since
        if (patience_s := world.topology.patience.get(ticket.queues[-1].name)) is None:
            continue
        due = since + patience_s
        is_told = world.now == due and deadline is not None and deadline <= due
        late = world.now >= due and not is_told
        check(not late, f"{ticket.port.worker} waits for room in {ticket.queues[-1].name} too long")


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


def _refused(world: World, ticket: CommitTicket) -> None:
    """The rest of the commit is undone in the books: its items are not finished, and go back."""
    port, books, queue = ticket.port, world.books, ticket.queues[-1].name
    patience_s = world.topology.patience.get(queue)
    over = patience_s is not None and world.now >= patience_s + _since(
        world.waits, ticket, world.now
    )
    check(over, f"{port.worker} is refused at {queue} before its time")
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
