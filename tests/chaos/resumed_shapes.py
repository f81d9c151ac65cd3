"""The pipelines of durable rounds: what a seed makes of them, and where their items must end."""

from __future__ import annotations

import enum
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from .resumed_targets import is_bad

HERE = Path(__file__).parent
ATTEMPTS = 3


class Middle(enum.Enum):
    """What stands between the source and the sinks."""

    ITEM = "item"
    ROUTES = "routes"
    HANDLE = "handle"
    LETTERS = "letters"
    BATCH = "batch"


@dataclass(frozen=True, kw_only=True)
class Shape:
    """A durable pipeline of at least so many items.

    `size` is that of an item in bytes, `pace_s` the work on it.
    """

    middle: Middle
    maxsize: int = 30
    size: int = 0
    least: int = 0
    full: bool = False
    pace_s: float = 0.002

    @classmethod
    def of(cls, seed: int) -> Shape:
        chance = random.Random(seed)
        middles = list(Middle)
        size = chance.choice([0, 0, 40_000])
        return cls(
            middle=middles[seed % len(middles)],
            maxsize=chance.choice([3, 30, 1000]),
            size=size,
            full=chance.random() < 0.25,
            pace_s=0.03 if size else 0.002,
        )

    @property
    def sinks(self) -> tuple[str, ...]:
        """The files that the sinks write."""
        return ("left", "right") if self.middle is Middle.ROUTES else ("done",)

    def expected(self, made: Iterable[int]) -> set[int]:
        """What each sink must have of what the source made."""
        letters = self.middle is Middle.LETTERS
        return {n for n in made if not (letters and is_bad(n))}

    def spec(self) -> dict[str, object]:
        queues = ["todo", "mid", *self.sinks]
        jobs = {
            "src": {
                "target": "resumed_targets:numbers",
                "args": [self.size, self.least],
                "output": "todo",
            },
            **_MIDDLES[self.middle](self),
        }
        for name in self.sinks:
            jobs[f"sink-{name}"] = {
                "target": "resumed_targets:write",
                "args": [name],
                "input": name,
                "call": "stream",
            }
        used = {name for job in jobs.values() for name in _queues_of(job)}
        return {
            "version": 1,
            "durable": "full" if self.full else True,
            "pythonpath": [str(HERE)],
            "queues": {name: self.maxsize for name in queues if name in used},
            "jobs": jobs,
        }

    def work(self, target: str, **more: object) -> dict[str, object]:
        return {
            "target": f"resumed_targets:{target}",
            "args": [self.pace_s],
            "workers": 2,
            "input": "todo",
            "output": "done",
            **more,
        }


def _letters(shape: Shape) -> dict[str, dict[str, object]]:
    retry = {"attempts": ATTEMPTS, "backoff": {"initial": "10ms"}}
    return {"work": shape.work("Strict", retry=retry, on_error="dead_letter")}


def _handle(shape: Shape) -> dict[str, dict[str, object]]:
    relay = {
        "target": "resumed_targets:relay",
        "input": {"source": "mid"},
        "output": {"sink": "done"},
    }
    return {"work": shape.work("Work", output="mid"), "relay": relay}


_MIDDLES: dict[Middle, Callable[[Shape], dict[str, dict[str, object]]]] = {
    Middle.ITEM: lambda shape: {"work": shape.work("Work")},
    Middle.ROUTES: lambda shape: {
        "work": shape.work("Route", output={"left": "left", "right": "right"})
    },
    Middle.HANDLE: _handle,
    Middle.LETTERS: _letters,
    Middle.BATCH: lambda shape: {
        "work": shape.work(
            "Pack", call="batch", batch={"size": min(8, shape.maxsize), "within": "20ms"}
        )
    },
}


def _queues_of(job: dict[str, object]) -> Iterable[str]:
    for key in ("input", "output"):
        wired = job.get(key, ())
        yield from wired.values() if isinstance(wired, dict) else [wired] if wired else ()
