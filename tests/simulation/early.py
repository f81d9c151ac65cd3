"""Rule 9, both ways: a batch goes out early if nothing else can move, and not while a writer can.

Neither check walks the graph that the broker walks. Too late: the whole world stands still but for
the clock, and a batch waits. Too early: a writer is in work, or waits for what one in work gives.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from orchestrator.core.board import Alarm
from orchestrator.core.broker import Broker
from orchestrator.core.commands import Send
from orchestrator.core.events import BrokerNews, Event, Fenced, Received, WorkerLeft
from orchestrator.core.messages import Commit, Leased, Pull, Range
from orchestrator.core.ports import Port
from orchestrator.core.queues import QueueState

from . import shapes
from .ledger import check

if TYPE_CHECKING:
    from .world import World


def nothing_waits_in_vain(world: World) -> None:
    """Nobody moves and nothing is on its way: only a timer could bring a batch more."""
    broker = world.broker
    if any(agent.fenced or agent.client.has_to_pace for agent in world.agents.values()):
        return
    if any(port.fenced for port in broker.ports.values()):
        return
    if any(alarm is not Alarm.PATIENCE for _, _, alarm, _, _ in broker._board._timers):
        return
    for queue in broker.queues.values():
        waits = queue.queued and any(pull.request.least > 1 for pull in queue.pulls)
        check(not waits, f"{queue.name}: a batch waits for what nothing will bring")


def check_early(world: World, event: Event | BrokerNews, orders: Sequence[object]) -> None:
    """Check the leases that one event has led to: a batch that is short has a reason."""
    if isinstance(event, WorkerLeft | Fenced):
        return
    sent = [order for order in orders if isinstance(order, Send)]
    short = [
        (at, queue)
        for at, order in enumerate(sent)
        if isinstance(order.message, Leased)
        and (queue := _of_early(world, order.worker, order.message))
    ]
    if len(short) != 1:
        return  # of several in one event each may have made room for the next
    world.met.add("early batch")
    at, queue = short[0]
    freed = {order.worker for order in sent[at:]} | _parked(world, event, queue)
    before_it = world.before[queue.name]
    was_in_line = before_it.tickets > 0 or before_it.held_back or len(freed) > 1
    if was_in_line and not queue.tickets:
        return  # it is not known any more what they waited for
    check(not _Feeders(freed).of(queue), f"{queue.name}: a batch goes out too early")


def _parked(world: World, event: Event | BrokerNews, queue: QueueState) -> set[str]:
    """Whoever has sent a commit that had no room on the queue before the batch went.

    Nobody tells it that the rest is put, unless it asked.
    """
    message = getattr(event, "message", None)
    commit = message.commit if isinstance(message, Pull) else message
    if not (isinstance(event, Received) and isinstance(commit, Commit)):
        return set()
    before = world.before[queue.name]
    n = sum(output.n for output in commit.outputs if queue.name in output.queues)
    return {event.worker} if n > before.room + before.credits.get(event.worker, 0) else set()


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


def _of_early(world: World, worker: str, lease: Leased) -> QueueState | None:
    """The queue of a batch that is short, and not for want of time, room, or writers."""
    job = world.agents[worker].employer.job
    n = sum(map(_len, lease.ranges))
    if job.shape is not shapes.batches or n >= job.batch:
        return None
    queue = world.broker.queues[lease.queue]
    before = world.before[queue.name]
    over = world.now >= (world.now if before.since is None else before.since) + job.within_s
    full = 0 < queue.maxsize <= n + queue.hidden + queue.delayed  # it took all that was queued
    alone = _alone(world, lease) or (queue.queued and not queue.before_alone(1))  # it, or the next
    reason = over or full or alone or queue.weighs or not queue.open_writers
    return None if reason else queue


class Before(NamedTuple):
    """A queue between two events."""

    since: float | None
    """Since when a batch has waited."""
    suspects: set[int]
    """What is to be handed out alone."""
    tickets: int
    room: int
    credits: dict[str, int]
    """Of each worker that may put."""
    held_back: bool
    """Whether an ordered job that may put has finished items that wait for their turn."""


def before(broker: Broker) -> dict[str, Before]:
    """What to remember of the queues until the next event."""
    return {
        queue.name: Before(
            since=queue.waited_for_since,
            suspects={*queue.suspects},
            tickets=len(queue.tickets),
            room=max(0, queue.room),
            credits={
                port.worker: port.credits.get(queue.name, 0) for port in queue.writer_ports.values()
            },
            held_back=any(
                port.job.row is not None and bool(port.job.row.held())
                for port in queue.writer_ports.values()
            ),
        )
        for queue in broker.queues.values()
    }


class _Feeders:
    """Who may put on a queue; the `freed` were waiting when the batch went."""

    def __init__(self, freed: set[str]) -> None:
        self._freed = freed
        self._seen: set[str] = set()

    def of(self, queue: QueueState) -> bool:
        """Whether somebody in work may put on the queue, or feeds who does."""
        self._seen.add(queue.name)
        writers = queue.writer_ports.values()
        if queue.tickets:
            return bool(queue.delayed) or any(
                self._is_in_work(port) and (port.credits.get(queue.name) or _hides(port, queue))
                for port in (*writers, *queue.reader_ports.values())
            )
        return bool(queue.delayed) or any(
            self._is_in_work(port) or self._is_fed(port) for port in writers
        )

    def _is_in_work(self, port: Port) -> bool:
        waits = port.parked or port.pulls or port.wants or port.joins
        return port.alive and not (port.fenced or waits or port.worker in self._freed)

    def _is_fed(self, port: Port) -> bool:
        return port.parked is None and any(
            queue.name not in self._seen and queue.row is None and self.of(queue)
            for pull in port.pulls.values()
            for queue in pull.queues
        )


def _hides(port: Port, queue: QueueState) -> bool:
    """Whether the worker has items of the queue that count into its bound."""
    return any(lease.queue is queue and lease.hidden for lease in port.leases.values())
