"""One round: a pipeline that differs by its seed, run by the command, and its workers killed."""

from __future__ import annotations

import contextlib
import json
import random
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import yaml

from orchestrator.worker.chunks import load, unpack

from .checker import LEAST_DELIVERED, LEAST_IN_THE_MIDST, History
from .killer import Killer

COMMAND = str(Path(sys.executable).with_name("mporch"))
HERE = Path(__file__).parent
LONGEST_S = 120.0


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a seed makes of a round."""

    seed: int
    kills: int
    maxsize: int
    workers: int
    dead_letters: bool
    large_every: int
    size: int
    gap_s: float

    @classmethod
    def of(cls, seed: int, kills: int) -> Plan:
        chance = random.Random(seed)
        return cls(
            seed=seed,
            kills=kills,
            maxsize=chance.choice([3, 30, 300]),
            workers=chance.choice([1, 2, 3]),
            dead_letters=bool(seed % 2),
            large_every=chance.choice([0, 0, 7]),
            size=chance.choice([70_000, 400_000]),
            gap_s=chance.choice([0.025, 0.04, 0.06]),
        )

    def spec(self) -> dict[str, object]:
        """Whom nobody kills is forked by the orchestrator itself, not by the forkserver."""
        victim = {
            "workers": self.workers,
            "retry": {"attempts": 1 if self.dead_letters else 1000},
            "on_error": "dead_letter" if self.dead_letters else "fail",
            "restart": {"max": 10_000, "within": "1s"},
            "start_method": "forkserver",
        }
        return {
            "version": 1,
            "pythonpath": [str(HERE)],
            "queues": dict.fromkeys(("todo", "made", "done"), self.maxsize),
            "jobs": {
                "src": {
                    "target": "chaos_targets:numbers",
                    "output": "todo",
                    "start_method": "fork",
                },
                "work": {
                    "target": "chaos_targets:Work",
                    "args": [self.large_every, self.size],
                    "input": "todo",
                    "output": "made",
                    **victim,
                },
                "pack": {
                    "target": "chaos_targets:Pack",
                    "input": "made",
                    "output": "done",
                    "call": "batch",
                    "batch": {"size": min(8, self.maxsize), "within": "5ms"},
                    **victim,
                },
                "sink": {
                    "target": "chaos_targets:write",
                    "input": "done",
                    "call": "stream",
                    "start_method": "fork",
                },
            },
        }


def play(plan: Plan, folder: Path) -> History:
    """Run it in a new folder, kill as many as the plan says, and return what was seen."""
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
        killed = _kill(plan, guard, folder)
        exit_code = _end(guard)
    finally:
        guard.kill()  # and with it all others
        guard.wait()
    return _seen(plan, folder, killed, exit_code)


def _kill(plan: Plan, guard: subprocess.Popen[bytes], folder: Path) -> list[int]:
    """Kill at random moments until that proves something; then tell the source, and kill on.

    On a slow machine the workers may hardly come to work between the kills: once there were enough
    the rest come less often.
    """
    chance = random.Random(plan.seed)
    killer = Killer(guard.pid, chance)
    deadline = time.monotonic() + LONGEST_S
    last: int | None = None
    while guard.poll() is None and time.monotonic() < deadline and len(killer.killed) != last:
        gap_s = plan.gap_s if len(killer.killed) < plan.kills else plan.gap_s * 4
        with contextlib.suppress(subprocess.TimeoutExpired):
            guard.wait(chance.expovariate(1 / gap_s))  # a random moment
        if guard.poll() is None:
            killer.strike()
        if last is None and len(killer.killed) >= plan.kills and _is_proof(folder, killer.killed):
            (folder / "enough").touch()
            last = len(killer.killed) + plan.kills // 5
    (folder / "enough").touch()
    return killer.killed


def _is_proof(folder: Path, killed: list[int]) -> bool:
    """Whether enough were killed in the midst, the coming ones included, and enough has arrived."""
    in_the_midst = len(_open_calls(folder / "calls") & set(killed))
    return (
        in_the_midst >= 1.5 * LEAST_IN_THE_MIDST * len(killed)
        and len(_lines(folder / "delivered")) >= LEAST_DELIVERED
    )


def _end(guard: subprocess.Popen[bytes]) -> int | None:
    try:
        return guard.wait(LONGEST_S)
    except subprocess.TimeoutExpired:
        return None


def _seen(plan: Plan, folder: Path, killed: list[int], exit_code: int | None) -> History:
    dead = list(_dead(folder / "run/dead"))
    return History(
        made=[int(line) for line in _lines(folder / "made")],
        delivered=_lines(folder / "delivered"),
        dead_inputs=[item for item in dead if isinstance(item, int)],
        dead_names=[item[0] for item in dead if not isinstance(item, int)],
        killed=len(killed),
        wanted=plan.kills,
        in_the_midst=len(_open_calls(folder / "calls") & set(killed)),
        exit_code=exit_code,
    )


def _lines(path: Path) -> list[str]:
    return path.read_text().split() if path.exists() else []


def _open_calls(path: Path) -> set[int]:
    """The processes whose last word is that they had begun."""
    last: dict[int, str] = {}
    for line in path.read_text().splitlines() if path.exists() else ():
        what, pid = line.split()
        last[int(pid)] = what
    return {pid for pid, what in last.items() if what == "begin"}


def _dead(directory: Path) -> list[object]:
    """The items of the dead letters. They are our own, so they may be unpickled."""
    found = []
    if directory.exists():
        for line in (directory / "letters.jsonl").open():
            letter = json.loads(line)
            blob, at = (directory / letter["chunk"]).read_bytes(), letter["index"]
            found += unpack(load(blob, packed=letter["packed"], start=at, stop=at + 1))
    return found
