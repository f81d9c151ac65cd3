"""Long items: those that took a job much longer than others, and when it was at them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from orchestrator.core.samples import JobSample, Sample, SlowItem

__all__ = ["LongItem", "LongItems"]

_LEAST_S = 0.25
_TIMES = 4.0
"""An item is long that takes so many times as long as the others do on average."""
_KEPT = 5


@dataclass(frozen=True, kw_only=True)
class LongItem:
    """One item, `name` is what it is called; a worker was at it from `from_s` to `to_s`."""

    item: str
    name: str
    from_s: float
    to_s: float

    @property
    def seconds(self) -> float:
        """Return how long it took, or has taken so far."""
        return self.to_s - self.from_s


class LongItems:
    """The longest items of each job, as far as samples tell of them."""

    def __init__(self) -> None:
        self._of: dict[int, dict[str, LongItem]] = {}
        self._slowest: dict[int, tuple[SlowItem, ...]] = {}

    def add(self, sample: Sample) -> None:
        """Take what the newest sample knows: items that workers are at, and those that ended."""
        for worker in sample.workers:
            if worker.item and _LEAST_S <= worker.at_item_s <= sample.t:
                began = sample.t - worker.at_item_s
                self._note(worker.job, worker.item, "", began, sample.t)
        for n, job in enumerate(sample.jobs):
            slowest = job.service.slowest
            if slowest and slowest != self._slowest.get(n):
                known = self._slowest.get(n, ())
                self._slowest[n] = slowest
                for slow in slowest:
                    is_long = slow.n == 1 and _LEAST_S <= slow.seconds <= sample.t
                    if is_long and slow not in known:
                        self._ended(n, slow, sample.t)

    def over(self, job: int, row: JobSample) -> Iterator[LongItem]:
        """Yield those of a job that took much longer than its others; `row` is its newest."""
        for long in self._of.get(job, {}).values():
            items = max(row.service.items, 0) or row.items_in
            total_s = row.service.total_s or row.running_s
            if items > 1:
                others_s = max(0.0, total_s - long.seconds) / (items - 1)
                if long.seconds >= _TIMES * others_s:
                    yield long

    def _ended(self, job: int, slow: SlowItem, now: float) -> None:
        before = self._of.get(job, {}).get(slow.item)
        began = before.from_s if before is not None else max(0.0, now - slow.seconds)
        self._note(job, slow.item, slow.name, began, began + slow.seconds)

    def _note(self, job: int, item: str, name: str, from_s: float, to_s: float) -> None:
        kept = self._of.setdefault(job, {})
        kept[item] = LongItem(item=item, name=name, from_s=from_s, to_s=to_s)
        if len(kept) > _KEPT:
            del kept[min(kept, key=lambda each: kept[each].seconds)]
