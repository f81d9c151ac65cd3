"""One conducted round: a chain over three queues, run by the command, all of whose workers die."""

from __future__ import annotations

import os
import random
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from .conducted_checker import Delivery, History
from .conductor import SOCKET, Conductor
from .points import RECALL, Score
from .rounds import COMMAND, HERE

LONGEST_S = 600.0


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a seed makes of a round in which so many items pass and so many processes are killed."""

    seed: int
    items: int
    kills: int
    maxsize: int
    workers: int
    batches: bool
    slow_every: int
    large_every: int
    size: int
    recycled_after: int

    @classmethod
    def of(cls, seed: int, *, items: int, kills: int) -> Plan:
        chance = random.Random(seed)
        return cls(
            seed=seed,
            items=items,
            kills=kills,
            maxsize=(10, 50, 400, 2000)[seed % 4],
            workers=chance.choice([2, 2, 3]),
            batches=seed % 3 == 2,
            slow_every=chance.choice([40, 150]) if seed % 2 == 0 else 0,
            large_every=chance.choice([0, 500]),
            size=chance.choice([70_000, 400_000]),
            recycled_after=chance.choice([30, 300, 1500]),
        )

    @property
    def unreachable(self) -> frozenset[str]:
        """Points that no worker of such a round comes to."""
        return frozenset() if self.slow_every and not self.batches else RECALL

    def spec(self) -> dict[str, object]:
        """The source is forked by the orchestrator itself, and nobody kills it."""
        batch = {"call": "batch", "batch": {"size": min(8, self.maxsize), "within": "5ms"}}
        return {
            "version": 1,
            "pythonpath": [str(HERE)],
            "queues": dict.fromkeys(("todo", "made", "done"), self.maxsize),
            "defaults": {"start_method": "forkserver"},
            "jobs": {
                "numbers": {
                    "target": "conducted_targets:numbers",
                    "args": [self.items],
                    "output": "todo",
                    "start_method": "fork",
                },
                "first": {
                    "target": "conducted_targets:First",
                    "args": [self.slow_every, self.large_every, self.size],
                    "input": "todo",
                    "output": "made",
                    **self._victim(),
                },
                "middle": {
                    "target": f"conducted_targets:Middle{'Batch' * self.batches}",
                    "args": [self.slow_every],
                    "input": "made",
                    "output": "done",
                    **(batch if self.batches else {}),
                    **self._victim(),
                },
                "sink": {
                    "target": "conducted_targets:Sink",
                    "args": [self.slow_every],
                    "input": "done",
                    **self._victim(),
                },
            },
        }

    def _victim(self) -> dict[str, object]:
        return {
            "workers": self.workers,
            "retry": {"attempts": 1000},
            "restart": {"max": 10_000, "within": "1s"},
            "recycle": {"max_items": self.recycled_after},
            "env": {"MPORCH_TEST": "1", "MPORCH_FAULT": f"@{SOCKET}"},
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
        avoid=plan.unreachable,
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
