"""The progress cell: memory shared with the orchestrator that says where a worker is.

Its first page is written in the child before each item, and read in the parent for blame and item
timeouts; it never decides who owns an item. Seven 64-bit integers: lease, index in the lease,
phase, since when, in monotonic nanoseconds; written in the parent, which descriptors have given
output without a mark (`worker/call_context.py`); and the signal by which the child shows its stack,
with the descriptor it goes to (`ipc/stacks.py`).

Behind them, also written in the child, how long its items took (`worker/service.py`): how many they
were, nanoseconds in all, how many by the number of bits of their nanoseconds, and of the slowest
nanoseconds each, how many were done together, the number of the input, and the item's there; in
the second half of the page what these are called.

The pages after it have the last stack of the child: where it crashed, or hung when it was killed
(`engine/node/child.py`). They are memory only once something is written there.
"""

from __future__ import annotations

import mmap
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager

from orchestrator.core.protocol.events import Blame, Phase
from orchestrator.core.samples import Service, SlowItem

__all__ = [
    "BUCKETS",
    "CELL_BYTES",
    "COUNTS",
    "IDLE",
    "INDEX",
    "ITEMS",
    "LEASE",
    "MARKS",
    "PHASE",
    "RUNNING",
    "SHARED_BYTES",
    "SINCE",
    "SLOWEST",
    "SLOWEST_END",
    "SLOW_WORDS",
    "TOTAL_NS",
    "Cell",
]

CELL_BYTES = mmap.PAGESIZE
SHARED_BYTES = CELL_BYTES + (1 << 18)
"""A dump has at most a hundred threads, the main one last: a quarter of a megabyte holds most."""
LEASE, INDEX, PHASE, SINCE, MARKS = range(5)
ITEMS, TOTAL_NS, COUNTS = 8, 9, 10
BUCKETS = 48
"""The last one has all items that took more than a day."""
SLOWEST = COUNTS + BUCKETS
SLOW_WORDS = 4
SLOWEST_END = SLOWEST + 5 * SLOW_WORDS
_NAMES = CELL_BYTES // 2
_NAME_BYTES = 256
IDLE, RUNNING = int(Phase.IDLE), int(Phase.RUNNING)


class Cell:
    """A view of the pages; `words` may be written directly where speed matters."""

    def __init__(self, page: mmap.mmap) -> None:
        self._page = page
        self.words = memoryview(page)[: 8 * SLOWEST_END].cast("q")

    def begin(self, lease: int, index: int, now_ns: int) -> None:
        """Called in the child.

        The target is about to be called with this item.
        """
        words = self.words
        words[PHASE] = IDLE
        words[LEASE] = lease
        words[INDEX] = index
        words[SINCE] = now_ns
        words[PHASE] = RUNNING

    def idle(self) -> None:
        """Called in the child.

        Between items.
        """
        self.words[PHASE] = IDLE

    def waiting(self) -> AbstractContextManager[None]:
        """Called in the child.

        What passes meanwhile is not the item's time: its outputs wait for room.
        """
        return _Waiting(self.words)

    def blame(self) -> Blame:
        """Called in the parent.

        Where the worker is.
        """
        words = self.words
        phase = Phase.RUNNING if words[PHASE] == Phase.RUNNING else Phase.IDLE
        return Blame(lease=words[LEASE], index=words[INDEX], phase=phase)

    def since_s(self) -> float:
        """Called in the parent.

        When the item was begun, as monotonic seconds.
        """
        return self.words[SINCE] / 1e9

    def name_slow(self, place: int, name: str) -> None:
        """Called in the child.

        What the slow item at that place is called.
        """
        text = name.encode("utf-8", "replace")[: _NAME_BYTES - 1]
        at = _NAMES + place * _NAME_BYTES
        self._page[at : at + _NAME_BYTES] = text.ljust(_NAME_BYTES, b"\0")

    def _slow_name(self, place: int) -> str:
        at = _NAMES + place * _NAME_BYTES
        return self._page[at : at + _NAME_BYTES].partition(b"\0")[0].decode("utf-8", "replace")

    def service(self, inputs: Sequence[str]) -> Service:
        """Called in the parent.

        How long the items of these inputs took; what a worker may not have written is left out.
        """
        words = self.words.tolist()
        counts = [max(0, n) for n in words[COUNTS:SLOWEST]]
        first = next((at for at, n in enumerate(counts) if n), 0)
        while counts and not counts[-1]:
            counts.pop()
        slowest = [
            SlowItem(each_ns / 1e9, f"{inputs[source]}:{number}", n, self._slow_name(place))
            for place, (each_ns, n, source, number) in enumerate(_slow(words))
            if each_ns > 0 and 0 <= source < len(inputs)
        ]
        return Service(
            items=max(0, words[ITEMS]),
            total_s=max(0, words[TOTAL_NS]) / 1e9,
            first=first,
            counts=tuple(counts[first:]),
            slowest=tuple(sorted(slowest, key=lambda item: -item.seconds)),
        )

    def stack(self) -> bytes:
        """Called in the parent.

        What the worker has written after the cell itself.
        """
        page = self._page
        return page[CELL_BYTES:].rstrip(b"\0") if page[CELL_BYTES] else b""

    def close(self) -> None:
        """Give the pages back."""
        self.words.release()
        self._page.close()


def _slow(words: Sequence[int]) -> Iterator[Sequence[int]]:
    for at in range(SLOWEST, SLOWEST_END, SLOW_WORDS):
        yield words[at : at + SLOW_WORDS]


class _Waiting:
    """The item's time stands still; not a generator, see `transaction.TransactionScope`."""

    def __init__(self, words: memoryview) -> None:
        self._words = words
        self._began_ns = 0

    def __enter__(self) -> None:
        self._began_ns = time.monotonic_ns()
        self._words[PHASE] = IDLE

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._words[SINCE] += time.monotonic_ns() - self._began_ns
            self._words[PHASE] = RUNNING
