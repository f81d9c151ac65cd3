"""Admission: commits are applied item by item, the rest is parked in fair order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from orchestrator.core.board import Board, ProtocolError
from orchestrator.core.credits import Credits
from orchestrator.core.endings import Endings
from orchestrator.core.events import Blob
from orchestrator.core.messages import Commit, CommitStatus, Committed, End
from orchestrator.core.ordering import Ordering
from orchestrator.core.ports import Lease, Port
from orchestrator.core.putting import Putting
from orchestrator.core.queues import Chunk, QueueState
from orchestrator.core.row import Row, RowTicket
from orchestrator.core.tickets import CommitTicket, Part, Ticket, WantTicket

__all__ = ["Admission"]

_MOST_WORK = 1 << 24
"""Outputs times items of one commit; what is parked is looked at item by item."""


class Admission(Putting):
    """The producers' half of the broker."""

    def __init__(self, board: Board, credits_: Credits, endings: Endings) -> None:
        super().__init__(board, credits_, endings)
        self._ordering = Ordering(board, credits_, endings)

    # -- commits ----------------------------------------------------------------------------------

    def commit(self, port: Port, request: Commit, blobs: tuple[Blob, ...]) -> None:
        """Apply a commit as far as it fits; park the rest.

        A repeated one gets the same answer.
        """
        if request.seq == port.last_seq and port.parked is not None:
            return
        if request.seq == port.last_seq and port.last_answer is not None:
            self._board.send(port, port.last_answer)
            return
        if request.seq != port.last_seq + 1:
            raise ProtocolError(f"commit {request.seq} after {port.last_seq}")
        if port.parked is not None:
            raise ProtocolError(f"commit {request.seq} while {port.last_seq} is parked")
        leases = self._held(port, request)
        if leases is None:
            port.last_seq = request.seq
            self._answer(port, request.seq, CommitStatus.REFUSED)
            return
        items = sum([n for _, n in leases])
        parts = self._parts(port, request, blobs, items)
        got = self._got(port, request) if request.got else []
        if port.job.row is not None:
            self._hold(port, request, leases, parts)
            return
        totals = _totals(parts)
        if not (request.marks or request.returned) and _are_covered(port, totals):
            port.last_seq = request.seq
            if got:
                self._note_got(port, got)
            self._apply(port, request, leases, parts, totals)
            if port.job.by_item:
                self._note_open(port, parts, items)
            return
        _check_bounds(totals, parts, items)
        _check_marks(request, items)
        if request.returned:
            self._credits.give_back(port, request.returned)
        port.last_seq, port.last_answer = request.seq, None
        self._note_got(port, got)
        ticket = CommitTicket(self._board.number(), port, request, leases, parts)
        if not self._advance(ticket):
            port.parked = ticket
            port.job.parked += 1
            ticket.claim()
            self._credits.void(port)  # who waits holds nothing that others wait for
            self._board.begin_wait(port, for_output=True)

    def _got(self, port: Port, request: Commit) -> list[tuple[QueueState, int]]:
        """What the target has got of which queue; raises ProtocolError if that does not fit."""
        got = [(self._board.queue(name), n) for name, n in request.got]
        for queue, _ in got:
            if queue not in port.job.reads:
                raise ProtocolError(f"{port.job.name} does not read {queue.name}")
        return got

    def _note_got(self, port: Port, got: Iterable[tuple[QueueState, int]]) -> None:
        """Note in which order a target gets items of several queues, for it to get them so again.

        An end is one for good only if nobody who writes the queue will be called again.
        """
        journal = self._board.journal
        if journal is None or port.job.by_item:
            return
        for queue, n in got:
            writers = [job for job in self._board.jobs.values() if queue in job.writes]
            if n or all(job.final for job in writers):
                journal.got(port, queue.name, n)

    def _hold(
        self, port: Port, request: Commit, leases: list[tuple[Lease, int]], parts: list[Part]
    ) -> None:
        """Take in a commit of a job that keeps the order of its input."""
        _check_marks(request, sum([n for _, n in leases]))
        self._ordering.check(request, leases, parts)
        self._credits.give_back(port, request.returned)
        port.last_seq = request.seq
        self._ordering.hold(port, request, leases, parts)
        self._answer(port, request.seq, CommitStatus.APPLIED, awaited=request.awaited)

    def release(self, row: Row) -> None:
        """Put what an ordered job has finished and what has its turn."""
        self._ordering.release(row)

    def leave(self, port: Port) -> None:
        """The worker is gone: what it had finished stays parked, what its open item gave goes.

        Somebody else will do that item anew.
        """
        ticket = port.parked
        if ticket is None:
            return
        if not port.job.by_item and (ticket.items or not port.job.counted):
            return  # nobody will put it again
        for part in ticket.parts:
            if port.job.by_item:
                part.cut_open(ticket.items)
            else:
                part.cut()
            if self._board.journal is not None:
                self._board.journal.pending(part)
        if ticket.at < ticket.items:
            return
        for queue in ticket.queues:
            self._board.dirty[queue] = None
        ticket.leave()
        port.parked = None
        port.job.parked -= 1
        self._board.end_wait(port)

    def refuse(self, ticket: CommitTicket) -> None:
        """The rest of a parked commit is not applied any more: its items are not finished.

        What of it was applied stays so.
        """
        port, lacks = ticket.port, ticket.lacks
        assert lacks is not None
        seq = ticket.request.seq
        self._board.send(port, Committed(seq=seq, status=CommitStatus.FULL, full=lacks.name))
        for queue in ticket.queues:
            self._board.dirty[queue] = None
        ticket.leave()
        ticket.undo()
        if self._board.journal is not None:
            for part in ticket.parts:
                self._board.journal.pending(part)
        port.parked = None
        port.job.parked -= 1

    def _apply(
        self,
        port: Port,
        request: Commit,
        leases: list[tuple[Lease, int]],
        parts: list[Part],
        queues: Iterable[QueueState],
    ) -> None:
        """Apply a covered commit of items that all went well."""
        for part in parts:
            self._put(port, part, part.n)
        for lease, n in leases:
            self._endings.finish_leased(port, lease, n)
        held = tuple([(queue.name, port.credits[queue.name]) for queue in queues])
        self._answer(port, request.seq, CommitStatus.APPLIED, held, awaited=request.awaited)
        for queue in queues:
            if not queue.closed:
                self._credits.refill(port, queue)

    def _held(self, port: Port, request: Commit) -> list[tuple[Lease, int]] | None:
        held: list[tuple[Lease, int]] = []
        for number, n in request.finished:
            lease = port.leases.get(number)
            if lease is None or not 0 <= n <= lease.remaining:
                return None
            held.append((lease, n))
        if len(held) > 1:
            taken: Counter[Lease] = Counter()
            for lease, n in held:
                taken[lease] += n
            if any(n > lease.remaining for lease, n in taken.items()):
                return None
        return held

    def _parts(
        self, port: Port, request: Commit, blobs: tuple[Blob, ...], items: int
    ) -> list[Part]:
        if len(blobs) != len(request.outputs):
            raise ProtocolError(f"{len(request.outputs)} outputs and {len(blobs)} chunks")
        if len(blobs) * items > _MOST_WORK:
            raise ProtocolError(f"{len(blobs)} outputs of {items} items in one commit")
        parts: list[Part] = []
        for output, blob in zip(request.outputs, blobs, strict=True):
            queues = tuple([self._board.queue(name) for name in output.queues])
            if not queues or len(set(queues)) < len(queues):
                raise ProtocolError("an output for no queue, or twice for the same")
            for queue in queues:
                if queue not in port.job.writes:
                    raise ProtocolError(f"{port.job.name} does not write {queue.name}")
            counts = output.counts
            if counts is None:
                fits = output.n == items
            else:
                fits = (
                    len(counts) in (items, items + 1)
                    and sum(counts) == output.n
                    and min(counts, default=0) >= 0
                )
            if not fits or not 1 <= output.n <= len(blob):  # no pickle of an item is shorter
                raise ProtocolError(f"counts of an output of {output.n} items, {items} finished")
            chunk = Chunk(blob, packed=output.packed, items=output.n)
            parts.append(Part(queues, chunk, output.n, counts, digests=output.digests))
        return parts

    def _advance(self, ticket: CommitTicket) -> bool:
        """Apply what fits; True when the whole commit is applied and answered."""
        whole = ticket.at == 0 and all(
            self._fits(ticket, queue, n) for queue, n in ticket.totals().items()
        )
        if whole:
            for part in ticket.open_parts():
                self._put(ticket.port, part, part.n - part.used)
            self._endings.finish(ticket, ticket.items)
        elif not (self._advance_items(ticket) and self._advance_open(ticket)):
            return False
        ticket.leave()
        port = ticket.port
        if port.job.by_item:
            self._note_open(port, ticket.parts, ticket.items)
        totals = ticket.totals()
        names = dict.fromkeys(queue.name for queue in totals)
        if port.parked is ticket:
            names |= dict.fromkeys(port.credits)
        held = tuple((name, port.credits.get(name, 0)) for name in names)
        request = ticket.request
        self._answer(port, request.seq, CommitStatus.APPLIED, held, awaited=request.awaited)
        for queue in totals:
            if port.alive and not port.fenced and not queue.closed:
                self._credits.refill(port, queue)
        return True

    def _advance_items(self, ticket: CommitTicket) -> bool:
        while ticket.at < ticket.items:
            if not (items := self._fitting(ticket)):
                if not self._has_room(ticket, ticket.needs()):
                    return False
                items = 1
            for part in ticket.parts:
                if n := part.of_items(ticket.at, items):
                    self._put(ticket.port, part, n)
            self._endings.finish(ticket, items)
            ticket.lacks = None
        return True

    def _advance_open(self, ticket: CommitTicket) -> bool:
        for part in ticket.open_parts():
            while part.used < part.n:
                if not self._has_room(ticket, dict.fromkeys(part.queues, 1)):
                    return False
                held = min(self._allowed(ticket, queue) for queue in part.queues)
                self._put(ticket.port, part, min(held, part.n - part.used))
                ticket.lacks = None
                self._note_open(ticket.port, ticket.parts, ticket.items)
        return True

    def _note_open(self, port: Port, parts: list[Part], items: int) -> None:
        """What the open item has given in part stays put: it cannot be tried again (rule 3)."""
        if any(part.of_item(items) for part in parts if part.counts is not None):
            journal = self._board.journal
            for lease in port.leases.values():
                if journal is not None and port.job.by_item and not lease.emitted:
                    journal.parted(lease, port.job.name)
                lease.emitted = True

    def _answer(
        self,
        port: Port,
        seq: int,
        status: CommitStatus,
        credits: tuple[tuple[str, int], ...] = (),  # noqa: A002 - the message's own word
        *,
        awaited: bool = True,
    ) -> None:
        port.last_answer = Committed(seq=seq, status=status, credits=credits)
        if awaited or status is not CommitStatus.APPLIED:
            self._board.send(port, port.last_answer)

    # -- the line moves ---------------------------------------------------------------------------

    def admit(self, queue: QueueState) -> None:
        """Let tickets go on while there is room for the first in line."""
        while queue.tickets:
            ticket = queue.tickets[0]
            others = ticket.queues
            if not ticket.first_everywhere or not self._move(ticket):
                return
            for other in others:
                self._board.dirty[other] = None

    def _move(self, ticket: Ticket) -> bool:
        """Serve the first ticket; whether it left the line it stood at the head of."""
        before = ticket.queues
        if isinstance(ticket, RowTicket):
            self._ordering.go_on(ticket)
            return ticket.queues != before
        if isinstance(ticket, CommitTicket):
            if self._advance(ticket):
                ticket.port.parked = None
                ticket.port.job.parked -= 1
                self._board.end_wait(ticket.port)
            return ticket.queues != before
        assert isinstance(ticket, WantTicket)
        return self._credits.serve(ticket)


def _check_marks(request: Commit, items: int) -> None:
    if any(mark.end is End.DONE or not 0 <= mark.at < items for mark in request.marks):
        raise ProtocolError(f"marks of other items than the {items} finished")


def _totals(parts: list[Part]) -> dict[QueueState, int]:
    """How much a commit puts on each queue."""
    totals: dict[QueueState, int] = {}
    for part in parts:
        for queue in part.queues:
            totals[queue] = totals.get(queue, 0) + part.n
    return totals


def _are_covered(port: Port, totals: Mapping[QueueState, int]) -> bool:
    """Whether credits cover every output, and so bounds do: most commits need no ticket."""
    for queue, total in totals.items():  # noqa: SIM110 - asked for each commit: no generator
        if port.credits.get(queue.name, 0) < total:
            return False
    return True


def _most_of_one(parts: Iterable[Part], items: int) -> int:
    """How much the finished item that gives most puts."""
    each, of_each = [0] * items, 0
    for part in parts:
        if part.counts is None:
            of_each += 1
        else:
            for at, n in enumerate(part.counts[:items]):
                each[at] += n
    return of_each + max(each, default=0)


def _check_bounds(totals: Mapping[QueueState, int], parts: list[Part], items: int) -> None:
    """No finished item may need more room than a queue has: it would wait for ever."""
    for queue, total in totals.items():
        if total > queue.bound and not queue.closed:
            most = _most_of_one([part for part in parts if queue in part.queues], items)
            if most > queue.bound:
                raise ProtocolError(f"{most} outputs of one item for {queue.name}, in one part")
