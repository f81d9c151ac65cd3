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
from .points import AT_THE_END, RECALL, ROLES, Score
from .rounds import COMMAND, HERE

LONGEST_S = 600.0
_SLOW_EVERY = _BURST = 40
_PAUSE_S = 0.05
_SOURCES = 16
"""Each ends once: if it dies when it has said so, no other takes its place."""
_ALWAYS = {"max": 10_000, "within": "1s"}
_SHORT_S, _LONG_S = 0.4, 8.0
"""How long a worker has to come to its place, on the average."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a seed makes of a round in which so many items pass and so many processes are killed.

    `dying`: the only role that dies; nothing: all but the source. Of one that is not the source now
    and then an item takes long then, and the broker recalls the rest of the lease for those who are
    idle: items come in bursts. `batched`: the role that is called with lists.
    """

    seed: int
    items: int
    kills: int
    maxsize: int
    workers: int
    dying: str
    batched: str
    large_every: int
    size: int
    recycled_after: int

    @classmethod
    def of(cls, seed: int, *, items: int, kills: int) -> Plan:
        chance = random.Random(seed)
        dying = ("first", "", "source", "", "middle", "", "sink", "")[seed % 8]
        slow = dying not in ("", "source")
        maxsize = _BURST if slow else (10, 50, 400, 2000)[seed // 2 % 4]
        before_slow = {"middle": "first", "sink": "middle"}.get(dying, "")
        return cls(
            seed=seed,
            items=items,
            kills=kills,
            maxsize=maxsize,
            workers=6 if slow else chance.choice([1, 2, 3]),
            dying=dying,
            batched=before_slow or chance.choice(["", "", "first", "middle"]),
            large_every=chance.choice([0, 500]),
            size=chance.choice([70_000, 400_000]),
            recycled_after=maxsize * chance.choice([5, 20]),
        )

    @property
    def slow(self) -> bool:
        """Whether items take long in the role that dies."""
        return self.dying not in ("", "source")

    @property
    def points(self) -> dict[str, tuple[str, ...]]:
        """Where the workers of each role may die; a recall comes only to those that live long."""
        if self.slow:
            return {self.dying: RECALL}
        if self.dying:
            return {self.dying: ROLES[self.dying]}
        items = {role: points for role, points in ROLES.items() if role != "source"}
        return {r: tuple(p for p in points if p not in RECALL) for r, points in items.items()}

    def spec(self) -> dict[str, object]:
        return {
            "version": 1,
            "pythonpath": [str(HERE)],
            "queues": dict.fromkeys(("todo", "made", "done"), self.maxsize),
            "defaults": {
                "start_method": "forkserver",
                "env": {"MPORCH_TEST": "1", "MPORCH_FAULT": f"@{SOCKET}"},
            },
            "jobs": {
                "source": {
                    "target": "conducted_targets:numbers",
                    "args": [self.items, _PAUSE_S if self.slow else 0],
                    "output": "todo",
                    "restart": {**_ALWAYS, "replay": "skip"},
                    "workers": _SOURCES if self.dying == "source" else 1,
                },
                "first": {
                    "input": "todo",
                    "output": "made",
                    **self._stage("first", self.large_every, self.size),
                },
                "middle": {"input": "made", "output": "done", **self._stage("middle")},
                "sink": {"input": "done", **self._stage("sink")},
            },
        }

    def _stage(self, role: str, *args: int) -> dict[str, object]:
        batched = self.batched == role
        size = min(self.maxsize, _BURST if self.slow else 8)
        batch = {"call": "batch", "batch": {"size": size, "within": "5ms"}}
        return {
            "target": f"conducted_targets:{role.capitalize()}{'Batch' * batched}",
            "args": [_SLOW_EVERY if self.slow and self.dying == role else 0, *args],
            "workers": self.workers,
            "retry": {"attempts": 1000},
            "restart": _ALWAYS,
            "recycle": {"max_items": self.recycled_after},
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
        most=plan.kills * 3 if plan.dying == "source" else plan.kills + plan.kills // 10,
        points=plan.points,
        patience_s=_LONG_S if plan.slow else _SHORT_S,
    )
    with (folder / "stdout").open("wb") as out, (folder / "stderr").open("wb") as err:
        guard = subprocess.Popen(
            [COMMAND, "run", "--run-dir", "run", "--output", "none"],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
        )
    try:
        conductor.follow(
            guard, time.monotonic() + LONGEST_S, lambda: _see(plan, folder / "enough", conductor)
        )
        exit_code = guard.poll()
    finally:
        guard.kill()  # and with it all others
        guard.wait()
        conductor.close()
    return History(
        made=made(folder),
        items=plan.items,
        delivered=list(delivered(folder)),
        ends=conductor.ends,
        wanted=plan.kills,
        exit_code=exit_code,
    )


def _see(plan: Plan, enough: Path, conductor: Conductor) -> None:
    """Tell the source when enough have died. Sources go on dying, at the end of their work."""
    if not enough.exists() and len(conductor.ends) >= plan.kills:
        if plan.dying == "source":
            conductor.points = {"source": AT_THE_END}
            conductor.strike_all()
        enough.touch()


def made(folder: Path) -> set[int]:
    """The numbers there may be at most, and, if the run has ended well, are."""
    made: set[int] = set()
    for path in folder.glob("made-*"):
        index, workers = map(int, path.name.split("-")[1:])
        last = int(path.read_bytes().split()[-1])
        made.update(range(index - 1, last * workers, workers))
    return made


def delivered(folder: Path) -> Iterator[Delivery]:
    """In the order in which each process has told."""
    for path in folder.glob("delivered-*"):
        pid = int(path.name.partition("-")[2])
        for line in path.read_text().splitlines():
            name, token = line.split()
            yield Delivery(name=name, token=token, pid=pid)
