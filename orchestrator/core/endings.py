"""Endings: what becomes of an item that a commit has finished."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.core.board import Board
from orchestrator.core.delivery import Delivery
from orchestrator.core.events import ItemFailed
from orchestrator.core.facts import ItemSkipped
from orchestrator.core.messages import End, Mark
from orchestrator.core.ports import Lease, Port
from orchestrator.core.tickets import CommitTicket

__all__ = ["Endings"]


class Endings:
    """Books the ends of items: done, skipped, failed, or to be tried again."""

    def __init__(self, board: Board, delivery: Delivery) -> None:
        self._board = board
        self._delivery = delivery

    def finish(self, ticket: CommitTicket, n: int) -> None:
        """The next n items of a commit."""
        first, ticket.at = ticket.at, ticket.at + n
        marks, at = ticket.marks, 0
        for lease, count in ticket.leases:
            begin, end = max(at, first), min(at + count, ticket.at)
            if begin < end:
                found = [marks[i] for i in range(begin, end) if i in marks] if marks else []
                self.finish_leased(ticket.port, lease, end - begin, begin, found)
            at += count

    def finish_leased(
        self, port: Port, lease: Lease, n: int, begin: int = 0, marks: Sequence[Mark] = ()
    ) -> None:
        """The next n items of a lease, of which the first is item `begin` of its commit."""
        port.job.items_in += n
        lease.queue.done += n - len(marks)
        for mark in marks:
            self._finish_marked(port, lease, lease.finished + mark.at - begin, mark)
        self._delivery.advance(port, lease, n)

    def _finish_marked(self, port: Port, lease: Lease, index: int, mark: Mark) -> None:
        queue, job, segment = lease.queue, port.job, lease.item(index)
        assert segment is not None
        number = segment.first
        item = f"{queue.name}:{number}"
        if mark.end is End.SKIPPED:
            queue.skipped += 1
            job.skipped += 1
            self._board.report(
                ItemSkipped(
                    job=job.name,
                    worker=port.worker,
                    item=item,
                    queue=queue.name,
                    failure=mark.failure,
                )
            )
            return
        used = queue.attempts.get(number, 0) + 1
        if used < job.attempts:
            queue.attempts[number] = used
            job.retried += 1
            job.items_in -= 1
            self._delivery.postpone(queue, segment, job.retry_delay_s)
            return
        queue.left += 1
        job.failed += 1
        self._board.orders.append(
            ItemFailed(worker=port.worker, queue=queue.name, item=item, failure=mark.failure)
        )
