"""Meters: where the time of a worker, a job and a queue has gone. Durations in seconds.

They are noted where something changes, and read for each sample; nothing depends on them.
"""

from __future__ import annotations

__all__ = ["NO_WAIT", "QueueMeter", "Times"]


class Times:
    """Where the life of a worker went, or those of a job's: `at_end` is a part of `starved`.

    `starting` until it was ready, then `starved` without input, `blocked` without room for what it
    gives, `held` by its rate; `life` is all of it, and the rest of that it was `running`.
    """

    __slots__ = ("at_end", "blocked", "held", "life", "starting", "starved")

    def __init__(self) -> None:
        self.life = self.starting = 0.0
        self.starved = self.blocked = self.held = self.at_end = 0.0

    @property
    def running(self) -> float:
        """Return how long nothing else was the matter."""
        rest = self.life - self.starting - self.starved - self.blocked - self.held
        return max(0.0, rest)

    def add(self, other: Times) -> None:
        """Count what another has counted as well."""
        self.life += other.life
        self.starting += other.starting
        self.starved += other.starved
        self.blocked += other.blocked
        self.held += other.held
        self.at_end += other.at_end


NO_WAIT = Times()
"""Of who waits for nothing; not to be changed."""


class QueueMeter:
    """How full a queue was, and for how long: noted with its size after each change.

    `size` is that noted last, at `since`, and `area` its integral over time until then. It is full
    while it holds as many items or bytes as it may, or somebody waits for room; `longest_full` is
    the longest stretch of that.
    """

    __slots__ = (
        "_full_since",
        "_is_full",
        "_is_heavy",
        "area",
        "empty",
        "full_bytes",
        "full_items",
        "longest_full",
        "since",
        "size",
    )

    def __init__(self) -> None:
        self.area = self.empty = self.full_items = self.full_bytes = self.longest_full = 0.0
        self.size = 0
        self.since = self._full_since = -1.0
        self._is_full = self._is_heavy = False

    def note(self, now: float, size: int, *, is_full: bool, is_heavy: bool) -> None:
        """From `now` on it holds `size` items; if it `is_full`, for their bytes if `is_heavy`."""
        passed = now - self.since
        if self.since < 0.0:
            self.since = self._full_since = now
        elif passed > 0.0:
            self.since = now
            if not self.size:
                self.empty += passed
            self.area += self.size * passed
            if self._is_full:
                self.longest_full = max(self.longest_full, now - self._full_since)
                if self._is_heavy:
                    self.full_bytes += passed
                else:
                    self.full_items += passed
        if is_full and not self._is_full:
            self._full_since = now
        self.size, self._is_full, self._is_heavy = size, is_full, is_heavy
