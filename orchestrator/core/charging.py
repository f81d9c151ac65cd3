"""Charging: what a worker's death costs the item it was at (rule 6)."""

from __future__ import annotations

from typing import NamedTuple

from orchestrator.core.events import Blame, Phase
from orchestrator.core.ports import Lease, Port
from orchestrator.core.queues import QueueState, Segment

__all__ = ["Charge", "charges"]


class Charge(NamedTuple):
    """An attempt at an item that a worker's death has used up, so many in all.

    It was the `last` one if none is left, or if the item is `parted`: a part of what it gives has
    been put, or, of a batch (`together`), of what that gives.
    """

    queue: QueueState
    segment: Segment
    attempts: int
    last: bool
    parted: bool = False
    together: bool = False


def charges(port: Port, lease: Lease, blame: Blame) -> list[Charge]:
    """Charge an attempt to the item the worker was at.

    Of a batch nobody can tell which item it was: they will be handed out one by one. What has given
    a part of its outputs cannot be tried again; of a batch, that is all of it.
    """
    if not port.job.by_item:
        return []
    first = lease.finished + lease.claimed
    found = []
    if lease.emitted and not lease.claimed:
        parted = lease.total - first if lease.hand > 1 else 1
        together = lease.hand > 1
        found = [
            _charge(lease, index, last=True)._replace(parted=True, together=together)
            for index in range(first, first + parted)
        ]
        first += parted
    if lease.number != blame.lease or blame.phase is not Phase.RUNNING:
        return found
    index = blame.index - lease.detached
    if not first <= index < lease.total:
        return found
    if lease.hand > 1 and lease.total - index > 1:
        lease.queue.suspects.update(lease.numbers(index))
        return found
    charge = _charge(lease, index, last=False)
    last = charge.attempts >= port.job.retry.attempts
    return [*found, charge._replace(last=last)]


def _charge(lease: Lease, index: int, *, last: bool) -> Charge:
    queue, item = lease.queue, lease.item(index)
    assert item is not None
    used = queue.attempts[item.first] = queue.attempts.get(item.first, 0) + 1
    return Charge(queue, item, used, last=last)
