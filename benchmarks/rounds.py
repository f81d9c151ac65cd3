"""Rounds in which all ways of a work are run in turn, and the record of what each took."""

from __future__ import annotations

import math
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import processes
from benchmarks.processes import FailedError
from benchmarks.ways import Place, Way
from benchmarks.works import Work

QUICK = 5
"""By how much a quick run is smaller, where a size is given."""


@dataclass
class Runner:
    """One way of one work, by one interpreter: its size, and what its runs took."""

    work: Work
    way: Way
    build: str
    """The name of the mporch that is run; empty: that of this interpreter, or a peer."""
    python: str
    n: int = 0
    samples: list[list[float]] = field(default_factory=list)
    """By round: the value of each metric, then the processor seconds."""
    base_cpu_s: list[float] = field(default_factory=list)
    failed: str = ""

    @property
    def label(self) -> str:
        """Its name among the work's ways."""
        return f"{self.way.name} ({self.build})" if self.build else self.way.name

    def size_up(self, seconds: float, *, quick: bool) -> None:
        """Choose n: by a first run's rate where the work is scaled."""
        work = self.work
        if not work.scaled:
            self.n = max(work.base_n or 0, work.first_n // QUICK) + 1 if quick else work.first_n
            if work.first_n == 1:
                self.n = 1
            return
        first = min(work.first_n, self.way.cap)
        rate = self._run(first)[0] if not self.failed else None
        self.n = scaled(rate or first, seconds, least=min(first, 100), most=self.way.cap)

    def take(self) -> None:
        """Run once more, unless it has failed."""
        if self.failed:
            return
        try:
            if self.work.base_n:
                self.base_cpu_s.append(self._measure(self.work.base_n)[1].cpu_s)
            values, took = self._measure(self.n)
        except (FailedError, ValueError, OSError, ZeroDivisionError) as error:
            self.failed = f"{type(error).__name__}: {error}"
            return
        self.samples.append([*map(rounded, values), rounded(took.cpu_s)])

    def record(self) -> dict[str, Any]:
        """What is kept of it."""
        return {
            "way": self.way.name,
            "build": self.build,
            "product": self.way.product,
            "n": self.n,
            "base_cpu_s": [rounded(cpu_s) for cpu_s in self.base_cpu_s],
            "samples": self.samples,
            "failed": self.failed,
        }

    def _run(self, n: int) -> list[float]:
        try:
            return self._measure(n)[0]
        except (FailedError, ValueError, OSError, ZeroDivisionError) as error:
            self.failed = f"{type(error).__name__}: {error}"
            return [1.0]

    def _measure(self, n: int) -> tuple[list[float], processes.Took]:
        with tempfile.TemporaryDirectory(prefix="mporch-bench-") as name:
            place = Place(Path(name), n, self.python)
            command = self.way.prepare(place)
            took = processes.run(command, place.folder, env=self.way.env)
            values = self.work.read(place, took) if n != self.work.base_n else []
            return values, took


def scaled(rate: float, seconds: float, *, least: int, most: int) -> int:
    """Items for so many seconds at a rate, of two significant digits."""
    wanted = max(least, round(rate * seconds))
    unit = 10 ** max(0, math.floor(math.log10(wanted)) - 1)
    return min(most, wanted // unit * unit)


def rounded(value: float) -> float:
    """Five significant digits, so that the record stays small."""
    return float(f"{value:.5g}")


def runners(work: Work, builds: Mapping[str, str], missing: dict[str, str]) -> list[Runner]:
    """Those who do a work: each peer that is there, each build of mporch. Fills in `missing`."""
    found = []
    for way in work.ways:
        if why := way.missing():
            missing[way.name] = why
            continue
        found.append(Runner(work, way, "", sys.executable))
        if way.product:
            found += [Runner(work, way, name, python) for name, python in builds.items()]
    return found


def take_rounds(
    works: Iterable[Work],
    builds: Mapping[str, str],
    *,
    rounds: int,
    seconds: float,
    quick: bool,
    say: Callable[[str], None],
) -> tuple[dict[str, list[Runner]], dict[str, str]]:
    """Measure all works; returns who did each of them, and why others are missing."""
    processes.adopt_orphans()
    missing: dict[str, str] = {}
    there = {work.key: runners(work, builds, missing) for work in works}
    for key, of_work in there.items():
        say(f"{key}: the size of a run")
        for runner in of_work:
            runner.size_up(seconds, quick=quick)
    for at in range(rounds):
        for key, of_work in there.items():
            say(f"round {at + 1} of {rounds}: {key}")
            for runner in in_turn(of_work, at):
                runner.take()
    return there, missing


def in_turn(of_work: Sequence[Runner], at: int) -> Sequence[Runner]:
    """The order of a round: every other one goes backwards, so that nobody always follows one."""
    return of_work[::-1] if at % 2 else of_work


def recorded(there: Mapping[str, Sequence[Runner]]) -> dict[str, Any]:
    """What is kept of all works, as JSON holds it."""
    record = {}
    for of_work in there.values():
        work = of_work[0].work
        record[work.key] = {
            "title": work.title,
            "group": work.group,
            "subject": work.subject,
            "metrics": [[metric.name, metric.unit, metric.more] for metric in work.metrics],
            "base_n": work.base_n,
            "wanted": work.wanted,
            "ways": {runner.label: runner.record() for runner in of_work},
        }
    return record
