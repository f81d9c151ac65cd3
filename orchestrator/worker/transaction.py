"""Transactions over a worker's handles, by itself or as a target says.

Called in the child.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from orchestrator.errors import QueueError, ShutDown
from orchestrator.worker.client import Client
from orchestrator.worker.end_ignored import EndTold
from orchestrator.worker.lease import Lease

__all__ = ["Transaction"]

Undo = Callable[[], None]
Mark = Callable[[], Undo]
"""Called when a transaction begins; returns what undoes all that has changed since."""


class Transaction:
    """The items in hand of one worker's handles, finished together (lock held, but for `scope`)."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.marks: list[Mark] = [self._mark_client, self._mark]
        """The marks of all who keep something that a block of `orchestrator.transaction()` may
        change: what they return is called, in this order, when it is rolled back."""
        self.finishes: list[Callable[[], None]] = [self.finish]
        """Called when a block has ended well, for what is in hand."""
        self.hands: dict[str, Lease] = {}
        """The lease of each item in hand, by its queue."""
        self.sole: Lease | None = None
        """The lease of the only item in hand."""
        self.latest: Lease | None = None
        """The lease of the item got last."""
        self.ends = EndTold(client)
        """The ends of streams that were told."""

    def take(self, queue_name: str, lease: Lease) -> None:
        """An item of the lease is about to be returned by `get`."""
        if (held := self.hands.get(queue_name)) is not None:
            self._client.acks.finish(held)  # another thread has got one while this one waited
        self.ends.forget()
        self.hands[queue_name] = self.latest = lease
        self.sole = lease if len(self.hands) == 1 else None

    def finish(self) -> None:
        """Everything in hand is done; it leaves with the next commit."""
        for lease in self.hands.values():
            self._client.acks.finish(lease)
        self.hands.clear()
        self.sole = None

    # -- orchestrator.transaction() ---------------------------------------------------------------

    def scope(self) -> TransactionScope:
        """Commit nothing until the block has ended, and then all of it in one step.

        If it raises, what was put in it is forgotten, and what was got in it goes back to the head
        of its queue. Its beginning raises QueueError inside another one.
        """
        return TransactionScope(self)

    def begin(self) -> Sequence[Undo]:
        """From now on nothing is committed; returns what `roll_back` takes."""
        client = self._client
        with client.connection.lock:
            if client.commits.held:
                raise QueueError("a transaction cannot begin inside another one")
            if client.returned:
                raise ShutDown("the target has returned: a transaction of a thread comes too late")
            undo = [mark() for mark in self.marks]
            client.hold()
        return undo

    def roll_back(self, undo: Sequence[Undo]) -> None:
        """Be again as at the beginning, what was put and got since then given back."""
        with self._client.connection.lock:
            self._client.let_go()
            for roll_back in undo:
                roll_back()

    def end(self) -> None:
        """Commit all that was held back."""
        with self._client.connection.lock:
            self._client.let_go()
            for finish in self.finishes:
                finish()
            self._client.commits.commit()

    def _mark_client(self) -> Undo:
        """A transaction begins, with nothing unsent; returns what rolls the client back.

        It forgets what was put since, and gives back what was started.
        """
        client = self._client
        acks, commits, outboxes = client.acks, client.commits, client.outboxes
        acks.close_window()  # from now on a stream takes its items with the lock held
        while acks.counter.done or any(outbox.count for outbox in outboxes.all):
            commits.commit()  # which may wait, while other threads put
        leases = client.leases.by_number.values()
        before = {lease.number: (lease.started, lease.finished) for lease in leases}
        others, lease = client.replays.mark(), acks.counter.lease
        if client.gets is not None:
            others.append(client.gets.mark())

        def undo() -> None:
            outboxes.drop_open()
            for rewind in others:
                rewind()
            acks.counter.clear()
            self._give_back_since(before)
            acks.counter.switch(lease)
            acks.unsent_since = 0.0

        return undo

    def _give_back_since(self, before: Mapping[int, tuple[int, int]]) -> None:
        """Undo the progress of leases since then."""
        client = self._client
        # The last one first: what is given back goes to the head of its queue.
        for lease in reversed(list(client.leases.by_number.values())):
            started, finished = before.get(lease.number, (0, 0))
            if lease.started > started:
                lease.started, lease.finished = started, finished
                client.give_back(lease)
            else:
                lease.finished = finished

    def _mark(self) -> Undo:
        hands, latest = dict(self.hands), self.latest

        def undo() -> None:
            self.hands, self.latest = hands, latest
            self.sole = next(iter(hands.values())) if len(hands) == 1 else None

        return undo


class TransactionScope:
    """The `with` of a transaction.

    A generator of contextlib's would set attributes of what the block raises, which a frozen
    exception refuses.
    """

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction
        self._undo: Sequence[Undo] | None = None

    def __enter__(self) -> None:
        if self._undo is not None:
            raise QueueError("a transaction has one block: ask for another one")
        self._undo = self._transaction.begin()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        assert self._undo is not None
        if kind is None:
            self._transaction.end()
        else:
            self._transaction.roll_back(self._undo)
