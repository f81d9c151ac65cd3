"""Which leased items have ended since the last commit. Called in the child, lock held."""

from __future__ import annotations

from orchestrator.core.messages import End, Failure, Mark
from orchestrator.runtime.worker.lease import Lease

__all__ = ["Tally"]


class Tally:
    """Counts ends in the order in which they came; `done` of them."""

    __slots__ = ("_base", "_before", "_lease", "done", "marks")

    def __init__(self) -> None:
        self.done = 0
        self.marks: list[Mark] = []
        self._lease: Lease | None = None
        self._base = 0
        self._before: list[tuple[int, int]] = []

    def add(self, lease: Lease) -> None:
        """The next item of the lease has ended."""
        if lease is not self._lease:
            self._switch(lease)
        lease.finished += 1
        self.done += 1

    def mark(self, end: End, failure: Failure) -> None:
        """The item that ends next did not end well."""
        self.marks.append(Mark(at=self.done, end=end, failure=failure))

    def _switch(self, lease: Lease | None) -> None:
        if self._lease is not None and (n := self._lease.finished - self._base):
            self._before.append((self._lease.number, n))
        self._lease = lease
        self._base = lease.finished if lease is not None else 0

    def take(self) -> tuple[tuple[tuple[int, int], ...], tuple[Mark, ...]]:
        """The ends as a commit names them, leases with counts; the tally is empty afterwards."""
        lease = self._lease
        self._switch(lease)
        taken = tuple(self._before), tuple(self.marks)
        self._before.clear()
        self.marks.clear()
        self.done = 0
        return taken
