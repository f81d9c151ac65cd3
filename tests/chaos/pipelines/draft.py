"""A pipeline that is being drawn up: its jobs and queues so far, and the chance that makes them."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

from .model import UNNAMED, UNWRITTEN, Job, Queue

MOST_ITEMS = 500
"""What is to come to a queue at most, about: above that no job multiplies its items."""
RESTART = {"max": 10_000, "within": "1s"}
RETRY = {"attempts": 1000, "backoff": {"initial": "1ms", "max": "20ms"}}
_ITEM_BYTES = 70


class Draft:
    """The jobs, the queues, what is to arrive on each, and those that nobody reads yet."""

    def __init__(self, seed: int, *, durable: bool) -> None:
        self.chance = random.Random(f"{seed} {durable}")
        self.durable: bool | str = durable
        if durable and self.maybe(0.15):
            self.durable = "full"
        self.jobs: dict[str, Job] = {}
        self.queues: dict[str, Queue] = {}
        self.arrive: dict[str, list[str]] = {}
        self.unread: list[str] = []

    # -- chance -----------------------------------------------------------------------------------

    def maybe(self, likely: float) -> bool:
        return self.chance.random() < likely

    def name(self, kind: str) -> str:
        return f"{kind}{len(self.jobs)}"

    def add(self, job: Job) -> None:
        self.jobs[job.name] = job

    def role(self, name: str, **more: Any) -> dict[str, Any]:
        nothing = {"command": False, "ports": {}, "skip": 0, "dead": 0, "flaky": 0, "block": 0}
        never = {"fails_at": 0, "fails_once": bool(self.durable)}
        return {"name": name, **nothing, **never, "pace_s": 0.0, "pad": 0, "lingers_s": 0, **more}

    def _pad(self) -> int:
        return self.chance.choice([0, 0, 0, 0, 50, 50, 3000, 40_000, 40_000])

    def method(self) -> dict[str, str]:
        methods = ["forkserver"] * 8 + ["spawn"] * 2 + ([] if self.durable else ["fork"] * 3)
        method = self.chance.choice(methods)
        return {} if method == "forkserver" else {"start_method": method}

    # -- queues and ports -------------------------------------------------------------------------

    def _queue(self) -> str:
        name = f"q{len(self.queues)}"
        when_full = self.chance.choice(["block"] * 6 + ["drop_newest", "drop_oldest"])
        self.queues[name] = Queue(
            name=name,
            maxsize=self.chance.choice(
                [1, 2, 5, 10]
                if when_full != "block"
                else [1, 2, 3, 5, 10, 10, 30, 30, 100, UNWRITTEN]
            ),
            max_bytes=self.chance.choice([None] * 5 + [2_000, 20_000, 100_000]),
            when_full=when_full,
        )
        self.arrive[name] = []
        self.unread.append(name)
        return name

    def wired(self, *, named: bool, inputs: Sequence[str] = ()) -> dict[str, tuple[str, ...]]:
        """Some ports, each with its queue: a new one, or one that is not read yet."""

        def one(taken: Sequence[str]) -> str:
            known = [name for name in self.unread if name not in taken]
            return self.chance.choice(known) if known and self.maybe(0.15) else self._queue()

        if named:
            found: dict[str, tuple[str, ...]] = {}
            for n in range(self.chance.choice([1, 2, 2, 3])):
                found[f"port{n}"] = (one([*inputs, *(q for (q,) in found.values())]),)
            return found
        queues: list[str] = []
        for _ in range(self.chance.choice([1, 1, 2, 2, 3])):
            queues.append(one([*inputs, *queues]))
        return {UNNAMED: tuple(queues)}

    def room(self, ports: Mapping[str, Sequence[str]]) -> int:
        """How many outputs of one call are sure to leave as a whole."""
        queues = [self.queues[name] for names in ports.values() for name in names]
        return min((queue.maxsize for queue in queues), default=1000)

    def fans(self, ports: Mapping[str, Sequence[str]], coming: int, room: int) -> dict[str, Any]:
        kinds = [[1, 1], [1, 1], [1, 1], [0, 1], [0, 2], [1, 2], [0, 3]]
        fitting = [kind for kind in kinds if kind[1] <= room]
        if coming > MOST_ITEMS / 2:
            fitting = [[0, 1]]
        return {port: self.chance.choice(fitting) for port in ports}

    def fitted_pad(self, ports: Mapping[str, Sequence[str]], at_once: int) -> int:
        """Padding with which what one call gives is below each `max_bytes`."""
        pad = self._pad()
        for queue in (self.queues[name] for names in ports.values() for name in names):
            if queue.max_bytes and at_once > 1:
                pad = min(pad, max(0, queue.max_bytes // at_once - _ITEM_BYTES - 40))
        return pad

    def arrives(self, ports: Mapping[str, Sequence[str]], made: Mapping[str, list[str]]) -> None:
        for port, queues in ports.items():
            for name in queues:
                self.arrive[name] += made[port]
