"""Starting, against a bare forkserver and `import click`: an empty run, --help, 100 workers.

`python -m benchmarks.starting [--rounds N] [--before COMMAND]`. The rounds of all are interleaved;
the figures are milliseconds, the medians of the rounds. `--before` is another `mporch`, an older
one, which is measured beside this one.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from benchmarks import figures

WORKERS = 100
OURS = str(Path(sys.executable).with_name("mporch"))
_SPEC = "version: 1\njobs:\n  nothing: {{target: 'nothing:run', workers: {workers}}}\n"
_PEER = """
import multiprocessing

def run():
    pass

if __name__ == "__main__":
    context = multiprocessing.get_context("forkserver")
    processes = [context.Process(target=run) for _ in range({workers})]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
"""


def write(folder: Path) -> None:
    """Write the specs and the peers' programs."""
    (folder / "nothing.py").write_text("def run():\n    pass\n")
    for workers in (1, WORKERS):
        (folder / f"jobs{workers}.yaml").write_text(_SPEC.format(workers=workers))
        (folder / f"peer{workers}.py").write_text(_PEER.format(workers=workers))


def commands(mporch: str) -> dict[str, list[str]]:
    """What is measured of one `mporch`, by its name."""
    return {
        "one empty task": [mporch, "run", "jobs1.yaml"],
        f"{WORKERS} workers": [mporch, "run", f"jobs{WORKERS}.yaml"],
        "--help": [mporch, "--help"],
        "validate": [mporch, "validate", "jobs1.yaml"],
    }


def peers() -> dict[str, list[str]]:
    """What each is measured beside."""
    return {
        "one empty task": [sys.executable, "peer1.py"],
        f"{WORKERS} workers": [sys.executable, f"peer{WORKERS}.py"],
        "--help": [sys.executable, "-c", "import click"],
        "validate": [sys.executable, "-c", "import pydantic, yaml"],
    }


def timed_ms(command: list[str], folder: Path) -> float:
    """Run it once."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    begun = time.perf_counter()
    subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True)
    return (time.perf_counter() - begun) * 1000


def measure(
    each: Mapping[str, Mapping[str, list[str]]], rounds: int, timed: Callable[[list[str]], float]
) -> dict[tuple[str, str], list[float]]:
    """Milliseconds by whose and what; the first round, which fills caches, does not count."""
    found: dict[tuple[str, str], list[float]] = {}
    for number in range(rounds + 1):
        for whose, wanted in each.items():
            for what, command in wanted.items():
                ms = timed(command)
                if number:
                    found.setdefault((whose, what), []).append(ms)
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--before", help="the command `mporch` of another installation")
    options = parser.parse_args()
    each = {"peer": peers(), "ours": commands(OURS)}
    if options.before:
        each["before"] = commands(os.path.abspath(options.before))  # noqa: PTH100 -- no links followed
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(folder)
        times = measure(each, options.rounds, lambda command: timed_ms(command, folder))
    one, many, more = "one empty task", f"{WORKERS} workers", f"each of {WORKERS - 1} more"
    others = [whose for whose in each if whose != "ours"]
    for whose in each:
        pairs = zip(times[whose, many], times[whose, one], strict=True)
        times[whose, more] = [(all_ms - one_ms) / (WORKERS - 1) for all_ms, one_ms in pairs]
    rows = [
        [
            what,
            *(figures.number(statistics.median(times[whose, what])) for whose in each),
            *(figures.times(figures.ratio(times["ours", what], times[o, what])) for o in others),
        ]
        for what in (*peers(), more)
    ]
    print(figures.table(["ms", *each, *(f"ours : {whose}" for whose in others)], rows))


if __name__ == "__main__":
    main()
