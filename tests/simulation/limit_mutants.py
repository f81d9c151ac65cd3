"""Brokers with one bug each in what they do to a commit that has waited too long (rule 2)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from orchestrator.core.admission import Admission
from orchestrator.core.board import Board
from orchestrator.core.broker import Broker
from orchestrator.core.putting import Putting
from orchestrator.core.queues import QueueState
from orchestrator.core.tickets import CommitTicket, WantTicket

Patch = pytest.MonkeyPatch
Mutant = Callable[[Patch], None]


def nobody_waits_too_long(patch: Patch) -> None:
    patch.setattr(Broker, "_end_waits", lambda self, queue: None)


def only_the_first_in_line_waits_too_long(patch: Patch) -> None:
    patch.setattr(Board, "arm_limit", _once(Board.arm_limit))


def _once(
    arm_limit: Callable[[Board, QueueState], None],
) -> Callable[[Board, QueueState], None]:
    def arm(self: Board, queue: QueueState) -> None:
        if len(queue.tickets) < 2:
            arm_limit(self, queue)

    return arm


def the_time_counts_from_the_first_wait(patch: Patch) -> None:
    note = Putting._note_lack

    def impatient(self: Putting, ticket: CommitTicket, queue: QueueState) -> None:
        since = ticket.since
        note(self, ticket, queue)
        ticket.since = since or ticket.since
        self._board.arm_limit(queue)

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


def who_asks_waits_for_ever(patch: Patch) -> None:
    patch.setattr(WantTicket, "limit_s", None)


def who_asks_is_refused_as_he_comes(patch: Patch) -> None:
    init = WantTicket.__init__

    def late(self: WantTicket, *args: Any, now: float) -> None:
        init(self, *args, now=now - 1.0)

    patch.setattr(WantTicket, "__init__", late)


def of_repetitions() -> Iterator[tuple[str, Mutant]]:
    """Those that only the histories of durable runs meet."""

    def limits_run_on(patch: Patch) -> None:
        patch.setattr(Board, "mind_repetition", lambda self, queue: None)

    def limits_rest_for_ever(patch: Patch) -> None:
        mind = Board.mind_repetition

        def once(self: Board, queue: QueueState) -> None:
            if queue.repeats:
                mind(self, queue)

        patch.setattr(Board, "mind_repetition", once)

    def nobody_looks_when_it_is_over(patch: Patch) -> None:
        mind = Board.mind_repetition

        def idle(self: Board, queue: QueueState) -> None:
            before, self.arm_limit = self.arm_limit, lambda _: None  # type: ignore[method-assign]
            mind(self, queue)
            self.arm_limit = before  # type: ignore[method-assign]

        patch.setattr(Board, "mind_repetition", idle)

    for mutant in (limits_run_on, limits_rest_for_ever, nobody_looks_when_it_is_over):
        yield mutant.__name__, mutant


def every() -> Iterator[tuple[str, Mutant]]:
    """Every mutant with its name."""
    for name, made in globals().items():
        of_ours = callable(made) and getattr(made, "__module__", "") == __name__
        if of_ours and made not in (every, of_repetitions) and not name.startswith("_"):
            yield name, made
