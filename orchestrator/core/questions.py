"""Questions: sizes of queues, `task_done` and `join`."""

from __future__ import annotations

from orchestrator.core.board import Board, ProtocolError
from orchestrator.core.messages import Answer, Ask, JoinQueue, TaskDone, Wait
from orchestrator.core.ports import Port
from orchestrator.core.queues import QueueState

__all__ = ["Questions"]


class Questions:
    """Answers what changes no item."""

    def __init__(self, board: Board) -> None:
        self._board = board

    def ask(self, port: Port, request: Ask) -> None:
        """Say how large a queue is: for its reader with what he is to get again.

        As long as the order of several queues is repeated, that is what a poll would find.
        """
        queue = self._queue_of(port, request.queue)
        repetition, size = self._board.repetitions.get(port.worker), None
        if queue in port.job.reads:
            if repetition is not None and not repetition.is_over:
                size = repetition.size(queue)
            elif own := queue.reserved.get(port.worker):
                size = queue.size + sum(map(len, own))
        self._reply(port, request.ask, queue, size=size)

    def task_done(self, port: Port, request: TaskDone) -> None:
        """Count finished tasks; with the last one every join is answered."""
        queue = self._queue_of(port, request.queue)
        if request.n < 1:
            raise ProtocolError(f"{request.n} tasks done")
        if queue.tasks_done + request.n > queue.put:
            self._reply(port, request.ask, queue, error="task_done() called too many times")
            return
        queue.tasks_done += request.n
        if self._board.journal is not None:
            self._board.journal.tasks_done(port.worker, queue.name, request.n)
        self._reply(port, request.ask, queue)
        if queue.tasks_done == queue.put:
            for joiner in list(queue.joiners):
                self._answer_joins(joiner, queue)

    def join(self, port: Port, request: JoinQueue) -> None:
        """Answer once as many tasks are done as were put; at once if nobody will do any."""
        queue = self._queue_of(port, request.queue)
        if request.ask in port.joins or len(port.joins) >= port.job.most_open:
            raise ProtocolError(f"join {request.ask} is pending, or too many are")
        if queue.tasks_done == queue.put or queue.unread or request.wait is Wait.NO:
            self._reply(port, request.ask, queue)
        else:
            port.joins[request.ask] = request
            queue.joiners[port] = None

    def leave(self, port: Port) -> None:
        """The worker asks nothing any more."""
        for request in port.joins.values():
            if queue := self._board.queues.get(request.queue):
                queue.joiners.pop(port, None)
        port.joins.clear()

    def _queue_of(self, port: Port, name: str) -> QueueState:
        """The queue, if its size is the worker's business; else ProtocolError."""
        queue = self._board.queue(name)
        if queue not in port.job.reads and queue not in port.job.writes:
            raise ProtocolError(f"{port.job.name} neither reads nor writes {queue.name}")
        return queue

    def _answer_joins(self, port: Port, queue: QueueState) -> None:
        del queue.joiners[port]
        for ask, request in list(port.joins.items()):
            if request.queue == queue.name:
                del port.joins[ask]
                self._board.touch(port)
                self._reply(port, ask, queue)

    def _reply(
        self, port: Port, ask: int, queue: QueueState, error: str = "", size: int | None = None
    ) -> None:
        self._board.send(
            port,
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
