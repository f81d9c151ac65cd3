"""The row of a job that keeps the order of its input (rule 17 of docs/semantics.md).

An item is in the row from its first lease on until all before it have ended and what it gives is
put. What is finished before its turn is held back here, with its outputs; that its lease counts
into the bound of the input and the row is no longer than its window bounds how much that can be.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from orchestrator.core.messages import Commit
from orchestrator.core.meter import Meter
from orchestrator.core.ports import Lease, Port
from orchestrator.core.queues import QueueState, Segment
from orchestrator.core.tickets import CommitTicket, Part

__all__ = ["Row", "RowTicket"]


class RowTicket(CommitTicket):
    """Finished items that wait for their turn, and then for room: neighbours of one lease.

    `first` is the number in the queue of the first of them.
    """

    def __init__(
        self,
        port: Port,
        request: Commit,
        items: tuple[Lease, int],
        parts: list[Part],
        *,
        first: int,
    ) -> None:
        super().__init__(0, port, request, [items], parts)
        self.marks = {}
        self.first = first

    @property
    def lease(self) -> Lease:
        """The lease that its items belong to."""
        ((lease, _),) = self.leases
        return lease

    def rest_of(self, part: Part) -> int:
        """How many outputs of its next item the part has still to put."""
        n = self.at + 1 if part.counts is None else sum(part.counts[: self.at + 1])
        return part.start + n - part.used

    @property
    def goes_in_parts(self) -> bool:
        """Whether its next item gives more than a queue may hold, and so cannot leave at once."""
        if self.lease.emitted:
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


class Row:
    """What an ordered job was dealt and what has not left it, in the order of its input.

    `last` is the highest number that was ever dealt, `out` how many items are in the row and
    `outputs` how many outputs are held back with them. `ticket` is what has its turn and waits for
    room, `blocked` for how long there was such a one. `over`: the job will do nothing any more.
    """

    def __init__(self, window: int) -> None:
        self.window = window
        self.last = self.out = self.outputs = 0
        self.over = False
        self.ticket: RowTicket | None = None
        self.blocked = Meter()
        self._dealt: deque[list[int]] = deque()
        self._held: dict[int, RowTicket] = {}
        self._ended: set[int] = set()

    @property
    def first(self) -> int:
        """The number of the first item in the row."""
        return self._dealt[0][0]

    def leasable(self, queue: QueueState) -> int:
        """How many of the queued items may be leased now: what came back, and what fits."""
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

    def hold(self, ticket: RowTicket) -> None:
        """Items are finished; they wait for their turn."""
        self._held[ticket.first] = ticket
        for part in ticket.parts:
            self.outputs += part.n - part.used

    def end(self, number: int) -> None:
        """An item gives nothing and never will: nobody waits for it any more."""
        if number <= self.last:
            self._ended.add(number)

    def next(self) -> RowTicket | None:
        """Give the turn to who has it now; None while the first item in the row is not finished."""
        while self._dealt:
            first = self._dealt[0][0]
            if first in self._ended:
                self._ended.discard(first)
                self.pass_by(1)
                continue
            self.ticket = self._held.pop(first, None)
            return self.ticket
        return None

    def pass_by(self, n: int) -> None:
        """The first n items leave the row."""
        head = self._dealt[0]
        head[0] += n
        self.out -= n
        if head[0] == head[1]:
            self._dealt.popleft()

    def held(self) -> list[RowTicket]:
        """What is finished and has not its turn."""
        return list(self._held.values())

    def forget(self) -> list[RowTicket]:
        """Remove all that is held back: what it waits for will never end."""
        held, self._held = self.held(), {}
        self._dealt.clear()
        self._ended.clear()
        self.out = self.outputs = 0
        return held
