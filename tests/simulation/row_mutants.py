"""Brokers with one bug each in rule 17 or 18, as in `mutants`. Each must be caught."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

from orchestrator.core.broker.chunks import Segment, cut
from orchestrator.core.broker.clients import OrderedWaiter, PendingPull, WorkerState
from orchestrator.core.broker.lease import LeaseState
from orchestrator.core.broker.leasing import Leasing
from orchestrator.core.broker.ordered import OrderedCommits
from orchestrator.core.broker.outcomes import Outcomes
from orchestrator.core.broker.ratelimit import RateLimiter
from orchestrator.core.broker.reorder import ReorderBuffer

Patch = pytest.MonkeyPatch
Mutant = Callable[[Patch], None]


def what_is_finished_leaves_at_once(patch: Patch) -> None:
    def following(self: ReorderBuffer) -> OrderedWaiter | None:
        if self._held:
            self.waiter = self._held.pop(next(iter(self._held)))
            return self.waiter
        return None

    patch.setattr(ReorderBuffer, "next", following)
    patch.setattr(ReorderBuffer, "pass_by", lambda self, n: setattr(self, "out", self.out - n))


def a_dead_letter_keeps_its_turn(patch: Patch) -> None:
    patch.setattr(ReorderBuffer, "end", lambda self, number: None)


def a_retried_item_loses_its_turn(patch: Patch) -> None:
    try_again = Outcomes._try_again

    def hurried(self: Outcomes, client: WorkerState, item: Any, failure: Any) -> None:
        if item.queue.reorder is not None:
            item.queue.reorder.end(item.segment.first)
        try_again(self, client, item, failure)

    patch.setattr(Outcomes, "_try_again", hurried)


def the_window_is_no_limit(patch: Patch) -> None:
    patch.setattr(ReorderBuffer, "leasable", lambda self, segments, queued: queued)


def the_window_keeps_back_what_came_back(patch: Patch) -> None:
    def leasable(self: ReorderBuffer, segments: Iterable[Segment], queued: int) -> int:
        return max(0, min(queued, self.window - max(self.out, self.outputs)))

    patch.setattr(ReorderBuffer, "leasable", leasable)


def what_is_held_back_takes_no_room(patch: Patch) -> None:
    def claim(self: LeaseState, n: int) -> list[Segment]:
        begin = self.finished + self.claimed
        self.claimed += n
        self._known = self.hidden
        return cut(cut(self.segments, begin)[1], n)[0]

    patch.setattr(LeaseState, "claim", claim)


def what_is_behind_a_failed_item_has_its_turn(patch: Patch) -> None:
    end = Outcomes._end

    def generous(self: Outcomes, client: WorkerState, item: Any, how: Any, failure: Any) -> None:
        if item.queue.reorder is not None:
            item.queue.reorder.end(item.segment.first)
        end(self, client, item, how, failure)

    patch.setattr(Outcomes, "_end", generous)


def what_is_held_back_is_never_forgotten(patch: Patch) -> None:
    patch.setattr(OrderedCommits, "_forget", lambda self, reorder: None)


def a_late_start_is_made_up_for(patch: Patch) -> None:
    def start(self: RateLimiter, now: float) -> None:
        before = now - 1.0 if self._arrival < 0.0 else self._arrival
        self._arrival = before + self._interval_s
        self.held.stop(now)

    patch.setattr(RateLimiter, "start", start)


def each_worker_has_the_rate(patch: Patch) -> None:
    serve = Leasing._serve_one
    own: dict[str, RateLimiter] = {}

    def serve_one(self: Leasing, pending: PendingPull, rate_limit: RateLimiter) -> bool:
        mine = own.setdefault(pending.client.worker, RateLimiter(rate_limit._interval_s))
        return serve(self, pending, mine)

    patch.setattr(Leasing, "_serve_one", serve_one)


def the_next_start_is_forgotten(patch: Patch) -> None:
    hold = RateLimiter.hold
    patch.setattr(RateLimiter, "hold", lambda self, now, queue: hold(self, now, queue) and False)


def a_burst_too_many(patch: Patch) -> None:
    due_at = property(lambda self: self._arrival - self._tolerance_s - self._interval_s)
    patch.setattr(RateLimiter, "due_at", due_at)


def every() -> Iterator[tuple[str, Mutant]]:
    """Every mutant with its name."""
    for name, made in globals().items():
        if callable(made) and getattr(made, "__module__", "") == __name__ and made is not every:
            yield name, made
