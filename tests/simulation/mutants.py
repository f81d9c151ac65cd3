"""Brokers with one bug each, made by replacing one method. Each must be caught.

Where a bug would upset the broker's own sums, the mutant books what it loses as done, so that only
the model's books can tell.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from orchestrator.core.broker import leasing, liveness
from orchestrator.core.broker.bounds import ByteBound
from orchestrator.core.broker.broker import Broker
from orchestrator.core.broker.chunks import Segment, cut
from orchestrator.core.broker.clients import (
    CommitWaiter,
    JobState,
    PendingPull,
    Waiter,
    WorkerState,
)
from orchestrator.core.broker.commits import Admission
from orchestrator.core.broker.credits import Credits
from orchestrator.core.broker.end_of_stream import QueueEnds
from orchestrator.core.broker.lease import FailedAttempt, LeaseState
from orchestrator.core.broker.leasing import Leasing, Returns
from orchestrator.core.broker.outcomes import Outcomes
from orchestrator.core.broker.outputs import PendingOutput
from orchestrator.core.broker.queue import QueueState
from orchestrator.core.broker.room import RoomForOutputs
from orchestrator.core.broker.state import BrokerState, WaitLines
from orchestrator.core.protocol.events import Blame, Fenced
from orchestrator.core.protocol.messages import Commit, Recall, Want

Patch = pytest.MonkeyPatch
Mutant = Callable[[Patch], None]


def no_fencing(patch: Patch) -> None:
    def fenced(self: Broker, event: Fenced) -> None:
        for lease in self.clients[event.worker].leases.values():
            lease.queue.give_back(cut(lease.segments, lease.finished + lease.claimed)[1])
            self._state.dirty[lease.queue] = None

    patch.setattr(Broker, "_fenced", fenced)


def requeue_forgotten(patch: Patch) -> None:
    def give_back(self: QueueState, segments: list[Segment]) -> None:
        self.done += sum(map(len, segments))

    patch.setattr(QueueState, "give_back", give_back)


def only_the_first_segment_requeued(patch: Patch) -> None:
    whole = QueueState.give_back

    def give_back(self: QueueState, segments: list[Segment]) -> None:
        whole(self, segments[:1])
        self.done += sum(map(len, segments[1:]))

    patch.setattr(QueueState, "give_back", give_back)


def requeued_at_the_tail(patch: Patch) -> None:
    def give_back(self: QueueState, segments: list[Segment]) -> None:
        self.segments.extend(segments)
        self.queued += sum(map(len, segments))

    patch.setattr(QueueState, "give_back", give_back)


def room_forgets_what_is_hidden(patch: Patch) -> None:
    room = property(lambda self: self.bound - self.queued - self.delayed - self.granted)
    patch.setattr(QueueState, "room", room)


def room_forgets_what_is_granted(patch: Patch) -> None:
    room = property(lambda self: self.bound - self.queued - self.delayed - self.hidden)
    patch.setattr(QueueState, "room", room)


def room_forgets_bytes(patch: Patch) -> None:
    room = property(lambda self: self.bound - self.size - self.granted)
    patch.setattr(QueueState, "room", room)


def bytes_of_the_leased_forgotten(patch: Patch) -> None:
    def note_hidden(self: LeaseState) -> None:
        self.queue.hidden += self.hidden - self._known
        self._known = self.hidden

    patch.setattr(LeaseState, "_note_hidden", note_hidden)


def a_credit_is_good_for_many_commits(patch: Patch) -> None:
    put = RoomForOutputs.put

    def thrifty(self: RoomForOutputs, client: WorkerState, part: PendingOutput, n: int) -> None:
        before = {queue: client.credits.get(queue.name, 0) for queue in part.queues}
        put(self, client, part, n)
        for queue, held in before.items():
            client.credit(queue, max(0, held - n) - client.credits.get(queue.name, 0))

    patch.setattr(RoomForOutputs, "put", thrifty)


def a_soft_bound_holds_nobody(patch: Patch) -> None:
    patch.setattr(ByteBound, "gives_way", lambda self, items, queued: self.soft)


def a_soft_bound_makes_batches_smaller(patch: Patch) -> None:
    patch.setattr(
        ByteBound, "gives_way", lambda self, items, queued: self.soft and items < self.floor
    )


def credit_at_a_soft_bound_forgets_the_weight(patch: Patch) -> None:
    patch.setattr(ByteBound, "as_credit", lambda self, items, queued: 1000)


def no_credit_where_one_item_is_too_heavy(patch: Patch) -> None:
    def credit_room(self: QueueState) -> int:
        weight = self.weight
        if weight is None or not weight.soft:
            return self.room
        return min(self.room, weight.as_credit(self.size, self.queued) - self.granted)

    patch.setattr(QueueState, "credit_room", property(credit_room))


def a_soft_bound_gives_way_though_room_will_come(patch: Patch) -> None:
    can_come = liveness._can_come

    def none_can(need: liveness._Need, state: BrokerState, held: QueueState) -> bool:
        return need is not liveness._Need.ROOM and can_come(need, state, held)

    patch.setattr(liveness, "_can_come", none_can)


def a_commit_must_fit_in_bytes(patch: Patch) -> None:
    fits = RoomForOutputs.fits

    def strict(self: RoomForOutputs, waiter: CommitWaiter, queue: QueueState, n: int) -> bool:
        weight = sum(len(part.chunk.blob) for part in waiter.parts if queue in part.queues)
        known = queue.weight
        light = queue.closed or known is None or known.size + weight <= known.bound
        return light and fits(self, waiter, queue, n)

    patch.setattr(RoomForOutputs, "fits", strict)


def requeued_items_weigh_nothing(patch: Patch) -> None:
    def give_back(self: QueueState, segments: list[Segment]) -> None:
        self.segments.extendleft(reversed(segments))
        self.queued += sum(map(len, segments))

    patch.setattr(QueueState, "give_back", give_back)


def credits_of_the_dead_kept(patch: Patch) -> None:
    patch.setattr(Credits, "void", lambda self, client: client.credits.clear())


def credits_of_the_parked_kept(patch: Patch) -> None:
    void = Credits.void

    def only_of_the_dead(self: Credits, client: WorkerState) -> None:
        if client.parked is None:
            void(self, client)

    patch.setattr(Credits, "void", only_of_the_dead)


def credits_of_a_closed_queue_kept(patch: Patch) -> None:
    finished = QueueEnds.reader_finished

    def reader_finished(self: QueueEnds, queue: QueueState, job: str, *, clean: bool) -> None:
        clients = self._state.at[queue]
        writers, clients.writers = clients.writers, {}
        finished(self, queue, job, clean=clean)
        clients.writers = writers

    patch.setattr(QueueEnds, "reader_finished", reader_finished)


def the_youngest_first(patch: Patch) -> None:
    def join(self: WaitLines, waiter: Waiter, queues: tuple[QueueState, ...]) -> list[QueueState]:
        self.leave(waiter)
        waiter.queues = queues
        for queue in queues:
            self.at.setdefault(queue, []).insert(0, waiter)
        return []

    patch.setattr(WaitLines, "join", join)


def nobody_waits_in_line(patch: Patch) -> None:
    patch.setattr(WaitLines, "is_first", lambda self, waiter, queue: True)


def a_ticket_blocks_every_queue(patch: Patch) -> None:
    def has_room(self: RoomForOutputs, waiter: CommitWaiter, needs: dict[QueueState, int]) -> bool:
        if all(self.fits(waiter, queue, n) for queue, n in needs.items()):
            return True
        if set(waiter.queues) != set(needs):
            self._lines.join(waiter, tuple(needs))
        return False

    patch.setattr(RoomForOutputs, "has_room", has_room)


def places_further_down_kept(patch: Patch) -> None:
    patch.setattr(WaitLines, "_fall_back", lambda self, waiter, last: ())


def a_repeated_commit_applied_again(patch: Patch) -> None:
    commit = Admission.commit

    def forgetful(self: Admission, client: WorkerState, request: Commit, blobs: Any) -> None:
        if client.parked is None:
            client.last_seq = request.seq - 1
        commit(self, client, request, blobs)

    patch.setattr(Admission, "commit", forgetful)


def marks_ignored(patch: Patch) -> None:
    finish = Outcomes.finish

    def ignorant(self: Outcomes, waiter: CommitWaiter, n: int) -> None:
        waiter.marks.clear()
        finish(self, waiter, n)

    patch.setattr(Outcomes, "finish", ignorant)


def cursor_of_an_open_part_lost(patch: Patch) -> None:
    put = PendingOutput.put

    def forgetful(self: PendingOutput, n: int) -> None:
        put(self, n)
        if self.counts is not None and len(self.counts) == 1 and self.used < self.n:
            self.used = 0

    patch.setattr(PendingOutput, "put", forgetful)


def outputs_before_there_is_room(patch: Patch) -> None:
    patch.setattr(CommitWaiter, "needs", lambda self: {})


def ended_while_leased(patch: Patch) -> None:
    drained = property(lambda self: not (self.queued or self.delayed))
    patch.setattr(QueueState, "drained", drained)


def ended_while_delayed(patch: Patch) -> None:
    drained = property(lambda self: not (self.queued or self.outstanding))
    patch.setattr(QueueState, "drained", drained)


def ended_while_parked(patch: Patch) -> None:
    def close(self: Broker, job: JobState) -> None:
        if job.finished is not None:
            for queue in job.writes:
                queue.open_writers.discard(job.name)
                self._state.dirty[queue] = None

    patch.setattr(Broker, "_close_outputs", close)


def leased_again_before_released(patch: Patch) -> None:
    send = Returns.recall

    def recall(self: Returns, queue: QueueState) -> None:
        sent = len(self._state.orders)
        send(self, queue)
        for order in self._state.orders[sent:]:
            if isinstance(order.message, Recall):
                lease = self._state.clients[order.worker].leases[order.message.lease]
                queue.give_back(lease.shorten(lease.finished + lease.claimed + 1))

    patch.setattr(Returns, "recall", recall)


def parked_items_requeued_at_death(patch: Patch) -> None:
    patch.setattr(CommitWaiter, "claim", lambda self: None)


def a_retry_forgotten(patch: Patch) -> None:
    def postpone(self: Returns, queue: QueueState, segment: Segment, delay_s: float) -> None:
        queue.done += len(segment)

    patch.setattr(Returns, "postpone", postpone)


def a_withdrawn_pull_stays_in_line(patch: Patch) -> None:
    def leave(self: BrokerState, pending: PendingPull) -> None:
        pending.client.pulls.pop(pending.request.pull, None)

    patch.setattr(BrokerState, "leave", leave)


def returned_credits_wake_nobody(patch: Patch) -> None:
    def give_back(
        self: Credits, client: WorkerState, returned: tuple[tuple[str, int], ...]
    ) -> None:
        for name, n in returned:
            queue = self._state.queue(name)
            client.credit(queue, -min(n, client.credits.get(name, 0)))

    patch.setattr(Credits, "give_back", give_back)


def patience_never_ends(patch: Patch) -> None:
    patch.setattr(
        Leasing,
        "_batch_must_go",
        lambda self, request, queue: not queue.open_writers or queue.size >= queue.bound,
    )


def no_batch_goes_out_early(patch: Patch) -> None:
    patch.setattr(leasing, "can_come", lambda state, queue: True)


def no_batch_waits_for_more(patch: Patch) -> None:
    patch.setattr(leasing, "can_come", lambda state, queue: False)


def a_batch_goes_out_when_somebody_is_in_line(patch: Patch) -> None:
    can_come = liveness.can_come
    patch.setattr(
        leasing,
        "can_come",
        lambda state, queue: queue not in state.lines.at and can_come(state, queue),
    )


def a_batch_waits_only_for_its_own_writers(patch: Patch) -> None:
    patch.setattr(liveness._Search, "_of_pull", lambda self, pull, queue: iter(()))


def a_batch_waits_for_writers_that_wait_for_room(patch: Patch) -> None:
    patch.setattr(liveness._Search, "_of_room", lambda self, queue: iter((None,)))


def a_batch_is_not_looked_at_when_others_begin_to_wait(patch: Patch) -> None:
    state = property(lambda self: False, lambda self, doubted: None)
    patch.setattr(BrokerState, "all_doubted", state, raising=False)


def a_dead_letter_is_delivered_again(patch: Patch) -> None:
    patch.setattr(leasing, "without", lambda segments, number: list(segments))


def what_the_dead_gave_in_part_is_put(patch: Patch) -> None:
    patch.setattr(Admission, "leave", lambda self, client: None)


def an_item_of_which_a_part_is_out_is_tried_again(patch: Patch) -> None:
    patch.setattr(Admission, "_note_open", lambda self, client, parts, items: None)


def attempts_never_used_up(patch: Patch) -> None:
    charges = leasing.failed_attempts

    def never_the_last(*args: Any) -> list[FailedAttempt]:
        found = charges(*args)
        for attempt in found:
            attempt.last = False
        return found

    patch.setattr(leasing, "failed_attempts", never_the_last)


def a_batch_of_which_a_part_is_out_is_tried_again(patch: Patch) -> None:
    charges = leasing.failed_attempts

    def only_single_items(lease: LeaseState, blame: Blame, attempts: int) -> list[FailedAttempt]:
        if lease.in_progress > 1:
            lease.partially_emitted = False
        return charges(lease, blame, attempts)

    patch.setattr(leasing, "failed_attempts", only_single_items)


def room_collected_for_ever(patch: Patch) -> None:
    def is_collected(self: Credits, queue: QueueState, request: Want) -> bool:
        return queue.room >= min(request.least, queue.bound)

    patch.setattr(Credits, "_is_collected", is_collected)


def every() -> Iterator[tuple[str, Mutant]]:
    """Every mutant with its name."""
    for name, made in globals().items():
        if callable(made) and getattr(made, "__module__", "") == __name__ and made is not every:
            yield name, made
