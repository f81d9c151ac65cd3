"""A worker that is called once begins anew: what it has put already is compared, not put again.

Called in the child. The digest of items is a CRC-32 over their pickles, one after the other, so it
does not depend on how they were cut into chunks (rule 11 of docs/semantics.md).
"""

from __future__ import annotations

import pickle
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from orchestrator.errors import ReplayError
from orchestrator.ipc.order import Emitted
from orchestrator.worker.chunks import PROTOCOL, dump, load

if TYPE_CHECKING:
    from orchestrator.worker.outbox import Outbox

__all__ = ["ReplayCheck", "ReplayChecks", "digest_of"]


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
        pickled = dump(item)
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
    """The replays of all boxes of one worker; `counted`: what it puts gets a digest."""

    def __init__(
        self,
        holder: str = "",
        emitted: Mapping[str, Emitted] | None = None,
        *,
        counted: bool = False,
    ) -> None:
        self._counted = counted
        self._waiting = {
            queue: ReplayCheck(holder, queue, before)
            for queue, before in (emitted or {}).items()
            if before.n or before.used
        }

    def equip(self, outbox: Outbox) -> None:
        """Give a new outbox its digest, and what it must begin with."""
        if self._counted:
            outbox.digest = 0
            outbox.replay = self._waiting.get(outbox.queues[0])

    def finish(self) -> None:
        """The target has returned. Raises ReplayError if it has put less than before."""
        for replay in self._waiting.values():
            replay.finish()

    def mark(self) -> list[Callable[[], None]]:
        """A transaction begins: returns what undoes all that comes from now on."""
        return [replay.mark() for replay in self._waiting.values()]


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
    items: Iterable[Any] = load(emitted.tail, packed=emitted.packed, start=0, stop=emitted.used)
    return list(items) if emitted.packed else [_plain(item) for item in items]
