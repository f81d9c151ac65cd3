"""Questions of a target about the worker it runs in. Called in the child."""

from __future__ import annotations

import dataclasses
from contextlib import AbstractContextManager
from pathlib import Path

from orchestrator.ipc.cell import INDEX, LEASE, PHASE, RUNNING
from orchestrator.ipc.order import Order
from orchestrator.ipc.stacks import keep_answering
from orchestrator.worker.lease import Lease
from orchestrator.worker.transaction import Transaction
from orchestrator.worker.window import StreamWindow

__all__ = ["Current", "at_hand", "current", "transaction"]

_NONE = ("", 0)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Current:
    """The worker and the item at hand.

    `index` counts the job's workers from 1; `item_id` is `queue:n`, the n-th item put on that
    queue, and like `queue` it is None outside an item; `attempt` counts from 1.
    """

    run: str
    run_dir: Path
    job: str
    worker: str
    index: int
    workers: int
    item_id: str | None
    attempt: int
    queue: str | None


class _Place:
    """The one place of this process: a worker runs one job."""

    order: Order | None = None
    lease: Lease | None = None
    words: memoryview | None = None
    run: StreamWindow | None = None
    transaction: Transaction | None = None
    cell: memoryview | None = None
    frozen: tuple[int, int] | None = None
    told: tuple[Lease | None, int, int, tuple[str, int]] = (None, 0, 0, _NONE)


def enter(order: Order, cell: memoryview | None = None) -> None:
    """From now on the process is the worker of that order; `cell` is its progress cell."""
    _Place.order, _Place.cell = order, cell


def leave() -> None:
    """The target has ended: what is said from now on belongs to no item."""
    _Place.lease = _Place.words = _Place.run = _Place.transaction = None


def freeze() -> None:
    """Called in a process that the target has forked: the item at hand is its parent's, if any.

    It is at hand here for as long as the parent is at it.
    """
    cell = _Place.cell
    if cell is None or cell[PHASE] != RUNNING or _Place.run is not None:
        _Place.frozen = (-1, -1)
    elif _Place.frozen is None:
        _Place.frozen = (cell[LEASE], cell[INDEX])


def at_hand() -> tuple[str, int]:
    """The item at hand and which attempt at it this is; of a batch its range. ("", 0) for none.

    The same tuple for as long as it is the same item.
    """
    lease, words, told = _Place.lease, _Place.words, _Place.told
    if (
        words is not None
        and lease is told[0]
        and lease is not None
        and words[INDEX] == told[1]
        and words[PHASE] == RUNNING
        and words[LEASE] == lease.number
        and _Place.frozen is None
    ):
        return told[3]  # the same as before, which is asked for most
    if lease is None:
        transaction = _Place.transaction
        lease = transaction.latest if transaction is not None and transaction.hands else None
        if lease is None or _Place.frozen is not None:
            return _NONE
        first = lease.started - 1
        last = first
    elif words is not None:
        if words[PHASE] != RUNNING or words[LEASE] != lease.number:
            return _NONE
        first = last = words[INDEX]
        if _Place.frozen is not None and _Place.frozen != (lease.number, first):
            return _NONE
    elif _Place.run is not None:
        first = last = _Place.run.started - 1
    else:
        first, last = lease.finished, lease.started - 1
        if last < first:
            return _NONE
    if _Place.frozen is not None and words is None and not _is_frozen_at(lease):
        return _NONE
    if told[0] is lease and told[1] == first and told[2] == last:
        return told[3]
    name = lease.item_id(first) if first == last else lease.range_id(first, last)
    found = (name, lease.attempt_of_range(first, last))
    _Place.told = (lease, first, last, found)
    return found


def _is_frozen_at(lease: Lease) -> bool:
    """True if the parent of this forked process is still at the batch it was forked in."""
    cell = _Place.cell
    if cell is None or cell[PHASE] != RUNNING or _Place.run is not None:
        return False
    return _Place.frozen == (cell[LEASE], cell[INDEX]) and lease.number == cell[LEASE]


def at(lease: Lease, words: memoryview | None = None, run: StreamWindow | None = None) -> None:
    """The worker has begun on this lease.

    The progress cell or the run of a stream, if given, says which item it is at.
    """
    _Place.lease, _Place.words, _Place.run = lease, words, run
    if _Place.cell is not None:
        keep_answering(_Place.cell)


def offer(transaction: Transaction) -> None:
    """The target may use `transaction()`."""
    _Place.transaction = transaction


def transaction() -> AbstractContextManager[None]:
    """In a job that is called once with handles: commit what is done inside in one step, or not.

    Inside, what is got and put is not committed; when the block ends, all of it is, at once. If it
    raises, what was put is forgotten and what was got goes back to the head of its queue. It never
    waits: a get that finds nothing and a put that finds no room raise WouldWaitError. Raises
    RuntimeError elsewhere, QueueError inside another one.
    """
    if _Place.transaction is None:
        raise RuntimeError(
            "orchestrator.transaction() is for jobs that are called once with queue handles"
            " (in item and batch jobs each item is a transaction by itself)"
        )
    return _Place.transaction.scope()


def current() -> Current:
    """The run, job, worker and item that the calling code works for.

    Raises RuntimeError outside a worker of mporch.
    """
    order = _Place.order
    if order is None:
        raise RuntimeError("orchestrator.current() works only inside a worker of `mporch run`")
    index = _index()
    at = _Place.lease if index >= 0 else None
    return Current(
        run=order.run,
        run_dir=Path(order.run_dir),
        job=order.job.name,
        worker=order.worker,
        index=order.index,
        workers=order.job.workers,
        item_id=at.item_id(index) if at else None,
        attempt=at.attempt(index) if at else 1,
        queue=at.queue if at else None,
    )


def begun(n: int) -> list[str]:
    """The ids of the last n items that were begun, the item at hand as the last; none outside."""
    last, lease = _index(), _Place.lease
    if lease is None or last < 0:
        return []
    return [lease.item_id(index) for index in range(last + 1 - n, last + 1)]


def _index() -> int:
    """Return which item of the lease is at hand; -1 outside an item."""
    lease, words = _Place.lease, _Place.words
    if lease is None:
        return -1
    if words is not None:
        return words[INDEX]
    return (lease if _Place.run is None else _Place.run).started - 1
