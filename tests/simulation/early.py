"""Rule 9, both ways: a batch goes out early if nothing else can move, and not while a writer can.

Neither check walks the graph that the broker walks. Too late: the whole world stands still but for
the clock, and a batch waits. Too early: a writer is in work, or waits for what one in work gives.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from orchestrator.core.broker.broker import Broker
from orchestrator.core.broker.chunks import Segment
from orchestrator.core.broker.clients import PendingPull, WorkerState
from orchestrator.core.broker.lease import LeaseState
from orchestrator.core.broker.queue import QueueState
from orchestrator.core.broker.state import Alarm
from orchestrator.core.protocol.commands import Send
from orchestrator.core.protocol.events import BrokerNews, Event, Fenced, PutRefused, WorkerLeft
from orchestrator.core.protocol.messages import Leased, Range

from . import shapes
from .ledger import check

if TYPE_CHECKING:
    from .world import World


def nothing_waits_in_vain(world: World) -> None:
    """Nobody moves and nothing is on its way: only a timer could bring a batch more."""
    broker = world.broker
    if any(agent.fenced or agent.client.has_to_pace for agent in world.agents.values()):
        return
    if any(client.fenced for client in broker.clients.values()):
        return
    if any(alarm is not Alarm.PATIENCE for alarm, _, _ in broker._state.alarms):
        return
    for queue in broker.queues.values():
        waits = queue.queued and any(pull.is_of_batch for pull in broker._state.at[queue].pulls)
        check(not waits, f"{queue.name}: a batch waits for what nothing will bring")


class Moment(NamedTuple):
    """A queue at the moment in which a lease of it is made: its items are taken already."""

    is_fed: bool
    """Whether another item can come though the batch does not go out."""
    was_full: bool
    next_is_alone: bool
    """Whether what comes next is to be handed out alone."""


def watch(world: World) -> None:
    """Have the broker's leases noted as they are made.

    Within one event a batch may make room for what brings the next, so the event's end is too late.
    """
    lease = world.broker._leasing._lease

    def noted(
        pending: PendingPull,
        queue: QueueState,
        segments: list[Segment],
        *,
        redelivered: bool = False,
    ) -> LeaseState:
        moment = Moment(
            is_fed=_Feeders(world.broker).of(queue),
            was_full=_is_full(queue, segments),
            next_is_alone=bool(queue.queued and not queue.before_alone(1)),
        )
        made = lease(pending, queue, segments, redelivered=redelivered)
        world.moments[made.number] = moment
        return made

    world.broker._leasing._lease = noted  # type: ignore[method-assign]


def _is_full(queue: QueueState, taken: list[Segment]) -> bool:
    """Whether it was full with these: of items, or, where more are dropped, of bytes."""
    if 0 < queue.maxsize <= sum(map(len, taken)) + queue.queued + queue.hidden + queue.delayed:
        return True
    weight = queue.weight
    return (
        weight is not None
        and queue.policy.drops
        and weight.size + sum(segment.size_bytes for segment in taken) >= weight.max_bytes
    )


def check_early(world: World, event: Event | BrokerNews, orders: Sequence[object]) -> None:
    """Check the leases that one event has led to: a batch that is short has a reason."""
    moments, world.moments = world.moments, {}
    lost = isinstance(event, WorkerLeft | Fenced)
    if lost or any(isinstance(order, PutRefused) for order in orders):
        return  # which items have to be alone from now on is known to the broker only
    for order in orders:
        if isinstance(order, Send) and isinstance(order.message, Leased):
            moment = moments[order.message.lease]
            if queue := _of_early(world, order.worker, order.message, moment):
                world.met.add("early batch")
                check(not moment.is_fed, f"{queue.name}: a batch goes out too early")


def check_alone(world: World, orders: Sequence[object]) -> None:
    """What has failed or killed before is in no batch with others (rule 6)."""
    for order in orders:
        if not (isinstance(order, Send) and isinstance(lease := order.message, Leased)):
            continue
        n = sum(map(_len, lease.ranges))
        if n > 1 and world.agents[order.worker].employer.job.shape is shapes.batches:
            alone = _alone(world, lease)
            check(not alone, f"{lease.queue}: {alone} are handed out among others")


def _alone(world: World, lease: Leased) -> set[int]:
    """Those of the items that are to be handed out alone."""
    suspects, tried = world.before[lease.queue].suspects, {n for n, _ in lease.tried}
    numbers = (n for part in lease.ranges for n in range(part.first, part.first + _len(part)))
    return {n for n in numbers if n in suspects or n in tried}


def _len(part: Range) -> int:
    return part.stop - part.start


def _of_early(world: World, worker: str, lease: Leased, moment: Moment) -> QueueState | None:
    """The queue of a batch that is short, and not for want of time, room, or writers."""
    job = world.agents[worker].employer.job
    n = sum(map(_len, lease.ranges))
    if job.shape is not shapes.batches or n >= job.batch:
        return None
    queue = world.broker.queues[lease.queue]
    before = world.before[queue.name]
    over = world.now >= (world.now if before.since is None else before.since) + job.within_s
    alone = _alone(world, lease) or moment.next_is_alone
    reason = over or moment.was_full or alone or queue.is_exact or not queue.open_writers
    return None if reason else queue


class Before(NamedTuple):
    """A queue between two events."""

    since: float | None
    """Since when a batch has waited."""
    suspects: set[int]
    """What is to be handed out alone."""


def before(broker: Broker) -> dict[str, Before]:
    """What to remember of the queues until the next event."""
    return {
        queue.name: Before(
            since=queue.waited_for_since,
            suspects={*queue.suspects},
        )
        for queue in broker.queues.values()
    }


class _Feeders:
    """Who may put on a queue."""

    def __init__(self, broker: Broker) -> None:
        self._state = broker._state
        self._seen: set[str] = set()

    def of(self, queue: QueueState) -> bool:
        """Whether somebody in work may put on the queue, or feeds who does."""
        self._seen.add(queue.name)
        clients = self._state.at[queue]
        writers = clients.writers.values()
        if self._state.lines.of(queue):
            return bool(queue.delayed) or any(
                self._is_in_work(client)
                and (client.credits.get(queue.name) or _hides(client, queue))
                for client in (*writers, *clients.readers.values())
            )
        return bool(queue.delayed) or any(
            self._is_in_work(client) or self._is_fed(client) for client in writers
        )

    def _is_in_work(self, client: WorkerState) -> bool:
        reorder = client.job.reorder
        in_line = (
            reorder is not None and reorder.waiter is not None
        )  # whatever it ends waits behind that
        waits = client.parked or client.pulls or client.wants or client.joins or in_line
        return client.alive and not (client.fenced or waits)

    def _is_fed(self, client: WorkerState) -> bool:
        return client.parked is None and any(
            queue.name not in self._seen and queue.reorder is None and self.of(queue)
            for pull in client.pulls.values()
            for queue in pull.queues
        )


def _hides(client: WorkerState, queue: QueueState) -> bool:
    """Whether the worker has items of the queue that count into its bound."""
    return any(lease.queue is queue and lease.hidden for lease in client.leases.values())
