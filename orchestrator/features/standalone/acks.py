"""The notes of a process on its shared pages: acks of what was got, counts of what is put.

Called in the processes that use the queues. They are made for each item, so they are compiled; the
session is not.
"""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.core.protocol.messages import Output
from orchestrator.features.standalone.pages import AckPage, SizePage
from orchestrator.worker.client import Client
from orchestrator.worker.lease import Lease
from orchestrator.worker.transaction import Transaction

__all__ = ["PageAcks", "SizeCounts"]


class SizeCounts:
    """Counts what is about to be sent on its queue's page, before anybody can be told of it."""

    def __init__(self, owner: int) -> None:
        self.pages: dict[str, SizePage] = {}
        self._owner = owner
        self._slots: dict[str, int] = {}

    def note(self, outputs: Sequence[Output]) -> None:
        """These outputs leave next."""
        for output in outputs:
            for queue in output.queues:
                if (slot := self._slots.get(queue)) is None:
                    slot = self._slots[queue] = self.pages[queue].slot(self._owner)
                if slot:
                    self.pages[queue].count(slot, output.n)

    def forget(self, queue: str) -> None:
        """The queue was let go."""
        self.pages.pop(queue, None)
        self._slots.pop(queue, None)


class PageAcks(Transaction):
    """One handle's half of the page: to return an item from `get` is its ack."""

    def __init__(self, client: Client, page: AckPage) -> None:
        super().__init__(client)
        self._acks, self._commits = client.acks, client.commits
        self._page = page
        self._words = page.words
        self._slot = page.slot()
        self._lease = 0

    def take(self, queue_name: str, lease: Lease) -> None:  # noqa: ARG002 - one queue only
        """An item of the lease is about to be returned by `get`."""
        acks, words, slot = self._acks, self._words, self._slot
        if lease.number != self._lease:
            if acks.counter.done:
                self._commits.commit()  # the slot tells of one lease only
            words[slot + 1] = 0
            words[slot] = self._lease = lease.number
        acks.finish(lease)
        words[slot + 1] = lease.started

    def free(self) -> None:
        """The handle's last ack is sent."""
        self._page.free(self._slot)
