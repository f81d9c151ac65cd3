"""Liveness: whether an item can still come (rule 9), and whether anything moves at all (rule 14).

What waits for what is a graph: an item of a queue comes from its writers, or, while somebody is in
line for room there, from whoever makes room; a worker that waits goes on with an item or with room.
An item can come if a search along these edges meets something that moves by itself: a worker in
work, one that will be started, a retry, a rate, a wait with a time limit.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator

from orchestrator.core.broker.bounds import SOFT_ITEMS
from orchestrator.core.broker.clients import CreditWaiter, PendingPull, Waiter, WorkerState
from orchestrator.core.broker.queue import QueueState
from orchestrator.core.broker.state import Alarm, BrokerState
from orchestrator.core.protocol.events import StallDetected
from orchestrator.core.protocol.messages import Wait

__all__ = ["StallWatch", "can_come", "relieve"]


class _Need(enum.Enum):
    ITEM = enum.auto()
    ROOM = enum.auto()
    WORKER = enum.auto()


_MOVES = None
"""Something that moves by itself."""

_Node = tuple[_Need, QueueState | WorkerState]
_Edges = Iterator[_Node | None]


def can_come(state: BrokerState, held: QueueState) -> bool:
    """True if another item can come to the queue though nobody takes what is there.

    All batches are taken to wait: who asks, asks for the queues upstream first, and lets a batch go
    out before it asks for the next.
    """
    return _can_come(_Need.ITEM, state, held)


def relieve(state: BrokerState) -> bool:
    """Let soft bounds give way where no room can come; False if there are none such.

    Without them what waits there would go on.
    """
    relieved = False
    for queue in state.lines.at:
        weight = queue.weight
        if weight is None or not weight.soft or weight.size < weight.bound:
            continue
        if weight.floor or queue.size >= SOFT_ITEMS or weight.gives_way(queue.size, queue.queued):
            continue
        if not _can_come(_Need.ROOM, state, queue):
            weight.floor, relieved = SOFT_ITEMS, True
            state.dirty[queue] = None
    return relieved


def _can_come(need: _Need, state: BrokerState, held: QueueState) -> bool:
    search = _Search(state, held, for_room=need is _Need.ROOM)
    todo: list[_Node] = [(need, held)]
    seen = set(todo)
    while todo:
        for node in search.edges(todo.pop()):
            if node is _MOVES:
                return True
            if node not in seen:
                seen.add(node)
                todo.append(node)
    return False


class _Search:
    """What each need is met by, while the batches of `held` do not go out.

    `for_room`: it is asked whether its soft bound stops anybody for good. Then credits that a
    waiting worker holds are about to come back, and who waits for a time may wait again, as the
    workers of targets with threads do that wait for ever.
    """

    def __init__(self, state: BrokerState, held: QueueState, *, for_room: bool) -> None:
        self._for_room = for_room
        self._at = state.at
        self._lines = state.lines
        self._held = held
        self._jobs = {pull.client.job.name for pull in state.at[held].pulls if pull.is_of_batch}

    def edges(self, node: _Node) -> _Edges:
        """Return what would meet a need."""
        need, what = node
        if isinstance(what, WorkerState):
            return self._of_worker(what)
        return self._of_item(what) if need is _Need.ITEM else self._of_room(what)

    def _of_item(self, queue: QueueState) -> _Edges:
        """Retries, what a recall brings back, and the writers; those in line need room first."""
        if queue.delayed:
            yield _MOVES
        readers = self._at[queue].readers
        if queue is not self._held and len(readers) > 1:
            for client in readers.values():
                if any(
                    lease.queue is queue and lease.untouched for lease in client.leases.values()
                ):
                    yield _MOVES
        if queue in self._lines.at:
            yield _Need.ROOM, queue
        else:
            yield from self._of_jobs(queue.open_writers, self._at[queue].writers)

    def _of_room(self, queue: QueueState) -> _Edges:
        """Room comes from the readers, and an item from who has credit.

        No other batch of the same job makes room: it would wait as well.
        """
        if queue.closed:
            yield _MOVES
        clients = self._at[queue]
        if line := self._lines.of(queue):
            head = line[0]
            if isinstance(head, CreditWaiter) and queue.credit_room > 0:
                yield _MOVES  # it is being collected
            if head.queues[-1] is not queue:
                yield _Need.ROOM, head.queues[-1]  # there is room here
        for client in clients.writers.values():
            if client.credits.get(queue.name, 0):
                yield _MOVES if self._for_room else (_Need.WORKER, client)
        for client in clients.readers.values():
            if any(lease.queue is queue and lease.hidden for lease in client.leases.values()):
                yield _Need.WORKER, client
        readers = queue.open_readers - self._jobs if queue is self._held else queue.open_readers
        yield from self._of_jobs(readers, clients.readers)

    @staticmethod
    def _of_jobs(names: set[str], clients: dict[str, WorkerState]) -> _Edges:
        """The workers of these jobs; of one that has none, somebody will be started."""
        workers = [client for client in clients.values() if client.job.name in names]
        if len({client.job.name for client in workers}) < len(names):
            yield _MOVES
        for client in workers:
            yield _Need.WORKER, client

    def _of_worker(self, client: WorkerState) -> _Edges:
        """Yield what would let a worker go on; one that does not wait is in work."""
        waits = client.pulls or client.wants or client.joins
        if client.parked is not None:
            yield from self._of_waiter(client.parked)
        elif client.fenced or not waits or self._is_timed(client):
            yield _MOVES
        for want in client.wants.values():
            yield from self._of_waiter(want)
        for pull in client.pulls.values():
            for queue in pull.queues:
                yield from self._of_pull(pull, queue)
        for join in client.joins.values():
            for queue in client.job.reads + client.job.writes:
                if queue.name == join.queue:
                    yield from self._of_jobs(queue.open_readers, self._at[queue].readers)

    def _is_timed(self, client: WorkerState) -> bool:
        """True if the worker gives up waiting by itself; for room here that brings nothing."""
        return not self._for_room and (
            any(
                want.queues[0] is not self._held
                for want in client.wants.values()
                if not want.forever
            )
            or any(pull.request.wait is not Wait.FOREVER for pull in client.pulls.values())
            or any(join.wait is not Wait.FOREVER for join in client.joins.values())
        )

    @staticmethod
    def _of_waiter(waiter: Waiter) -> _Edges:
        if waiter.queues:
            yield _Need.ROOM, waiter.queues[-1]

    def _of_pull(self, pull: PendingPull, queue: QueueState) -> _Edges:
        """An item; if ordered, also the end of what is before, or room for what has its turn."""
        if queue.queued and pull.client.job.rate_limit is not None:
            yield _MOVES
        yield _Need.ITEM, queue
        if (reorder := queue.reorder) is not None:
            if reorder.waiter is not None:
                yield from self._of_waiter(reorder.waiter)
            yield from self._of_jobs(queue.open_readers, self._at[queue].readers)


_FOR_PULLS = (Alarm.PATIENCE, Alarm.RATE)


class StallWatch:
    """Counts who waits: once every worker waits for another one, nothing may move (rule 14)."""

    def __init__(self, state: BrokerState) -> None:
        self._state = state
        self._live = self._stuck = 0
        self._told = False

    def joined(self, client: WorkerState) -> None:
        """A worker lives."""
        self._live += client.job.can_unblock

    def left(self, client: WorkerState) -> None:
        """A worker lives no more."""
        self._live -= client.job.can_unblock

    def look_at(self, client: WorkerState) -> None:
        """A worker may have begun or stopped waiting."""
        stuck = client.job.can_unblock and client.stuck
        if stuck != client.counted_as_stuck:
            client.counted_as_stuck = stuck
            self._stuck += 1 if stuck else -1

    @property
    def everybody_waits(self) -> bool:
        """True if every worker that could free another one waits itself."""
        return 0 < self._live == self._stuck

    def stall(self) -> StallDetected | None:
        """To be asked once everything known has been handled; a stall is found once."""
        if self._told or not self.everybody_waits or self._can_move():
            return None
        self._told = True
        return StallDetected(waits=tuple(self._waits()))

    def _can_move(self) -> bool:
        """True if a timer, an idle worker's credits or the rest of a lease will free somebody."""
        return self._something_is_timed() or any(map(self._is_fed, self._state.queues.values()))

    def _something_is_timed(self) -> bool:
        """True if an alarm will move items."""
        return any(
            (alarm is Alarm.RETRY and queue.delayed)
            or (alarm in _FOR_PULLS and self._state.at[queue].pulls and queue.queued)
            or (alarm is Alarm.ROOM and queue in self._state.lines.at and queue.credit_room > 0)
            for alarm, queue, _ in self._state.alarms
        )

    def _is_fed(self, queue: QueueState) -> bool:
        """True if what is waited for here comes back by itself.

        Idle workers return their credits, and the untouched rest of a lease is recalled.
        """
        clients = self._state.at[queue]
        if queue in self._state.lines.at and queue.granted:
            return True
        if not clients.pulls or len(clients.readers) < 2:
            return False
        return any(
            lease.queue is queue and lease.untouched
            for client in clients.readers.values()
            for lease in client.leases.values()
        )

    def _waits(self) -> Iterator[tuple[str, str]]:
        """Yield who waits, and for what in words: workers, and jobs whose outputs wait for room.

        The workers of such a job wait for nothing else.
        """
        for client in self._state.clients.values():
            if client.stuck and not client.job.waits_for():
                yield client.worker, client.waits_for()
        for job in self._state.jobs.values():
            if what := job.waits_for():
                yield job.name, what
