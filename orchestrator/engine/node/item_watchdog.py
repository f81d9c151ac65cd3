"""The watchdog of items: who has been at one item for too long (`timeouts.item`)."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.core.protocol.events import Blame, Phase
from orchestrator.engine.node.hosting import LoopClock
from orchestrator.engine.node.workerio import WorkerIO

__all__ = ["ItemWatchdog"]

_NEVER = float("-inf")
_AHEAD_S = 1.0
"""An item may have begun after the clock was read, but not so long after."""


class ItemWatchdog:
    """Watches the progress cells of workers whose job has `timeouts.item`.

    A cell is read only when its item could be overdue: an item begun later cannot be, any sooner.
    """

    def __init__(self) -> None:
        self._checks: dict[str, tuple[WorkerIO, float]] = {}

    def add(self, worker: WorkerIO) -> None:
        """Watch a worker, if its job limits its items."""
        if worker.job.timeouts.item_s is not None:
            self._checks[worker.name] = (worker, _NEVER)

    def remove(self, worker: WorkerIO) -> None:
        """Watch it no longer."""
        self._checks.pop(worker.name, None)

    @property
    def watches(self) -> bool:
        """True if it has anybody to watch."""
        return bool(self._checks)

    def next_check(self, clock: LoopClock) -> float | None:
        """Return when to look again, in the loop's time."""
        del clock
        return min((when for _, when in self._checks.values()), default=None)

    def due(self, clock: LoopClock) -> Iterator[tuple[str, Blame]]:
        """Workers whose item is overdue now; each is told once."""
        if not self._checks:
            return
        now = clock.now()
        for name, (worker, when) in list(self._checks.items()):
            if when > now:
                continue
            limit = worker.job.timeouts.item_s
            assert limit is not None
            blame = worker.blame()
            since = clock.of(worker.cell.since_s())
            if since > now + _AHEAD_S:  # garbage: it counts from when the cell was last looked at
                since = now if when == _NEVER else when - limit
            if blame.phase is Phase.RUNNING and since + limit <= now:
                del self._checks[name]
                yield name, blame
            else:
                begun = since if blame.phase is Phase.RUNNING else now
                self._checks[name] = (worker, begun + limit)
