"""The order in which a target gets items of several queues. Called in the child, lock held.

A run that is resumed gives them in this order again (docs/semantics.md, *Durable runs*).
"""

from __future__ import annotations

from collections.abc import Callable

from orchestrator.worker.lease import Lease

__all__ = ["Gets"]


class Gets:
    """What was got since the last commit: how many items of which queue; 0: the end of one.

    Items of the lease that they come from now are counted by that: its `started`.
    """

    def __init__(self) -> None:
        self._line: list[tuple[str, int]] = []
        self._lease: Lease | None = None
        self._base = 0
        self._ended: frozenset[str] = frozenset()

    def switch(self, lease: Lease) -> None:
        """The next items come from this lease."""
        if lease is not self._lease:
            self._close()
            self._lease, self._base = lease, lease.started

    def end(self, queue: str) -> None:
        """The end of a queue is told, maybe once more."""
        if queue not in self._ended:
            self._ended |= {queue}
            self._close()
            self._line.append((queue, 0))

    def take(self) -> tuple[tuple[str, int], ...]:
        """Return what a commit tells; from now on the next one's is noted."""
        self._close()
        taken = tuple(self._line)
        self._line.clear()
        return taken

    def mark(self) -> Callable[[], None]:
        """A transaction begins: returns what undoes all that is got from now on.

        An end that was told stays told: nothing gives it back, and the target has seen it.
        """
        self._close()
        line, lease, base = list(self._line), self._lease, self._base

        def undo() -> None:
            ends = [told for told in self._line[len(line) :] if not told[1]]
            self._line, self._lease, self._base = line + ends, lease, base

        return undo

    def _close(self) -> None:
        lease = self._lease
        if lease is not None and (n := lease.started - self._base):
            self._line.append((lease.queue, n))
            self._base = lease.started
