"""One conducted round: a chain over three queues, run by the command, all of whose workers die."""

from __future__ import annotations

import random
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from .conducted_checker import Delivery, History
from .conductor import SOCKET, Conductor
from .points import RECALL, ROLES, Score
from .rounds import COMMAND, HERE

LONGEST_S = 600.0
_SLOW_EVERY = _BURST = 40
_PAUSE_S = 0.05
_SHORT_S, _LONG_S = 0.4, 4.0
"""How long a worker has to come to its place, on the average."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a seed makes of a round in which so many items pass and so many processes are killed.

    `batched`: the role that is called with lists. `slow`: the only role that dies then; now and
    then an item takes it long, and the broker recalls the rest of the lease for those who are idle:
    items come in bursts then.
    """

    seed: int
    items: int
    kills: int
    maxsize: int
    workers: int
    batched: str
    slow: str
    large_every: int
    size: int
    recycled_after: int

    @classmethod
    def of(cls, seed: int, *, items: int, kills: int) -> Plan:
        chance = random.Random(seed)
        slow = ("first", "", "middle", "", "sink", "")[seed % 6]
        before_slow = {"middle": "first", "sink": "middle"}.get(slow, "")
        return cls(
            seed=seed,
            items=items,
            kills=kills,
            maxsize=_BURST if slow else (10, 50, 400, 2000)[seed // 2 % 4],
            workers=3 if slow else chance.choice([1, 2, 3]),
            batched=before_slow or chance.choice(["", "", "first", "middle"]),
            slow=slow,
            large_every=chance.choice([0, 500]),
            size=chance.choice([70_000, 400_000]),
            recycled_after=chance.choice([100, 500, 2000]),
        )

    @property
    def points(self) -> dict[str, tuple[str, ...]]:
        """Where the workers of each role may die; a recall comes only to those that live long."""
        if self.slow:
            return {self.slow: RECALL}
        return {role: tuple(p for p in ROLES[role] if p not in RECALL) for role in ROLES}

    def spec(self) -> dict[str, object]:
        """The source is forked by the orchestrator itself, and nobody kills it."""
        large = [self.large_every, self.size]
        return {
            "version": 1,
            "pythonpath": [str(HERE)],
            "queues": dict.fromkeys(("todo", "made", "done"), self.maxsize),
            "defaults": {"start_method": "forkserver"},
            "jobs": {
                "numbers": {
                    "target": "conducted_targets:numbers",
                    "args": [self.items, _PAUSE_S if self.slow else 0],
                    "output": "todo",
                    "start_method": "fork",
                },
                "first": {"input": "todo", "output": "made", **self._victim("first", *large)},
                "middle": {"input": "made", "output": "done", **self._victim("middle")},
                "sink": {"input": "done", **self._victim("sink")},
            },
        }

    def _victim(self, role: str, *args: int) -> dict[str, object]:
        batched = self.batched == role
        size = min(self.maxsize, _BURST if self.slow else 8)
        batch = {"call": "batch", "batch": {"size": size, "within": "5ms"}}
        return {
            "target": f"conducted_targets:{role.capitalize()}{'Batch' * batched}",
            "args": [_SLOW_EVERY if self.slow == role else 0, *args],
            "workers": self.workers,
            "retry": {"attempts": 1000},
            "restart": {"max": 10_000, "within": "1s"},
            "recycle": {"max_items": self.recycled_after},
            "env": {"MPORCH_TEST": "1", "MPORCH_FAULT": f"@{SOCKET}"},
            **(batch if batched else {}),
        }


def play(plan: Plan, folder: Path, score: Score) -> History:
    """Run it in a new folder, kill as many as the plan says, and return what was seen."""
    folder.mkdir(parents=True)
    (folder / "jobs.yaml").write_text(yaml.safe_dump(plan.spec()))
    conductor = Conductor(
        folder,
        score,
        random.Random(plan.seed),
        most=plan.kills + plan.kills // 10,
        points=plan.points,
        patience_s=_LONG_S if plan.slow else _SHORT_S,
    )
    enough = folder / "enough"

    def see() -> None:
        if len(conductor.ends) >= plan.kills and not enough.exists():
            enough.touch()

    with (folder / "stdout").open("wb") as out, (folder / "stderr").open("wb") as err:
        guard = subprocess.Popen(
            [COMMAND, "run", "--run-dir", "run", "--output", "none"],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
        )
    try:
        conductor.follow(guard, time.monotonic() + LONGEST_S, see)
        exit_code = guard.poll()
    finally:
        guard.kill()  # and with it all others
        guard.wait()
        conductor.close()
    return History(
        made=_made(folder),
        items=plan.items,
        delivered=list(_delivered(folder)),
        ends=conductor.ends,
        wanted=plan.kills,
        exit_code=exit_code,
    )


def _made(folder: Path) -> int:
    """How many numbers there may be at most, and, if the run has ended well, are."""
    return int((folder / "made").read_bytes().split()[-1])


def _delivered(folder: Path) -> Iterator[Delivery]:
    """In the order in which each process has told."""
    for path in folder.glob("delivered-*"):
        pid = int(path.name.partition("-")[2])
        for line in path.read_text().splitlines():
            name, token = line.split()
            yield Delivery(name=name, token=token, pid=pid)
