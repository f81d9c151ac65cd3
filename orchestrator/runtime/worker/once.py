"""Jobs that are called once: tasks, sources, streams and functions with handles.

Called in the child.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from types import GeneratorType
from typing import Any

from orchestrator.errors import EndOfStream
from orchestrator.plan.model import Shape
from orchestrator.runtime.worker import current
from orchestrator.runtime.worker.context import Context, Pace
from orchestrator.runtime.worker.emit import items_of
from orchestrator.runtime.worker.lease import Lease
from orchestrator.runtime.worker.outbox import Outbox

__all__ = ["run_once"]


def run_once(context: Context) -> None:
    """Call the target, emit what it gives back, and finish what is in hand.

    Raises whatever the target raises; EndOfStream from a handle is a clean end.
    """
    context.cell.begin(0, 0, time.monotonic_ns())
    stream = Items(context) if context.job.shape is Shape.STREAM else None
    try:
        result = context.call(stream) if stream is not None else context.call()
        _emit(context, items_of(result, context.job.shape, emits=context.box is not None))
    except EndOfStream:
        pass
    context.cell.idle()
    with context.lock:
        if stream is not None:
            stream.finish()
        context.transaction.finish()


def _emit(context: Context, items: Iterable[Any]) -> None:
    box = context.box
    if box is None:
        return
    iterator = iter(items)
    try:
        _emit_each(context, box, iterator)
    finally:
        if isinstance(iterator, GeneratorType):
            iterator.close()


def _emit_each(context: Context, box: Outbox, iterator: Iterator[Any]) -> None:
    client, lock, stopper = context.client, context.lock, context.stopper
    acquire, release, following = lock.acquire, lock.release, iterator.__next__
    is_source = context.job.shape is Shape.SOURCE
    while True:
        if is_source and (box.count >= box.limit or client.stop_asked):
            with lock:
                if client.stop_asked or not _room(context, box):
                    return
        try:
            item = following()
        except StopIteration:
            return
        acquire()
        try:
            if box.count >= box.limit and not _room(context, box):
                return
            context.put(box, item)
            if stopper.requested:
                stopper.check()
        finally:
            release()


def _room(context: Context, box: Outbox) -> bool:
    """Wait for room for one more item (lock held); False when the emitting shall end."""
    context.client.wait_for_credit(box, n=box.chunk_items)
    return not box.shut and not context.client.stop_asked


class Items:
    """What a stream target iterates over: an item is finished when the next is asked for."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._pace = Pace(context.client)
        self._lease: Lease | None = None
        self._values: Iterator[Any] = iter(())
        self._in_hand = False

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        """Finish the item in hand, return the next."""
        context = self._context
        with context.lock:
            self.finish()
            if context.stopper.requested:
                context.stopper.check()
            lease = self._lease
            if lease is None or lease.started >= lease.limit:
                lease = self._pull()
            lease.started += 1
            self._in_hand = True
        return next(self._values)

    def finish(self) -> None:
        """The item in hand is done (lock held)."""
        if self._in_hand and self._lease is not None:
            self._context.client.finish(self._lease)
            self._in_hand = False

    def _pull(self) -> Lease:
        context = self._context
        if self._lease is not None:
            self._pace.end(self._lease.finished)
        lease = context.client.pull(context.job.inputs, most=self._pace.most)
        if not isinstance(lease, Lease):
            self._lease = None
            raise StopIteration
        self._pace.begin()
        self._lease = lease
        self._values = iter(lease)
        current.at(lease)
        return lease
