"""Queue handles: what a hand-written multiprocessing function gets and puts with.

Called in the child. The contract is that of `multiprocessing.Queue` (and `JoinableQueue`), with two
exceptions: an item that cannot be pickled raises in `put`, and `qsize` works everywhere. Inside
a run a worker's handles share one transaction (rule 10 of docs/semantics.md).
"""

from __future__ import annotations

import pickle
import queue
import time
from collections.abc import Callable, Iterator
from typing import Any, Final, NoReturn, SupportsFloat

import msgspec

from orchestrator.core.protocol.messages import Answer, Ask, Ended, JoinQueue, TaskDone, Wait
from orchestrator.errors import (
    EndOfStream,
    QueueError,
    ShutDown,
    UnpicklableItemError,
    WouldWaitError,
    WrongDirectionError,
    caused_by,
)
from orchestrator.worker.chunks import size_of
from orchestrator.worker.client import Client
from orchestrator.worker.errors import InconsistentError
from orchestrator.worker.failure import name_of, text_of
from orchestrator.worker.lease import Lease
from orchestrator.worker.outbox import Outbox
from orchestrator.worker.transaction import Transaction

__all__ = ["Prefetch", "QueueHandle"]

_FAST_GET_S: Final = 0.001
_LARGEST_PULL: Final = 4096
_PICKLING: Final = (
    pickle.PicklingError,
    TypeError,
    AttributeError,
    ValueError,
    RecursionError,
    MemoryError,
)
"""What pickling raises when the item is to blame."""
_SHORT_S: Final = 0.05


class Prefetch:
    """The items of one queue that were pulled for its reader and not got yet (lock held).

    It pulls more at a time while gets follow each other closely. Threads that read the queue share
    what was pulled. `is_coming`, if there, waits for the queue's event with the lock given up:
    where the broker is asked again and again for a moment, in vain, since else its answer is sooner
    there than the event.
    """

    def __init__(self, name: str, client: Client) -> None:
        self.got = 0
        """The number of items that were got, of leases that are used up."""
        self._name = name
        self._client = client
        self._leases = client.leases.shared(name)
        self._pulled_at = 0.0
        self._pulled = 0
        self._most = 1
        self._one_by_one = False
        self._in_vain = False
        self.is_coming: Callable[[float], bool] | None = None

    def next_lease(self) -> Lease | None:
        """The first lease with items left, whichever thread has pulled it."""
        leases = self._leases
        while leases:
            if leases[0].started < leases[0].limit:
                return leases[0]
            self.got += leases.popleft().started
        return None

    def is_there(self) -> bool:
        """True if an item can be got without asking for it."""
        return bool(self._leases) and self.next_lease() is not None

    @property
    def has_leases(self) -> bool:
        """True if something was pulled and not given back, be it all got by now."""
        return bool(self._leases)

    @property
    def ahead(self) -> int:
        """Return how many items were pulled and not got."""
        return sum(lease.limit - lease.started for lease in self._leases)

    def pull(self, wait: Wait, deadline: float | None) -> Lease | Ended | None:
        """Ask the broker for items; None when there are none and no more time."""
        if self._in_vain and self.is_coming and wait is Wait.TIMED and deadline is not None:
            left = deadline - time.monotonic()
            if 0 < left <= _SHORT_S and not self.is_coming(left):
                return None
        found = self._pull(wait, deadline)
        self._in_vain = found is None
        return found

    def _pull(self, wait: Wait, deadline: float | None) -> Lease | Ended | None:
        self._adapt()
        while True:
            found = self._client.pull(
                (self._name,),
                most=self._most,
                wait=wait,
                deadline=deadline,
                unless=self.is_there,
            )
            if isinstance(found, Ended):
                return found
            if found is not None:
                self._pulled_at, self._pulled = time.monotonic(), found.limit
            # The first one counts: another thread may have taken what came for this one, or this
            # one may have been woken by what came for another.
            if lease := self.next_lease():
                return lease
            if wait is Wait.NO or (deadline is not None and time.monotonic() >= deadline):
                return None

    def _adapt(self) -> None:
        if self._pulled and not self._one_by_one:
            each_s = (time.monotonic() - self._pulled_at) / self._pulled
            self._most = min(_LARGEST_PULL, self._most * 2) if each_s < _FAST_GET_S else 1

    def stop(self) -> None:
        """Fetch nothing ahead any more, and give back what was."""
        self._one_by_one = True
        self._most = 1
        self.give_back()

    def give_back(self) -> None:
        """Return what was pulled and never asked for."""
        while lease := self.next_lease():
            self._client.give_back(lease)

    def mark(self) -> Callable[[], None]:
        """A transaction begins: returns what has the items that are got from now on not counted."""
        got = self.got + sum(lease.started for lease in self._leases)

        def undo() -> None:
            self.got = got - sum(lease.started for lease in self._leases)

        return undo


class QueueHandle:
    """One queue, for one worker.

    `holder` is whose it is, in words; `reads`, `writes`: the directions the spec declares. `owned`:
    what is put belongs to the item at hand, so `put` never waits (item and batch jobs). Threads may
    share it.
    """

    def __init__(
        self,
        name: str,
        client: Client,
        transaction: Transaction,
        *,
        holder: str,
        reads: bool,
        writes: bool,
        owned: bool = False,
        prefetch: Prefetch | None = None,
    ) -> None:
        self._name = name
        self._client = client
        self._connection = client.connection
        self._commits = client.commits
        self._acks = client.acks
        self._transaction = transaction
        self._holder = holder
        self._reads = reads
        self._writes = writes
        self._owned = owned
        self._outbox: Outbox | None = None
        self._lease: Lease | None = None
        self._prefetch = prefetch or Prefetch(name, client)
        self._tasks_done = self._ends_raised = 0
        self._closed = self._was_put_on = False

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._name} of {self._holder}>"

    def __reduce__(self) -> NoReturn:
        raise RuntimeError(f"{self!r} works only in the process that was given it")

    # -- put --------------------------------------------------------------------------------------

    def put(self, obj: Any, block: object = True, timeout: SupportsFloat | None = None) -> None:
        """Put an item; wait for room if there is none, `timeout` seconds at most.

        Raises queue.Full, ShutDown when nobody reads the queue any more, ValueError on a closed
        handle, UnpicklableItemError, WrongDirectionError.
        """
        connection = self._connection
        with connection.lock:
            outbox = self._outbox
            if outbox is None or self._client.closing:
                outbox = self._writable()
            try:
                if outbox.replay is None or not outbox.repeats(obj):
                    if outbox.count >= outbox.limit:
                        self._make_room(outbox, block, timeout)
                    if self._owned:
                        self._commits.put(outbox, obj)
                    else:
                        outbox.add(obj)
            except BaseException as error:
                if self._acks.is_inconsistent:
                    connection.attention = True  # before another item begins
                    raise
                kind = type(error)  # what isinstance asks besides is the user's
                if not issubclass(kind, _PICKLING) or issubclass(kind, QueueError):
                    raise
                raise caused_by(self._unpicklable(obj, error), error) from error
            if not self._owned:
                if outbox.count >= outbox.due:
                    self._commits.commit()
                elif outbox.count == 1:
                    self._commits.note_put()
        if connection.signalled:
            connection.check_signals()

    def put_nowait(self, obj: Any) -> None:
        """`put(obj, block=False)`."""
        self.put(obj, block=False)

    def _writable(self) -> Outbox:
        self._check_open()
        if self._client.closing:
            raise self._too_late("puts")
        if not self._writes:
            raise WrongDirectionError(
                f"{self._holder} only reads queue {self._name!r}",
                hint="declare it under `output` to put items on it; no sentinel is needed, nor one"
                " that is put back for the next reader: a queue ends when all its writers have"
                " finished, for every reader",
            )
        self._outbox = self._client.outbox((self._name,), overdraws=self._owned)
        return self._outbox

    def _too_late(self, does: str) -> ShutDown:
        return ShutDown(
            f"{self._holder} has returned: what a thread or an exit function {does} now comes too"
            f" late (queue {self._name!r})"
        )

    def _make_room(self, outbox: Outbox, block: object, timeout: SupportsFloat | None) -> None:
        if not self._owned and not outbox.shut:
            held = self._commits.held
            if not held:
                self._transaction.finish()
            wait, deadline = _patience(block and not held, timeout)
            n = outbox.chunk_items if wait is not Wait.NO else 1
            if not self._client.wait_for_credit(outbox, wait=wait, deadline=deadline, n=n):
                waits = held and block and outbox.patience_s != 0.0
                raise self._would_wait("put on") if waits else queue.Full
        if outbox.shut:
            raise outbox.credits.shut_down()

    def _would_wait(self, what: str) -> WouldWaitError:
        return WouldWaitError(
            f"{self._holder} would have to wait to {what} queue {self._name!r}, which a transaction"
            " forbids",
            hint="get before the transaction begins; make maxsize larger than what one puts",
        )

    def _refuse_in_transaction(self, what: str) -> None:
        if self._commits.held:
            raise WouldWaitError(
                f"{what} of queue {self._name!r} commits first, which a transaction forbids",
                hint="ask before it begins, or after it has ended",
            )

    def _unpicklable(self, obj: Any, error: BaseException) -> Exception:
        what = f"{self._holder} put a {name_of(type(obj))}{size_of(obj)} on queue {self._name!r}"
        if issubclass(type(error), MemoryError):
            return MemoryError(f"{what}, and no memory is left for its pickle")
        return UnpicklableItemError(
            f"{what}, which cannot be pickled: {text_of(error)}",
            hint="send plain data, or objects whose class is defined at the top of a module",
        )

    # -- get --------------------------------------------------------------------------------------

    def get(self, block: object = True, timeout: SupportsFloat | None = None) -> Any:
        """The next item; waits for it, `timeout` seconds at most.

        Raises queue.Empty, EndOfStream (a queue.Empty) once all writers have finished and the queue
        is empty, ValueError on a closed handle, WrongDirectionError.
        """
        connection, acks = self._connection, self._acks
        with connection.lock:
            lease = self._lease
            # Most gets: the item in hand is this handle's, and nothing else is in hand. Then it
            # ends and the next one begins in a few steps, without the calls that `_get` takes.
            if (
                lease is not None
                and lease is self._transaction.sole
                and lease is acks.counter.lease
                and lease.started < lease.limit
            ):
                if not acks.unsent_since:
                    acks.note_unsent()
                if acks.inconsistent:
                    raise InconsistentError
                acks.inconsistent = True  # `begin_change`, without a call
                lease.finished += 1  # the item in hand, and nothing else was
                item, packed = lease.take()
                acks.inconsistent = False
            else:
                item, packed = self._get(block, timeout)
        if connection.signalled:
            connection.check_signals()
        return pickle.loads(item) if packed else item

    def _get(self, block: object, timeout: SupportsFloat | None) -> tuple[Any, bool]:
        if self._closed or not self._reads:
            self._check_readable()
        transaction = self._transaction
        if self._name in transaction.hands:
            transaction.finish()
        lease = self._lease = self._prefetch.next_lease() or self._pull(block, timeout)
        if (gets := self._client.gets) is not None:
            gets.switch(lease)
        taken = lease.take()
        transaction.take(self._name, lease)
        return taken

    def get_nowait(self) -> Any:
        """`get(block=False)`."""
        return self.get(block=False)

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        """The next item; the iteration ends at end-of-stream."""
        try:
            return self.get()
        except EndOfStream:
            self._ends_raised -= 1
            raise caused_by(StopIteration(), None) from None

    def _pull(self, block: object, timeout: SupportsFloat | None) -> Lease:
        client = self._client
        if client.closing:
            raise self._too_late("gets")
        held = self._commits.held
        if self._transaction.hands and not held:
            self._transaction.finish()
        wait, deadline = _patience(block and not held, timeout)
        found = self._prefetch.pull(wait, deadline)
        if isinstance(found, Ended):
            if client.gets is not None:
                client.gets.end(self._name)
            self._ends_raised += 1
            self._transaction.ends.note(self._asking)
            raise EndOfStream(
                f"end of stream: queue {self._name!r} is empty and has no writer left"
            )
        if found is None:
            self._transaction.ends.forget()
            raise self._would_wait("get from") if held and block else queue.Empty
        return found

    def mark(self) -> Callable[[], None]:
        """A transaction begins: returns what undoes the counts of what comes from now on."""
        forget = self._prefetch.mark()
        tasks_done, ends_raised = self._tasks_done, self._ends_raised

        def undo() -> None:
            forget()
            self._tasks_done, self._ends_raised = tasks_done, ends_raised

        return undo

    # -- questions --------------------------------------------------------------------------------

    def qsize(self) -> int:
        """Items on the queue: put, and not yet taken."""
        return self._ask().qsize

    def empty(self) -> bool:
        """True if nothing is on the queue right now.

        Raises OSError on a handle that was put on and closed.
        """
        if self._closed and self._was_put_on:
            raise OSError(f"Queue {self!r} is closed")
        answer = self._ask()
        if answer.ended and self._reads:
            with self._connection.lock:
                self._transaction.ends.note_empty(self._asking)
        return answer.qsize == 0

    @property
    def _asking(self) -> str:
        return f"{self._holder} goes on asking queue {self._name!r}"

    def full(self) -> bool:
        """True if the queue holds as many items, or bytes, as it may right now."""
        answer = self._ask()
        return answer.full or 0 < answer.maxsize <= answer.qsize

    def _ask(self) -> Answer:
        with self._connection.lock:
            self._refuse_in_transaction("the size")
            self._transaction.finish()
            answer = self._client.ask(lambda number: Ask(ask=number, queue=self._name))
            assert answer is not None
            size = max(answer.qsize, self._prefetch.ahead)
            return msgspec.structs.replace(answer, qsize=size)

    # -- JoinableQueue ----------------------------------------------------------------------------

    def task_done(self) -> None:
        """One item that `get` returned has been worked on.

        Once for each EndOfStream that `get` has raised it does nothing, as in a `finally` around
        `get`, if it was called for all that was got here. Raises ValueError when called too often.
        """
        with self._connection.lock:
            if self._ends_raised and self._tasks_done >= self._prefetch.got:
                self._ends_raised -= 1
                return
            self._refuse_in_transaction("task_done")
            self._tasks_done += 1
            answer = self._client.ask(lambda number: TaskDone(ask=number, queue=self._name))
        if answer is not None and answer.error:
            raise ValueError(answer.error)

    def join(self) -> None:
        """Wait until task_done was called for every item put."""
        with self._connection.lock:
            self._refuse_in_transaction("join")
            self._transaction.finish()
            self._client.ask(
                lambda number: JoinQueue(ask=number, queue=self._name, wait=Wait.FOREVER)
            )

    # -- the end ----------------------------------------------------------------------------------

    def close(self) -> None:
        """Put and get no more with this handle in this process; what was put is sent."""
        with self._connection.lock:
            if not self._closed:
                self._closed = True
                self._was_put_on, self._outbox, self._lease = self._outbox is not None, None, None
                self._commits.commit()
                self._prefetch.give_back()

    def join_thread(self) -> None:
        """For compatibility: `close` has already sent everything.

        Only after `close`.
        """
        assert self._closed, f"Queue {self!r} not closed"

    def cancel_join_thread(self) -> None:
        """For compatibility: there is no feeder thread to wait for."""

    def _check_open(self) -> None:
        if self._closed:
            raise ValueError(f"Queue {self!r} is closed")

    def _check_readable(self) -> None:
        self._check_open()
        if not self._reads:
            raise WrongDirectionError(
                f"{self._holder} only writes queue {self._name!r}",
                hint="declare it under `input` to get items from it",
            )


def _patience(block: object, timeout: SupportsFloat | None) -> tuple[Wait, float | None]:
    if not block:
        return Wait.NO, None
    if timeout is None:
        return Wait.FOREVER, None
    return Wait.TIMED, time.monotonic() + max(0.0, float(timeout))
