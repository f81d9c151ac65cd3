"""Brokers with one bug each in what they do to a commit that has waited too long (rule 2)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from orchestrator.core.broker.broker import Broker
from orchestrator.core.broker.clients import CommitWaiter, CreditWaiter
from orchestrator.core.broker.commits import Admission
from orchestrator.core.broker.queue import QueueState
from orchestrator.core.broker.room import PutLimits, RoomForOutputs

Patch = pytest.MonkeyPatch
Mutant = Callable[[Patch], None]


def nobody_waits_too_long(patch: Patch) -> None:
    patch.setattr(Broker, "_end_waits", lambda self, queue: None)


def only_the_first_in_line_waits_too_long(patch: Patch) -> None:
    patch.setattr(PutLimits, "arm", _once(PutLimits.arm))


def _once(
    arm_limit: Callable[[PutLimits, QueueState], None],
) -> Callable[[PutLimits, QueueState], None]:
    def arm(self: PutLimits, queue: QueueState) -> None:
        if len(self._state.lines.of(queue)) < 2:
            arm_limit(self, queue)

    return arm


def the_time_counts_from_the_first_wait(patch: Patch) -> None:
    note = RoomForOutputs._note_lack

    def impatient(self: RoomForOutputs, waiter: CommitWaiter, queue: QueueState) -> None:
        since = waiter.since
        note(self, waiter, queue)
        waiter.since = since or waiter.since
        self._limits.arm(queue)

    patch.setattr(RoomForOutputs, "_note_lack", impatient)


def what_found_no_room_is_lost(patch: Patch) -> None:
    undo = CommitWaiter.undo

    def forgetful(self: CommitWaiter) -> None:
        for lease, _ in self.leases:
            if lease.claimed:
                lease.queue.done += lease.claimed
                rest = lease.shorten(lease.finished + lease.claimed)
                lease.queue.give_back(rest)
                lease.shorten(lease.finished)
        undo(self)

    patch.setattr(CommitWaiter, "undo", forgetful)


def what_found_no_room_is_put_and_done_again(patch: Patch) -> None:
    refuse = Admission.refuse

    def generous(self: Admission, waiter: CommitWaiter) -> None:
        for part in waiter.parts:
            if part.used < part.n:
                self._room.put(waiter.client, part, part.n - part.used)
        refuse(self, waiter)

    patch.setattr(Admission, "refuse", generous)


def what_is_claimed_stays_claimed(patch: Patch) -> None:
    patch.setattr(CommitWaiter, "undo", lambda self: [part.cut() for part in self.parts])


def an_item_of_which_a_part_is_out_goes_back(patch: Patch) -> None:
    undo = CommitWaiter.undo

    def forgetful(self: CommitWaiter) -> None:
        undo(self)
        for lease in self.client.leases.values():
            lease.partially_emitted = False

    patch.setattr(CommitWaiter, "undo", forgetful)


def who_asks_waits_for_ever(patch: Patch) -> None:
    patch.setattr(CreditWaiter, "limit_s", None)


def who_asks_is_refused_as_he_comes(patch: Patch) -> None:
    init = CreditWaiter.__init__

    def late(self: CreditWaiter, *args: Any, now: float) -> None:
        init(self, *args, now=now - 1.0)

    patch.setattr(CreditWaiter, "__init__", late)


def of_repetitions() -> Iterator[tuple[str, Mutant]]:
    """Those that only the histories of durable runs meet."""

    def limits_run_on(patch: Patch) -> None:
        patch.setattr(PutLimits, "mind_repetition", lambda self, queue: None)

    def limits_rest_for_ever(patch: Patch) -> None:
        mind = PutLimits.mind_repetition

        def once(self: PutLimits, queue: QueueState) -> None:
            if queue.repeats:
                mind(self, queue)

        patch.setattr(PutLimits, "mind_repetition", once)

    def nobody_looks_when_it_is_over(patch: Patch) -> None:
        mind = PutLimits.mind_repetition

        def idle(self: PutLimits, queue: QueueState) -> None:
            before, self.arm = self.arm, lambda _: None  # type: ignore[method-assign]
            mind(self, queue)
            self.arm = before  # type: ignore[method-assign]

        patch.setattr(PutLimits, "mind_repetition", idle)

    for mutant in (limits_run_on, limits_rest_for_ever, nobody_looks_when_it_is_over):
        yield mutant.__name__, mutant


def every() -> Iterator[tuple[str, Mutant]]:
    """Every mutant with its name."""
    for name, made in globals().items():
        of_ours = callable(made) and getattr(made, "__module__", "") == __name__
        if of_ours and made not in (every, of_repetitions) and not name.startswith("_"):
            yield name, made
