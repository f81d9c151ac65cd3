"""Failed attempts: what a worker's death costs the item it was at (rule 6)."""

from __future__ import annotations

from typing import NamedTuple

from orchestrator.core.broker.clients import LeaseState, WorkerState
from orchestrator.core.broker.queue import QueueState, Segment
from orchestrator.core.protocol.events import Blame, Phase

__all__ = ["FailedAttempt", "failed_attempts"]


class FailedAttempt(NamedTuple):
    """An attempt at an item that a worker's death has used up, so many in all.

    It was the `last` one if none is left, or if the item is `partially_emitted`: a part of what it
    gives has been put, or, of a batch (`together`), of what that gives.
    """

    queue: QueueState
    segment: Segment
    attempts: int
    last: bool
    partially_emitted: bool = False
    together: bool = False


def failed_attempts(client: WorkerState, lease: LeaseState, blame: Blame) -> list[FailedAttempt]:
    """Charge an attempt to the item the worker was at.

    Of a batch nobody can tell which item it was: they will be handed out one by one. What has given
    a part of its outputs cannot be tried again; of a batch, that is all of it.
    """
    if not client.job.by_item:
        return []
    first = lease.finished + lease.claimed
    found = []
    if lease.partially_emitted and not lease.claimed:
        partially_emitted = lease.total - first if lease.in_progress > 1 else 1
        together = lease.in_progress > 1
        found = [
            _failed_attempt(lease, index, last=True)._replace(
                partially_emitted=True, together=together
            )
            for index in range(first, first + partially_emitted)
        ]
        first += partially_emitted
    if lease.number != blame.lease or blame.phase is not Phase.RUNNING:
        return found
    index = blame.index - lease.detached
    if not first <= index < lease.total:
        return found
    if lease.in_progress > 1 and lease.total - index > 1:
        lease.queue.suspects.update(lease.numbers(index))
        return found
    attempt = _failed_attempt(lease, index, last=False)
    last = attempt.attempts >= client.job.retry.attempts
    return [*found, attempt._replace(last=last)]


def _failed_attempt(lease: LeaseState, index: int, *, last: bool) -> FailedAttempt:
    queue, item = lease.queue, lease.item(index)
    assert item is not None
    used = queue.attempts[item.first] = queue.attempts.get(item.first, 0) + 1
    return FailedAttempt(queue, item, used, last=last)
