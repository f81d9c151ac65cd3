"""Brokers with one bug each in rule 17 or 18, as in `mutants`. Each must be caught."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from orchestrator.core.delivery import Delivery
from orchestrator.core.endings import Endings
from orchestrator.core.ordering import Ordering
from orchestrator.core.ports import Lease, PendingPull, Port
from orchestrator.core.queues import QueueState, Segment, cut
from orchestrator.core.row import Row, RowTicket
from orchestrator.core.throttle import Throttle

Patch = pytest.MonkeyPatch
Mutant = Callable[[Patch], None]


def what_is_finished_leaves_at_once(patch: Patch) -> None:
    def following(self: Row) -> RowTicket | None:
        if self._held:
            self.ticket = self._held.pop(next(iter(self._held)))
            return self.ticket
        return None

    patch.setattr(Row, "next", following)
    patch.setattr(Row, "pass_by", lambda self, n: setattr(self, "out", self.out - n))


def a_dead_letter_keeps_its_turn(patch: Patch) -> None:
    patch.setattr(Row, "end", lambda self, number: None)


def a_retried_item_loses_its_turn(patch: Patch) -> None:
    try_again = Endings._try_again

    def hurried(self: Endings, port: Port, item: Any, failure: Any) -> None:
        if item.queue.row is not None:
            item.queue.row.end(item.segment.first)
        try_again(self, port, item, failure)

    patch.setattr(Endings, "_try_again", hurried)


def the_window_is_no_limit(patch: Patch) -> None:
    patch.setattr(Row, "leasable", lambda self, queue: queue.queued)


def the_window_keeps_back_what_came_back(patch: Patch) -> None:
    def leasable(self: Row, queue: QueueState) -> int:
        return max(0, min(queue.queued, self.window - max(self.out, self.outputs)))

    patch.setattr(Row, "leasable", leasable)


def what_is_held_back_takes_no_room(patch: Patch) -> None:
    def claim(self: Lease, n: int) -> list[Segment]:
        begin = self.finished + self.claimed
        self.claimed += n
        return cut(cut(self.segments, begin)[1], n)[0]

    patch.setattr(Lease, "claim", claim)


def what_is_behind_a_failed_item_has_its_turn(patch: Patch) -> None:
    end = Endings._end

    def generous(self: Endings, port: Port, item: Any, how: Any, failure: Any) -> None:
        if item.queue.row is not None:
            item.queue.row.end(item.segment.first)
        end(self, port, item, how, failure)

    patch.setattr(Endings, "_end", generous)


def what_is_held_back_is_never_forgotten(patch: Patch) -> None:
    patch.setattr(Ordering, "_forget", lambda self, row: None)


def a_late_start_is_made_up_for(patch: Patch) -> None:
    def start(self: Throttle, now: float) -> None:
        before = now - 1.0 if self._arrival < 0.0 else self._arrival
        self._arrival = before + self._interval_s
        self.held.stop(now)

    patch.setattr(Throttle, "start", start)


def each_worker_has_the_rate(patch: Patch) -> None:
    serve = Delivery._serve_one
    own: dict[str, Throttle] = {}

    def serve_one(self: Delivery, pending: PendingPull, throttle: Throttle) -> bool:
        mine = own.setdefault(pending.port.worker, Throttle(throttle._interval_s))
        return serve(self, pending, mine)

    patch.setattr(Delivery, "_serve_one", serve_one)


def the_next_start_is_forgotten(patch: Patch) -> None:
    hold = Throttle.hold
    patch.setattr(Throttle, "hold", lambda self, now, queue: hold(self, now, queue) and False)


def a_burst_too_many(patch: Patch) -> None:
    due_at = property(lambda self: self._arrival - self._tolerance_s - self._interval_s)
    patch.setattr(Throttle, "due_at", due_at)


def every() -> Iterator[tuple[str, Mutant]]:
    """Every mutant with its name."""
    for name, made in globals().items():
        if callable(made) and getattr(made, "__module__", "") == __name__ and made is not every:
            yield name, made
