"""A durable run of the broker alone: its journal is kept in memory, and it can be resumed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fake_broker import FakeBroker

from orchestrator.core.broker.observers import Journal
from orchestrator.core.broker.setup import Resumption
from orchestrator.core.durable.records import NewChunk
from orchestrator.core.durable.snapshot import SnapshotTracker, StoredQueue, StoredRun, StoredWorker


class FakeDurable(FakeBroker):
    """`resume` gives the run as it goes on after the death of all its processes.

    After each entry the chunks that are kept are those that are tracked.
    """

    def __init__(
        self,
        queues: Mapping[str, int],
        *jobs: dict[str, Any],
        workers: Mapping[str, int] | None = None,
        before: FakeDurable | None = None,
        **settings: Any,
    ) -> None:
        self._made = queues, jobs, workers, settings
        self.chunks: dict[int, NewChunk] = before.chunks if before else {}
        self.tracking = before.tracking if before else SnapshotTracker(StoredRun())
        stored = self.tracking.stored
        resumption = Resumption(stored=stored, load=self.chunks.__getitem__) if before else None
        journal = Journal(stored.last_chunk + 1)
        super().__init__(
            queues, *jobs, workers=workers, journal=journal, resumption=resumption, **settings
        )

    def keep(self) -> tuple[int, ...]:
        """Apply what was noted; returns the chunks that nobody needs any more."""
        entry = self.broker.take_entry()
        if entry is None:
            return ()
        change = self.tracking.apply(entry)
        self.chunks |= {chunk.number: chunk for chunk in change.new}
        for number in change.dropped:
            del self.chunks[number]
        assert self.chunks.keys() == self.tracking.chunks
        return change.dropped

    def resume(self) -> FakeDurable:
        self.keep()
        for number in self.tracking.rewind():
            del self.chunks[number]
        queues, jobs, workers, settings = self._made
        return FakeDurable(queues, *jobs, workers=workers, before=self, **settings)

    def kept(self, queue: str) -> StoredQueue:
        self.keep()
        return self.tracking.stored.queues[queue]

    def worker(self, name: str) -> StoredWorker:
        self.keep()
        return self.tracking.stored.workers[name]
