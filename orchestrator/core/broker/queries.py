"""Queries: sizes of queues, `task_done`, `join`, and what a worker is at."""

from __future__ import annotations

from orchestrator.core.broker.chunks import Segment
from orchestrator.core.broker.clients import WorkerState
from orchestrator.core.broker.queue import QueueState
from orchestrator.core.broker.state import BrokerState, ProtocolError
from orchestrator.core.protocol.events import Blame, Phase
from orchestrator.core.protocol.messages import Answer, Ask, JoinQueue, TaskDone, Wait
from orchestrator.core.reasons import at_item

__all__ = ["Queries"]


class Queries:
    """Answers what changes no item."""

    def __init__(self, state: BrokerState) -> None:
        self._state = state

    def ask(self, client: WorkerState, request: Ask) -> None:
        """Say how large a queue is: for its reader with what he is to get again.

        As long as the order of several queues is repeated, that is what a poll would find.
        """
        queue = self._queue_of(client, request.queue)
        redelivery, size = self._state.redeliveries.get(client.worker), None
        if queue in client.job.reads:
            if redelivery is not None and not redelivery.is_over:
                size = redelivery.size(queue)
            elif own := queue.own.reserved.get(client.worker):
                size = queue.size + sum(map(len, own))
        self._reply(client, request.ask, queue, size=size)

    def task_done(self, client: WorkerState, request: TaskDone) -> None:
        """Count finished tasks; with the last one every join is answered."""
        queue = self._queue_of(client, request.queue)
        if request.n < 1:
            raise ProtocolError(f"{request.n} tasks done")
        if queue.tasks_done + request.n > queue.put:
            self._reply(client, request.ask, queue, error="task_done() called too many times")
            return
        queue.tasks_done += request.n
        for journal in self._state.journals:
            journal.tasks_done(client.worker, queue.name, request.n)
        self._reply(client, request.ask, queue)
        if queue.tasks_done == queue.put:
            for joiner in list(self._state.at[queue].joiners):
                self._answer_joins(joiner, queue)

    def join(self, client: WorkerState, request: JoinQueue) -> None:
        """Answer once as many tasks are done as were put; at once if nobody will do any."""
        queue = self._queue_of(client, request.queue)
        if request.ask in client.joins or len(client.joins) >= client.job.most_open:
            raise ProtocolError(f"join {request.ask} is pending, or too many are")
        if queue.tasks_done == queue.put or queue.policy.unread or request.wait is Wait.NO:
            self._reply(client, request.ask, queue)
        else:
            client.joins[request.ask] = request
            self._state.at[queue].joiners[client] = None

    def item_at(self, worker: str, blame: Blame) -> str:
        """The id of the item a progress cell points to; empty if there is none."""
        client = self._state.clients.get(worker)
        lease = client.leases.get(blame.lease) if client else None
        item = lease.item(blame.index - lease.detached) if lease else None
        return f"{lease.queue.name}:{item.first}" if lease and item else ""

    def data_at(self, worker: str, blame: Blame) -> tuple[str, Segment] | None:
        """The item a progress cell points to, and its queue; None if no death there costs it."""
        client = self._state.clients.get(worker)
        lease = client.leases.get(blame.lease) if client and client.job.by_item else None
        item = lease.item(blame.index - lease.detached) if lease else None
        return (lease.queue.name, item) if lease and item else None

    def among(self, worker: str, blame: Blame) -> int:
        """Count the items that a progress cell may point to: those of a batch from it on."""
        client = self._state.clients.get(worker)
        lease = client.leases.get(blame.lease) if client else None
        if lease is None or lease.in_progress < 2:
            return 1
        return max(1, lease.total - (blame.index - lease.detached))

    def doing(self, worker: str, blame: Blame) -> str:
        """At which item a worker is, or what it waits for, in words; empty if neither is known."""
        client = self._state.clients.get(worker)
        if client is not None and (waited_for := client.waits_for()):
            return f"waits for {waited_for}"
        item = self.item_at(worker, blame) if blame.phase is Phase.RUNNING else ""
        return at_item(item, self.among(worker, blame)).lstrip()

    def leave(self, client: WorkerState) -> None:
        """The worker asks nothing any more."""
        for request in client.joins.values():
            if queue := self._state.queues.get(request.queue):
                self._state.at[queue].joiners.pop(client, None)
        client.joins.clear()

    def _queue_of(self, client: WorkerState, name: str) -> QueueState:
        """The queue, if its size is the worker's business; else ProtocolError."""
        queue = self._state.queue(name)
        if queue not in client.job.reads and queue not in client.job.writes:
            raise ProtocolError(f"{client.job.name} neither reads nor writes {queue.name}")
        return queue

    def _answer_joins(self, client: WorkerState, queue: QueueState) -> None:
        del self._state.at[queue].joiners[client]
        for ask, request in list(client.joins.items()):
            if request.queue == queue.name:
                del client.joins[ask]
                self._state.touch(client)
                self._reply(client, ask, queue)

    def _reply(
        self,
        client: WorkerState,
        ask: int,
        queue: QueueState,
        error: str = "",
        size: int | None = None,
    ) -> None:
        self._state.send(
            client,
            Answer(
                ask=ask,
                qsize=queue.size if size is None else size,
                maxsize=queue.maxsize,
                unfinished=queue.put - queue.tasks_done,
                error=error,
                full=queue.is_full,
                ended=queue.ended,
            ),
        )
