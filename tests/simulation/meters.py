"""Meters of queues and workers, beside sums that are made anew after each event."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.core.broker.broker import Broker
from orchestrator.core.broker.queue import QueueState

from .ledger import check

if TYPE_CHECKING:
    from .world import World

_CLOSE = 1e-6


class Sum:
    """The integral of one queue's size from the first event on."""

    def __init__(self) -> None:
        self._since = self._area = 0.0
        self._size = 0

    def check(self, now: float, queue: QueueState) -> None:
        self._area += self._size * (now - self._since)
        self._since, self._size = now, queue.size
        meter = queue.meter
        noted = f"{queue.name} has {queue.size} items, and {meter.size} are noted"
        check(meter.size == queue.size, noted)
        behind = meter.size * (now - meter.since)
        check(
            abs(meter.area + behind - self._area) < _CLOSE * max(1.0, self._area),
            f"{queue.name}: {meter.area} + {behind} items x seconds instead of {self._area}",
        )


def times_add_up(world: World, broker: Broker) -> None:
    """A life is never shorter than its parts, and no part of it goes back."""
    for name, client in broker.clients.items():
        times = broker.times_of(client, world.now)
        parts = times.starting + times.starved + times.blocked + times.held
        check(parts <= times.life + _CLOSE, f"{name} has waited {parts} of {times.life} s")
        check(times.at_end <= times.starved + _CLOSE, f"{name}: more at the end than in all")
