"""Item timeouts by the progress cell, whatever is in it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from orchestrator.core.protocol.events import Blame, Phase
from orchestrator.engine.node.item_watchdog import ItemWatchdog
from orchestrator.plan.model import TimeoutsPlan

LIMIT_S = 5.0


class Clock:
    """Stands until it is moved."""

    def __init__(self) -> None:
        self.time = 100.0

    def now(self) -> float:
        return self.time

    def of(self, monotonic_s: float) -> float:
        return monotonic_s


def worker(since_s: float, phase: Phase = Phase.RUNNING) -> Any:
    return SimpleNamespace(
        name="a-1",
        job=SimpleNamespace(timeouts=TimeoutsPlan(item_s=LIMIT_S)),
        blame=lambda: Blame(lease=1, index=0, phase=phase),
        cell=SimpleNamespace(since_s=lambda: since_s),
    )


def told_at(overdue: ItemWatchdog, clock: Clock, *, until: float) -> float | None:
    """When the worker is told as overdue, if each check is made in time."""
    while clock.time <= until:
        if list(overdue.due(clock)):  # type: ignore[arg-type]
            return clock.time
        clock.time = overdue.next_check(clock) or until + 1  # type: ignore[arg-type]
    return None


def test_an_item_is_overdue_its_limit_after_it_was_begun() -> None:
    overdue, clock = ItemWatchdog(), Clock()
    overdue.add(worker(since_s=98.0))
    assert told_at(overdue, clock, until=200.0) == 103.0


def test_a_worker_between_items_is_never_overdue() -> None:
    overdue, clock = ItemWatchdog(), Clock()
    overdue.add(worker(since_s=0.0, phase=Phase.IDLE))
    assert told_at(overdue, clock, until=200.0) is None


@pytest.mark.parametrize("since_s", [1e9, 102.0, float(2**63)])
def test_an_item_said_to_begin_in_the_future_counts_from_the_last_look(since_s: float) -> None:
    overdue, clock = ItemWatchdog(), Clock()
    overdue.add(worker(since_s=since_s))
    assert told_at(overdue, clock, until=200.0) in (105.0, 107.0)
