"""The rules of docs/semantics.md as checks of the broker's state, made after each event."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from orchestrator.core.broker.bounds import ByteBound
from orchestrator.core.broker.broker import Broker
from orchestrator.core.broker.chunks import Chunk
from orchestrator.core.broker.clients import CommitWaiter, CreditWaiter, OrderedWaiter, Waiter
from orchestrator.core.broker.credits import COLLECT_S
from orchestrator.core.broker.lease import LeaseState
from orchestrator.core.broker.queue import QueueState
from orchestrator.core.broker.state import Alarm
from orchestrator.core.protocol.messages import End, Grant, NoLease, Recall, Shut, ToWorker, Wait

from . import limits
from .ledger import check
from .meters import times_add_up
from .order import check_rows, held

if TYPE_CHECKING:
    from .world import World

HEAVIEST = 40
"""Bytes of an item: see `ledger.Books`."""

Rooms = Counter[tuple[str, str]]
"""What each worker was ever given of each queue: credits it holds, and what it has put."""

Lines = dict[Waiter, tuple[QueueState, ...]]
"""The tickets and where they waited."""


class LowBytes(ByteBound):
    """Bytes of a queue that know how few they were since the last event."""

    low = _size = 0
    lightest = 1
    """The least that an item has weighed in the mean since the last event."""
    credits = 0
    """Those granted before the last event."""
    excess = 0
    """What these may bring above the bound, while it is reached."""

    @property
    def size(self) -> int:
        return self._size

    @size.setter
    def size(self, n: int) -> None:
        self._size = n
        self.low = min(self.low, n)

    def note_mean(self, items: int) -> None:
        super().note_mean(items)
        self.lightest = min(self.lightest, self.each)


class Scale(QueueState):
    """A queue that knows the fewest bytes it had since the last event, and what was put since."""

    fewest = _queued = 0
    """The fewest that were queued since the last event."""

    def __init__(self, *args: Any, **keys: Any) -> None:
        super().__init__(*args, **keys)
        if (weight := self.weight) is not None:
            drops, batch = self.policy.drops, keys["batch"]
            self.weight = LowBytes(weight.max_bytes, drops=drops, soft=weight.soft, batch=batch)

    @property
    def queued(self) -> int:  # type: ignore[override]
        return self._queued

    @queued.setter
    def queued(self, n: int) -> None:
        self._queued = n
        self.fewest = min(self.fewest, n)

    placed: tuple[tuple[bytes, int, int], ...] = ()

    def append(self, chunk: Chunk, start: int, stop: int) -> None:
        self.placed += ((bytes(chunk.blob), start, stop),)
        super().append(chunk, start, stop)


def after_each_event(world: World, came_back: Counter[str]) -> None:
    """Check every rule that holds between two events; `came_back` was in hand until now."""
    broker = world.broker
    parked = list(_parked(broker))
    rooms = _rooms(world, parked)
    came_back += _newly_held(world)
    for queue in broker.queues.values():
        _conservation(queue)
        _bound(queue, world.sums.get(queue.name, 0), came_back[queue.name])
        _in_order(world, queue)
        _bytes_add_up(broker, queue)
        world.meters[queue.name].check(world.now, queue)
        if isinstance(queue, Scale):
            _bound_in_bytes(world, queue, rooms, came_back[queue.name])
        _tickets_in_order(broker, queue)
        _nobody_overtakes(world, queue, rooms)
        _nothing_is_overlooked(world, queue)
        _patience(world, queue)
        _collecting(world, queue)
    check_rows(broker)
    limits.after_each_event(world, parked)
    times_add_up(world, broker)
    _leases_add_up(broker, parked)
    _credits_add_up(broker)
    _waits_add_up(broker)
    _same_view(world)
    for waiter in parked:
        _atomic(waiter)
    world.rooms = rooms
    world.sums = sums(broker)
    world.lines = {t: t.queues for queue in broker.queues.values() for t in waiters(broker, queue)}


def _newly_held(world: World) -> Counter[str]:
    """Leases all of which is held back now: what was in hand of them counts from now on."""
    before = world.held_back
    world.held_back = {t.lease for t in held(world.broker) if t.lease.is_claimed}
    return Counter(lease.queue.name for lease in world.held_back - before)


def _in_order(world: World, queue: QueueState) -> None:
    if isinstance(queue, Scale):
        placed, queue.placed = queue.placed, ()
        for blob, start, stop in placed:
            world.orders.placed(queue.name, world.books.chunk_of(blob)[start:stop])


def reserved(queue: QueueState) -> int:
    """Items that workers of a life before are to get again, or had given a part of theirs."""
    return sum(map(len, queue.own.segments()))


def waiters(broker: Broker, queue: QueueState) -> Sequence[Waiter]:
    """Who waits for room at the queue, the oldest first."""
    return broker._state.lines.of(queue)


def in_bytes(queue: QueueState) -> tuple[int, float]:
    """What the queue weighs, and its bound."""
    return (queue.weight.size, queue.weight.bound) if queue.weight is not None else (0, math.inf)


def sums(broker: Broker) -> dict[str, int]:
    """What counts into each queue's bound."""
    return {queue.name: _sum(queue) for queue in broker.queues.values()}


def _sum(queue: QueueState) -> int:
    return queue.queued + queue.delayed + queue.hidden + queue.granted


def _conservation(queue: QueueState) -> None:
    here = queue.queued + queue.delayed + queue.outstanding + reserved(queue)
    gone = queue.done + queue.skipped + queue.dropped + queue.dead + queue.left
    check(queue.put == here + gone, f"{queue.name}: put {queue.put} = {here} here + {gone} gone")
    check(queue.queued == sum(map(len, queue.segments)), f"{queue.name}: queued is what is there")


def _bound(queue: QueueState, before: int, came_back: int) -> None:
    """Rule 1; what was in hand may come back above the bound, and then nothing is admitted.

    What waits for the resumed run alone takes all that was finished for it.
    """
    if queue.is_kept:
        return
    allowed = max(queue.bound, before) + came_back
    check(_sum(queue) <= allowed, f"{queue.name}: {_sum(queue)} of {queue.bound}, was {before}")


def _bytes_add_up(broker: Broker, queue: QueueState) -> None:
    if queue.weight is not None and not queue.closed:
        weight, known = _weight(broker, queue), queue.weight.size
        check(known == weight, f"{queue.name}: {known} bytes are {weight}")


def _bound_in_bytes(world: World, queue: Scale, now: Rooms, came_back: int) -> None:
    """Rule 1: while it is full nobody is given room; so each producer exceeds it by one commit.

    What has come back since it was full is on top of that.
    """
    name, (weight, bound) = queue.name, in_bytes(queue)
    world.came_back[name] = came_back + (world.came_back[name] if weight >= bound else 0)
    if not isinstance(queue.weight, LowBytes):
        return
    full_all_the_while, queue.weight.low = queue.weight.low >= bound, weight
    if queue.weight.soft:
        full_all_the_while = _soft(world, queue, queue.weight) and full_all_the_while
    if queue.closed:
        return
    if full_all_the_while:
        for (worker, where), given in now.items():
            let_in = where == name and given > world.rooms[worker, where]
            check(not let_in, f"{worker} is given room in {name}, which is full")
    assert queue.producers is not None
    over = (queue.producers + world.came_back[name]) * world.largest_commit + queue.weight.excess
    check(weight < bound + over, f"{name}: {weight} bytes of {bound}")


def _soft(world: World, queue: Scale, weight: LowBytes) -> bool:
    """Whether a soft bound has not given way since the last event.

    Nobody needs it to where no worker can wait for ever. What is granted has the room that is left.
    """
    waits = {wait for employer in world.topology.jobs for wait in employer.waits}
    kept = not weight.floor or not world.broker._state.at[queue].readers or Wait.TIMED in waits
    check(kept, f"{queue.name}: its soft bound gives way")
    held = queue.fewest >= weight.batch and not weight.floor
    queue.fewest = queue.queued
    if queue.granted > weight.credits:
        most = max(1, weight.batch, weight.floor, weight.bound // weight.lightest)
        check(queue.granted <= most, f"{queue.name}: {queue.granted} granted of {most}")
    if weight.size < weight.bound or not held:
        weight.excess = max(0, weight.size - weight.bound)
        weight.excess += max(queue.granted, weight.credits) * HEAVIEST
    weight.credits, weight.lightest = queue.granted, weight.each
    return held


def _weight(broker: Broker, queue: QueueState) -> int:
    """The bytes of what is queued, delayed, or leased and not in hand, counted item by item."""
    segments = list(queue.segments)
    for alarm, where, segment in broker._state.alarms:
        if alarm is Alarm.RETRY and where is queue and segment is not None:
            segments.append(segment)
    for lease in {lease for lease in _leases(broker, _parked(broker)) if lease.queue is queue}:
        items = (lease.item(at) for at in range(lease.total - lease.hidden, lease.total))
        segments += [item for item in items if item is not None]
    return sum(segment.share(at) for segment in segments for at in range(len(segment)))


def _tickets_in_order(broker: Broker, queue: QueueState) -> None:
    line = waiters(broker, queue)
    numbers = [waiter.number for waiter in line]
    check(numbers == sorted(set(numbers)), f"{queue.name}: tickets in order")
    check(all(queue in waiter.queues for waiter in line), f"{queue.name}: own tickets")
    behind = all(waiter.queues[-1] is queue for waiter in line[1:])
    check(behind, f"{queue.name}: who is not first here holds no place further down")


def _nobody_overtakes(world: World, queue: QueueState, now: Rooms) -> None:
    """Rule 2: who is younger than a ticket that waited, and waits on, was given nothing.

    That is so in the first queue of its line; a place further down is lost with the one upstream.
    """
    before, then = world.lines, world.rooms
    if not (line := waiters(world.broker, queue)) or queue.closed:
        return
    head = line[0]
    if before.get(head, ())[:1] != (queue,) or head.queues[0] is not queue:
        return
    older = {waiter.client.worker for waiter in before if waiter.number <= head.number}
    for (worker, name), given in now.items():
        if name == queue.name and worker not in older:
            check(given <= then[worker, name], f"{worker} overtakes {head.client.worker} at {name}")


def _nothing_is_overlooked(world: World, queue: QueueState) -> None:
    """What could move has moved: no wake-up is lost."""
    state = world.broker._state
    line = state.lines.of(queue)
    if line and state.lines.is_first_everywhere(line[0]):
        could_move = _could_move(world.broker, line[0])
        check(not could_move, f"{queue.name}: its first ticket could move")
    if queue.leasable and not queue.closed:
        for pull in state.at[queue].pulls:
            starts = world.starts.get(pull.client.job.name)
            early = starts is not None and not starts.is_due(world.now)
            short = early or queue.queued < pull.request.least
            if early:
                world.met.add("held by its rate")
            check(short, f"{queue.name}: a pull could be answered")
    if queue.closed or queue.ended:
        check(not queue.queued, f"{queue.name} is over and holds items")
    here = queue.queued or queue.delayed or queue.outstanding or reserved(queue)
    over = not (queue.open_writers or here)
    check(queue.ended is over, f"{queue.name} has ended too early or not at all")


def _patience(world: World, queue: QueueState) -> None:
    """Rule 9: a batch does with what is there once that has been waited for long enough."""
    pulls = [
        pull
        for pull in world.broker._state.at[queue].pulls
        if pull.client.job.batch and not pull.client.job.rate_limit
    ]
    if not pulls or not queue.queued or queue.reorder is not None:
        world.batch_since.pop(queue.name, None)
        return
    since = world.batch_since.setdefault(queue.name, world.now)
    within_s = min(pull.request.within_s for pull in pulls)
    check(world.now < since + within_s, f"{queue.name}: a batch waits for too long")


def _collecting(world: World, queue: QueueState) -> None:
    """Rule 4: room is collected for a producer for a moment only."""
    head = next(iter(waiters(world.broker, queue)), None)
    if not isinstance(head, CreditWaiter) or queue.credit_room < 1:
        world.room_since.pop(queue.name, None)
        return
    waiter, since = world.room_since.get(queue.name, (None, 0.0))
    if waiter is not head:
        since = world.now
        world.room_since[queue.name] = (head, since)
    check(world.now < since + COLLECT_S, f"{queue.name}: room is collected for too long")


def _could_move(broker: Broker, waiter: Waiter) -> bool:
    if isinstance(waiter, CreditWaiter):
        (queue,) = waiter.queues
        return queue.closed or queue.credit_room >= broker._credits.least(queue, waiter.request)
    assert isinstance(waiter, CommitWaiter)
    needs = waiter.needs()
    if waiter.at >= waiter.items:
        part = next(waiter.open_parts())
        needs = dict.fromkeys(part.queues, 1)
    return all(
        queue.closed or (_is_first(broker, waiter, queue) and queue.room >= n)
        for queue, n in needs.items()
    )


def _is_first(broker: Broker, waiter: Waiter, queue: QueueState) -> bool:
    line = waiters(broker, queue)
    return not line or waiter.number <= line[0].number


def _parked(broker: Broker) -> Iterator[CommitWaiter]:
    """Commits that wait for room, or for their turn."""
    found = dict.fromkeys(t for q in broker.queues.values() for t in waiters(broker, q))
    found |= dict.fromkeys(held(broker))
    return (waiter for waiter in found if isinstance(waiter, CommitWaiter))


def _leases_add_up(broker: Broker, parked: Iterable[CommitWaiter]) -> None:
    """Rules 1 and 6: hidden and outstanding are the sums over all leases, and none is empty."""
    hidden: Counter[str] = Counter()
    outstanding: Counter[str] = Counter()
    for lease in _leases(broker, parked):
        check(0 <= lease.claimed <= lease.remaining, f"lease {lease.number} is claimed once")
        check(lease.remaining > 0, f"lease {lease.number} is over and kept")
        hidden[lease.queue.name] += lease.hidden
        outstanding[lease.queue.name] += lease.remaining
    for queue in broker.queues.values():
        check(queue.hidden == hidden[queue.name], f"{queue.name}: hidden adds up")
        check(queue.outstanding == outstanding[queue.name], f"{queue.name}: outstanding adds up")


def _leases(broker: Broker, parked: Iterable[CommitWaiter]) -> Iterable[LeaseState]:
    """Those of workers, and those that only a parked commit still holds."""
    leases: dict[int, LeaseState] = {}
    for client in broker.clients.values():
        leases.update(client.leases)
    for waiter in parked:
        leases.update({lease.number: lease for lease, _ in waiter.leases if lease.remaining})
    return leases.values()


def _credits_add_up(broker: Broker) -> None:
    """Rule 4: what is granted is what the workers hold."""
    granted: Counter[str] = Counter()
    for client in broker.clients.values():
        for name, n in client.credits.items():
            check(n >= 0, f"{client.worker} holds {n} credits of {name}")
            check(
                not (n and client.parked), f"{client.worker} is parked and holds credits of {name}"
            )
            granted[name] += n
    for queue in broker.queues.values():
        check(queue.granted == granted[queue.name], f"{queue.name}: granted adds up")
        check(not (queue.closed and queue.granted), f"{queue.name}: credits are void when closed")


def _waits_add_up(broker: Broker) -> None:
    """Each wait stands in its lines and in no other."""
    for queue in broker.queues.values():
        for pull in broker._state.at[queue].pulls:
            here = pull.client.alive and pull.client.pulls.get(pull.request.pull) is pull
            check(here, f"{pull.client.worker} waits no more and is in line at {queue.name}")
    for client in broker.clients.values():
        for pull in client.pulls.values():
            in_line = [pull in broker._state.at[queue].pulls for queue in pull.queues]
            check(all(in_line) or pull.held, f"{client.worker} is in line")
        for want in client.wants.values():
            check(want in waiters(broker, want.queues[0]), f"{client.worker} is in line for room")
        if client.parked is not None:
            check(client.parked.queues, f"{client.worker} is parked for nothing")


def _atomic(waiter: CommitWaiter) -> None:
    """Rules 2 and 12: a parked commit has put the outputs of the items it has finished, no others.

    The queues it has still to put on have not ended.
    """
    for part in waiter.parts:
        own = part.start + sum(part.of_item(at) for at in range(waiter.at))
        exact = part.used == own if waiter.at < waiter.items else own <= part.used <= part.n
        if isinstance(waiter, OrderedWaiter) and waiter.lease.partially_emitted:
            exact = own <= part.used <= own + part.of_item(waiter.at)
        for queue in part.queues:
            early = queue.ended and part.used < part.n
            check(not early, f"{queue.name} has ended while {waiter.client.worker} is parked")
        check(exact, f"{waiter.client.worker}: {part.used} outputs put, {own} are finished items'")


def _rooms(world: World, parked: Iterable[CommitWaiter]) -> Rooms:
    rooms: Rooms = Counter(world.books.put_by)
    for waiter in parked:
        for part in waiter.parts:
            for queue in part.queues:
                rooms[waiter.client.worker, queue.name] -= part.n - part.used
    for client in world.broker.clients.values():
        for name, n in client.credits.items():
            rooms[client.worker, name] += n
    return rooms


def _same_view(world: World) -> None:
    """Rule 4: with nothing on its way, worker and broker agree on the worker's credits."""
    for agent in world.agents.values():
        client = agent.client
        if client.out or client.inbox or client.overdrawn or agent.fenced or agent.dead:
            continue
        port = world.broker.clients[agent.name]
        for box in client.boxes:
            for queue, n in box.credits.items():
                same = queue in box.closed or port.credits.get(queue, 0) == n
                check(same, f"{agent.name} holds {n} credits of {queue}")


def sights(broker: Broker) -> Iterator[str]:
    """What is worth having met, of the broker's state."""
    if any(pull.held for client in broker.clients.values() for pull in client.pulls.values()):
        yield "waits for its turn"
    for queue in broker.queues.values():
        line, (weight, bound) = waiters(broker, queue), in_bytes(queue)
        if weight >= bound:
            yield "full in bytes" if queue.size < queue.bound else "full"
            yield "in line for bytes" if line else "full"
            if queue.is_soft and queue.size < queue.bound:
                yield "softly in line" if line and queue.room < 1 else "softly full"
        if queue.delayed:
            yield "retry"
        if len(line) > 1:
            yield "several tickets"
        if queue.reorder is not None and queue.reorder.held():
            yield "held back"
            if queue.reorder.out == queue.reorder.window:
                yield "window full"
        for waiter in line:
            if isinstance(waiter, CommitWaiter):
                yield "parked" if waiter.at < waiter.items else "open part"


def sent(message: ToWorker) -> Iterator[str]:
    """What is worth having met, of what workers are sent."""
    if isinstance(message, Recall | Shut):
        yield type(message).__name__.lower()
    elif isinstance(message, Grant) and message.want and not message.n:
        yield "refused credit"
    elif isinstance(message, NoLease):
        yield "withdrawn"


def at_the_end(world: World) -> None:
    """Rules 12 and 15: every queue has ended, and every item is accounted for, by both books."""
    books = world.books
    for queue in world.broker.queues.values():
        name = queue.name
        check(queue.put == books.put[name], f"{name}: {queue.put} put, not {books.put[name]}")
        check(queue.ended, f"{name} has not ended")
        check(queue.skipped == books.ends[name, End.SKIPPED], f"{name}: skipped")
        check(queue.dead == books.ends[name, End.DEAD], f"{name}: dead")
        check(queue.done == books.ends[name, End.DONE], f"{name}: done")
        failed = books.ends[name, End.FAILED] + books.ends[name, End.FATAL]
        lost = books.unfinished(name)
        check(queue.left + queue.dropped == failed + lost, f"{name}: left and dropped")
        named = [number for part in world.broker.left_items()[name] for number in part]
        check(len(named) == len({*named}) == queue.left, f"{name}: {named} are {queue.left} left")
        check(queue.closed or not lost, f"{name}: {lost} items are lost")
        state = world.broker._state
        waits = state.lines.of(queue) or state.at[queue].pulls
        check(not waits and not queue.granted, f"{name} is not empty")
        for (where, number), charged in books.charges.items():
            if where == name and not books.has_ended(name, number):
                check(queue.attempts[number] == charged, f"{name}:{number} is charged {charged}")
