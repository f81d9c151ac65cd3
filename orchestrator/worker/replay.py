"""Replay: what a worker that is called once must repeat when it is called again.

Called in the child. What it has put already is compared, not put again; the order in which it gets
from several queues is told, so that it can be given again. The digest of items is a CRC-32 over
their pickles, one after the other, so it does not depend on how they were cut into chunks (rule 11
of docs/semantics.md).
"""

from __future__ import annotations

import pickle
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from orchestrator.errors import ReplayError
from orchestrator.ipc.order import Emitted
from orchestrator.worker.chunks import PROTOCOL, ItemPickler, load
from orchestrator.worker.lease import Lease

__all__ = ["Gets", "ReplayCheck", "ReplayChecks", "digest_of"]


def digest_of(items: Sequence[Any], *, packed: bool, before: int) -> int:
    """The digest of items as a chunk holds them, `packed` each as its pickle, after others."""
    return zlib.crc32(b"".join(items if packed else map(_plain, items)), before)


def _plain(item: Any) -> bytes:
    return pickle.dumps(item, PROTOCOL)


class ReplayCheck:
    """Compares what is put with what was put before, until all of that has come again.

    `holder` is whose it is, in words.
    """

    def __init__(self, holder: str, queue: str, emitted: Emitted) -> None:
        self._holder = holder
        self._queue = queue
        self._emitted = emitted
        self._tail = _tail(emitted)
        self._total = emitted.n + emitted.used
        self._dump = ItemPickler().dump
        self._state = (0, 0)

    @property
    def is_over(self) -> bool:
        """True if everything has come again: from now on items are to be put."""
        return self._state[0] == self._total

    @property
    def digest(self) -> int:
        """The digest of what has come again."""
        return self._state[1]

    def compare(self, item: Any) -> None:
        """Take the next item. Raises ReplayError if it is another than before.

        Of the items before the last chunk only all of them together are compared.
        """
        at, digest = self._state
        pickled = self._dump(item)
        digest = zlib.crc32(pickled, digest)
        if at < self._emitted.n:
            same = at + 1 < self._emitted.n or digest == self._emitted.digest
        else:
            same = not self._tail or pickled == self._tail[at - self._emitted.n]
        if not same:
            raise self._differs(at)
        self._state = at + 1, digest

    def finish(self) -> None:
        """The target has returned. Raises ReplayError if it has put less than before."""
        if not self.is_over:
            raise ReplayError(
                f"{self._holder} put {self._state[0]} items on {self._queue!r} when it was called"
                f" again, and {self._total} before",
                hint=_HINT,
            )

    def mark(self) -> Callable[[], None]:
        """Return what undoes all that comes from now on."""
        before = self._state

        def undo() -> None:
            self._state = before

        return undo

    def _differs(self, at: int) -> ReplayError:
        n = self._emitted.n
        which = f"item {at + 1}" if at >= n else "item 1" if n == 1 else f"one of items 1 to {n}"
        return ReplayError(
            f"{self._holder} was called again and does not repeat itself: {which} on"
            f" {self._queue!r} is another than before",
            hint=_HINT,
        )


class ReplayChecks:
    """The replays of all outboxes of one worker."""

    def __init__(
        self,
        holder: str = "",
        emitted: Mapping[str, Emitted] | None = None,
        *,
        counted: bool = False,
    ) -> None:
        self.counted = counted
        """What the worker puts gets a digest."""
        self._waiting = {
            queue: ReplayCheck(holder, queue, before)
            for queue, before in (emitted or {}).items()
            if before.n or before.used
        }

    def of(self, queue: str) -> ReplayCheck | None:
        """Return what is to come again on a queue, if it is the first of an outbox."""
        return self._waiting.get(queue) if self.counted else None

    def finish(self) -> None:
        """The target has returned. Raises ReplayError if it has put less than before."""
        for replay in self._waiting.values():
            replay.finish()

    def mark(self) -> list[Callable[[], None]]:
        """A transaction begins: returns what undoes all that comes from now on."""
        return [replay.mark() for replay in self._waiting.values()]


class Gets:
    """The order in which a target gets items of several queues (lock held).

    A run that is resumed gives them in this order again (docs/semantics.md, *Durable runs*). Kept
    is what was got since the last commit: how many items of which queue; 0: the end of one.
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


_HINT = (
    "a job that is called again must give the same items in the same order each time: no clock, no"
    " random numbers without a seed, no listing of a folder that is not sorted, nothing put because"
    " a get found nothing, or left out because a queue was full"
)


def _tail(emitted: Emitted) -> list[bytes]:
    """The pickles of the items of the last chunk, which had been put in part.

    A chunk that went with a damaged store compares with anything.
    """
    if not emitted.tail:
        return []
    piece = load(emitted.tail, packed=emitted.packed, start=0, stop=emitted.used)
    return piece.items if piece.packed else [_plain(item) for item in piece.items]
