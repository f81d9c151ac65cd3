"""Outcomes of items: done, retried, skipped, dead letter or failed, as commits and deaths tell."""

from __future__ import annotations

from collections.abc import Collection, Container, Sequence
from typing import Any

from orchestrator.core.broker.chunks import Segment
from orchestrator.core.broker.clients import CommitWaiter, WorkerState
from orchestrator.core.broker.lease import FailedAttempt, LeaseState
from orchestrator.core.broker.leasing import Returns
from orchestrator.core.broker.observers import Journal
from orchestrator.core.broker.queue import QueueState
from orchestrator.core.broker.state import BrokerState
from orchestrator.core.durable.records import Fate
from orchestrator.core.protocol.events import ItemFatal
from orchestrator.core.protocol.messages import End, Failure, Mark
from orchestrator.core.protocol.notifications import ItemDead, ItemKept, ItemRetried, ItemSkipped
from orchestrator.core.reasons import not_tried_again
from orchestrator.core.retry import backoff_s, end_of

__all__ = ["Outcomes"]

_FATES = {End.SKIPPED: Fate.SKIPPED, End.DEAD: Fate.DEAD}
"""An item that fails its job stays in the journal: a resumed run tries it again."""


_PARTIALLY_EMITTED = Failure(
    kind="ResumeError",
    message="the run was killed when a part of what this item gives was on its queues already,"
    " so it cannot be tried again",
)


class Item:
    """One item of a queue, and how many attempts at it are used up."""

    def __init__(self, queue: QueueState, segment: Segment, attempts: int) -> None:
        self.queue = queue
        self.segment = segment
        self.attempts = attempts

    @property
    def id(self) -> str:
        """Its id: `queue:n`."""
        return f"{self.queue.name}:{self.segment.first}"


class Outcomes:
    """Books the ends of items: done, skipped, dead, failed, or to be tried again."""

    def __init__(self, state: BrokerState, returns: Returns) -> None:
        self._state = state
        self._returns = returns

    def finish(self, waiter: CommitWaiter, n: int) -> None:
        """The next n items of a commit."""
        first, waiter.at = waiter.at, waiter.at + n
        marks, at = waiter.marks, 0
        for lease, count in waiter.leases:
            begin, end = max(at, first), min(at + count, waiter.at)
            if begin < end:
                found = [marks[i] for i in range(begin, end) if i in marks] if marks else []
                self.finish_leased(waiter.client, lease, end - begin, begin, found)
            at += count

    def finish_leased(
        self,
        client: WorkerState,
        lease: LeaseState,
        n: int,
        begin: int = 0,
        marks: Sequence[Mark] = (),
    ) -> None:
        """The next n items of a lease, of which the first is item `begin` of its commit."""
        client.job.items_in += n
        client.made_progress = True
        lease.queue.done += n - len(marks)
        if lease.queue.attempts or lease.queue.suspects:
            self._forget(lease, n, {lease.finished + mark.at - begin for mark in marks})
        for journal in self._state.journals:
            _note(journal, client, lease, n, {mark.at - begin for mark in marks})
        for mark in marks:
            self._finish_marked(client, lease, lease.finished + mark.at - begin, mark)
        self._returns.advance(client, lease, n)

    def finish_at_once(self, client: WorkerState, lease: LeaseState, mark: Mark) -> None:
        """The first unclaimed item of a lease has not ended well: it waits for no turn."""
        client.job.items_in += 1
        client.made_progress = True
        self._end_marked(client, lease.queue, lease.detach(), mark, partially_emitted=False)

    def let_go(self, client: WorkerState, lease: LeaseState) -> None:
        """Some of the lease is held back, or has ended out of turn."""
        self._returns.advance(client, lease, 0)

    def _forget(self, lease: LeaseState, n: int, but: Container[int]) -> None:
        """The next n items of the lease, all but the marked ones, need no account any more."""
        for index in range(lease.finished, lease.finished + n):
            if index not in but and (segment := lease.item(index)):
                lease.queue.attempts.pop(segment.first, None)
                lease.queue.suspects.discard(segment.first)

    def _finish_marked(
        self, client: WorkerState, lease: LeaseState, index: int, mark: Mark
    ) -> None:
        segment = lease.item(index)
        assert segment is not None
        partially_emitted = index == lease.finished and lease.partially_emitted
        self._end_marked(client, lease.queue, segment, mark, partially_emitted=partially_emitted)

    def _end_marked(
        self,
        client: WorkerState,
        queue: QueueState,
        segment: Segment,
        mark: Mark,
        *,
        partially_emitted: bool,
    ) -> None:
        """End an item, other than well, or have it tried again."""
        job, used = client.job, queue.attempts.pop(segment.first, 0) + 1
        queue.suspects.discard(segment.first)
        item = Item(queue, segment, used)
        failure = mark.failure
        if mark.end is End.FAILED and used < job.retry.attempts:
            if not partially_emitted:
                queue.attempts[segment.first] = used
                self._try_again(client, item, failure)
                return
            failure = not_tried_again(failure)
        end = end_of(job.otherwise) if mark.end is End.FAILED else mark.end
        self._end(client, item, end, failure)

    def _try_again(self, client: WorkerState, item: Item, failure: Failure) -> None:
        """Count the attempt, and put the item back after its backoff."""
        client.job.items_in -= 1
        self._note_tried(client, item)
        delay_s = backoff_s(client.job.retry, item.attempts, item.segment.first)
        self._returns.postpone(item.queue, item.segment, delay_s)
        client.job.retried += 1
        self._tell_retry(client, item, delay_s, failure)

    def _note_tried(self, client: WorkerState, item: Item) -> None:
        first = item.segment.first
        for journal in self._state.journals:
            journal.tried(item.queue.name, first, item.attempts, client.job.name)

    def _tell_retry(
        self, client: WorkerState, item: Item, delay_s: float, failure: Failure
    ) -> None:
        self._state.report(
            ItemRetried(
                job=client.job.name,
                worker=client.worker,
                item=item.id,
                queue=item.queue.name,
                attempts=item.attempts,
                delay_s=delay_s,
                failure=failure,
            )
        )

    def attempt_failed(
        self, client: WorkerState, attempt: FailedAttempt, failure: Failure, *, again: bool = True
    ) -> None:
        """The worker has died at this item, which is back in its queue unless that was its last.

        `again`: the job goes on, so that it will be tried again.
        """
        item = Item(attempt.queue, attempt.segment, attempt.attempts)
        if not attempt.last:
            self._note_tried(client, item)
            client.job.retried += 1
            if again:
                self._tell_retry(client, item, 0.0, failure)
            return
        client.job.items_in += 1
        del attempt.queue.attempts[attempt.segment.first]
        attempt.queue.suspects.discard(attempt.segment.first)
        if attempt.partially_emitted and (
            attempt.together or attempt.attempts < client.job.retry.attempts
        ):
            failure = not_tried_again(failure, together=attempt.together)
        self._end(client, item, end_of(client.job.otherwise), failure)
        self._state.dirty[attempt.queue] = None

    def end_partially_emitted(self, client: WorkerState) -> None:
        """The run is resumed: the job can try no item again of which a part had left."""
        for queue in client.job.reads:
            for segment in queue.own.partially_emitted.pop(client.job.name, ()):
                used = queue.attempts[segment.first] = queue.attempts.get(segment.first, 0) + 1
                self.attempt_failed(
                    client, FailedAttempt(queue, segment, used, last=True), _PARTIALLY_EMITTED
                )

    def _end(self, client: WorkerState, item: Item, end: End, failure: Failure) -> None:
        """The item ends, other than well: skipped, a dead letter, or it fails its job.

        In a reorder buffer nobody waits any more for one that gives nothing; one that fails its job
        stays the first for ever.
        """
        job, queue = client.job, item.queue
        if end in _FATES:
            if queue.reorder is not None:
                queue.reorder.end(item.segment.first)
            for journal in self._state.journals:
                journal.ended(queue.name, item.segment, _FATES[end], job.name)
        if end is End.SKIPPED:
            queue.skipped += 1
            job.skipped += 1
            skipped = ItemSkipped(
                job=job.name, worker=client.worker, item=item.id, queue=queue.name, failure=failure
            )
            self._state.report(skipped)
        elif end is End.DEAD:
            queue.dead += 1
            job.dead += 1
            self._state.report(ItemDead(**_kept(client, item, failure)))
        else:
            queue.leave([item.segment.numbers])
            job.failed += 1
            self._state.report(ItemKept(**_kept(client, item, failure)))
            self._state.orders.append(
                ItemFatal(worker=client.worker, queue=queue.name, item=item.id, failure=failure)
            )


def _note(
    journal: Journal, client: WorkerState, lease: LeaseState, n: int, marked: Collection[int]
) -> None:
    """Note those of the next n items that are done."""
    if not marked:
        journal.finished(client, lease, n)
        return
    for at in range(n):
        segment = lease.item(lease.finished + at)
        if at not in marked and segment is not None:
            journal.ended(lease.queue.name, segment, Fate.DONE, client.job.name)


def _kept(client: WorkerState, item: Item, failure: Failure) -> dict[str, Any]:
    """Return what a dead letter or a keepsake has of an item."""
    segment = item.segment
    return {
        "job": client.job.name,
        "worker": client.worker,
        "item": item.id,
        "queue": item.queue.name,
        "attempts": item.attempts,
        "failure": failure,
        "chunk": segment.chunk.blob,
        "index": segment.start,
        "packed": segment.chunk.packed,
    }
