"""Room for commits: what of one fits its queues, and the line of the rest (back-pressure)."""

from __future__ import annotations

from collections.abc import Callable

from orchestrator.core.broker.clients import CommitWaiter, Waiter, WorkerState
from orchestrator.core.broker.outputs import OutputProgress, PendingOutput, room_for
from orchestrator.core.broker.queue import QueueState
from orchestrator.core.broker.state import Alarm, BrokerState

__all__ = ["PutLimits", "RoomForOutputs"]

Put = Callable[[WorkerState, PendingOutput, int], None]
"""Puts the next items, so many, of a worker's output."""

_NEXT_PULL_S = 0.25
"""How long a limit of time is at least, once the reader has got anew all that it had."""


class PutLimits:
    """Limits of time: nobody waits for room for longer than its queue lets him (rule 2)."""

    def __init__(self, state: BrokerState) -> None:
        self._state = state

    def arm(self, queue: QueueState) -> None:
        """See to it that somebody looks when the first who waits here has waited long enough."""
        if (due := self._state.lines.next_due(queue)) is not None:
            self._state.alarms.arm(due, Alarm.PUT_LIMIT, queue)

    def mind_repetition(self, queue: QueueState) -> None:
        """Let the queue's limit of time rest while a reader gets anew what it had.

        Then whoever waits here begins to wait once more, and the reader has a moment for its next
        pull.
        """
        policy = queue.policy
        if policy.rests is queue.repeats:
            return
        policy.rests = queue.repeats
        for waiter in self._state.lines.of(queue):
            if waiter.lacks is queue:
                self._state.touch(waiter.client)
                waiter.since = self._state.now + max(0.0, _NEXT_PULL_S - (policy.patience_s or 0.0))
        self.arm(queue)


class RoomForOutputs:
    """Room for what a waiter has to put, and its place in line where there is none.

    It takes a commit apart in three ways, which commits of every kind have in common: all at once,
    item by item, and, where one item gives more than a queue may hold, output by output. Each is
    told how to put: by `put`, or by what does more.
    """

    def __init__(self, state: BrokerState, limits: PutLimits) -> None:
        self._state = state
        self._limits = limits
        self._lines = state.lines

    # -- what is put ------------------------------------------------------------------------------

    def put_whole(self, waiter: CommitWaiter, put: Put) -> bool:
        """Put all outputs if there is room for all of them; else none."""
        if not all(self.fits(waiter, queue, n) for queue, n in room_for(waiter.parts).items()):
            return False
        for part in waiter.open_parts():
            put(waiter.client, part, part.n - part.used)
        return True

    def put_items(self, waiter: CommitWaiter, n: int, put: Put) -> None:
        """Put the outputs of its next n items, all of which fit."""
        for part in waiter.parts:
            if outputs := part.of_items(waiter.at, n):
                put(waiter.client, part, outputs)

    def put_some(self, waiter: CommitWaiter, part: PendingOutput, most: int, put: Put) -> bool:
        """Put some of an output, as many of `most` items as fit; if none does, the waiter waits."""
        if not self.has_room(waiter, dict.fromkeys(part.queues, 1)):
            return False
        n = min(most, *[self._allowed(waiter, queue) for queue in part.queues])
        put(waiter.client, part, n)
        return True

    def put(self, client: WorkerState, part: PendingOutput, n: int) -> None:
        """Put the next n items of an output on its queues, and book them to the job."""
        for queue in part.queues:
            if held := client.credits.get(queue.name, 0):
                # Where max_bytes is written a credit is good for one commit: nobody knows how heavy
                # the next will be, so each producer may exceed that bound once only (rule 4).
                client.credit(queue, -held if queue.is_exact else -min(n, held))
            self._state.dirty[queue] = None
        part.put(n)
        client.job.items_out += n
        for journal in self._state.journals:
            journal.gave(client.job.name, n)
            journal.pending(part)
        if client.job.counted:
            self._note_position(client, part)

    def _note_position(self, client: WorkerState, part: PendingOutput) -> None:
        outbox = part.queues[0].name
        position = self._state.positions.setdefault(client.worker, {}).setdefault(
            outbox, OutputProgress()
        )
        position.note(part)
        for journal in self._state.journals:
            journal.progressed(client, outbox, position)

    # -- what fits --------------------------------------------------------------------------------

    def fitting(self, waiter: CommitWaiter) -> int:
        """Return how many of its next items fit together: those are put at once, not one by one."""
        n = waiter.items - waiter.at
        for queue in room_for(waiter.parts):
            if n and not queue.closed:
                room = self._allowed(waiter, queue)
                if (weight := queue.weight) is not None:
                    room = min(room, waiter.as_many_as(weight.bound - weight.size, queue))
                n = waiter.fitting(queue, room, n)
        return n

    def has_room(self, waiter: CommitWaiter, needs: dict[QueueState, int]) -> bool:
        """True if all that is needed fits; if not, the waiter lines up.

        It waits for room upstream first and meanwhile keeps nobody from the queues further down:
        those who make room for it may need them.
        """
        if all(self.fits(waiter, queue, n) for queue, n in needs.items()):
            return True
        # Upstream first, and no further than to the first queue without room. Who waits in several
        # lines at once may wait in a circle: for room that only those can make who wait behind it.
        line: list[QueueState] = []
        for queue in sorted(needs, key=self._state.ranks.__getitem__):
            if queue.closed:
                continue
            line.append(queue)
            if not self._is_free(waiter, queue, needs[queue]):
                break
        if waiter.queues != tuple(line):
            for lost in self._lines.join(waiter, tuple(line)):
                self._state.dirty[lost] = None
            for queue in line:
                self._note_behind(waiter, queue)
        self._note_lack(waiter, line[-1])
        return False

    def _note_behind(self, waiter: CommitWaiter, queue: QueueState) -> None:
        """Let those behind this waiter wait for their turn here, and no further down."""
        line = self._lines.of(queue)
        if line[0] is waiter and len(line) > 1:
            behind = line[1]
            if isinstance(behind, CommitWaiter) and behind.queues[-1] is queue:
                self._note_lack(behind, queue)

    def _note_lack(self, waiter: CommitWaiter, queue: QueueState) -> None:
        """The waiter's next item waits for room in this queue, from now on or still."""
        if waiter.lacks is not queue:
            waiter.lacks, waiter.since = queue, self._state.now
            self._state.touch(waiter.client)
            self._limits.arm(queue)

    def fits(self, waiter: Waiter, queue: QueueState, n: int) -> bool:
        """True if n items may be put on the queue now."""
        if queue.closed or waiter.client.credits.get(queue.name, 0) >= n:
            return True
        return self._is_free(waiter, queue, n)

    def _is_free(self, waiter: Waiter, queue: QueueState, n: int) -> bool:
        is_first = self._lines.is_first(waiter, queue)
        return is_first and self._available(waiter.client, queue) >= n

    def _allowed(self, waiter: Waiter, queue: QueueState) -> int:
        """Count the items that may be put now: past those who wait, only those with credit."""
        if queue.closed or self._lines.is_first(waiter, queue):
            return self._available(waiter.client, queue)
        return waiter.client.credits.get(queue.name, 0)

    @staticmethod
    def _available(client: WorkerState, queue: QueueState) -> int:
        if queue.closed or queue.is_kept:
            return queue.bound
        return client.credits.get(queue.name, 0) + max(0, queue.room)
