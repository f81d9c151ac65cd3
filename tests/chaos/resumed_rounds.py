"""One round: a durable run, ended again and again before its time, and resumed until it is done."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from orchestrator.errors import ExitCode
from orchestrator.worker.chunks import load, unpack

from .processes import MARK, left_after
from .resumed_checker import History
from .resumed_killer import OF_THE_ORCHESTRATOR, Blow, Clock, choose, strike
from .resumed_shapes import Shape

COMMAND = str(Path(sys.executable).with_name("mporch"))
LONGEST_S = 120.0
LEFT_AFTER_S = 10.0
"""Two seconds are promised; a machine that is busy with other things gets more."""

_GAP_S = 0.15
_MOST_PROCESSES = 8
"""For each kill that is wanted: a round that needs more ends, and proves nothing."""


@dataclass(kw_only=True)
class Seen:
    """What a round has met so far."""

    blows: Counter[Blow] = field(default_factory=Counter)
    at_work: int = 0
    early: int = 0
    complaints: list[str] = field(default_factory=list)

    @property
    def kills(self) -> int:
        return sum(self.blows[blow] for blow in OF_THE_ORCHESTRATOR)


class Round:
    """A folder, the run in it, and those who end it."""

    def __init__(self, shape: Shape, folder: Path, seed: int) -> None:
        self.shape = shape
        self.folder = folder
        self.seen = Seen()
        self._chance = random.Random(seed)
        self._mark = uuid.uuid4().hex
        self._clock = Clock(folder, self._chance, _GAP_S)
        self._tmp = folder / "tmp"
        self._tmp.mkdir(parents=True)
        (folder / "jobs.yaml").write_text(yaml.safe_dump(shape.spec(), sort_keys=False))

    def play(self, kills: int) -> History:
        """End the orchestrator so many times, then let the run come to its end."""
        for _ in range(kills * _MOST_PROCESSES):
            if self.seen.kills >= kills or self.seen.complaints:
                break
            self._end_one()
        (self.folder / "enough").touch()
        return self.history(kills, self.finish())

    def finish(self) -> int | None:
        """Let the run come to its end; returns its exit code, None if it hung."""
        exit_code = self.ended(self.start())
        if exit_code == ExitCode.USAGE and "has finished" in self.last_words():
            summary = json.loads((self.folder / "run" / "summary.json").read_bytes())
            exit_code = summary["exit_code"]
        self.look_around(directory=True)
        return exit_code

    # -- one process ------------------------------------------------------------------------------

    def start(self, prefix: Sequence[str] = ()) -> subprocess.Popen[bytes]:
        """Begin the run, or go on with it; `prefix` is a command that runs it."""
        run = self.folder / "run"
        begun = run.exists() and any(run.iterdir())
        verb = ["resume", "./run"] if begun else ["run", "--run-dir", "run"]
        with (self.folder / "stderr").open("ab") as said:
            return subprocess.Popen(
                [*prefix, COMMAND, *verb, "--output", "none"],
                cwd=self.folder,
                env={**os.environ, MARK: self._mark, "TMPDIR": str(self._tmp)},
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
            )

    def _end_one(self) -> None:
        process, before = self.start(), self._clock.work_done
        try:
            self._clock.wait(process)
            work_done = self._clock.work_done > before
            blow = strike(process, choose(self._chance), self._chance)
        finally:
            if process.poll() is None and (blow is None):
                process.kill()  # it has not even made its guard
            exit_code = self.ended(process)
        self.look_around(directory=blow not in (None, Blow.TREE))
        if exit_code is None:
            self.seen.complaints.append(f"it hung after {blow}")
        elif exit_code in (1, 2, 70, 74):
            self.refused(exit_code)
        elif blow is None:
            self.seen.early += 1
        else:
            self.seen.blows[blow] += 1
            self.seen.at_work += work_done and blow in OF_THE_ORCHESTRATOR

    def ended(self, process: subprocess.Popen[bytes]) -> int | None:
        """Its exit code; None if it hung."""
        try:
            return process.wait(LONGEST_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            return None

    def refused(self, exit_code: int) -> None:
        """A run that was killed before it had begun is to be begun anew; all else is wrong."""
        if exit_code == ExitCode.USAGE and not self.has_begun():
            shutil.rmtree(self.folder / "run")
            return
        self.seen.complaints.append(f"exit code {exit_code}: {self.last_words()}")

    def has_begun(self) -> bool:
        """Whether an item was ever made."""
        return (self.folder / "made").exists()

    def said(self) -> str:
        """What was said on the screen."""
        return (self.folder / "stderr").read_text(errors="replace")

    def last_words(self) -> str:
        """The end of it."""
        return self.said()[-600:]

    def look_around(self, *, directory: bool) -> None:
        """No process may be left, nor a temporary file unless both guards were killed at once."""
        began = time.monotonic()
        if left := left_after(self._mark, LEFT_AFTER_S):
            waited_s = time.monotonic() - began
            self.seen.complaints.append(f"after {waited_s:.1f} s there is still {left}")
        found = list(self._tmp.iterdir())
        if found and directory:
            self.seen.complaints.append(f"left behind: {found}")
        for path in found:
            shutil.rmtree(path, ignore_errors=True)

    # -- what was seen ----------------------------------------------------------------------------

    def history(self, wanted: int, exit_code: int | None) -> History:
        """What is to be judged."""
        made = _numbers(self.folder / "made")
        return History(
            expected=self.shape.expected(made),
            letters=set(made) - self.shape.expected(made),
            delivered={name: _numbers(self.folder / name) for name in self.shape.sinks},
            dead=list(_dead(self.folder / "run" / "dead")),
            kills=self.seen.kills,
            wanted=wanted,
            at_work=self.seen.at_work,
            exit_code=exit_code,
            complaints=(*self.seen.complaints, *self._confessions()),
        )

    def _confessions(self) -> Iterator[str]:
        said = self.said()
        if "Traceback" in said or "bug of mporch" in said:
            yield f"it said {said[-2000:]}"


def _numbers(path: Path) -> list[int]:
    return list(map(int, path.read_text().split())) if path.exists() else []


def _dead(directory: Path) -> Iterator[int]:
    """The items of the dead letters. They are our own, so they may be unpickled."""
    path = directory / "letters.jsonl"
    for line in path.open() if path.exists() else ():
        letter = json.loads(line)
        blob, at = (directory / letter["chunk"]).read_bytes(), letter["index"]
        for item in unpack(load(blob, packed=letter["packed"], start=at, stop=at + 1)):
            yield item[0]
