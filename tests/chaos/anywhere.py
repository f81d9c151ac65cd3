"""Kills of anybody at any moment: `python -m tests.chaos.anywhere [--kills N] [--children N]`.

First processes of the jobs that can be replaced are killed, chosen by /proc alone: whoever is
there, whoever has just been forked, before it has said or imported anything or while it does, and
the forkserver, also while it forks. Then processes that targets have started, at which an item may
be charged. A line of JSON a round, and exit code 1 if anything was lost, doubled or invented, or if
a job has failed. The folder of a round that failed is kept and named.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from .anywhere_killer import Killer
from .checker import LEAST_DELIVERED, History, judge
from .rounds import COMMAND, HERE, LONGEST_S

_ALWAYS = {"max": 10_000, "within": "1s"}
_KILLS_A_ROUND = 500
_LONGEST_S = 600.0


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a seed makes of a round; `children`: those of targets are killed, and nobody else."""

    seed: int
    kills: int
    children: bool
    maxsize: int
    workers: int
    forked: bool
    gap_s: float

    @classmethod
    def of(cls, seed: int, kills: int, *, children: bool = False) -> Plan:
        chance = random.Random(f"anywhere {seed}")
        return cls(
            seed=seed,
            kills=kills,
            children=children,
            maxsize=chance.choice([3, 30, 300]),
            workers=chance.choice([2, 4, 6]),
            forked=chance.random() < 0.3,
            gap_s=chance.choice([0.002, 0.01, 0.02]),
        )

    def spec(self) -> dict[str, object]:
        """The sink, which nobody kills, is the only one that is spawned."""
        victim = {"retry": {"attempts": 1000}, "restart": _ALWAYS, "workers": self.workers}
        batched = {"call": "batch", "batch": {"size": min(8, self.maxsize), "within": "5ms"}}
        work = {"target": "anywhere_targets:Work", "args": [0, 0], "output": "made"}
        middle: dict[str, object] = {"work": {**work, "input": "todo", **victim}}
        if self.children:
            program = {
                "command": "sleep 0.004; cat",
                "stdin": "json",
                "stdout": "json",
                "output": "passed",
            }
            middle = {
                "python": {
                    "target": "anywhere_targets:with_children",
                    "input": "todo",
                    "output": "between",
                    **victim,
                },
                "program": {**program, "input": "between", **victim},
                "work": {**work, "input": "passed", **victim},
            }
        queues = ("todo", "made", "done", *(("between", "passed") if self.children else ()))
        return {
            "version": 1,
            "pythonpath": [str(HERE)],
            "queues": dict.fromkeys(queues, self.maxsize),
            "jobs": {
                "src": {
                    "target": "anywhere_targets:numbers",
                    "args": [0.002],
                    "output": "todo",
                    "restart": {**_ALWAYS, "replay": "skip"},
                },
                **middle,
                "pack": {
                    "target": "anywhere_targets:Pack",
                    "input": "made",
                    "output": "done",
                    "start_method": "fork" if self.forked else "forkserver",
                    **batched,
                    **victim,
                },
                "sink": {
                    "target": "anywhere_targets:write",
                    "input": "done",
                    "call": "stream",
                    "start_method": "spawn",
                },
            },
        }


@dataclass(frozen=True, kw_only=True)
class Told:
    """What a round has come to; `hits` counts the kills by how their victims were chosen."""

    hits: Counter[str]
    made: int
    delivered: int
    wrong: dict[str, int]
    problems: tuple[str, ...]


def play(plan: Plan, folder: Path) -> Told:
    """Run it in a new folder, kill as many as the plan says, and judge what was seen."""
    folder.mkdir(parents=True)
    (folder / "jobs.yaml").write_text(yaml.safe_dump(plan.spec()))
    with (folder / "stdout").open("wb") as out, (folder / "stderr").open("wb") as err:
        guard = subprocess.Popen(
            [COMMAND, "run", "--run-dir", "run", "--output", "none"],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
        )
    try:
        hits = _kill(plan, guard, folder)
        exit_code = _end(guard)
    finally:
        guard.kill()  # and with it all others
        guard.wait()
    return _judged(plan, folder, hits, exit_code)


def _kill(plan: Plan, guard: subprocess.Popen[bytes], folder: Path) -> Counter[str]:
    """Kill at random moments; once there were enough, less often until enough has arrived."""
    chance = random.Random(plan.seed)
    killer = Killer(guard.pid, chance, children=plan.children)
    deadline = time.monotonic() + _LONGEST_S
    while guard.poll() is None and time.monotonic() < deadline:
        enough = killer.hits.total() >= plan.kills
        if enough and len(_lines(folder / "delivered")) >= LEAST_DELIVERED:
            break
        gap_s = plan.gap_s * (50 if enough else 1)
        with contextlib.suppress(subprocess.TimeoutExpired):
            guard.wait(chance.expovariate(1 / gap_s))  # a random moment
        killer.strike()
    (folder / "enough").touch()
    return killer.hits


def _lines(path: Path) -> list[str]:
    return path.read_text().split() if path.exists() else []


def _end(guard: subprocess.Popen[bytes]) -> int | None:
    try:
        return guard.wait(LONGEST_S)
    except subprocess.TimeoutExpired:
        return None


def _judged(plan: Plan, folder: Path, hits: Counter[str], exit_code: int | None) -> Told:
    made, delivered = _lines(folder / "made"), _lines(folder / "delivered")
    verdict = judge(
        History(
            made=list(range(int(made[-1]) + 1)) if made else [],
            delivered=delivered,
            killed=hits.total(),
            wanted=plan.kills,
            in_the_midst=hits.total(),
            exit_code=exit_code,
        )
    )
    return Told(
        hits=hits,
        made=len(made),
        delivered=len(delivered),
        wrong={"lost": verdict.lost, "doubled": verdict.doubled, "invented": verdict.invented},
        problems=(*verdict.problems, *_failed(folder / "run/summary.json")),
    )


def _failed(path: Path) -> Iterator[str]:
    summary = json.loads(path.read_text()) if path.exists() else {"jobs": {}}
    for name, job in summary["jobs"].items():
        if job["status"] != "succeeded":
            yield f"{name} {job['status']}: {job['reason']}"


def campaign(kills: int, *, seed: int, base: Path, children: bool) -> bool:
    """Play rounds from this seed on until so many are dead; whether all was well."""
    total, sums, bad = Counter[str](), Counter[str](), 0
    started = time.monotonic()
    while total.total() < kills and not bad:
        plan = Plan.of(seed, min(_KILLS_A_ROUND, kills - total.total()), children=children)
        told = play(plan, base / str(seed))
        total += told.hits
        sums.update(made=told.made, delivered=told.delivered, **told.wrong)
        bad += bool(told.problems)
        line = {"seed": seed, "killed": total.total(), **sums, "problems": told.problems}
        print(json.dumps({**line, "s": int(time.monotonic() - started)}), flush=True)
        if told.problems:
            print(f"kept: {base / str(seed)} ({plan})", file=sys.stderr)
        else:
            shutil.rmtree(base / str(seed))
        seed += 1
    print(json.dumps({"children": children, "hits": total, **sums, "failed": bad}), flush=True)
    return not bad


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=10_000, help="of workers (%(default)s)")
    parser.add_argument("--children", type=int, default=1_000, help="of targets' (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the first round")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # and with us what we have begun
    base = Path(tempfile.mkdtemp(prefix="anywhere-"))
    good = campaign(options.kills, seed=options.seed, base=base / "workers", children=False)
    good &= campaign(options.children, seed=options.seed, base=base / "children", children=True)
    if good:
        shutil.rmtree(base)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
