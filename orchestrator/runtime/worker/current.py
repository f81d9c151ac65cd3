"""What a target can ask about the worker it runs in. Called in the child."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from orchestrator.runtime.worker.lease import Lease
from orchestrator.runtime.worker.order import Order

__all__ = ["Current", "current"]


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


def enter(order: Order) -> None:
    """From now on the process is the worker of that order."""
    _Place.order = order


def at(lease: Lease | None) -> None:
    """The worker has begun on this lease."""
    _Place.lease = lease


def current() -> Current:
    """The run, job, worker and item that the calling code works for.

    Raises RuntimeError outside a worker of mporch.
    """
    order, lease = _Place.order, _Place.lease
    if order is None:
        raise RuntimeError("orchestrator.current() works only inside a worker of `mporch run`")
    in_item = lease is not None and lease.started > 0
    return Current(
        run=order.run,
        run_dir=Path(order.run_dir),
        job=order.job.name,
        worker=order.worker,
        index=order.index,
        workers=order.job.workers,
        item_id=lease.item_id(lease.started - 1) if lease and in_item else None,
        attempt=1,
        queue=lease.queue if lease and in_item else None,
    )
