"""Commits of jobs that keep the order of their input: held back, and put turn by turn (rule 17)."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.core.broker.chunks import Segment
from orchestrator.core.broker.clients import OrderedWaiter, WorkerState
from orchestrator.core.broker.lease import LeaseState
from orchestrator.core.broker.outcomes import Outcomes
from orchestrator.core.broker.outputs import PendingOutput
from orchestrator.core.broker.reorder import ReorderBuffer
from orchestrator.core.broker.room import RoomForOutputs
from orchestrator.core.broker.state import BrokerState, ProtocolError
from orchestrator.core.protocol.messages import Commit

__all__ = ["OrderedCommits"]

Buffer = ReorderBuffer[OrderedWaiter]


class OrderedCommits:
    """Holds back what ordered jobs have finished, and puts it turn by turn."""

    def __init__(self, state: BrokerState, room: RoomForOutputs, outcomes: Outcomes) -> None:
        self._state = state
        self._room = room
        self._outcomes = outcomes

    def check(
        self, request: Commit, leases: list[tuple[LeaseState, int]], parts: list[PendingOutput]
    ) -> None:
        """True if only finished items give something, and of those only such as ended well.

        Raises ProtocolError if not.
        """
        items = sum([n for _, n in leases])
        for part in parts:
            if part.counts is None:
                if request.marks:
                    raise ProtocolError("outputs of an item that has failed")
            elif sum(part.counts[:items]) < part.n:
                raise ProtocolError("outputs of an open item of a job that keeps the order")
            elif any(part.counts[mark.at] for mark in request.marks):
                raise ProtocolError("outputs of an item that has failed")

    def hold(
        self,
        client: WorkerState,
        request: Commit,
        leases: list[tuple[LeaseState, int]],
        parts: list[PendingOutput],
    ) -> None:
        """Take over what is finished. What has not ended well ends now: it gives nothing."""
        marks = {mark.at: mark for mark in request.marks}
        at = 0
        for lease, n in leases:
            stop = at + n
            for marked in sorted(marks.keys() & range(at, stop)):
                self._hold_some(client, request, lease, parts, range(at, marked))
                self._outcomes.finish_at_once(client, lease, marks[marked])
                at = marked + 1
            self._hold_some(client, request, lease, parts, range(at, stop))
            self._outcomes.let_go(client, lease)
            at = stop

    def _hold_some(
        self,
        client: WorkerState,
        request: Commit,
        lease: LeaseState,
        parts: list[PendingOutput],
        places: range,
    ) -> None:
        """Hold back the next items of a lease, which have these places in their commit."""
        reorder, at = client.job.reorder, places.start
        assert reorder is not None
        for first, n in _neighbours(lease.claim(len(places))):
            own = parts
            if n < sum([held for _, held in request.finished]):
                sliced = [part.sliced(at, at + n) for part in parts]
                own = [part for part in sliced if part is not None]
            waiter = OrderedWaiter(client, request, (lease, n), own, first=first)
            reorder.hold(first, waiter, waiter.outputs)
            client.job.parked += 1
            at += n

    # -- turns ------------------------------------------------------------------------------------

    def release(self, reorder: Buffer) -> None:
        """Put what has its turn, as far as there is room."""
        while reorder.waiter is None and (waiter := reorder.next()) is not None:
            # A number as of now: it has waited for its turn so far, which gives no right to room
            # before those who have waited for that.
            waiter.number = self._state.number()
            reorder.blocked.start(self._state.now)
            self._go(reorder, waiter)
        if reorder.over and reorder.waiter is None:
            self._forget(reorder)

    def go_on(self, waiter: OrderedWaiter) -> None:
        """The first in line for room may go on."""
        reorder = waiter.client.job.reorder
        assert reorder is not None
        self._go(reorder, waiter)
        self.release(reorder)

    def _go(self, reorder: Buffer, waiter: OrderedWaiter) -> None:
        if self._put(reorder, waiter):
            self._state.lines.leave(waiter)
            reorder.waiter = None
            reorder.blocked.stop(self._state.now)
            self._end(waiter)

    def _put(self, reorder: Buffer, waiter: OrderedWaiter) -> bool:
        """Put as many items as there is room for; whether that was all. Mostly all of it fits."""
        room, weighs = self._room, any(map(_weighs, waiter.parts))
        if not (waiter.at or weighs) and room.put_whole(waiter, self._give):
            self._finish(reorder, waiter, waiter.items)
        while waiter.at < waiter.items:
            # What is out in part goes on in part. Only what does not fit is asked if it ever will:
            # on a closed queue any number fits, and is not put in part.
            n = 0 if waiter.lease.partially_emitted else room.fitting(waiter)
            if not n and waiter.goes_in_parts:
                if not self._put_in_parts(waiter):
                    return False
            elif n or room.has_room(waiter, waiter.needs()):
                room.put_items(waiter, n or 1, self._give)
            else:
                return False
            self._finish(reorder, waiter, n or 1)
        return True

    def _put_in_parts(self, waiter: OrderedWaiter) -> bool:
        """Put what one item gives, which is more than fits, as far as there is room (rule 3)."""
        for part in waiter.parts:
            while rest := part.rest_of(waiter.at):
                most = 1 if _weighs(part) else rest
                if not self._room.put_some(waiter, part, most, self._give_in_part):
                    return False
        return True

    def _give_in_part(self, client: WorkerState, part: PendingOutput, n: int) -> None:
        """Put outputs of an item that gives more: from now on it cannot be tried again."""
        lease = _at_its_turn(client).lease
        if not lease.partially_emitted:
            for journal in self._state.journals:
                journal.partially_emitted(lease, client.job.name)
        lease.partially_emitted = True
        self._give(client, part, n)

    def _give(self, client: WorkerState, part: PendingOutput, n: int) -> None:
        """Put outputs that were held back: there may be room in the window then."""
        self._room.put(client, part, n)
        assert client.job.reorder is not None
        client.job.reorder.outputs -= n
        self._state.dirty[_at_its_turn(client).lease.queue] = None

    def _finish(self, reorder: Buffer, waiter: OrderedWaiter, n: int) -> None:
        self._outcomes.finish(waiter, n)
        reorder.pass_by(n)

    def _end(self, waiter: OrderedWaiter) -> None:
        waiter.client.job.parked -= 1
        self._state.touch(waiter.client)

    def _forget(self, reorder: Buffer) -> None:
        """The first in the reorder buffer will never end: what is behind it has no turn any more.

        It stays undone, and comes back.
        """
        held = reorder.forget()
        for waiter in sorted(held, key=lambda waiter: waiter.first, reverse=True):
            lease = waiter.lease
            if lease.claimed:
                lease.queue.give_back(lease.drop_claims())
                self._state.dirty[lease.queue] = None
            self._end(waiter)


def _at_its_turn(client: WorkerState) -> OrderedWaiter:
    """Return what of the worker's job has its turn, which is the worker's."""
    reorder = client.job.reorder
    assert reorder is not None
    assert reorder.waiter is not None
    return reorder.waiter


def _weighs(part: PendingOutput) -> bool:
    """True if a queue that it is for has a bound in bytes: then one item may be too much."""
    return any(queue.is_exact for queue in part.queues)


def _neighbours(segments: list[Segment]) -> Iterator[tuple[int, int]]:
    """The items as runs of neighbours: the first number of each, and how many they are."""
    first, n = 0, 0
    for segment in segments:
        if n and segment.first == first + n:
            n += len(segment)
            continue
        if n:
            yield first, n
        first, n = segment.first, len(segment)
    if n:
        yield first, n
