"""One round: a random pipeline whose workers are killed, and which is ended and resumed."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from ..processes import MARK, left_after
from ..resumed_killer import Blow, choose, strike
from .evidence import CLEAN, DRAINED, FAILED, TERMINATED, Evidence, letters, pages
from .grammar import pipeline
from .killer import Killer
from .model import Pipeline

COMMAND = str(Path(sys.executable).with_name("mporch"))
LONGEST_S = 90.0
LEFT_AFTER_S = 20.0
"""Two seconds are promised; a machine that is busy with other things gets more."""
MOST_LIVES = 25
_LONGEST_START_S = 60.0
_CONFESSION = re.compile(r"^Traceback|bug of mporch", re.MULTILINE)
_STOPS = {DRAINED: Blow.SIGINT, TERMINATED: Blow.SIGTERM}
_STOP_SIGNALS = {DRAINED: signal.SIGINT, TERMINATED: signal.SIGTERM}
_CLEAN_CODES = (0, 3)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a seed makes of a round.

    Workers are struck every `gap_s` on average, for `strikes_s` in each life. Of a durable run,
    `blows` lives are ended before their time. `end` is how a run that is not durable ends, if it
    is not over before that.
    """

    seed: int
    durable: bool
    pipeline: Pipeline
    gap_s: float
    strikes_s: float
    blows: int
    once: float
    end: str

    @classmethod
    def of(cls, seed: int, *, durable: bool) -> Plan:
        chance = random.Random(f"plan {seed} {durable}")
        made = pipeline(seed, durable=durable)
        failing = any(job.role["fails_at"] for job in made.jobs.values())
        ends = [FAILED] if failing else [CLEAN] * 8 + [DRAINED, TERMINATED]
        return cls(
            seed=seed,
            durable=durable,
            pipeline=made,
            gap_s=chance.uniform(0.02, 0.12),
            strikes_s=chance.choice([0, 1, 3, 4]),
            blows=chance.randint(1, 5) if durable else 0,
            once=chance.choice([0, 0.05]) if durable else 0.0,
            end=CLEAN if durable else chance.choice(ends),
        )

    def brief(self) -> Plan:
        """The same pipeline, killed and ended less often."""
        return dataclasses.replace(self, strikes_s=min(1, self.strikes_s), blows=min(2, self.blows))


@dataclass(kw_only=True)
class Met:
    """What a round has met so far."""

    life: int = 0
    killed: set[tuple[int, int]] = field(default_factory=set)
    signals: Counter[str] = field(default_factory=Counter)
    blows: Counter[str] = field(default_factory=Counter)
    forced: int = 0
    complaints: list[str] = field(default_factory=list)


class Round:
    """A folder, the run in it, and those who kill."""

    def __init__(self, plan: Plan, folder: Path) -> None:
        self.plan = plan
        self.met = Met()
        self._folder = folder
        self._run = folder / "run"
        self._mark = uuid.uuid4().hex
        self._chance = random.Random(f"round {plan.seed} {plan.durable}")
        for name in ("tmp", "notes", "marks"):
            (folder / name).mkdir(parents=True)
        self._spec = plan.pipeline.spec()
        self._write_spec()

    def play(self) -> Evidence:
        """Let the run come to its end, through as many lives as it takes."""
        exit_code = self._lives() if self.plan.durable else self._live(self._stop())
        end = CLEAN if self.plan.durable or exit_code in _CLEAN_CODES else self.plan.end
        return self._evidence(end, exit_code)

    def _stop(self) -> Blow | None:
        return _STOPS.get(self.plan.end)

    def _lives(self) -> int | None:
        exit_code = None
        while self.met.life < MOST_LIVES and not self.met.complaints:
            blow = choose(self._chance) if self.met.life < self.plan.blows else None
            exit_code = self._live(blow)
            if exit_code in _CLEAN_CODES or exit_code is None or self._was_over(exit_code):
                return self._summary()["exit_code"] if exit_code else exit_code
            self._excuse(blow, exit_code)
            self.met.life += 1
        self.met.complaints.append(f"no end after {self.met.life} lives")
        return exit_code

    # -- one life ---------------------------------------------------------------------------------

    def _live(self, blow: Blow | None) -> int | None:
        """One life of the run; returns its exit code, None if it hung."""
        guard = self._start()
        last = self.met.life >= self.plan.blows
        once = 0.0 if last else self.plan.once
        killer = Killer(self.plan.pipeline, self._run, guard.pid, self._chance, once=once)
        try:
            self._strike(guard, killer, blow)
            exit_code = self._ended(guard)
        finally:
            guard.kill()  # and with it all others
            guard.wait()
        self.met.killed |= {(self.met.life, pid) for pid in killer.deaths.pids}
        self.met.signals += killer.deaths.signals
        self._look_around(directory=blow is not Blow.TREE)
        return exit_code

    def _start(self) -> subprocess.Popen[bytes]:
        begun = self._run.exists() and any(self._run.iterdir())
        verb = ["resume", "./run", *self._changes()] if begun else ["run", "--run-dir", "run"]
        env = {
            **os.environ,
            MARK: self._mark,
            "TMPDIR": str(self._folder / "tmp"),
            "MPORCH_TEST_LIFE": str(self.met.life),
        }
        with (self._folder / "stderr").open("ab") as said:
            said.write(f"--- life {self.met.life}: {' '.join(verb)}\n".encode())
            said.flush()
            return subprocess.Popen(
                [COMMAND, *verb, "--output", "none"],
                cwd=self._folder,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
            )

    def _strike(self, guard: subprocess.Popen[bytes], killer: Killer, blow: Blow | None) -> None:
        """Strike workers, and the run itself: one time in four at any moment of its start."""
        began = time.monotonic()
        until = began + _LONGEST_START_S
        early = self._chance.random() < 0.25
        blow_at = began + self._chance.random() if early else until
        while guard.poll() is None:
            now = time.monotonic()
            if killer.has_begun and until == began + _LONGEST_START_S:
                until = now + self.plan.strikes_s
                blow_at = min(
                    blow_at, now + self._chance.choice([0.5, 3.0]) * self._chance.random()
                )
            if blow and now >= blow_at:
                killer.wake(all_of_them=True)
                if strike(guard, blow, self._chance):
                    self.met.blows[blow.value] += 1
                    return
                blow_at = now + 0.05  # it has not come to its guard yet
            elif not blow and now >= until:
                break
            gap_s = self._chance.expovariate(1 / self.plan.gap_s)
            with contextlib.suppress(subprocess.TimeoutExpired):
                guard.wait(min(gap_s, 0.5))
            killer.look()
            if self.plan.strikes_s:
                killer.strike()
        killer.wake(all_of_them=True)

    def _ended(self, guard: subprocess.Popen[bytes]) -> int | None:
        try:
            return guard.wait(LONGEST_S)
        except subprocess.TimeoutExpired:
            guard.send_signal(signal.SIGINT)  # it says whom it waits for
            with contextlib.suppress(subprocess.TimeoutExpired):
                guard.wait(LEFT_AFTER_S)
            return None

    # -- between two lives ------------------------------------------------------------------------

    def _was_over(self, exit_code: int) -> bool:
        """Whether a blow has come when all was done: nothing is there to go on with."""
        return exit_code == 2 and "has finished" in self._last_words()

    def _excuse(self, blow: Blow | None, exit_code: int) -> None:
        """Complain of a life that has ended otherwise than it had to."""
        begun = any((self._folder / "notes").iterdir())
        if exit_code == 2 and self._run.exists() and self.met.life and not begun:
            shutil.rmtree(self._run)  # killed before it had begun: it is to be begun anew
        elif exit_code == 1:
            self._excuse_failure()
        elif blow is None or exit_code in (2, 70, 74, 124):
            self.met.complaints.append(f"exit code {exit_code}: {self._last_words()}")

    def _excuse_failure(self) -> None:
        """A job may fail because it was to, or because a worker was killed that is not replaced."""
        jobs = self.plan.pipeline.jobs
        failed = {n for n, job in self._summary()["jobs"].items() if job["status"] == "failed"}
        for name in failed:
            job = jobs[name]
            if not job.role["fails_at"] and (job.replaced or not self._was_killed(name)):
                reason = self._summary()["jobs"][name]["reason"]
                self.met.complaints.append(f"life {self.met.life}: {name} failed: {reason}")
        if not failed:
            self.met.complaints.append(f"exit code 1 without a failed job: {self._last_words()}")

    def _was_killed(self, name: str) -> bool:
        for line in (self._run / "log.jsonl").open():
            if '"worker.started"' in line:
                told = json.loads(line)
                if told["job"] == name and (self.met.life, told["pid"]) in self.met.killed:
                    return True
        return False

    def _changes(self) -> list[str]:
        """Now and then the spec is another one when the run is resumed."""
        if self._chance.random() > 0.25:
            return ["--force"] if self.met.forced else []  # who was killed may not have noted it
        for job in self.plan.pipeline.jobs.values():
            written = self._spec["jobs"].get(job.name)
            if written and "target" in written:
                role = dict(written["kwargs"]["role"])
                role["pace_s"] = round(role["pace_s"] * self._chance.choice([0.5, 2]), 5)
                written["kwargs"] = {**written["kwargs"], "role": role}
            if written and "recycle" in written:
                written["recycle"] = {"max_items": self._chance.randint(3, 30)}
        for name, queue in self._spec["queues"].items():
            if isinstance(queue, int):
                self._spec["queues"][name] = queue + self._chance.randint(0, 10)
        self._write_spec()
        self.met.forced += 1
        return ["--force"]

    def _write_spec(self) -> None:
        text = yaml.dump(self._spec, Dumper=_Plain, sort_keys=False)
        (self._folder / "jobs.yaml").write_text(text)

    # -- what was seen ----------------------------------------------------------------------------

    def _look_around(self, *, directory: bool) -> None:
        """No process may be left, nor a temporary file unless both guards were killed at once."""
        if left := left_after(self._mark, LEFT_AFTER_S):
            self.met.complaints.append(f"life {self.met.life} has left {left}")
        found = list((self._folder / "tmp").iterdir())
        if found and directory:
            self.met.complaints.append(f"life {self.met.life} has left {found}")
        for path in found:
            shutil.rmtree(path, ignore_errors=True)

    def _summary(self) -> dict[str, Any]:
        return json.loads((self._run / "summary.json").read_bytes())

    def _last_words(self) -> str:
        return self._said().rpartition("--- life")[2][-600:]

    def _said(self) -> str:
        return (self._folder / "stderr").read_text(errors="replace")

    def _evidence(self, end: str, exit_code: int | None) -> Evidence:
        found = tuple(letters(self._run))
        summary = self._summary() if (self._run / "summary.json").exists() else None
        if exit_code == -_STOP_SIGNALS.get(end, 0) and not self._run.exists():
            exit_code = 128 - exit_code  # it was told to stop when it had not come to its guard
        return Evidence(
            pipeline=self.plan.pipeline,
            end=end,
            life=self.met.life,
            exit_code=exit_code,
            summary=summary,
            pages=tuple(pages(self._folder / "notes", self.met.killed)),
            letters=found,
            listed=self._listed() if found else 0,
            kills=len(self.met.killed),
            complaints=(*self.met.complaints, *self._confessions()),
        )

    def _listed(self) -> int:
        told = subprocess.run(
            [COMMAND, "dead", "list", "./run", "--format", "json"],
            cwd=self._folder,
            capture_output=True,
            check=False,
            timeout=LONGEST_S,
        )
        return len(json.loads(told.stdout or b"[]"))

    def _confessions(self) -> Iterator[str]:
        said = self._said()
        if found := _CONFESSION.search(said):
            yield f"it said {said[max(0, found.start() - 300) : found.start() + 1500]}"


class _Plain(yaml.SafeDumper):
    def ignore_aliases(self, data: object) -> bool:
        return True
