"""Service times of a worker's items, kept in its progress cell.

Called in the child. Written once for all items that were worked through between two looks at the
clock, and read by the orchestrator: nothing is sent. The layout is that of `ipc/cell.py`.
"""

from __future__ import annotations

from orchestrator.ipc.cell import (
    BUCKETS,
    COUNTS,
    ITEMS,
    SLOW_WORDS,
    SLOWEST,
    SLOWEST_END,
    TOTAL_NS,
)

__all__ = ["ServiceTimes"]


class ServiceTimes:
    """Adds up how long items take; `words` is the progress cell."""

    def __init__(self, words: memoryview) -> None:
        self._words = words
        self._least_ns = 0

    def add(self, ns: int, n: int, source: int, number: int) -> int:
        """Count n items that took so many nanoseconds together.

        The first of them is that `number` of the job's input `source`. Returns its place among the
        slowest, -1 if it is none of them.
        """
        if n < 1 or ns < 0:
            return -1
        words = self._words
        each_ns = ns // n
        words[COUNTS + min(BUCKETS - 1, each_ns.bit_length())] += n
        words[ITEMS] += n
        words[TOTAL_NS] += ns
        return self._keep(each_ns, n, source, number) if each_ns > self._least_ns else -1

    def _keep(self, each_ns: int, n: int, source: int, number: int) -> int:
        """Put it in the place of the fastest of the slowest; its time is written last."""
        words = self._words
        places = range(SLOWEST, SLOWEST_END, SLOW_WORDS)
        place = min(places, key=lambda at: words[at])
        words[place] = 0
        words[place + 1], words[place + 2], words[place + 3] = n, source, number
        words[place] = each_ns
        self._least_ns = min([words[at] for at in places])
        return (place - SLOWEST) // SLOW_WORDS
