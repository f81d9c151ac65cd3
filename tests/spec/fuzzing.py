"""Fuzzed specs: whatever the text, the answer is a plan or a spec error with places, and soon.

`python -m tests.spec.fuzzing --n 100000 --command 2000` checks so many in process, and so many
through `mporch validate`, half of them written by a grammar, half by mutations of bytes, and prints
what came of them. `--seed` repeats a run.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, seed, settings

from orchestrator.errors import SpecError
from orchestrator.plan.cases import plan_of_case
from orchestrator.plan.compile import compile_spec
from orchestrator.spec import loads
from orchestrator.spec.rules import CATALOGUE, examples_module

sys.path.insert(0, str(Path(__file__).parent))
from grammar import MUTATED, WRITTEN

from orchestrator.machine.machine import this_machine

__all__ = ["Tally", "answer_in_process"]

COMMAND = Path(sys.executable).with_name("mporch")
LIMIT_S = 2.0
BATCH = 1000
HEAD = re.compile(r"^.*?jobs\.yaml:(\d+):(\d+): (error|warning): .+", re.MULTILINE)
LINE_BREAK = re.compile("\r\n|[\n\r]")


@dataclass(kw_only=True)
class Tally:
    """What came of the specs that were checked."""

    accepted: int = 0
    rejected: int = 0
    slowest_s: float = 0.0
    codes: Counter[str] = field(default_factory=Counter)

    def add(self, codes: list[str], took_s: float, *, rejected: bool) -> None:
        """Count one spec."""
        self.rejected += rejected
        self.accepted += not rejected
        self.slowest_s = max(self.slowest_s, took_s)
        self.codes.update(set(codes))

    def __str__(self) -> str:
        missed = sorted(CATALOGUE.keys() - self.codes.keys())
        return (
            f"{self.accepted + self.rejected:,} specs: {self.accepted:,} accepted, "
            f"{self.rejected:,} rejected, each with line and column; 0 tracebacks, 0 signals; "
            f"slowest {self.slowest_s:.2f} s of processor time; rules raised: "
            f"{len(self.codes)} of {len(CATALOGUE)} (not {', '.join(missed)})"
        )


def _in_text(data: bytes, line: int, column: int) -> bool:
    """Whether a place lies in the text, or just after its end or that of a line."""
    lines = LINE_BREAK.split(data.decode("utf-8-sig", "replace"))
    if line == len(lines) + 1:
        return column == 1
    return 1 <= line <= len(lines) and 1 <= column <= len(lines[line - 1]) + 1


def answer_in_process(data: bytes, folder: Path, tally: Tally) -> None:
    """Check one spec as the library does; raises AssertionError if the answer is not as it must."""
    began = time.process_time()
    try:
        spec = loads(data, name="jobs.yaml", project_dir=folder)
        compiled = compile_spec(spec, this_machine())
        problems, rejected = compiled.warnings, False
        for case in spec.document.tests:
            plan_of_case(spec, compiled.plan, case, {}, this_machine())
    except SpecError as error:
        problems, rejected = error.problems, True
    took_s = time.process_time() - began
    assert took_s < LIMIT_S, took_s
    assert problems or not rejected
    for problem in problems:
        assert _in_text(data, problem.line, problem.column), problem
        assert problem.code in CATALOGUE
        assert all(line.isprintable() for line in str(problem).splitlines())
        assert len(str(problem).splitlines()) == 1 + bool(problem.hint)
    tally.add([problem.code for problem in problems], took_s, rejected=rejected)


def answer_of_command(data: bytes, folder: Path, tally: Tally) -> None:
    """Check one spec as `mporch validate` does, in a process of its own."""
    (folder / "jobs.yaml").write_bytes(data)
    err = folder / "err"
    actions = [
        (os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0),
        (os.POSIX_SPAWN_OPEN, 2, err, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600),
    ]
    command = ["mporch", "validate", str(folder / "jobs.yaml")]
    pid = os.posix_spawn(COMMAND, command, os.environ, file_actions=actions)
    _, status, usage = os.wait4(pid, 0)
    code, told = os.waitstatus_to_exitcode(status), err.read_text()
    took_s = usage.ru_utime + usage.ru_stime
    assert code in {0, 2}, (code, told)
    assert "Traceback" not in told, told
    assert took_s < LIMIT_S, took_s
    places = [(int(line), int(column)) for line, column, _ in HEAD.findall(told)]
    assert places or code == 0, told
    assert all(_in_text(data, *place) for place in places), told
    tally.add(re.findall(r"\[(MP\d{3})\]$", told, re.MULTILINE), took_s, rejected=code == 2)


def run(answer: Callable[[bytes, Path, Tally], None], n: int, first_seed: int) -> Tally:
    """Let `answer` check n specs, in batches of alternate kind; stop at the first bad answer."""
    tally = Tally()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "mine.py").write_text(examples_module())
        batch = 0
        while (left := n - tally.accepted - tally.rejected) > 0:
            specs = (WRITTEN, MUTATED)[batch % 2]

            @seed(first_seed + batch)
            @settings(
                max_examples=min(BATCH, left),
                database=None,
                deadline=None,
                phases=[Phase.generate, Phase.shrink],
                suppress_health_check=list(HealthCheck),
            )
            @given(specs)
            def check(data: bytes) -> None:
                answer(data, folder, tally)

            check()
            batch += 1
    return tally


def main() -> None:
    """Fuzz for long, and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=100_000, help="specs checked in process")
    parser.add_argument("--command", type=int, default=0, help="specs checked by the command")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    for where, answer, n in (
        ("in process", answer_in_process, options.n),
        ("by the command", answer_of_command, options.command),
    ):
        if n:
            print(f"{where}: {run(answer, n, options.seed)}", flush=True)


if __name__ == "__main__":
    main()
