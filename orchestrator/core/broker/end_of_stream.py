"""End of stream: when a queue has ended, and when it closes with its readers."""

from __future__ import annotations

from orchestrator.core.broker.clients import JobState
from orchestrator.core.broker.leasing import Leasing
from orchestrator.core.broker.queue import QueueState
from orchestrator.core.broker.state import BrokerState
from orchestrator.core.protocol.events import InputEnded
from orchestrator.core.protocol.messages import Shut
from orchestrator.core.protocol.notifications import QueueClosed, QueueEnded

__all__ = ["QueueEnds"]


class QueueEnds:
    """The ends of queues: one has ended once all of it is finished, one closes with its readers."""

    def __init__(self, state: BrokerState, leasing: Leasing) -> None:
        self._state = state
        self._leasing = leasing
        # Those of which a job that reads them has ended before it had enough.
        self._still_wanted: set[QueueState] = set()

    def check_end(self, queue: QueueState) -> None:
        """End-of-stream: all writers have finished and nothing of the queue is anywhere."""
        if queue.ended or queue.open_writers or not queue.drained:
            return
        queue.ended = True
        state = self._state
        state.report(QueueEnded(queue=queue.name, ledger=queue.ledger(final=False)))
        for pending in list(state.at[queue].pulls):
            if all(other.ended for other in pending.queues):
                state.leave(pending)
                state.end_wait(pending.client)
                self._leasing.tell_end(pending)
        for client in state.at[queue].readers.values():
            if client.worker in state.redeliveries:
                self._leasing.serve_held(client)
        for job in state.jobs.values():
            if queue in job.reads:
                self._check_input(job)

    def _check_input(self, job: JobState) -> None:
        if not job.input_ended and all(queue.ended for queue in job.reads):
            job.input_ended = True
            if job.finished is None:
                self._state.orders.append(InputEnded(job=job.name))

    def reader_finished(self, queue: QueueState, job: str, *, clean: bool) -> None:
        """A reading job is over; with the last one the queue closes.

        What is in it then is dropped only if all of them have had enough.
        """
        own = [worker for worker in queue.own.reserved if worker.rpartition("-")[0] == job]
        if clean:
            for worker in own:
                queue.release_reserved(worker)
        else:
            queue.leave_own(job, own)
        self._state.dirty[queue] = None
        queue.open_readers.discard(job)
        if not clean:
            self._still_wanted.add(queue)
        if queue.open_readers or queue.closed or queue.ended:
            return
        state = self._state
        wanted = queue in self._still_wanted
        gone = queue.close(clean=not wanted, delayed=state.delayed(queue))
        state.closed_by[queue] = job
        if gone or queue.open_writers:
            dropped, left = (0, gone) if wanted else (gone, 0)
            state.report(QueueClosed(queue=queue.name, dropped=dropped, left=left))
        for client in state.at[queue].writers.values():
            client.credit(queue, -client.credits.get(queue.name, 0))
            state.send(client, Shut(queue=queue.name, reader=job, returned=clean))
