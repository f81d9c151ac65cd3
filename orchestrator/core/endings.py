"""Endings: what becomes of an item that a commit has finished."""

from __future__ import annotations

from collections.abc import Collection, Container, Sequence
from typing import NamedTuple

from orchestrator.core.board import Board
from orchestrator.core.charging import Charge
from orchestrator.core.delivery import Delivery
from orchestrator.core.events import ItemFailed
from orchestrator.core.facts import ItemDead, ItemRetried, ItemSkipped
from orchestrator.core.journal import Journal
from orchestrator.core.messages import End, Failure, Mark
from orchestrator.core.policy import backoff_s, end_of
from orchestrator.core.ports import Lease, Port
from orchestrator.core.queues import QueueState, Segment
from orchestrator.core.steps import Fate
from orchestrator.core.tickets import CommitTicket
from orchestrator.core.wording import not_tried_again

__all__ = ["Endings"]

_FATES = {End.SKIPPED: Fate.SKIPPED, End.DEAD: Fate.DEAD}
"""An item that fails its job stays in the journal: a resumed run tries it again."""


_PARTED = Failure(
    kind="ResumeError",
    message="the run was killed when a part of what this item gives was on its queues already,"
    " so it cannot be tried again",
)


class Item(NamedTuple):
    """One item of a queue, and how many attempts at it are used up."""

    queue: QueueState
    segment: Segment
    attempts: int

    @property
    def id(self) -> str:
        """Its id: `queue:n`."""
        return f"{self.queue.name}:{self.segment.first}"


class Endings:
    """Books the ends of items: done, skipped, dead, failed, or to be tried again."""

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
        port.fruitful = True
        lease.queue.done += n - len(marks)
        if lease.queue.attempts or lease.queue.suspects:
            self._forget(lease, n, {lease.finished + mark.at - begin for mark in marks})
        if (journal := self._board.journal) is not None:
            _note(journal, port, lease, n, {mark.at - begin for mark in marks})
        for mark in marks:
            self._finish_marked(port, lease, lease.finished + mark.at - begin, mark)
        self._delivery.advance(port, lease, n)

    def finish_at_once(self, port: Port, lease: Lease, mark: Mark) -> None:
        """The first unclaimed item of a lease has not ended well: it waits for no turn."""
        port.job.items_in += 1
        port.fruitful = True
        self._end_marked(port, lease.queue, lease.detach(), mark, parted=False)

    def let_go(self, port: Port, lease: Lease) -> None:
        """Some of the lease is held back, or has ended out of turn."""
        self._delivery.advance(port, lease, 0)

    def _forget(self, lease: Lease, n: int, but: Container[int]) -> None:
        """The next n items of the lease, all but the marked ones, need no account any more."""
        for index in range(lease.finished, lease.finished + n):
            if index not in but and (segment := lease.item(index)):
                lease.queue.attempts.pop(segment.first, None)
                lease.queue.suspects.discard(segment.first)

    def _finish_marked(self, port: Port, lease: Lease, index: int, mark: Mark) -> None:
        segment = lease.item(index)
        assert segment is not None
        parted = index == lease.finished and lease.emitted
        self._end_marked(port, lease.queue, segment, mark, parted=parted)

    def _end_marked(
        self, port: Port, queue: QueueState, segment: Segment, mark: Mark, *, parted: bool
    ) -> None:
        """End an item, other than well, or have it tried again."""
        job, used = port.job, queue.attempts.pop(segment.first, 0) + 1
        queue.suspects.discard(segment.first)
        item = Item(queue, segment, used)
        failure = mark.failure
        if mark.end is End.FAILED and used < job.retry.attempts:
            if not parted:
                queue.attempts[segment.first] = used
                self._try_again(port, item, failure)
                return
            failure = not_tried_again(failure)
        end = end_of(job.otherwise) if mark.end is End.FAILED else mark.end
        self._end(port, item, end, failure)

    def _try_again(self, port: Port, item: Item, failure: Failure) -> None:
        port.job.items_in -= 1
        self._note_tried(port, item)
        delay_s = backoff_s(port.job.retry, item.attempts, item.segment.first)
        self._delivery.postpone(item.queue, item.segment, delay_s)
        port.job.retried += 1
        self._tell_retry(port, item, delay_s, failure)

    def _note_tried(self, port: Port, item: Item) -> None:
        if self._board.journal is not None:
            first = item.segment.first
            self._board.journal.tried(item.queue.name, first, item.attempts, port.job.name)

    def _tell_retry(self, port: Port, item: Item, delay_s: float, failure: Failure) -> None:
        self._board.report(
            ItemRetried(
                job=port.job.name,
                worker=port.worker,
                item=item.id,
                queue=item.queue.name,
                attempts=item.attempts,
                delay_s=delay_s,
                failure=failure,
            )
        )

    def charged(self, port: Port, charge: Charge, failure: Failure, *, again: bool = True) -> None:
        """The worker has died at this item, which is back in its queue unless that was its last.

        `again`: the job goes on, so that it will be tried again.
        """
        item = Item(charge.queue, charge.segment, charge.attempts)
        if not charge.last:
            self._note_tried(port, item)
            port.job.retried += 1
            if again:
                self._tell_retry(port, item, 0.0, failure)
            return
        port.job.items_in += 1
        del charge.queue.attempts[charge.segment.first]
        charge.queue.suspects.discard(charge.segment.first)
        if charge.parted and (charge.together or charge.attempts < port.job.retry.attempts):
            failure = not_tried_again(failure, together=charge.together)
        self._end(port, item, end_of(port.job.otherwise), failure)
        self._board.dirty[charge.queue] = None

    def end_parted(self, port: Port) -> None:
        """The run is resumed: the job can try no item again of which a part had left."""
        for queue in port.job.reads:
            for segment in queue.parted.pop(port.job.name, ()):
                used = queue.attempts[segment.first] = queue.attempts.get(segment.first, 0) + 1
                self.charged(port, Charge(queue, segment, used, last=True), _PARTED)

    def _end(self, port: Port, item: Item, end: End, failure: Failure) -> None:
        """The item ends, other than well.

        In a row nobody waits any more for one that gives nothing; one that fails its job stays the
        first for ever.
        """
        job, queue = port.job, item.queue
        if queue.row is not None and end in _FATES:
            queue.row.end(item.segment.first)
        if self._board.journal is not None and end in _FATES:
            self._board.journal.ended(queue.name, item.segment, _FATES[end], job.name)
        if end is End.SKIPPED:
            queue.skipped += 1
            job.skipped += 1
            skipped = ItemSkipped(
                job=job.name, worker=port.worker, item=item.id, queue=queue.name, failure=failure
            )
            self._board.report(skipped)
        elif end is End.DEAD:
            queue.dead += 1
            job.dead += 1
            self._board.report(_letter(port, item, failure))
        else:
            queue.leave([item.segment.numbers])
            job.failed += 1
            self._board.orders.append(
                ItemFailed(worker=port.worker, queue=queue.name, item=item.id, failure=failure)
            )


def _note(journal: Journal, port: Port, lease: Lease, n: int, marked: Collection[int]) -> None:
    """Note those of the next n items that are done."""
    if not marked:
        journal.finished(port, lease, n)
        return
    for at in range(n):
        segment = lease.item(lease.finished + at)
        if at not in marked and segment is not None:
            journal.ended(lease.queue.name, segment, Fate.DONE, port.job.name)


def _letter(port: Port, item: Item, failure: Failure) -> ItemDead:
    segment = item.segment
    return ItemDead(
        job=port.job.name,
        worker=port.worker,
        item=item.id,
        queue=item.queue.name,
        attempts=item.attempts,
        failure=failure,
        chunk=segment.chunk.blob,
        index=segment.start,
        packed=segment.chunk.packed,
    )
