"""Kills around shared memory: `python -m tests.chaos.arrays [--kills N]`.

Large items pass through a chain all of whose workers die: while a place in an arena is written,
announced, read and freed. When all has arrived, and the source still waits, the arenas that the
run's processes have open or mapped are counted: each must be that of a worker that is alive, and
small again. A line of JSON a round, and exit code 1 if anything was lost, doubled, damaged or left,
or too little proved. The folder of a round that failed is kept and named.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from .conducted import delivered, made
from .conducted_checker import History, judge
from .conducted_targets import outputs
from .conductor import SOCKET, Conductor
from .points import ELSEWHERE, Score
from .processes import descendants
from .rounds import COMMAND, HERE

LONGEST_S = 300.0
_COUNTED_WITHIN_S = 30.0
_LOOKED_EVERY_S = 0.2
_KILLS_A_ROUND = 200
_ALWAYS = {"max": 10_000, "within": "1s"}
_SHORT_S = 2.0
"""How long a worker has to come to its place, on the average."""
_MOST_DESCRIPTORS = 2
"""What a worker has of its own arena: before Python 3.13 a mapping keeps one more."""
_MOST_BYTES = 96 << 20
"""An arena gives back what is above 64 MiB of pages that nothing lies on."""

_WRITTEN = ("w.place_written", "w.place_before", "w.place_torn", "w.place_sent", "w.commit_acked")
_FREED = ("w.freed_received", "w.place_freed")
_READ = ("w.leased_received", "w.place_read", "w.item_begun", "w.item_ended")
POINTS = {
    "first": (*_READ, *_WRITTEN, *_FREED),
    "middle": (*_READ, *_WRITTEN, *_FREED, "w.arenagone_received"),
    "sink": (*_READ, "w.arenagone_received", "w.pull_sent"),
}


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a seed makes of a round."""

    seed: int
    kills: int
    items: int
    maxsize: int
    workers: int
    size: int
    batched: bool
    method: str

    @classmethod
    def of(cls, seed: int, kills: int) -> Plan:
        chance = random.Random(f"arrays {seed}")
        return cls(
            seed=seed,
            kills=kills,
            items=400,
            maxsize=chance.choice([2, 8, 40]),
            workers=chance.choice([1, 2, 3]),
            size=chance.choice([40_000, 200_000, 1_000_000]),
            batched=chance.random() < 0.3,
            method=chance.choices(["forkserver", "fork", "spawn"], [75, 15, 10])[0],
        )

    def spec(self) -> dict[str, object]:
        batch = {"call": "batch", "batch": {"size": min(4, self.maxsize), "within": "5ms"}}
        name = "PassBatch" if self.batched else "Pass"
        return {
            "version": 1,
            "pythonpath": [str(HERE)],
            "queues": dict.fromkeys(("todo", "made", "done"), self.maxsize),
            "defaults": {
                "start_method": self.method,
                "env": {"MPORCH_TEST": "1", "MPORCH_FAULT": f"@{SOCKET}"},
            },
            "jobs": {
                "source": {
                    "target": "arrays_targets:numbers",
                    "args": [self.items, self.size],
                    "output": "todo",
                },
                "first": {"input": "todo", "output": "made", **self._stage("Fill")},
                "middle": {
                    "input": "made",
                    "output": "done",
                    **self._stage(name),
                    **(batch if self.batched else {}),
                },
                "sink": {"input": "done", **self._stage("Write")},
            },
        }

    def _stage(self, name: str) -> dict[str, object]:
        return {
            "target": f"arrays_targets:{name}",
            "args": [self.size],
            "workers": self.workers,
            "retry": {"attempts": 1000},
            "restart": _ALWAYS,
        }


@dataclass(frozen=True, kw_only=True)
class Arenas:
    """The arenas that the processes of a run have, by their inodes."""

    open: Counter[tuple[int, int]]
    """How many descriptors a process has of each."""
    mapped: Counter[int]
    written: frozenset[int]
    """Those that a process has mapped to write: it is alive."""
    size: Mapping[int, int]
    """The bytes that each has pages for, where it is open."""

    @classmethod
    def of(cls, root: int) -> Arenas:
        """Those of a process and all its descendants."""
        opened, mapped = Counter[tuple[int, int]](), Counter[int]()
        written, size = set[int](), dict[int, int]()
        for pid in descendants(root):
            try:
                for fd in Path(f"/proc/{pid}/fd").iterdir():
                    if "/memfd:mporch-arena" in str(fd.readlink()):
                        status = fd.stat()
                        opened[pid, status.st_ino] += 1
                        size[status.st_ino] = status.st_blocks * 512
                for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
                    if "/memfd:mporch-arena" in line:
                        _, mode, _, _, inode, *_ = line.split()
                        mapped[int(inode)] += 1
                        if "w" in mode:
                            written.add(int(inode))
            except OSError:
                continue  # it has ended
        return cls(open=opened, mapped=mapped, written=frozenset(written), size=size)

    def problems(self, writers: int) -> list[str]:
        """What is there that should not be, if so many are alive that have an arena.

        Who has put nothing yet has not mapped its own, so those that are only open are counted.
        """
        found = []
        if left := self.mapped.keys() - self.written:
            found.append(f"{len(left)} arenas of the dead are mapped")
        if (n := len({inode for _, inode in self.open} | self.mapped.keys())) > writers:
            found.append(f"{n} arenas of {writers} workers")
        if many := [n for n in self.open.values() if n > _MOST_DESCRIPTORS]:
            found.append(f"{max(many)} descriptors of one arena")
        if large := [size for size in self.size.values() if size > _MOST_BYTES]:
            found.append(f"an arena with nothing in it has {max(large):,} bytes")
        return found


@dataclass(frozen=True, kw_only=True)
class Told:
    """What a round has come to."""

    killed: int
    made: int
    delivered: int
    wrong: Mapping[str, int]
    problems: tuple[str, ...]


def play(plan: Plan, folder: Path, score: Score) -> Told:
    """Run it in a new folder, kill as many as the plan says, count, and judge what was seen."""
    folder.mkdir(parents=True)
    (folder / "jobs.yaml").write_text(yaml.safe_dump(plan.spec()))
    conductor = Conductor(
        folder,
        score,
        random.Random(plan.seed),
        most=plan.kills,
        points=POINTS,
        patience_s=_SHORT_S,
    )
    with (folder / "stdout").open("wb") as out, (folder / "stderr").open("wb") as err:
        guard = subprocess.Popen(
            [COMMAND, "run", "--run-dir", "run", "--output", "none"],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
        )
    counting = _Counting(plan, folder, guard.pid, conductor)
    try:
        deadline = time.monotonic() + LONGEST_S
        conductor.follow(guard, deadline, counting.look, turn_s=_LOOKED_EVERY_S)
        exit_code = guard.poll()
    finally:
        guard.kill()  # and with it all others
        guard.wait()
        conductor.close()
    history = History(
        made=made(folder),
        items=plan.items,
        delivered=list(delivered(folder)),
        ends=conductor.ends,
        wanted=plan.kills,
        exit_code=exit_code,
    )
    verdict = judge(history)
    damaged = _damaged(folder)
    left = counting.problems if counting.counted else ["nothing was counted"]
    return Told(
        killed=len(conductor.ends),
        made=len(history.made),
        delivered=len(history.delivered),
        wrong={
            "lost": verdict.lost,
            "doubled": verdict.doubled,
            "unexpected": verdict.unexpected,
            "damaged": damaged,
            "left": len(left),
        },
        problems=(*verdict.problems, *left, *([f"{damaged} damaged"] if damaged else [])),
    )


class _Counting:
    """Sees when all has arrived, and counts then; at last it lets the source go."""

    def __init__(self, plan: Plan, folder: Path, guard: int, conductor: Conductor) -> None:
        self.counted = False
        self.problems: list[str] = []
        self._plan = plan
        self._folder = folder
        self._guard = guard
        self._conductor = conductor
        self._deadline = 0.0
        self._next = 0.0

    def look(self) -> None:
        """Called each turn."""
        enough = self._folder / "enough"
        if not enough.exists():
            if len(self._conductor.ends) >= self._plan.kills:
                enough.touch()
        elif (now := time.monotonic()) >= self._next and not self.counted:
            self._next = now + _LOOKED_EVERY_S
            if (self._folder / "all-made").exists() and self._all_came():
                self._count(now)

    def _all_came(self) -> bool:
        names = {each.name for each in delivered(self._folder)}
        return len(names) >= sum(map(outputs, made(self._folder)))

    def _count(self, now: float) -> None:
        """Frames that tell of ends are on their way yet: it is over when nothing is left."""
        self._deadline = self._deadline or now + _COUNTED_WITHIN_S
        self.problems = Arenas.of(self._guard).problems(1 + 2 * self._plan.workers)
        if not self.problems or now > self._deadline:
            self.counted = True
            (self._folder / "counted").touch()


def _damaged(folder: Path) -> int:
    """Items that somebody has found to be others than they were made."""
    told = sum(len(path.read_text().splitlines()) for path in folder.glob("damaged-*"))
    log = folder / "run/log.jsonl"
    return told + (log.read_text().count("had put it") if log.exists() else 0)


def campaign(kills: int, quota: int, *, seed: int, base: Path) -> bool:
    """Play rounds from this seed on until so many are dead; whether all was well."""
    sums, failed = Counter[str](), 0
    score = Score(quota, random.Random(seed))
    started = time.monotonic()
    while (score.kills < kills or score.missing(POINTS)) and not failed:
        plan = Plan.of(seed, _KILLS_A_ROUND)
        told = play(plan, base / str(seed), score)
        sums.update(made=told.made, delivered=told.delivered, **told.wrong)
        failed += bool(told.problems)
        line = {"seed": seed, "killed": score.kills, **sums, "problems": told.problems}
        print(json.dumps({**line, "s": int(time.monotonic() - started)}), flush=True)
        if told.problems:
            print(f"kept: {base / str(seed)} ({plan})", file=sys.stderr)
        else:
            shutil.rmtree(base / str(seed))
        seed += 1
    points = {r: {p: score.hits[r, p] for p in (*POINTS[r], ELSEWHERE)} for r in POINTS}
    print(json.dumps({"killed": score.kills, **sums, "points": points, "failed": failed}))
    return not failed


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=2000, help="of workers (%(default)s)")
    parser.add_argument("--quota", type=int, default=20, help="at each point (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the first round")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # and with us what we have begun
    base = Path(tempfile.mkdtemp(prefix="arrays-"))
    good = campaign(options.kills, options.quota, seed=options.seed, base=base)
    if good:
        shutil.rmtree(base)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
