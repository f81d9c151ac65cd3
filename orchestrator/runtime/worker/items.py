"""Jobs that are called for each item or batch.

Called in the child.
"""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable, Iterator
from typing import Any

from orchestrator.core.messages import Ended
from orchestrator.runtime.worker import current
from orchestrator.runtime.worker.cell import IDLE, INDEX, LEASE, PHASE, RUNNING, SINCE
from orchestrator.runtime.worker.context import OURS, Context, Pace
from orchestrator.runtime.worker.emit import SPECIAL, items_of
from orchestrator.runtime.worker.lease import Lease
from orchestrator.runtime.worker.outbox import Outbox

__all__ = ["run_batches", "run_items"]


def run_items(context: Context) -> None:
    """Call the target with each item until the input has ended.

    Raises ItemFailedError when an item fails that may not, StopRequested by the stop signal.
    """
    pace = Pace(context.client)
    while True:
        with context.lock:
            lease = context.client.pull(context.job.inputs, most=pace.most)
        if not isinstance(lease, Lease):
            return
        current.at(lease)
        pace.begin()
        _items_of_lease(context, lease)
        pace.end(lease.finished)


def _items_of_lease(context: Context, lease: Lease) -> None:  # noqa: PLR0912 - see below
    """Call the target with each item: the loop that decides how fast mporch is.

    All of it stands in one place because a call of our own each costs as much as the target does.
    The lock is given up only while the target runs.
    """
    client, call, box, stopper = context.client, context.call, context.box, context.stopper
    acquire, release = context.lock.acquire, context.lock.release
    words, loads, clock_ns = context.cell.words, pickle.loads, time.monotonic_ns
    routed = bool(context.job.write_handles)
    words[LEASE] = lease.number
    acquire()
    try:
        for raw, packed in lease.pieces():
            for value in raw:
                if stopper.requested:
                    stopper.check()
                if box is not None and box.count >= box.limit:
                    client.wait_for_credit(box, n=box.chunk_items)
                index = lease.started
                if index >= lease.limit:
                    return
                lease.started = index + 1
                words[INDEX] = index
                words[SINCE] = clock_ns()
                words[PHASE] = RUNNING
                try:
                    try:
                        release()
                        result = call(loads(value) if packed else value)
                        if type(result) in SPECIAL:
                            _emit(context, box, result)
                            result = None
                    finally:
                        acquire()
                    words[PHASE] = IDLE
                    if box is None or result is None:
                        client.finish(lease)
                    else:
                        context.finish_with(lease, box, result)
                except OURS:
                    client.drop_open()
                    raise
                except BaseException as error:  # noqa: BLE001 - this item's end, whatever it is
                    words[PHASE] = IDLE
                    context.fail((lease,), error)
                else:
                    if (box is not None and box.count >= box.due) or (routed and client.is_due):
                        client.commit()
    finally:
        release()


def _emit(context: Context, box: Outbox | None, result: Any) -> None:
    """Run a generator, each yield an output of the item at hand; refuse a coroutine."""
    items = items_of(result, context.job.shape, emits=box is not None)
    if box is None:
        return
    for item in items:
        with context.lock:
            context.put(box, item)


def run_batches(context: Context) -> None:
    """Call the target with lists of items until the input has ended; raises as `run_items`."""
    batch = context.job.batch
    assert batch is not None
    while True:
        with context.lock:
            lease = context.client.pull(
                context.job.inputs, most=batch.size, least=batch.size, within_s=batch.within_s
            )
        if isinstance(lease, Ended) or lease is None:
            return
        current.at(lease)
        _batch(context, lease)


def _batch(context: Context, lease: Lease) -> None:
    """Call the target with all items. If that fails call it with each: whose fault was it."""
    if lease.limit > 1 and _tried(context, lease, lambda: list(lease), alone=False):
        return
    for load in _loaders(lease):  # afresh: the target may have changed what it was given
        _tried(context, lease, lambda load=load: [load()], alone=True)  # type: ignore[misc]


def _tried(context: Context, lease: Lease, load: Callable[[], list[Any]], *, alone: bool) -> bool:
    """Call the target once; False if that failed. The failure of an item alone is its end."""
    try:
        _call_batch(context, lease, load())
    except OURS:
        raise
    except BaseException as error:  # noqa: BLE001 - whatever it is, it is this batch's end
        context.cell.idle()
        with context.lock:
            if alone:
                context.fail((lease,), error)
            else:
                context.client.drop_open()
        return False
    return True


def _call_batch(context: Context, lease: Lease, items: list[Any]) -> None:
    with context.lock:
        context.stopper.check()
        context.cell.begin(lease.number, lease.finished, time.monotonic_ns())
        lease.started = lease.finished + len(items)
    result = context.call(items)
    if result is not None:
        _emit(context, context.box, result)
    context.cell.idle()
    with context.lock:
        for _ in items:
            context.client.finish(lease)
        if context.client.is_due:
            context.client.commit()


def _loaders(lease: Lease) -> Iterator[Any]:
    for raw, packed in lease.pieces():
        for value in raw:
            yield (
                (lambda value=value: pickle.loads(value)) if packed else (lambda value=value: value)
            )
