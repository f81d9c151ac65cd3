"""Effects of one call of the supervisor: its time, and what it orders."""

from __future__ import annotations

from dataclasses import dataclass, field

from orchestrator.core.protocol.commands import Command, Notify
from orchestrator.core.protocol.events import BrokerNews
from orchestrator.core.protocol.notifications import Notification, WaitingFor
from orchestrator.core.supervisor.model import Worker

__all__ = ["Effects"]


@dataclass(slots=True, eq=False)
class Effects:
    """Collects commands and news in order. `now` is monotonic, in seconds."""

    now: float
    orders: list[Command | BrokerNews] = field(default_factory=list)
    _awaited: dict[str, dict[str, float]] = field(default_factory=dict)

    def order(self, *orders: Command | BrokerNews) -> None:
        """Add commands or news."""
        self.orders.extend(orders)

    def report(self, notification: Notification) -> None:
        """Add a fact for the observer."""
        self.orders.append(Notify(notification=notification))

    def await_end(self, worker: Worker, step: str, timeout_s: float) -> None:
        """Note that the run waits for a worker; told once a step, by `close`."""
        self._awaited.setdefault(step, {})[worker.name] = timeout_s

    def close(self) -> list[Command | BrokerNews]:
        """Tell who is being waited for, and return everything."""
        for step, workers in self._awaited.items():
            self.report(
                WaitingFor(workers=tuple(workers), timeout_s=max(workers.values()), step=step)
            )
        return self.orders
