"""Brokers with one bug each, made by replacing one method. Each must be caught.

Where a bug would upset the broker's own sums, the mutant books what it loses as done, so that only
the model's books can tell.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from orchestrator.core import delivery, liveness
from orchestrator.core.admission import Admission
from orchestrator.core.board import Board
from orchestrator.core.broker import Broker
from orchestrator.core.charging import Charge
from orchestrator.core.credits import Credits
from orchestrator.core.delivery import Delivery
from orchestrator.core.endings import Endings
from orchestrator.core.events import Blame, Fenced
from orchestrator.core.messages import Commit, Recall, Want
from orchestrator.core.ports import JobPorts, Lease, PendingPull, Port
from orchestrator.core.queues import QueueState, Segment, cut
from orchestrator.core.tickets import CommitTicket, Part, Ticket

Patch = pytest.MonkeyPatch
Mutant = Callable[[Patch], None]


def no_fencing(patch: Patch) -> None:
    def fenced(self: Broker, event: Fenced) -> None:
        for lease in self.ports[event.worker].leases.values():
            lease.queue.give_back(cut(lease.segments, lease.finished + lease.claimed)[1])
            self._board.dirty[lease.queue] = None

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
    def note_hidden(self: Lease, before: int) -> None:
        self.queue.hidden += self.hidden - before

    patch.setattr(Lease, "_note_hidden", note_hidden)


def a_credit_is_good_for_many_commits(patch: Patch) -> None:
    put = Admission._put

    def thrifty(self: Admission, port: Port, part: Part, n: int) -> None:
        before = {queue: port.credits.get(queue.name, 0) for queue in part.queues}
        put(self, port, part, n)
        for queue, held in before.items():
            port.credit(queue, max(0, held - n) - port.credits.get(queue.name, 0))

    patch.setattr(Admission, "_put", thrifty)


def a_commit_must_fit_in_bytes(patch: Patch) -> None:
    fits = Admission._fits

    def strict(self: Admission, ticket: CommitTicket, queue: QueueState, n: int) -> bool:
        weight = sum(len(part.chunk.blob) for part in ticket.parts if queue in part.queues)
        light = queue.closed or queue.size_bytes + weight <= queue.bound_bytes
        return light and fits(self, ticket, queue, n)

    patch.setattr(Admission, "_fits", strict)


def requeued_items_weigh_nothing(patch: Patch) -> None:
    def give_back(self: QueueState, segments: list[Segment]) -> None:
        self.segments.extendleft(reversed(segments))
        self.queued += sum(map(len, segments))

    patch.setattr(QueueState, "give_back", give_back)


def credits_of_the_dead_kept(patch: Patch) -> None:
    patch.setattr(Credits, "void", lambda self, port: port.credits.clear())


def credits_of_the_parked_kept(patch: Patch) -> None:
    void = Credits.void

    def only_of_the_dead(self: Credits, port: Port) -> None:
        if port.parked is None:
            void(self, port)

    patch.setattr(Credits, "void", only_of_the_dead)


def credits_of_a_closed_queue_kept(patch: Patch) -> None:
    finished = Delivery.reader_finished

    def reader_finished(self: Delivery, queue: QueueState, job: str, *, clean: bool) -> None:
        ports, queue.writer_ports = queue.writer_ports, {}
        finished(self, queue, job, clean=clean)
        queue.writer_ports = ports

    patch.setattr(Delivery, "reader_finished", reader_finished)


def the_youngest_first(patch: Patch) -> None:
    def line_up(self: Ticket, queues: tuple[QueueState, ...]) -> list[QueueState]:
        self.leave()
        self.queues = queues
        for queue in queues:
            queue.tickets.insert(0, self)
        return []

    patch.setattr(Ticket, "line_up", line_up)


def nobody_waits_in_line(patch: Patch) -> None:
    patch.setattr(Admission, "_is_first", staticmethod(lambda ticket, queue: True))


def a_ticket_blocks_every_queue(patch: Patch) -> None:
    def has_room(self: Admission, ticket: CommitTicket, needs: dict[QueueState, int]) -> bool:
        if all(self._fits(ticket, queue, n) for queue, n in needs.items()):
            return True
        if set(ticket.queues) != set(needs):
            ticket.line_up(tuple(needs))
        return False

    patch.setattr(Admission, "_has_room", has_room)


def places_further_down_kept(patch: Patch) -> None:
    patch.setattr(Ticket, "_fall_back", lambda self, last: ())


def a_repeated_commit_applied_again(patch: Patch) -> None:
    commit = Admission.commit

    def forgetful(self: Admission, port: Port, request: Commit, blobs: Any) -> None:
        if port.parked is None:
            port.last_seq = request.seq - 1
        commit(self, port, request, blobs)

    patch.setattr(Admission, "commit", forgetful)


def marks_ignored(patch: Patch) -> None:
    finish = Endings.finish

    def ignorant(self: Endings, ticket: CommitTicket, n: int) -> None:
        ticket.marks.clear()
        finish(self, ticket, n)

    patch.setattr(Endings, "finish", ignorant)


def cursor_of_an_open_part_lost(patch: Patch) -> None:
    put = Part.put

    def forgetful(self: Part, n: int) -> None:
        put(self, n)
        if self.counts is not None and len(self.counts) == 1 and self.used < self.n:
            self.used = 0

    patch.setattr(Part, "put", forgetful)


def outputs_before_there_is_room(patch: Patch) -> None:
    patch.setattr(CommitTicket, "needs", lambda self: {})


def ended_while_leased(patch: Patch) -> None:
    drained = property(lambda self: not (self.queued or self.delayed))
    patch.setattr(QueueState, "drained", drained)


def ended_while_delayed(patch: Patch) -> None:
    drained = property(lambda self: not (self.queued or self.outstanding))
    patch.setattr(QueueState, "drained", drained)


def ended_while_parked(patch: Patch) -> None:
    def close(self: Broker, job: JobPorts) -> None:
        if job.finished is not None:
            for queue in job.writes:
                queue.open_writers.discard(job.name)
                self._board.dirty[queue] = None

    patch.setattr(Broker, "_close_outputs", close)


def leased_again_before_released(patch: Patch) -> None:
    send = Delivery.recall

    def recall(self: Delivery, queue: QueueState) -> None:
        sent = len(self._board.orders)
        send(self, queue)
        for order in self._board.orders[sent:]:
            if isinstance(order.message, Recall):
                lease = self._board.ports[order.worker].leases[order.message.lease]
                queue.give_back(lease.shorten(lease.finished + lease.claimed + 1))

    patch.setattr(Delivery, "recall", recall)


def parked_items_requeued_at_death(patch: Patch) -> None:
    patch.setattr(CommitTicket, "claim", lambda self: None)


def a_retry_forgotten(patch: Patch) -> None:
    def postpone(self: Delivery, queue: QueueState, segment: Segment, delay_s: float) -> None:
        queue.done += len(segment)

    patch.setattr(Delivery, "postpone", postpone)


def a_withdrawn_pull_stays_in_line(patch: Patch) -> None:
    patch.setattr(PendingPull, "leave", lambda self: self.port.pulls.pop(self.request.pull, None))


def returned_credits_wake_nobody(patch: Patch) -> None:
    def give_back(self: Credits, port: Port, returned: tuple[tuple[str, int], ...]) -> None:
        for name, n in returned:
            queue = self._board.queue(name)
            port.credit(queue, -min(n, port.credits.get(name, 0)))

    patch.setattr(Credits, "give_back", give_back)


def patience_never_ends(patch: Patch) -> None:
    patch.setattr(
        Delivery,
        "_batch_must_go",
        lambda self, request, queue: not queue.open_writers or queue.size >= queue.bound,
    )


def no_batch_goes_out_early(patch: Patch) -> None:
    patch.setattr(delivery, "can_come", lambda queue: True)


def no_batch_waits_for_more(patch: Patch) -> None:
    patch.setattr(delivery, "can_come", lambda queue: False)


def a_batch_goes_out_when_somebody_is_in_line(patch: Patch) -> None:
    can_come = liveness.can_come
    patch.setattr(delivery, "can_come", lambda queue: not queue.tickets and can_come(queue))


def a_batch_waits_only_for_its_own_writers(patch: Patch) -> None:
    patch.setattr(liveness._Search, "_of_pull", lambda self, pull, queue: iter(()))


def a_batch_waits_for_writers_that_wait_for_room(patch: Patch) -> None:
    patch.setattr(liveness._Search, "_of_room", lambda self, queue: iter((None,)))


def a_batch_is_not_looked_at_when_others_begin_to_wait(patch: Patch) -> None:
    board = property(lambda self: False, lambda self, doubted: None)
    patch.setattr(Board, "all_doubted", board, raising=False)


def a_dead_letter_is_delivered_again(patch: Patch) -> None:
    patch.setattr("orchestrator.core.delivery.without", lambda segments, number: list(segments))


def what_the_dead_gave_in_part_is_put(patch: Patch) -> None:
    patch.setattr(Admission, "leave", lambda self, port: None)


def an_item_of_which_a_part_is_out_is_tried_again(patch: Patch) -> None:
    patch.setattr(Admission, "_note_open", lambda self, port, parts, items: None)


def attempts_never_used_up(patch: Patch) -> None:
    charges = delivery.charges

    def never_the_last(*args: Any) -> list[Charge]:
        return [charge._replace(last=False) for charge in charges(*args)]

    patch.setattr(delivery, "charges", never_the_last)


def a_batch_of_which_a_part_is_out_is_tried_again(patch: Patch) -> None:
    charges = delivery.charges

    def only_single_items(port: Port, lease: Lease, blame: Blame) -> list[Charge]:
        if lease.hand > 1:
            lease.emitted = False
        return charges(port, lease, blame)

    patch.setattr(delivery, "charges", only_single_items)


def room_collected_for_ever(patch: Patch) -> None:
    def is_collected(self: Credits, queue: QueueState, request: Want) -> bool:
        return queue.room >= min(request.least, queue.bound)

    patch.setattr(Credits, "_is_collected", is_collected)


def every() -> Iterator[tuple[str, Mutant]]:
    """Every mutant with its name."""
    for name, made in globals().items():
        if callable(made) and getattr(made, "__module__", "") == __name__ and made is not every:
            yield name, made
