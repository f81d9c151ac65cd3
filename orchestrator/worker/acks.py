"""Acks: leased items that have ended since the last commit, one by one or in a window.

Called in the child, lock held.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from orchestrator.core.protocol.messages import End, Failure, Mark
from orchestrator.worker.connection import Connection
from orchestrator.worker.errors import InconsistentError
from orchestrator.worker.lease import Lease
from orchestrator.worker.outbox import Outbox, Outboxes
from orchestrator.worker.window import Window

__all__ = ["AckCounter", "Acks"]


class AckCounter:
    """Counts ends in the order in which they came, for the next commit."""

    __slots__ = ("_base", "_before", "_ended", "lease", "marks", "told")

    def __init__(self) -> None:
        self.marks: list[Mark] = []
        self.told = 0
        """The characters of the failures among them."""
        self.lease: Lease | None = None
        """The lease that they come from now: its `finished` is counted up by who ends an item."""
        self._base = 0
        self._ended = 0
        self._before: list[tuple[int, int]] = []

    @property
    def done(self) -> int:
        """Return how many items have ended."""
        return self._ended + (self.lease.finished - self._base if self.lease is not None else 0)

    def mark(self, end: End, failure: Failure) -> None:
        """The item that ends next did not end well."""
        self.marks.append(Mark(at=self.done, end=end, failure=failure))
        self.told += len(failure.message) + len(failure.traceback) + len(failure.item_name)

    def switch(self, lease: Lease | None) -> None:
        """From now on the ends come from this lease."""
        if self.lease is not None and (n := self.lease.finished - self._base):
            self._before.append((self.lease.number, n))
            self._ended += n
        self.lease = lease
        self._base = lease.finished if lease is not None else 0

    def clear(self) -> None:
        """Forget what has ended since the last commit, and the lease."""
        self.lease = None
        self._base = self._ended = self.told = 0
        self._before.clear()
        self.marks.clear()

    def take(self) -> tuple[tuple[tuple[int, int], ...], tuple[Mark, ...]]:
        """The ends as a commit names them, leases with counts; the counter is empty afterwards."""
        self.switch(self.lease)
        taken = tuple(self._before), tuple(self.marks)
        self._before.clear()
        self.marks.clear()
        self._ended = self.told = 0
        return taken


class Acks:
    """Ends items, and has what each of them has put sealed as its output."""

    def __init__(
        self,
        connection: Connection,
        outboxes: Outboxes,
        *,
        by_item: bool,
        arm: Callable[[], None],
        hurry: Callable[[], None],
    ) -> None:
        self.counter = AckCounter()
        self.unsent_since = 0.0
        """The monotonic time since when something is held that is not sent, else 0."""
        self.partially_emitted = False
        """A part of what the item at hand gives has left."""
        self.inconsistent = False
        """The books are changing; who finds them so knows that an exception came in between."""
        self._connection = connection
        self._outboxes = outboxes
        self._by_item = by_item
        self._arm = arm
        self._hurry = hurry
        self._window: Window | None = None

    # -- the books --------------------------------------------------------------------------------

    @property
    def is_inconsistent(self) -> bool:
        """True if the books are, or those of an outbox."""
        return self.inconsistent or self._outboxes.inconsistent

    def begin_change(self) -> None:
        """From now on the books are inconsistent, until who calls this says otherwise."""
        # A signal handler's exception, a RecursionError or a MemoryError may come between any two
        # lines of a change. A flag costs less than a `try` around each, and needs no undoing.
        if self.inconsistent:
            raise InconsistentError
        self.inconsistent = True

    def note_unsent(self) -> None:
        """Something is held that the flusher must send if nobody else does."""
        self.unsent_since = time.monotonic()
        self._arm()

    # -- items that end with the lock held --------------------------------------------------------

    def finish(self, lease: Lease) -> None:
        """The next item of the lease is done; what was put since the last one is its output."""
        if not self.unsent_since:
            self.note_unsent()
        if self._window is not None:
            self.book()
        self.begin_change()
        self._finish(lease, 1)

    def fail(self, lease: Lease, end: End, failure: Failure) -> None:
        """The next item of the lease has failed; what it has put is forgotten."""
        if not self.unsent_since:
            self.note_unsent()
        self.begin_change()
        self._outboxes.drop_open()
        self.counter.mark(end, failure)
        self._finish(lease, 1)

    def _finish(self, lease: Lease, n: int, *, but: Outbox | None = None) -> None:
        """Count n items as ended, which is the last change of several."""
        if self._by_item:
            for outbox in self._outboxes.all:
                if outbox is not but:
                    outbox.seal(n)
        if lease is not self.counter.lease:
            self.counter.switch(lease)
        lease.finished += n
        self.partially_emitted = self.inconsistent = False

    # -- items that end in a window ---------------------------------------------------------------

    @property
    def has_window(self) -> bool:
        """True if items may end without the lock."""
        return self._window is not None

    def open_window(self, window: Window) -> None:
        """From now on items end without the lock."""
        self._window = window
        self._connection.attention = self._connection.signalled
        if window.n > 1:
            self._watch(window)

    def _watch(self, window: Window) -> None:
        """Let the flusher see what ends in a window; soon, where that puts something."""
        if window.outbox is not None:
            self._hurry()
        else:
            self._arm()

    def close_window(self) -> None:
        """From now on items end with the lock held again."""
        if (window := self._window) is not None:
            self.book()
            window.close()
            self._window = None

    def book(self) -> None:
        """Take in what has ended of the open window."""
        window = self._window
        if window is None:
            return
        self.begin_change()
        lease = window.lease
        # In this order: a stream's window counts what has ended by what was started. The main
        # thread may go on meanwhile; who must know the very item asks for `attention` first.
        if lease is not None:
            lease.started = window.started
        n = window.take_in()
        if n and not self.unsent_since:
            self.note_unsent()
        if lease is not None and n:
            self._finish(lease, n, but=window.outbox)
        self.inconsistent = False

    def may_start(self, lease: Lease, index: int) -> bool:
        """True if the item at `index` may begin in the open window: it is still the worker's."""
        assert self._window is not None
        self._watch(self._window)
        self.book()
        self._connection.attention = self._connection.signalled or lease.limit < lease.total
        return index < lease.limit and not self._outboxes.is_due
