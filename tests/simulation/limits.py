"""Limits of time of puts: when a parked commit is refused, and what of it is undone then.

So is who asked for room; and no time counts while a reader gets anew what it had.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

from orchestrator.core.broker.clients import CommitWaiter, CreditWaiter, OrderedWaiter
from orchestrator.core.broker.queue import QueueState
from orchestrator.core.protocol.events import Blame
from orchestrator.core.protocol.messages import Wait

from .ledger import check

if TYPE_CHECKING:
    from .world import World

Place = tuple[QueueState, int, int]
"""What a ticket waits for: a queue, for its next item, or its next output."""

Waits = dict[CommitWaiter, tuple[Place, float]]
"""Where each parked commit of an item or batch job stands, and since when."""


Asked = dict[CreditWaiter, float]
"""Since when each producer that asked for room without a time of its own has waited."""

_NEXT_PULL_S = 0.25
"""A reader that has got anew all it had is given so long to make room."""


def after_each_event(world: World, parked: Iterable[CommitWaiter]) -> None:
    """Check that nobody waits for longer than the queue lets him, but for a tick that is due."""
    waits = world.waits
    world.waits = {}
    _note_repetitions(world)
    _after_each_event_of_askers(world)
    for waiter in parked:
        if isinstance(waiter, OrderedWaiter) or not waiter.client.job.by_item:
            continue
        since = _since(waits, waiter, world.now)
        world.waits[waiter] = _place(waiter), since
        _check_not_late(world, waiter.client.worker, waiter.queues[-1], since)


def _after_each_event_of_askers(world: World) -> None:
    asked, world.asked = world.asked, {}
    for client in world.broker.clients.values():
        for waiter in client.wants.values():
            if waiter.request.wait is Wait.FOREVER:
                world.asked[waiter] = since = asked.get(waiter, world.now)
                _check_not_late(world, client.worker, waiter.queues[0], since)


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
    leases = [lease for client in world.broker.clients.values() for lease in client.leases.values()]
    return any(queue.own.reserved.values()) or any(
        lease.redelivered and lease.queue is queue and lease.remaining > lease.in_progress
        for lease in leases
    )


def _note_repetitions(world: World) -> None:
    """Note when each queue was last such that a reader got anew what it had."""
    for name in world.topology.patience:
        queue = world.broker.queues[name]
        if _repeats(world, queue):
            world.rested[name] = math.inf
            if world.broker._state.lines.of(queue):
                world.met.add("waits for a repetition")
        elif world.rested.get(name) == math.inf:
            world.rested[name] = world.now


def _place(waiter: CommitWaiter) -> Place:
    return waiter.queues[-1], waiter.at, sum(part.used for part in waiter.parts)


def _since(waits: Waits, waiter: CommitWaiter, now: float) -> float:
    place, since = waits.get(waiter, (None, now))
    return since if place == _place(waiter) else now


def watch(world: World) -> None:
    """Be told of each commit that the broker is about to refuse."""
    admission = world.broker._admission
    refuse = admission.refuse

    def told(waiter: CommitWaiter) -> None:
        world.note_leases()
        _refused(world, waiter)
        refuse(waiter)

    admission.refuse = told  # type: ignore[method-assign]
    credits_ = world.broker._credits
    end_wait = credits_.end_wait

    def asked(waiter: CreditWaiter) -> None:
        if waiter.request.wait is Wait.FOREVER:
            _check_over(world, waiter.client.worker, waiter.queues[0], world.asked[waiter])
            world.met.add("asked in vain")
        end_wait(waiter)

    credits_.end_wait = asked  # type: ignore[method-assign]


def _check_over(world: World, worker: str, queue: QueueState, since: float) -> None:
    check(not _repeats(world, queue), f"{worker} is refused while {queue.name} repeats")
    due = _due(world, queue, since, rested=False)
    check(due is not None and world.now >= due, f"{worker} is refused at {queue.name} too early")


def _refused(world: World, waiter: CommitWaiter) -> None:
    """The rest of the commit is undone in the books: its items are not finished, and go back."""
    client, books = waiter.client, world.books
    _check_over(world, client.worker, waiter.queues[-1], _since(world.waits, waiter, world.now))
    is_gone = world.broker.clients.get(client.worker) is not client or client.fenced
    holder = f"{client.worker} is gone" if is_gone else client.worker
    world.met.add("refused, gone" if is_gone else "refused")
    for part in reversed(waiter.parts):  # the last that was sent comes first
        identities = books.chunk_of(bytes(part.chunk.blob))[part.used : part.n]
        for put in part.queues:
            books.take_back(put.name, client.worker, identities)
    job = world.employers[client.job.name].job
    at = 0
    for lease, n in waiter.leases:
        places = range(max(at, waiter.at), at + n)
        if places:
            ends = [waiter.marks[place].end if place in waiter.marks else None for place in places]
            first = lease.finished
            numbers = list(lease.numbers(first, first + len(places)))
            books.undo(holder, (lease.number, lease.queue.name), numbers, ends, job, gone=is_gone)
        at += n
    held = {
        number: (lease.in_progress, lease.partially_emitted)
        for number, lease in client.leases.items()
    }
    if any(emitted for _, emitted in held.values()):
        world.met.add("refused with a part out")
    if waiter.at:
        world.met.add("refused in part")
    world._came_back += books.left(holder, job, Blame(), held)
    if not is_gone:
        world.agents[client.worker].refused = True
