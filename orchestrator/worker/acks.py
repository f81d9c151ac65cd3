"""Acks: leased items that have ended since the last commit. Called in the child, lock held."""

from __future__ import annotations

from orchestrator.core.protocol.messages import End, Failure, Mark
from orchestrator.worker.lease import Lease

__all__ = ["AckCounter"]


class AckCounter:
    """Counts ends in the order in which they came.

    `lease` is the one they come from now: its `finished` is counted up by who ends an item. `told`
    are the characters of the failures in it.
    """

    __slots__ = ("_base", "_before", "_ended", "lease", "marks", "told")

    def __init__(self) -> None:
        self.marks: list[Mark] = []
        self.told = 0
        self.lease: Lease | None = None
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
        self.told += len(failure.message) + len(failure.traceback)

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
