"""Brokers with one bug each in what they do to a commit that has waited too long (rule 2)."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from orchestrator.core.admission import Admission
from orchestrator.core.broker import Broker
from orchestrator.core.putting import Putting
from orchestrator.core.queues import QueueState
from orchestrator.core.tickets import CommitTicket

Patch = pytest.MonkeyPatch
Mutant = Callable[[Patch], None]


def nobody_waits_too_long(patch: Patch) -> None:
    patch.setattr(Broker, "_end_waits", lambda self, queue: None)


def only_the_first_in_line_waits_too_long(patch: Patch) -> None:
    patch.setattr(Putting, "arm_limit", _once(Putting.arm_limit))


def _once(
    arm_limit: Callable[[Putting, QueueState], None],
) -> Callable[[Putting, QueueState], None]:
    def arm(self: Putting, queue: QueueState) -> None:
        if len(queue.tickets) < 2:
            arm_limit(self, queue)

    return arm


def the_time_counts_from_the_first_wait(patch: Patch) -> None:
    note = Putting._note_lack

    def impatient(self: Putting, ticket: CommitTicket, queue: QueueState) -> None:
        since = ticket.since
        note(self, ticket, queue)
        ticket.since = since or ticket.since
        self.arm_limit(queue)

    patch.setattr(Putting, "_note_lack", impatient)


def what_found_no_room_is_lost(patch: Patch) -> None:
    undo = CommitTicket.undo

    def forgetful(self: CommitTicket) -> None:
        for lease, _ in self.leases:
            if lease.claimed:
                lease.queue.done += lease.claimed
                rest = lease.shorten(lease.finished + lease.claimed)
                lease.queue.give_back(rest)
                lease.shorten(lease.finished)
        undo(self)

    patch.setattr(CommitTicket, "undo", forgetful)


def what_found_no_room_is_put_and_done_again(patch: Patch) -> None:
    refuse = Admission.refuse

    def generous(self: Admission, ticket: CommitTicket) -> None:
        for part in ticket.parts:
            if part.used < part.n:
                self._put(ticket.port, part, part.n - part.used)
        refuse(self, ticket)

    patch.setattr(Admission, "refuse", generous)


def what_is_claimed_stays_claimed(patch: Patch) -> None:
    patch.setattr(CommitTicket, "undo", lambda self: [part.cut() for part in self.parts])


def an_item_of_which_a_part_is_out_goes_back(patch: Patch) -> None:
    undo = CommitTicket.undo

    def forgetful(self: CommitTicket) -> None:
        undo(self)
        for lease in self.port.leases.values():
            lease.emitted = False

    patch.setattr(CommitTicket, "undo", forgetful)


def every() -> Iterator[tuple[str, Mutant]]:
    """Every mutant with its name."""
    for name, made in globals().items():
        of_ours = callable(made) and getattr(made, "__module__", "") == __name__
        if of_ours and made is not every and not name.startswith("_"):
            yield name, made
