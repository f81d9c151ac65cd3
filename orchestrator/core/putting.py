"""Admission of outputs to queues: the steps that commits of every kind have in common."""

from __future__ import annotations

from orchestrator.core.board import Board
from orchestrator.core.credits import Credits
from orchestrator.core.endings import Endings
from orchestrator.core.ports import Port
from orchestrator.core.position import Position
from orchestrator.core.queues import QueueState
from orchestrator.core.tickets import CommitTicket, Part, Ticket

__all__ = ["Putting"]


class Putting:
    """Room for what a ticket has to put, and its place in line where there is none."""

    def __init__(self, board: Board, credits_: Credits, endings: Endings) -> None:
        self._board = board
        self._credits = credits_
        self._endings = endings

    def _has_room(self, ticket: CommitTicket, needs: dict[QueueState, int]) -> bool:
        """Whether all that is needed fits; if not, the ticket lines up.

        It waits for room upstream first and meanwhile keeps nobody from the queues further down:
        those who make room for it may need them.
        """
        if all(self._fits(ticket, queue, n) for queue, n in needs.items()):
            return True
        line: list[QueueState] = []
        for queue in sorted(needs, key=lambda queue: queue.rank):
            if queue.closed:
                continue
            line.append(queue)
            if not self._is_free(ticket, queue, needs[queue]):
                break
        if ticket.queues != tuple(line):
            for lost in ticket.line_up(tuple(line)):
                self._board.dirty[lost] = None
            for queue in line:
                self._note_behind(ticket, queue)
        self._note_lack(ticket, line[-1])
        return False

    def _note_behind(self, ticket: CommitTicket, queue: QueueState) -> None:
        """Whoever this ticket has come in front of waits for his turn here, and no further down."""
        if queue.tickets[0] is ticket and len(queue.tickets) > 1:
            behind = queue.tickets[1]
            if isinstance(behind, CommitTicket) and behind.queues[-1] is queue:
                self._note_lack(behind, queue)

    def _fitting(self, ticket: CommitTicket) -> int:
        """How many of its next items fit together: those are put at once, not one by one."""
        n = ticket.items - ticket.at
        for queue in ticket.totals():
            if n and not queue.closed:
                room = self._allowed(ticket, queue)
                if queue.weighs:
                    room = min(room, ticket.as_many_as(queue.bound_bytes - queue.size_bytes, queue))
                n = ticket.fitting(queue, room, n)
        return n

    def _note_lack(self, ticket: CommitTicket, queue: QueueState) -> None:
        """The ticket's next item waits for room in this queue, from now on or still."""
        if ticket.lacks is not queue:
            ticket.lacks, ticket.since = queue, self._board.now
            self._board.touch(ticket.port)
            self._board.arm_limit(queue)

    def _available(self, port: Port, queue: QueueState) -> int:
        if queue.closed or queue.is_kept:
            return queue.bound
        return port.credits.get(queue.name, 0) + max(0, queue.room)

    def _allowed(self, ticket: Ticket, queue: QueueState) -> int:
        """How many items may be put now: past those who wait, only what there is credit for."""
        if queue.closed or self._is_first(ticket, queue):
            return self._available(ticket.port, queue)
        return ticket.port.credits.get(queue.name, 0)

    def _fits(self, ticket: Ticket, queue: QueueState, n: int) -> bool:
        if queue.closed or ticket.port.credits.get(queue.name, 0) >= n:
            return True
        return self._is_free(ticket, queue, n)

    def _is_free(self, ticket: Ticket, queue: QueueState, n: int) -> bool:
        return self._is_first(ticket, queue) and self._available(ticket.port, queue) >= n

    @staticmethod
    def _is_first(ticket: Ticket, queue: QueueState) -> bool:
        return not queue.tickets or ticket.number <= queue.tickets[0].number

    def _put(self, port: Port, part: Part, n: int) -> None:
        for queue in part.queues:
            if held := port.credits.get(queue.name, 0):
                port.credit(queue, -held if queue.weighs else -min(n, held))  # rule 4
            self._board.dirty[queue] = None
        part.put(n)
        port.job.items_out += n
        if self._board.journal is not None:
            self._board.journal.gave(port.job.name, n)
            self._board.journal.pending(part)
        if port.job.counted:
            self._note_position(port, part)

    def _note_position(self, port: Port, part: Part) -> None:
        box = part.queues[0].name
        position = self._board.positions.setdefault(port.worker, {}).setdefault(box, Position())
        position.note(part)
        if self._board.journal is not None:
            self._board.journal.emitted(port, box, position)
