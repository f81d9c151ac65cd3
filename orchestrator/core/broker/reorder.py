"""The reorder buffer of a job that keeps the order of its input (rule 17 of docs/semantics.md).

An item is in the reorder buffer from its first lease on until all before it have ended and what it
gives is put. What is finished before its turn is held back here, with its outputs; that its lease
counts into the bound of the input and the reorder buffer is no longer than its window bounds how
much that can be.

No worker waits for a turn: what it has finished is taken over with its outputs, and it goes on. So
whoever has the first item of the reorder buffer is never kept from finishing it by what is behind.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

from orchestrator.core.broker.clients import LeaseState, WorkerState
from orchestrator.core.broker.queue import QueueState, Segment
from orchestrator.core.broker.room import RoomForOutputs
from orchestrator.core.broker.state import ProtocolError
from orchestrator.core.broker.stopwatch import Stopwatch
from orchestrator.core.broker.waiting import CommitWaiter, PendingOutput
from orchestrator.core.protocol.messages import Commit

__all__ = ["OrderedCommits", "OrderedWaiter", "ReorderBuffer"]


class OrderedWaiter(CommitWaiter):
    """Finished items that wait for their turn, and then for room: neighbours of one lease.

    `first` is the number in the queue of the first of them.
    """

    def __init__(
        self,
        client: WorkerState,
        request: Commit,
        items: tuple[LeaseState, int],
        parts: list[PendingOutput],
        *,
        first: int,
    ) -> None:
        super().__init__(0, client, request, [items], parts)
        self.marks = {}
        self.first = first

    @property
    def lease(self) -> LeaseState:
        """The lease that its items belong to."""
        ((lease, _),) = self.leases
        return lease

    def rest_of(self, part: PendingOutput) -> int:
        """Return how many outputs of its next item the part has still to put."""
        n = self.at + 1 if part.counts is None else sum(part.counts[: self.at + 1])
        return part.start + n - part.used

    @property
    def goes_in_parts(self) -> bool:
        """True if its next item gives more than a queue may hold, and so cannot leave at once."""
        if self.lease.partially_emitted:
            return True
        items: dict[QueueState, int] = {}
        weights: dict[QueueState, int] = {}
        for part in self.parts:
            if n := part.of_item(self.at):
                weight = Segment(part.chunk, part.used, part.used + n, 0)
                for queue in part.queues:
                    items[queue] = items.get(queue, 0) + n
                    if queue.weighs:
                        weights[queue] = weights.get(queue, 0) + weight.size_bytes
        return any(n > queue.bound for queue, n in items.items()) or any(
            n > queue.bound_bytes for queue, n in weights.items()
        )

    def needs(self) -> dict[QueueState, int]:
        """Room its next item takes, or the next output of an item that leaves in parts."""
        if self.at < self.items and self.goes_in_parts:
            for part in self.parts:
                if self.rest_of(part):
                    return dict.fromkeys(part.queues, 1)
        return super().needs()


class ReorderBuffer:
    """What an ordered job was dealt and what has not left it, in the order of its input.

    `last` is the highest number that was ever dealt, `out` how many items are in the reorder buffer
    and `outputs` how many outputs are held back with them. `waiter` is what has its turn and waits
    for room, `blocked` for how long there was such a one. `over`: the job will do nothing any more.
    """

    def __init__(self, window: int) -> None:
        self.window = window
        self.last = self.out = self.outputs = 0
        self.over = False
        self.waiter: OrderedWaiter | None = None
        self.blocked = Stopwatch()
        self._dealt: deque[list[int]] = deque()
        self._held: dict[int, OrderedWaiter] = {}
        self._ended: set[int] = set()

    @property
    def first(self) -> int:
        """The number of the first item in the reorder buffer."""
        return self._dealt[0][0]

    def leasable(self, queue: QueueState) -> int:
        """Return how many of the queued items may be leased now: what came back, and what fits."""
        back = 0
        for segment in queue.segments:
            if segment.first > self.last:
                break
            back += len(segment)
        room = self.window - max(self.out, self.outputs)
        return back + max(0, min(queue.queued - back, room))

    def deal(self, segments: Iterable[Segment]) -> None:
        """Items are leased, for the first time or again."""
        for segment in segments:
            if segment.first <= self.last:
                continue
            n = len(segment)
            stop = segment.first + n
            if self._dealt and self._dealt[-1][1] == segment.first:
                self._dealt[-1][1] = stop
            else:
                self._dealt.append([segment.first, stop])
            self.last = stop - 1
            self.out += n

    def hold(self, waiter: OrderedWaiter) -> None:
        """Items are finished; they wait for their turn."""
        self._held[waiter.first] = waiter
        for part in waiter.parts:
            self.outputs += part.n - part.used

    def end(self, number: int) -> None:
        """An item gives nothing and never will: nobody waits for it any more."""
        if number <= self.last:
            self._ended.add(number)

    def next(self) -> OrderedWaiter | None:
        """Give the turn to who has it now; None while the first item held is not finished."""
        while self._dealt:
            first = self._dealt[0][0]
            if first in self._ended:
                self._ended.discard(first)
                self.pass_by(1)
                continue
            self.waiter = self._held.pop(first, None)
            return self.waiter
        return None

    def pass_by(self, n: int) -> None:
        """The first n items leave the reorder buffer."""
        head = self._dealt[0]
        head[0] += n
        self.out -= n
        if head[0] == head[1]:
            self._dealt.popleft()

    def held(self) -> list[OrderedWaiter]:
        """Return what is finished and has not its turn."""
        return list(self._held.values())

    def forget(self) -> list[OrderedWaiter]:
        """Remove all that is held back: what it waits for will never end."""
        held, self._held = self.held(), {}
        self._dealt.clear()
        self._ended.clear()
        self.out = self.outputs = 0
        return held


class OrderedCommits(RoomForOutputs):
    """Holds back what ordered jobs have finished, and puts it turn by turn."""

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
            reorder.hold(OrderedWaiter(client, request, (lease, n), own, first=first))
            client.job.parked += 1
            at += n

    # -- turns ------------------------------------------------------------------------------------

    def release(self, reorder: ReorderBuffer) -> None:
        """Put what has its turn, as far as there is room."""
        while reorder.waiter is None and (waiter := reorder.next()) is not None:
            waiter.number = self._state.number()  # it waits for room from now on
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

    def _go(self, reorder: ReorderBuffer, waiter: OrderedWaiter) -> None:
        if not (self._put_whole(reorder, waiter) or self._put_each(reorder, waiter)):
            return
        waiter.leave()
        reorder.waiter = None
        reorder.blocked.stop(self._state.now)
        self._end(waiter)

    def _put_whole(self, reorder: ReorderBuffer, waiter: OrderedWaiter) -> bool:
        """Put all of it if that fits: mostly it does."""
        totals = waiter.totals()
        if waiter.at or any(queue.weighs for queue in totals):
            return False
        if not all(self._fits(waiter, queue, n) for queue, n in totals.items()):
            return False
        for part in waiter.parts:
            self._give(reorder, waiter, part, part.n - part.used)
        self._finish(reorder, waiter, waiter.items)
        return True

    def _put_each(self, reorder: ReorderBuffer, waiter: OrderedWaiter) -> bool:
        """Put as many items as there is room for; whether that was all."""
        while waiter.at < waiter.items:
            items = 0 if waiter.lease.partially_emitted else self._fitting(waiter)
            if items:
                for part in waiter.parts:
                    self._give(reorder, waiter, part, part.of_items(waiter.at, items))
            elif waiter.goes_in_parts:
                if not self._put_in_parts(reorder, waiter):
                    return False
            elif not self._has_room(waiter, waiter.needs()):
                return False
            else:
                for part in waiter.parts:
                    self._give(reorder, waiter, part, waiter.rest_of(part))
            self._finish(reorder, waiter, items or 1)
        return True

    def _put_in_parts(self, reorder: ReorderBuffer, waiter: OrderedWaiter) -> bool:
        """Put what one item gives, which is more than fits, as far as there is room (rule 3)."""
        for part in waiter.parts:
            while rest := waiter.rest_of(part):
                if not self._has_room(waiter, dict.fromkeys(part.queues, 1)):
                    return False
                if not waiter.lease.partially_emitted and self._state.journal is not None:
                    self._state.journal.partially_emitted(waiter.lease, waiter.client.job.name)
                waiter.lease.partially_emitted = True
                room = min(self._allowed(waiter, queue) for queue in part.queues)
                weighs = any(queue.weighs for queue in part.queues)
                self._give(reorder, waiter, part, 1 if weighs else min(room, rest))
        return True

    def _give(
        self, reorder: ReorderBuffer, waiter: OrderedWaiter, part: PendingOutput, n: int
    ) -> None:
        if n:
            self._put(waiter.client, part, n)
            reorder.outputs -= n
            self._state.dirty[waiter.lease.queue] = None  # there may be room in the window

    def _finish(self, reorder: ReorderBuffer, waiter: OrderedWaiter, n: int) -> None:
        self._outcomes.finish(waiter, n)
        reorder.pass_by(n)

    def _end(self, waiter: OrderedWaiter) -> None:
        waiter.client.job.parked -= 1
        self._state.touch(waiter.client)

    def _forget(self, reorder: ReorderBuffer) -> None:
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
