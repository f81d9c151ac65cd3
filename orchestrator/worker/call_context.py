"""The context of a call: the target, the client, the outboxes, and marks where an item begins.

Called in the child. Marks are for what C code and programs print; Python's own writes have others.
A mark is a system call an item, so they are written only while they are of use: the orchestrator
sets a bit of the progress cell whenever it reads something without a mark of its own. A stretch of
marked items ends when no such bit has come meanwhile; each bit makes the next stretch twice as
long.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

from msgspec.structs import replace

from orchestrator.core.protocol.messages import End, Failure, Worn
from orchestrator.core.reasons import called, not_tried_again
from orchestrator.core.retry import resolve
from orchestrator.errors import QueueFullError, UnpicklableItemError
from orchestrator.ipc.cell import INDEX, MARKS, Cell
from orchestrator.ipc.marks import Console
from orchestrator.plan.model import JobPlan
from orchestrator.worker import current
from orchestrator.worker.arenas import LaidChunk
from orchestrator.worker.chunks import size_of
from orchestrator.worker.client import Client
from orchestrator.worker.errors import FencedError, InconsistentError, LinkClosedError
from orchestrator.worker.failure import describe, name_of, text_of
from orchestrator.worker.large import SplitPickle
from orchestrator.worker.lease import Lease
from orchestrator.worker.outbox import Outbox
from orchestrator.worker.service import ServiceTimes
from orchestrator.worker.stopping import StopRequested, StopSignal
from orchestrator.worker.transaction import Transaction

__all__ = ["OURS", "BeginMarks", "CallContext", "ItemFailedError", "Pace", "TellItem"]

OURS = (StopRequested, FencedError, LinkClosedError)
"""What may come out of mporch's own calls and is never an item's fault."""

TellItem = Callable[[int, str, tuple[Any, ...], BaseException], None]
"""Makes a log record of that level, text and arguments, for an item that has failed."""

_SLOW_NS = 10_000_000
"""Faster items are not worth a name."""
_LEASE_S = 0.010
_LARGEST_LEASE = 4096


class ItemFailedError(Exception):
    """An item has failed, is committed as failed, and that fails the job."""


class CallContext:
    """One worker's means to call its target, and to say what has come of it."""

    def __init__(
        self,
        *,
        job: JobPlan,
        client: Client,
        stopper: StopSignal,
        cell: Cell,
        call: Callable[..., Any],
        roots: Sequence[str],
        place: str,
        transaction: Transaction,
        marks: BeginMarks | None = None,
        tell: TellItem | None = None,
    ) -> None:
        self.job = job
        self.client = client
        self.stopper = stopper
        self.cell = cell
        self.call = call
        self.transaction = transaction
        self.service = ServiceTimes(cell.words)
        self._marks = marks
        self._dump, self._sole = client.dump, client.sole
        self._tell = tell
        self.failed_name = ""
        """What the item at hand is called, which has failed."""
        self.recycled: Worn | None = None
        """Why the worker is to give its place to a new process, if it is."""
        self.outbox: Outbox | None = client.outbox(job.outputs) if job.outputs else None
        """Where the target's results go; None without an output."""
        self._roots = roots
        self._place = place
        self._item_names = dict(job.item_names)

    @property
    def lock(self) -> AbstractContextManager[bool]:
        """The lock of the worker's connection."""
        return self.client.connection.lock

    def put(self, outbox: Outbox, item: Any) -> None:
        """Put one result (lock held); what cannot be pickled is named."""
        try:
            self.client.commits.put(outbox, item)
        except OURS:
            raise
        except Exception as error:
            raise self.unpicklable(item, error) from error

    def dump(self, item: Any) -> bytes | SplitPickle:
        """See `ItemPickler.divide`; what cannot be pickled is named."""
        try:
            return self._dump(item)
        except OURS:
            raise
        except Exception as error:
            raise self.unpicklable(item, error) from error

    def sole(self, item: Any) -> bytes | LaidChunk:
        """See `chunks.sole`; what is too large is named."""
        try:
            return self._sole(item)
        except Exception as error:
            raise self.unpicklable(item, error) from error

    def may_start(self, lease: Lease, index: int) -> bool:
        """Asked when the client wants attention: whether the next item of a window may begin."""
        with self.lock:
            if self.client.acks.is_inconsistent:
                self.cell.words[INDEX] = index - 1  # that item's target has let it come so far
                raise InconsistentError
            self.stopper.check()
            return self.client.acks.may_start(lease, index)

    def unpicklable(self, item: Any, error: Exception) -> Exception:
        """Make the error for a result that cannot be pickled, or has no memory for that."""
        what = f"job {self.job.name!r} gave back a {name_of(type(item))}"
        if issubclass(type(error), MemoryError):
            return MemoryError(f"{what}{size_of(item)}, and no memory is left for its pickle")
        return UnpicklableItemError(f"{what}, which cannot be pickled: {text_of(error)}")

    def note_service(
        self,
        lease: Lease,
        began: int,
        *,
        since_ns: int,
        waited_s: float,
        first: Callable[[], Any] | None = None,
        packed: bool = False,
    ) -> None:
        """Count the items of a lease from index `began` on, which were begun then.

        `waited_s` is what the connection had waited until then: room is not the items' affair.
        `first` is asked for the first of them, to name it, if that is among the slowest.
        """
        ns = time.monotonic_ns() - since_ns
        ns -= int((self.client.connection.waited_s - waited_s) * 1e9)
        n = max(1, lease.finished - began)
        source, number = self.job.inputs.index(lease.queue), lease.number_of(began)
        place = self.service.add(ns, n, source, number)
        if place >= 0:
            named = first is not None and n == 1 and ns >= _SLOW_NS
            name = self.name_of(lease.queue, first(), packed=packed) if named and first else ""
            self.cell.name_slow(place, name)

    def make_room(self) -> None:
        """Wait until one more result may be put (lock held).

        Where items start at a rate this comes before an item is asked for: then that starts at
        once, and what it gives waits if the room is gone by then. Raises as `wait_for_room`.
        """
        outbox = self.outbox
        if outbox is not None and outbox.count >= outbox.limit:
            self.wait_for_room(outbox)

    def wait_for_room(self, outbox: Outbox) -> None:
        """Wait until one more item may be put (lock held).

        Raises QueueFullError when a queue has not that much patience.
        """
        if not self.client.wait_for_credit(outbox, n=outbox.chunk_items):
            raise QueueFullError.found_by(self.job.name, " or ".join(outbox.lacking()))

    def describe(self, error: BaseException) -> Failure:
        """The exception as data."""
        return describe(error, self._roots, self._place)

    def call_of_item(self) -> Callable[..., Any]:
        """Return the target as called next: with marks before each item, if any are wanted."""
        return self.call if self._marks is None else self._marks.around(self.call)

    def tell_failure(self, error: BaseException, *, name: str = "", final: bool = False) -> None:
        """Give the program's own log handlers a record of the item at hand, which has failed.

        Called before the item ends, without the lock: it is the user's code that is called. A
        failure that a policy provides for, or that will be tried again, is a warning.
        """
        if self._tell is None:
            return
        item, attempt = current.at_hand()
        attempts = 1 if final else self.job.retry.attempts
        end = resolve(self.job.on_error, self.describe(error).bases, attempts)
        mild = end is End.SKIPPED or (end is End.FAILED and attempt < attempts)
        level = logging.WARNING if mild else logging.ERROR
        self._tell(level, "item %s failed (attempt %d)", (called(item, name), attempt), error)

    def name_of(self, queue: str, item: Any, *, packed: bool = False) -> str:
        """Return what an item of the queue is called that has failed (`item_names.name_of`)."""
        from orchestrator.item_names import name_of  # noqa: PLC0415 - for what fails only

        return name_of(item, self._item_names.get(queue, ""), packed=packed)

    def fail(
        self,
        leases: Sequence[Lease],
        error: BaseException,
        names: Sequence[str],
        *,
        final: bool = False,
    ) -> None:
        """The next item of each lease has failed, so called: say how it ends (lock held).

        `final`: whatever attempts it may have left, as a part of what its batch gives has left.

        Raises ItemFailedError if that fails the job.
        """
        failure = self.describe(error)
        if issubclass(type(error), MemoryError) and not failure.message:
            failure = _with_size(failure, leases[0])
        if final:
            failure = not_tried_again(failure, together=True)
        attempts = 1 if final else self.job.retry.attempts
        end = resolve(self.job.on_error, failure.bases, attempts)
        for lease, name in zip(leases, names, strict=True):
            named = replace(failure, item_name=name) if name else failure
            self.client.commits.fail(lease, end, named)
        if end is End.FATAL:
            self.client.commits.commit()
            raise ItemFailedError


def _with_size(failure: Failure, lease: Lease) -> Failure:
    """Tell how large the item at hand was: Python's MemoryError has no words."""
    size = lease.bytes_of(lease.finished)
    if size is None:
        return failure
    return replace(failure, message=f"the item has {size:,} bytes as a pickle")


class Pace:
    """How many items to lease: about 10 ms of work, found out step by step."""

    def __init__(self, client: Client) -> None:
        self.most = 1
        self._connection = client.connection
        self._started = self._waited = 0.0

    def begin(self) -> None:
        """A lease is about to be worked on."""
        self._started = time.monotonic()
        self._waited = self._connection.waited_s

    def end(self, items: int) -> None:
        """So many items of it were done."""
        waited = self._connection.waited_s - self._waited
        each_s = (time.monotonic() - self._started - waited) / max(1, items)
        fitting = int(_LEASE_S / each_s) if each_s > 0 else _LARGEST_LEASE
        self.most = max(1, min(_LARGEST_LEASE, self.most * 8, fitting))


_FEWEST, _MOST = 64, 65536
_STDOUT, _STDERR = 1, 2


class BeginMarks:
    """Writes them. With `always` each item has one: a command takes milliseconds in any case."""

    def __init__(
        self,
        console: Console,
        words: memoryview,
        at_hand: Callable[[], tuple[str, int]],
        *,
        always: bool = False,
    ) -> None:
        self._console = console
        self._words = words
        self._at_hand = at_hand
        self._always = always
        self._wanted: set[int] = {_STDOUT, _STDERR} if always else set()
        self._stretch = _FEWEST
        self._left = 0
        self._open = False

    def around(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """The same call, with a mark before each while marks are of use."""
        bits = self._words[MARKS]
        if bits:
            self._words[MARKS] = 0
            self._wanted |= {fd for fd in (_STDOUT, _STDERR) if bits & fd}
            self._left = self._stretch
            self._stretch = min(_MOST, 2 * self._stretch)
        if not (self._left or self._open or self._always):
            return call

        def marked(*given: Any) -> Any:
            self._begin()
            return call(*given)

        return marked

    def _begin(self) -> None:
        if self._left or self._always:
            self._left = max(0, self._left - 1)
            self._open = True
            hand = self._at_hand()
            for fd in self._wanted:
                self._console.begin(fd, hand)
        elif self._open:  # nobody has printed for a stretch
            self._open = False
            self._stretch = _FEWEST
            for fd in self._wanted:
                self._console.begin(fd)
            self._wanted.clear()
