"""Alarms of the broker: what is to be done to a queue at a certain time."""

from __future__ import annotations

import enum
import heapq
from collections.abc import Iterator

from orchestrator.core.broker.chunks import Segment
from orchestrator.core.broker.queue import QueueState

__all__ = ["Alarm", "Alarms"]


class Alarm(enum.Enum):
    """What is to be done to a queue at a certain time."""

    PATIENCE = enum.auto()
    """A batch must do with what is there."""
    RECALL = enum.auto()
    """Somebody still waits for items that others hold untouched."""
    ROOM = enum.auto()
    """A producer must do with the room there is."""
    RETRY = enum.auto()
    """A failed item is tried again."""
    PUT_LIMIT = enum.auto()
    """What waits for room may have waited for as long as the queue lets it."""
    RATE = enum.auto()
    """A job may start its next item."""


class Alarms:
    """Alarms in the order of their times, which are monotonic seconds.

    One that has become pointless by then is not taken back: it rings, and finds nothing to do.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Alarm, QueueState, Segment | None]] = []
        self._armed: dict[tuple[Alarm, QueueState], float] = {}
        self._numbers = 0

    def __len__(self) -> int:
        return len(self._heap)

    def __iter__(self) -> Iterator[tuple[Alarm, QueueState, Segment | None]]:
        """All that are set, in no order."""
        return (entry[2:] for entry in self._heap)

    def set(
        self, when: float, alarm: Alarm, queue: QueueState, segment: Segment | None = None
    ) -> None:
        """Wake at `when`."""
        self._numbers += 1  # those of one time ring in the order in which they were set
        heapq.heappush(self._heap, (when, self._numbers, alarm, queue, segment))

    def arm(self, when: float, alarm: Alarm, queue: QueueState) -> None:
        """Wake at `when` unless the queue has such an alarm that rings no later."""
        armed = self._armed.get((alarm, queue))
        if armed is None or when < armed:
            self._armed[alarm, queue] = when
            self.set(when, alarm, queue)

    def is_armed(self, alarm: Alarm, queue: QueueState) -> bool:
        """True if the queue has such an alarm."""
        return (alarm, queue) in self._armed

    @property
    def next(self) -> float | None:
        """Return when the next alarm is due."""
        return self._heap[0][0] if self._heap else None

    def due(self, now: float) -> Iterator[tuple[Alarm, QueueState, Segment | None]]:
        """Alarms whose time has come, removed."""
        while self._heap and self._heap[0][0] <= now:
            _, _, alarm, queue, segment = heapq.heappop(self._heap)
            self._armed.pop((alarm, queue), None)
            yield alarm, queue, segment
