"""Every write as a crash point: `python -m tests.chaos.crash_points [--full] [--error NAME]`.

A small run is killed at the N-th call of each system call that changes one of its files, for each N
there is, and resumed; then the same with the resume of a run that was killed half-way. strace
kills, before the call is carried out, or lets it fail. One line of JSON a system call.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import re
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from orchestrator.errors import ExitCode

from .resumed_checker import judge
from .resumed_rounds import Round, Seen
from .resumed_shapes import Middle, Shape

SOCKETS = shutil.ignore_patterns("control.sock")
"""A run that was killed leaves its socket, which cannot be copied."""
CALLS = (
    "openat",
    "mkdir",
    "write",
    "pwrite64",
    "fdatasync",
    "ftruncate",
    "rename",
    "renameat",
    "unlink",
    "unlinkat",
    "flock",
)
_FILES = (
    "",
    "log.jsonl",
    "state.db",
    "state.db-wal",
    "state.seq",
    *(
        f"{dot}{name}{tail}"
        for name in ("spec.yaml", "plan.json", "summary.json")
        for dot, tail in (("", ""), (".", ".draft"))
    ),
    "dead",
    "dead/letters.jsonl",
    "dead/letters.draft",
    *(f"dead/chunk-{n:06d}.pickle" for n in range(1, 20)),
)
_DONE = ExitCode.DEAD_LETTERS
_MISSES = 3
"""The number of calls varies a little: so many times without a hit, and the end is reached."""


@dataclass(frozen=True, kw_only=True)
class Point:
    """The n-th call of a system call: the process is killed there, or it fails with an error."""

    call: str
    n: int
    error: str = ""

    @property
    def injection(self) -> str:
        what = f"error={self.error}" if self.error else "signal=SIGKILL"
        return f"{self.call}:{what}:when={self.n}"


class Struck(Round):
    """A small run whose orchestrator is killed at a point, or cannot write there."""

    def strike(self, point: Point) -> bool:
        """Let it happen; whether it came so far."""
        trace = self.folder / "trace"
        exit_code = self.ended(self.start(tracing(self.folder, trace, point)))
        sign = "(INJECTED)" if point.error else "+++ killed by SIGKILL"
        hit = sign in _of_the_run(trace)
        self.look_around(directory=True)
        if hit and point.error and exit_code not in (_DONE, ExitCode.CANT_WRITE):
            self.seen.complaints.append(f"it ended with {exit_code}: {self.last_words()}")
        return hit

    def problems(self, *, may_refuse: bool) -> tuple[str, ...]:
        """Resume it until its end; what is wrong then.

        What a disk that fails has left may be damaged, as long as that is told.
        """
        if not (self.folder / "run").exists():
            return ()
        exit_code = self.finish()
        if exit_code == ExitCode.USAGE and not self.has_begun():
            return ()  # it says that there is no run, or that it had not begun
        if exit_code == ExitCode.USAGE and may_refuse and " is damaged: " in self.last_words():
            return tuple(self.seen.complaints)
        return judge(self.history(0, exit_code)).problems


def tracing(folder: Path, trace: Path, point: Point | None) -> list[str]:
    """The command that traces the run in `folder`, and kills it at a point."""
    strace = ["strace", "-f", "-qq", "-o", str(trace)]
    for name in _FILES:
        strace += ["-P", str(folder / "run" / name)]
    calls = CALLS if point is None else (point.call,)
    strace += ["-e", f"trace={','.join(calls)}"]
    if point is not None:
        strace += ["-e", f"inject={point.injection}"]
    return strace


def _of_the_run(trace: Path) -> str:
    """The lines of those who have made such a call: workers are killed as well."""
    text = trace.read_text(errors="replace")
    pids = set(re.findall(r"^(\d+) +\w+\(", text, re.MULTILINE))
    return "\n".join(line for line in text.splitlines() if line.split()[0] in pids)


SMALL = Shape(middle=Middle.LETTERS, maxsize=30, least=40, pace_s=0.0)


class Killed:
    """A run that was killed at its n-th `pwrite64`, and can be had again and again.

    Its source goes on until there is a file `enough`.
    """

    def __init__(self, shape: Shape, folder: Path, n: int, *, enough: bool) -> None:
        self.run = Struck(shape, folder / "half", 0)
        if enough:
            (self.run.folder / "enough").touch()
        assert self.run.strike(Point(call="pwrite64", n=n)), self.run.said()
        self._kept = folder / "half.kept"
        shutil.copytree(self.run.folder, self._kept, ignore=SOCKETS)

    @classmethod
    def half_way(cls, shape: Shape, folder: Path) -> Killed:
        """A run that was killed when half of its writes were done."""
        whole = _new(shape, folder / "whole")
        whole.ended(whole.start(tracing(whole.folder, whole.folder / "trace", None)))
        n = _of_the_run(whole.folder / "trace").count(" pwrite64(")
        return cls(shape, folder, n // 2, enough=True)

    def again(self) -> Struck:
        """The run as it was when it was killed, at the same place."""
        shutil.rmtree(self.run.folder)
        shutil.copytree(self._kept, self.run.folder)
        self.run.seen = Seen()
        return self.run


def _new(shape: Shape, folder: Path) -> Struck:
    run = Struck(shape, folder, 0)
    (run.folder / "enough").touch()
    return run


def sweep(make: Callable[[], Struck], points: Iterable[Point], kept: Path) -> Iterator[str]:
    """Strike at each of these points; yields for each that was hit what is wrong, or nothing."""
    misses = 0
    for point in points:
        run = make()
        hit = run.strike(point)
        misses = 0 if hit else misses + 1
        if problems := run.problems(may_refuse=bool(point.error)):
            copy = kept / f"{point.call}-{point.n}"
            shutil.copytree(run.folder, copy, ignore=SOCKETS)
            yield f"{copy}: {'; '.join(problems)}"
        elif hit:
            yield ""
        if misses >= _MISSES:
            return


def main() -> int:
    options = _options()
    shape = dataclasses.replace(SMALL, full=options.full)
    base = Path(tempfile.mkdtemp(prefix="crash-points-"))
    killed = Killed.half_way(shape, base)
    numbered = (base / str(n) for n in count())
    totals: Counter[str] = Counter()
    began = time.monotonic()
    for what, make in (("run", lambda: _new(shape, next(numbered))), ("resume", killed.again)):
        for call in options.calls.split(","):
            ns = count(options.first, options.every)
            points = (Point(call=call, n=n, error=options.error) for n in ns)
            found = list(sweep(make, points, base / what))
            problems = [problem for problem in found if problem]
            totals.update({what: len(found), "failed": len(problems)})
            print(json.dumps({"of": what, "call": call, "points": len(found)}), flush=True)
            for problem in problems:
                print(problem, file=sys.stderr, flush=True)
    print(json.dumps({**totals, "s": int(time.monotonic() - began)}))
    if not totals["failed"]:
        shutil.rmtree(base)
    return 1 if totals["failed"] else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="durable: full, with its fdatasyncs")
    parser.add_argument("--error", default="", help="ENOSPC or EIO, instead of a kill")
    parser.add_argument("--first", type=int, default=1, help="the first point")
    parser.add_argument("--every", type=int, default=1, help="only each N-th point from there")
    parser.add_argument("--calls", default=",".join(CALLS), help="only these system calls")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
