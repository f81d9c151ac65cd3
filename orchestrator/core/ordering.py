"""Ordering: what the workers of an ordered job finish is held back until its turn (rule 17).

No worker waits for a turn: what it has finished is taken over with its outputs, and it goes on. So
whoever has the first item of the row is never kept from finishing it by what is behind.
"""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.core.board import ProtocolError
from orchestrator.core.messages import Commit
from orchestrator.core.ports import Lease, Port
from orchestrator.core.putting import Putting
from orchestrator.core.row import Row, RowTicket
from orchestrator.core.segments import Segment
from orchestrator.core.tickets import Part

__all__ = ["Ordering"]


class Ordering(Putting):
    """Holds back what ordered jobs have finished, and puts it turn by turn."""

    def check(self, request: Commit, leases: list[tuple[Lease, int]], parts: list[Part]) -> None:
        """Whether only finished items give something, and of those only such as ended well.

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
        self, port: Port, request: Commit, leases: list[tuple[Lease, int]], parts: list[Part]
    ) -> None:
        """Take over what is finished. What has not ended well ends now: it gives nothing."""
        marks = {mark.at: mark for mark in request.marks}
        at = 0
        for lease, n in leases:
            stop = at + n
            for marked in sorted(marks.keys() & range(at, stop)):
                self._hold_some(port, request, lease, parts, range(at, marked))
                self._endings.finish_at_once(port, lease, marks[marked])
                at = marked + 1
            self._hold_some(port, request, lease, parts, range(at, stop))
            self._endings.let_go(port, lease)
            at = stop

    def _hold_some(
        self, port: Port, request: Commit, lease: Lease, parts: list[Part], places: range
    ) -> None:
        """Hold back the next items of a lease, which have these places in their commit."""
        row, at = port.job.row, places.start
        assert row is not None
        for first, n in _neighbours(lease.claim(len(places))):
            own = parts
            if n < sum([held for _, held in request.finished]):
                sliced = [part.sliced(at, at + n) for part in parts]
                own = [part for part in sliced if part is not None]
            row.hold(RowTicket(port, request, (lease, n), own, first=first))
            port.job.parked += 1
            at += n

    # -- turns ------------------------------------------------------------------------------------

    def release(self, row: Row) -> None:
        """Put what has its turn, as far as there is room."""
        while row.ticket is None and (ticket := row.next()) is not None:
            ticket.number = self._board.number()  # it waits for room from now on
            row.blocked.start(self._board.now)
            self._go(row, ticket)
        if row.over and row.ticket is None:
            self._forget(row)

    def go_on(self, ticket: RowTicket) -> None:
        """The first in line for room may go on."""
        row = ticket.port.job.row
        assert row is not None
        self._go(row, ticket)
        self.release(row)

    def _go(self, row: Row, ticket: RowTicket) -> None:
        if not (self._put_whole(row, ticket) or self._put_each(row, ticket)):
            return
        ticket.leave()
        row.ticket = None
        row.blocked.stop(self._board.now)
        self._end(ticket)

    def _put_whole(self, row: Row, ticket: RowTicket) -> bool:
        """Put all of it if that fits: mostly it does."""
        totals = ticket.totals()
        if ticket.at or any(queue.weighs for queue in totals):
            return False
        if not all(self._fits(ticket, queue, n) for queue, n in totals.items()):
            return False
        for part in ticket.parts:
            self._give(row, ticket, part, part.n - part.used)
        self._finish(row, ticket, ticket.items)
        return True

    def _put_each(self, row: Row, ticket: RowTicket) -> bool:
        """Put as many items as there is room for; whether that was all."""
        while ticket.at < ticket.items:
            items = 0 if ticket.lease.emitted else self._fitting(ticket)
            if items:
                for part in ticket.parts:
                    self._give(row, ticket, part, part.of_items(ticket.at, items))
            elif ticket.goes_in_parts:
                if not self._put_in_parts(row, ticket):
                    return False
            elif not self._has_room(ticket, ticket.needs()):
                return False
            else:
                for part in ticket.parts:
                    self._give(row, ticket, part, ticket.rest_of(part))
            self._finish(row, ticket, items or 1)
        return True

    def _put_in_parts(self, row: Row, ticket: RowTicket) -> bool:
        """Put what one item gives, which is more than fits, as far as there is room (rule 3)."""
        for part in ticket.parts:
            while rest := ticket.rest_of(part):
                if not self._has_room(ticket, dict.fromkeys(part.queues, 1)):
                    return False
                if not ticket.lease.emitted and self._board.journal is not None:
                    self._board.journal.parted(ticket.lease, ticket.port.job.name)
                ticket.lease.emitted = True
                room = min(self._allowed(ticket, queue) for queue in part.queues)
                weighs = any(queue.weighs for queue in part.queues)
                self._give(row, ticket, part, 1 if weighs else min(room, rest))
        return True

    def _give(self, row: Row, ticket: RowTicket, part: Part, n: int) -> None:
        if n:
            self._put(ticket.port, part, n)
            row.outputs -= n
            self._board.dirty[ticket.lease.queue] = None  # there may be room in the window

    def _finish(self, row: Row, ticket: RowTicket, n: int) -> None:
        self._endings.finish(ticket, n)
        row.pass_by(n)

    def _end(self, ticket: RowTicket) -> None:
        ticket.port.job.parked -= 1
        self._board.touch(ticket.port)

    def _forget(self, row: Row) -> None:
        """The first in the row will never end: what is behind it has no turn any more.

        It stays undone, and comes back.
        """
        held = row.forget()
        for ticket in sorted(held, key=lambda ticket: ticket.first, reverse=True):
            lease = ticket.lease
            if lease.claimed:
                lease.queue.give_back(lease.drop_claims())
                self._board.dirty[lease.queue] = None
            self._end(ticket)


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
