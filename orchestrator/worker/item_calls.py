"""Item calls: jobs that are called for each item or batch.

Called in the child.
"""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable, Iterator
from types import GeneratorType
from typing import Any

from orchestrator.core.protocol.messages import Ended
from orchestrator.ipc.cell import INDEX, LEASE, PHASE, RUNNING, SINCE
from orchestrator.plan.model import Command
from orchestrator.worker import current
from orchestrator.worker.call_context import OURS, CallContext, Pace
from orchestrator.worker.lease import Lease
from orchestrator.worker.outbox import Outbox
from orchestrator.worker.process import Wear
from orchestrator.worker.target import SPECIAL, items_of
from orchestrator.worker.window import ItemWindow

__all__ = ["run_batches", "run_items"]


def run_items(context: CallContext) -> None:
    """Call the target with each item until the input has ended.

    Raises ItemFailedError when an item fails that may not, StopRequested by the stop signal.
    """
    pace, wear = Pace(context.client), Wear(context.job.recycle)
    while True:
        left = wear.items_left
        most = pace.most if left is None else min(pace.most, left)
        with context.lock:
            if context.job.rate is not None:
                context.make_room()
            lease = context.client.pull(context.job.inputs, most=most)
        if not isinstance(lease, Lease):
            return
        current.at(lease, context.cell.words)
        pace.begin()
        _items_of_lease(context, lease)
        pace.end(lease.finished)
        if worn := wear.worn_by(lease.finished):
            context.recycled = worn
            return


def _items_of_lease(context: CallContext, lease: Lease) -> None:
    """Work through the items in windows: as many at a time as credits and a chunk allow."""
    before = 0
    for piece in lease.pieces():
        n = len(piece.items)
        while (at := lease.finished - before) < n:
            with context.lock:
                window = _open(context, lease, n - at)
            if window is None:
                return
            began, since_ns = lease.finished, context.cell.words[SINCE]
            waited_s = context.client.connection.waited_s
            try:
                _work(context, window, piece.taken(at, at + window.n), packed=piece.packed)
            except OURS:
                raise  # the cell goes on saying which item the worker was at
            except BaseException as error:  # noqa: BLE001 - this item's end, whatever it is
                name, context.failed_name = context.failed_name, ""
                context.tell_failure(error, name=name)
                _close(context, lease)
                with context.lock:
                    context.fail((lease,), error, (name,))
            else:
                _close(context, lease)
            context.note_service(
                lease,
                began,
                since_ns=since_ns,
                waited_s=waited_s,
                first=lambda piece=piece, at=at: piece.items[at],  # type: ignore[misc]
                packed=piece.packed,
            )
        before += n


def _open(context: CallContext, lease: Lease, n: int) -> ItemWindow | None:
    """Begin a window of up to n items (lock held); None when the rest was recalled."""
    client, outbox, words = context.client, context.outbox, context.cell.words
    context.stopper.check()
    if outbox is not None:
        if context.job.rate is None:
            context.make_room()
        n = min(n, max(1, outbox.due - outbox.count))
    n = min(n, lease.limit - lease.finished)
    if n < 1:
        return None
    window = ItemWindow(lease, outbox, n, words, dump=context.dump, sole=context.sole)
    words[LEASE] = lease.number
    words[INDEX] = lease.finished
    words[SINCE] = time.monotonic_ns()
    words[PHASE] = RUNNING
    client.acks.open_window(window)
    return window


def _close(context: CallContext, lease: Lease) -> None:
    client = context.client
    with context.lock:
        client.acks.close_window()
        context.cell.idle()
        if lease.finished < lease.limit:  # else it travels in the pull that comes now
            client.commits.commit_due()


def _work(context: CallContext, window: ItemWindow, values: Iterator[Any], *, packed: bool) -> None:
    """Call the target with each item: the loop that decides how fast mporch is.

    An item has begun when the progress cell says so, and `attention` is looked at after that: who
    asks for it and then reads the cell knows which items have been begun.
    """
    connection, lease, words = context.client.connection, window.lease, window.words
    call = context.call_of_item()
    append, settle, settled = window.ends.append, window.settle, window.settled
    assert lease is not None
    timed, clock_ns = context.job.timeouts.item_s is not None, time.monotonic_ns
    loads = pickle.loads
    value: Any = None
    try:  # costs an item that goes well nothing
        for index, value in enumerate(values, lease.finished):
            words[INDEX] = index
            if timed:
                words[SINCE] = clock_ns()
            if connection.attention and not context.may_start(lease, index):
                return
            result = call(loads(value) if packed else value)
            kind = type(result)
            if kind in settled:
                append(result)
            elif kind in SPECIAL:
                _emit(context, context.outbox, result)
                with context.lock:
                    context.client.acks.finish(lease)
                return
            elif not settle(result):
                return
    except OURS:
        raise
    except BaseException:
        context.failed_name = context.name_of(lease.queue, value, packed=packed)
        raise


def _emit(context: CallContext, outbox: Outbox | None, result: Any) -> None:
    """Run a generator, each yield an output of the item at hand; refuse a coroutine.

    A command is ended once nobody will ever take what it gives, as if that had been all, since who
    read it has had enough. A function is not: what it does beside may be wanted.
    """
    items = items_of(result, context.job.shape, emits=outbox is not None)
    if outbox is None:
        return
    stopper, is_command = context.stopper, isinstance(context.job.target, Command)
    try:
        for item in items:
            with context.lock:
                context.put(outbox, item)
            if stopper.requested:  # while the lock was held, and no put may ever wait
                stopper.check()
            if is_command and outbox.shut and outbox.credits.reader_returned:
                break
    finally:
        if isinstance(items, GeneratorType):
            items.close()


def run_batches(context: CallContext) -> None:
    """Call the target with lists of items until the input has ended; raises as `run_items`."""
    batch, wear = context.job.batch, Wear(context.job.recycle)
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
        if worn := wear.worn_by(lease.finished):
            context.recycled = worn
            return


def _batch(context: CallContext, lease: Lease) -> None:
    """Call the target with all items. If that fails call it with each: whose fault was it."""
    n = lease.limit - lease.finished
    if lease.limit > 1 and _tried(context, lease, lambda: list(lease), n):
        return
    for load in _loaders(lease):  # afresh: the target may have changed what it was given
        _tried(context, lease, lambda load=load: [load()], 1, alone=True)  # type: ignore[misc]


def _tried(
    context: CallContext,
    lease: Lease,
    load: Callable[[], list[Any]],
    n: int,
    *,
    alone: bool = False,
) -> bool:
    """Call the target once; False if it is to be called with each item instead.

    The failure of an item alone is its end. So is that of a batch for all its items, if a part of
    what it gave has left already: that cannot be called back.
    """
    try:
        _call_batch(context, lease, load, n)
    except OURS:
        raise
    except BaseException as error:  # noqa: BLE001 - whatever it is, it is this batch's end
        names: list[str] = []
        if alone or context.client.acks.partially_emitted:
            names = _names_of(context, lease, n)
            context.tell_failure(error, name=names[0], final=not alone)
        context.cell.idle()
        with context.lock:
            if alone:
                context.fail((lease,), error, names)
            elif context.client.acks.partially_emitted:
                left = lease.limit - lease.finished
                names = [*names, *[""] * left][:left]
                context.fail([lease] * left, error, names, final=True)
            else:
                context.client.outboxes.drop_open()
                return False
    return True


def _call_batch(context: CallContext, lease: Lease, load: Callable[[], list[Any]], n: int) -> None:
    """Load n items and call the target with them: what they do while they load is theirs, too."""
    with context.lock:
        context.stopper.check()
        context.cell.begin(lease.number, lease.finished, time.monotonic_ns())
        lease.started = lease.finished + n
    began, since_ns = lease.finished, context.cell.words[SINCE]
    waited_s = context.client.connection.waited_s
    result = context.call_of_item()(load())
    if result is not None:
        _emit(context, context.outbox, result)
    with context.lock:
        for _ in range(n):
            context.client.acks.finish(lease)
        context.cell.idle()
        if lease.finished < lease.limit:
            context.client.commits.commit_due()
    context.note_service(lease, began, since_ns=since_ns, waited_s=waited_s)


def _names_of(context: CallContext, lease: Lease, n: int) -> list[str]:
    """Name the next n items of the lease, afresh: the target may have changed what it was given."""
    at, names = lease.finished, list[str]()
    for piece in lease.pieces():
        if (size := len(piece.items)) > at:
            part = piece.items[at : at + n - len(names)]
            names += [context.name_of(lease.queue, each, packed=piece.packed) for each in part]
        at = max(0, at - size)
    return names


def _loaders(lease: Lease) -> Iterator[Any]:
    for piece in lease.pieces():
        for value in piece.taken(0, len(piece.items)):
            yield (
                (lambda value=value: pickle.loads(value))
                if piece.packed
                else (lambda value=value: value)
            )
