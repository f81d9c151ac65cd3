"""Rule 18: a job with a rate starts its items no faster, and no later than it may."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.core.protocol.messages import Leased

from .ledger import check

if TYPE_CHECKING:
    from .topology import Job

_CLOSE = 1e-9


class Starts:
    """When items of one job were started. All of them count: the first may bound the last."""

    def __init__(self, job: Job) -> None:
        assert job.interval_s is not None
        self.job = job
        self._interval_s = job.interval_s
        self._times: list[float] = []

    @property
    def due_at(self) -> float:
        """When one more keeps every stretch of time within the rate and a burst."""
        n = len(self._times)
        return max(
            (
                then + (n - at + 1 - self.job.burst) * self._interval_s
                for at, then in enumerate(self._times)
            ),
            default=0.0,
        )

    def start(self, now: float, leased: Leased) -> None:
        for _ in range(sum(part.stop - part.start for part in leased.ranges)):
            too_early = now < self.due_at - _CLOSE
            check(not too_early, f"{self.job.name} starts an item at {now}, too early")
            self._times.append(now)

    def is_due(self, now: float) -> bool:
        return now > self.due_at + _CLOSE
