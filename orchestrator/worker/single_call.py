"""Single calls: tasks, sources, streams and functions with handles are called once.

Called in the child.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from pickle import loads
from threading import get_ident
from types import GeneratorType
from typing import Any

from orchestrator.core.protocol.messages import SourceTotal, Wait
from orchestrator.errors import EndOfStream, WouldWaitError, caused_by
from orchestrator.plan.model import Shape
from orchestrator.worker import current
from orchestrator.worker.call_context import OURS, CallContext, Pace
from orchestrator.worker.end_ignored import EndIgnored
from orchestrator.worker.errors import InconsistentError
from orchestrator.worker.lease import Lease
from orchestrator.worker.outbox import Outbox
from orchestrator.worker.target import items_of
from orchestrator.worker.window import ItemWindow, StreamWindow

__all__ = ["conclude", "run_once"]

_MOST_ITEMS = 1 << 53
"""A length beyond it tells nothing."""
_LOOK_S = 0.05
"""How often a source that repeats itself looks whether it shall end."""


def run_once(context: CallContext) -> None:
    """Call the target, emit what it gives back, and finish what is in hand.

    Raises whatever the target raises; EndOfStream from a handle is a clean end, and so is
    EndIgnored.
    """
    context.cell.begin(0, 0, time.monotonic_ns())
    stream = Items(context) if context.job.shape is Shape.STREAM else None
    try:
        result = context.call(stream) if stream is not None else context.call()
        if context.job.shape is Shape.SOURCE:
            _tell_total(context, result)
        _emit(context, items_of(result, context.job.shape, emits=context.outbox is not None))
    except (EndOfStream, EndIgnored):
        pass
    if stream is not None:
        with context.lock:
            stream.finish()
    conclude(context)


def _tell_total(context: CallContext, result: Any) -> None:
    """Tell how many items a source has, if what it has returned knows."""
    try:
        total = len(result)
    except Exception:  # noqa: BLE001 -- it is the user's code, and nothing depends on it
        return
    with context.lock:
        context.client.connection.send(SourceTotal(total=min(total, _MOST_ITEMS)))


def conclude(context: CallContext) -> None:
    """The target has done its work: finish what is in hand."""
    context.cell.idle()
    with context.lock:
        context.transaction.finish()
        if not context.client.stop_asked:
            context.client.replays.finish()


def _emit(context: CallContext, items: Iterable[Any]) -> None:
    outbox = context.outbox
    if outbox is None:
        return
    iterator = iter(items)
    try:
        if outbox.replay is not None:
            iterator = _replayed(context, outbox, iterator)
        if context.job.shape is Shape.SOURCE and outbox.patience_s is None:
            while _emit_stripe(context, outbox, iterator):
                pass
        else:
            _emit_each(context, outbox, iterator)
    finally:
        with context.lock:
            context.client.acks.close_window()
        if isinstance(items, GeneratorType):
            items.close()


def _replayed(context: CallContext, outbox: Outbox, iterator: Iterator[Any]) -> Iterator[Any]:
    """Return what is left of the items once those that were put before have come again."""
    looked = time.monotonic()
    for item in iterator:
        if not outbox.repeats(item):
            return chain((item,), iterator)
        if (now := time.monotonic()) - looked >= _LOOK_S:
            looked = now
            with context.lock:
                context.stopper.check()
                context.client.connection.take_in()
            if context.client.stop_asked:
                break
    return iter(())


def _emit_stripe(context: CallContext, outbox: Outbox, iterator: Iterator[Any]) -> bool:
    """Emit as many items of a source as there is credit for; False when that was the end."""
    client = context.client
    with context.lock:
        context.stopper.check()
        if client.stop_asked or (outbox.count >= outbox.limit and not _room(context, outbox)):
            return False
        n = max(1, outbox.due - outbox.count)
        window = ItemWindow(
            None, outbox, n, context.cell.words, dump=context.dump, sole=context.sole
        )
        client.acks.open_window(window)
    append, settle, settled = window.ends.append, window.settle, window.settled
    interrupted, connection = False, client.connection
    for item in islice(iterator, n):
        if type(item) in settled:
            append(item)
        elif not settle(item):
            interrupted = True
            break
        if connection.attention:
            interrupted = True
            break
    with context.lock:
        client.acks.close_window()
        client.commits.commit_due()
    return interrupted or len(window.ends) == n


def _emit_each(context: CallContext, outbox: Outbox, iterator: Iterator[Any]) -> None:
    """Emit item by item what a stream gives, or a source whose queue does not wait for ever.

    Room is asked for when there is an item to put.
    """
    client, stopper, lock, add = context.client, context.stopper, context.lock, outbox.add
    acks = client.acks
    for item in iterator:
        with lock:
            if outbox.count >= outbox.limit and not _room(context, outbox):
                return
            if not acks.unsent_since:
                acks.note_unsent()
            try:
                add(item)
            except OURS:
                raise
            except Exception as error:
                raise caused_by(context.unpicklable(item, error), error) from error
            if outbox.count >= outbox.due:
                client.commits.commit()
            if stopper.requested:
                stopper.check()
            if client.stop_asked:
                return


def _room(context: CallContext, outbox: Outbox) -> bool:
    """Wait for room for one more item (lock held); False when the emitting shall end.

    Raises ShutDown, as a handle's `put` does, when those who read the queue have failed: this job
    is cut off then. When they have returned nobody wants more of it.
    """
    context.wait_for_room(outbox)
    if context.client.stop_asked:
        return False
    if outbox.shut and not outbox.credits.reader_returned:
        raise outbox.credits.shut_down()
    return not outbox.shut


class Items:
    """What a stream target iterates over: an item is finished when the next is asked for.

    The main thread takes items without the client's lock, a run at a time (`StreamWindow`); other
    threads, and whoever is inside a transaction, with it. A recall sets `attention` and then reads
    how far the run is; the main thread takes an item and then looks at `attention`: so whoever
    comes second sees the other (docs/decisions/0009).
    """

    def __init__(self, context: CallContext) -> None:
        self._context = context
        self._client = context.client
        self._connection = context.client.connection
        self._pace = Pace(context.client)
        self._turn = threading.RLock()
        self._main = threading.main_thread().ident
        self._lease: Lease | None = None
        self._values: Iterator[Any] = iter(())
        self._packed = False
        context.transaction.marks.append(self._mark)
        context.transaction.finishes.append(self.finish)

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        """Finish the item in hand, return the next; threads take turns."""
        connection = self._connection
        with self._turn:
            if connection.attention or connection.taking or get_ident() != self._main:
                return self._next_locked()
            # While `taking` a stop signal is only noted: raised here it would lose an item that has
            # left the iterator, so counts as started, and has not reached the target.
            connection.taking = True
            for item in self._values:
                if self._connection.attention and not self._may_have(item):
                    break
                connection.taking = False
                if self._connection.signalled and not self._may_have(item):
                    break
                return loads(item) if self._packed else item
            connection.taking = False
            return self._next_locked()

    def _may_have(self, item: Any) -> bool:
        """True if the target gets the item just taken, the last that is taken without the lock.

        It does not if a recall came before, or a stop signal, which is raised in its place.
        """
        connection = self._connection
        with connection.lock:
            lease = self._lease
            assert lease is not None
            self._client.acks.close_window()
            if lease.started <= lease.limit and not connection.signalled:
                return True
            lease.put_back(item)
            return False

    def _next_locked(self) -> Any:
        """The next item, and as many as may follow it without the lock."""
        context, client = self._context, self._client
        with context.lock:
            self.finish()
            if context.stopper.requested:
                context.stopper.check()
            lease = self._lease
            if lease is None or lease.started >= lease.limit:
                lease = self._pull()
            if client.gets is not None:
                client.gets.switch(lease)
            client.acks.begin_change()
            item, packed = lease.take()
            client.acks.inconsistent = False
            if lease.at_hand and self._may_run():
                self._open(lease)
        return loads(item) if packed else item

    def _may_run(self) -> bool:
        """True if items may be taken without the lock: nobody has to know of each at once."""
        client = self._client
        return not client.commits.held and client.gets is None and get_ident() == self._main

    def _open(self, lease: Lease) -> None:
        """From now on items are taken without the lock."""
        run = StreamWindow(lease)
        self._values, self._packed = run.values, run.packed
        current.at(lease, run=run)
        self._client.acks.open_window(run)

    def finish(self) -> None:
        """The item in hand is done (lock held)."""
        if self._connection.taking:
            raise InconsistentError
        self._client.acks.close_window()
        lease = self._lease
        if lease is not None:
            current.at(lease)
            if lease.started > lease.finished:
                self._client.acks.finish(lease)

    def _pull(self) -> Lease:
        context = self._context
        if self._lease is not None:
            self._pace.end(self._lease.finished)
        wait = Wait.NO if context.client.commits.held else Wait.FOREVER
        lease = context.client.pull(context.job.inputs, most=self._pace.most, wait=wait)
        if lease is None and context.client.commits.held:
            raise WouldWaitError(
                f"job {context.job.name!r} would have to wait for its next item, which a"
                " transaction forbids",
                hint="take it before the transaction begins",
            )
        if not isinstance(lease, Lease):
            self._lease = None
            raise StopIteration
        self._pace.begin()
        self._lease = lease
        current.at(lease)
        return lease

    def _mark(self) -> Callable[[], None]:
        """A transaction begins: returns what undoes all that is taken from now on."""
        lease = self._lease

        def undo() -> None:
            self._lease = lease
            if lease is not None:
                current.at(lease)

        return undo
