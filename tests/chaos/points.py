"""Which workers are to die where, and how many have."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

_OUT = ("before", "torn", "sent")


def _frames(*messages: str) -> tuple[str, ...]:
    return tuple(f"w.{message}_{at}" for message in messages for at in _OUT)


_LIFE = (*_frames("hello", "ready"), "w.item_begun", "w.item_ended", *_frames("closing"))
_READS = (*_frames("pull"), "w.leased_received", "w.commit_acked")
_WRITES = (*_frames("want"), "w.grant_received")

AT_THE_END = _LIFE
"""Where a source may die that has put all its items already."""

RECALL = (*_frames("released"), "w.recall_received")
"""Come to only where an item takes long, in a job that has idle workers."""

ROLES: dict[str, tuple[str, ...]] = {
    "source": (*_LIFE, *_frames("commit"), *_WRITES),
    "first": (*_LIFE, *_frames("commit"), *_READS, *_WRITES, *RECALL),
    "middle": (*_LIFE, *_frames("commit"), *_READS, *_WRITES, *RECALL),
    "sink": (*_LIFE, *_frames("commit"), *_READS, *RECALL),
}
"""The jobs whose workers are killed, and all the points they come to.

A source asks for room before it puts: its commits need no answer.
"""

_LATEST = {"item": 120, "pull": 4, "leased": 4, "commit": 4, "want": 3, "grant": 3}
"""How often a worker may have come to a point before it dies there; else never."""

ELSEWHERE = "elsewhere"


def _latest(role: str, point: str) -> int:
    message = point.removeprefix("w.").partition("_")[0]
    once = role == "source" and message == "item"  # it is called once
    return 1 if once else _LATEST.get(message, 1)


@dataclass(frozen=True, kw_only=True)
class Order:
    """What one process is told: where to die, at which time, of itself or by our hand."""

    point: str
    nth: int
    by_itself: bool
    after_bytes: int

    def __str__(self) -> str:
        action = "kill" if self.by_itself else "stop"
        return f"{self.point}:{self.nth}:{action}:{self.after_bytes}"


class Score:
    """The kills so far: `hits` by role and point, of which `ELSEWHERE` were at no point."""

    def __init__(self, quota: int, chance: random.Random) -> None:
        self.hits: Counter[tuple[str, str]] = Counter()
        self._quota = quota
        self._chance = chance

    @property
    def kills(self) -> int:
        """All of them."""
        return self.hits.total()

    @property
    def torn(self) -> int:
        """Those that left a part of a frame behind."""
        return sum(n for (_, point), n in self.hits.items() if point.endswith("_torn"))

    def missing(self, points: Mapping[str, tuple[str, ...]] = ROLES) -> dict[str, int]:
        """How many are short of the quota at these points of each role."""
        short = {(r, p): self._quota - self.hits[r, p] for r in points for p in points[r]}
        return {f"{role} {point}": n for (role, point), n in short.items() if n > 0}

    def by_point(self) -> dict[str, dict[str, int]]:
        """The hits of each role, as a table."""
        places = {role: (*ROLES[role], ELSEWHERE) for role in ROLES}
        return {r: {place: self.hits[r, place] for place in places[r]} for r in ROLES}

    def order(self, role: str, points: tuple[str, ...]) -> Order:
        """Where a new process of this role shall die: mostly where too few have."""
        short = [max(0.3, self._quota - self.hits[role, point]) ** 2 for point in points]
        point = self._chance.choices(points, short)[0]
        return Order(
            point=point,
            nth=self._chance.randint(1, _latest(role, point)),
            by_itself=self._chance.random() < 0.7,
            after_bytes=int(10 ** self._chance.uniform(0, 5)),
        )
