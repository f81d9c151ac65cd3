"""Room for outputs on queues: the steps that commits of every kind have in common."""

from __future__ import annotations

from orchestrator.core.broker.clients import WorkerState
from orchestrator.core.broker.credits import Credits
from orchestrator.core.broker.outcomes import Outcomes
from orchestrator.core.broker.queue import QueueState
from orchestrator.core.broker.state import BrokerState
from orchestrator.core.broker.waiting import CommitWaiter, PendingOutput, Waiter
from orchestrator.core.durable.progress import OutputProgress

__all__ = ["RoomForOutputs"]


class RoomForOutputs:
    """Room for what a waiter has to put, and its place in line where there is none."""

    def __init__(self, state: BrokerState, credits_: Credits, outcomes: Outcomes) -> None:
        self._state = state
        self._credits = credits_
        self._outcomes = outcomes

    def _has_room(self, waiter: CommitWaiter, needs: dict[QueueState, int]) -> bool:
        """True if all that is needed fits; if not, the waiter lines up.

        It waits for room upstream first and meanwhile keeps nobody from the queues further down:
        those who make room for it may need them.
        """
        if all(self._fits(waiter, queue, n) for queue, n in needs.items()):
            return True
        line: list[QueueState] = []
        for queue in sorted(needs, key=lambda queue: queue.rank):
            if queue.closed:
                continue
            line.append(queue)
            if not self._is_free(waiter, queue, needs[queue]):
                break
        if waiter.queues != tuple(line):
            for lost in waiter.line_up(tuple(line)):
                self._state.dirty[lost] = None
            for queue in line:
                self._note_behind(waiter, queue)
        self._note_lack(waiter, line[-1])
        return False

    def _note_behind(self, waiter: CommitWaiter, queue: QueueState) -> None:
        """Let those behind this waiter wait for their turn here, and no further down."""
        if queue.waiters[0] is waiter and len(queue.waiters) > 1:
            behind = queue.waiters[1]
            if isinstance(behind, CommitWaiter) and behind.queues[-1] is queue:
                self._note_lack(behind, queue)

    def _fitting(self, waiter: CommitWaiter) -> int:
        """Return how many of its next items fit together: those are put at once, not one by one."""
        n = waiter.items - waiter.at
        for queue in waiter.totals():
            if n and not queue.closed:
                room = self._allowed(waiter, queue)
                if queue.weighs:
                    room = min(room, waiter.as_many_as(queue.bound_bytes - queue.size_bytes, queue))
                n = waiter.fitting(queue, room, n)
        return n

    def _note_lack(self, waiter: CommitWaiter, queue: QueueState) -> None:
        """The waiter's next item waits for room in this queue, from now on or still."""
        if waiter.lacks is not queue:
            waiter.lacks, waiter.since = queue, self._state.now
            self._state.touch(waiter.client)
            self._state.arm_limit(queue)

    def _available(self, client: WorkerState, queue: QueueState) -> int:
        if queue.closed or queue.is_kept:
            return queue.bound
        return client.credits.get(queue.name, 0) + max(0, queue.room)

    def _allowed(self, waiter: Waiter, queue: QueueState) -> int:
        """Count the items that may be put now: past those who wait, only those with credit."""
        if queue.closed or self._is_first(waiter, queue):
            return self._available(waiter.client, queue)
        return waiter.client.credits.get(queue.name, 0)

    def _fits(self, waiter: Waiter, queue: QueueState, n: int) -> bool:
        if queue.closed or waiter.client.credits.get(queue.name, 0) >= n:
            return True
        return self._is_free(waiter, queue, n)

    def _is_free(self, waiter: Waiter, queue: QueueState, n: int) -> bool:
        return self._is_first(waiter, queue) and self._available(waiter.client, queue) >= n

    @staticmethod
    def _is_first(waiter: Waiter, queue: QueueState) -> bool:
        return not queue.waiters or waiter.number <= queue.waiters[0].number

    def _put(self, client: WorkerState, part: PendingOutput, n: int) -> None:
        for queue in part.queues:
            if held := client.credits.get(queue.name, 0):
                client.credit(queue, -held if queue.weighs else -min(n, held))  # rule 4
            self._state.dirty[queue] = None
        part.put(n)
        client.job.items_out += n
        if self._state.journal is not None:
            self._state.journal.gave(client.job.name, n)
            self._state.journal.pending(part)
        if client.job.counted:
            self._note_position(client, part)

    def _note_position(self, client: WorkerState, part: PendingOutput) -> None:
        outbox = part.queues[0].name
        position = self._state.positions.setdefault(client.worker, {}).setdefault(
            outbox, OutputProgress()
        )
        position.note(part)
        if self._state.journal is not None:
            self._state.journal.progressed(client, outbox, position)
