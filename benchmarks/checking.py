"""What checking a spec of 1,000 jobs, functions and queues costs, and starting up for --help.

`python -m benchmarks.checking [--jobs N] [--rounds N]`. Each command is run in turn, round after
round, and the medians of their wall times are compared: `mporch validate` with PyYAML's own
`safe_load` of the same file in a fresh interpreter, `mporch --help` and `--version` with
`python -c "import click"`.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SAFE_LOAD = "import sys, yaml; yaml.safe_load(open(sys.argv[1], encoding='utf-8'))"
LIMITS = {"validate": 1.5, "--help": 2.0, "--version": 2.0}


def steps_of(n: int) -> str:
    """Return a module with the functions of n jobs in a row, and of the one at their end."""
    source = "def f0() -> list[int]:\n    return [1]\n"
    step = "def f{}(number: int, by: int = 2) -> int:\n    return number * by\n"
    return source + "".join(step.format(i) for i in range(1, n)) + "def last(number: int): ...\n"


def spec_of(n: int) -> str:
    """Return a spec of n jobs in a row, and n queues: each between two of them, the last too."""
    lines = ["version: 1", "queues:"]
    lines += [f"  q{i}_: {{maxsize: 64}}" for i in range(n)]
    lines.append("jobs:")
    for i in range(n):
        lines += [f"  j{i}_:", f"    target: steps:f{i}", f"    output: q{i}_", "    workers: 1"]
        if i:
            lines += [f"    input: q{i - 1}_", "    timeouts: {item: 10s}"]
    lines[-1] += f"\n  last: {{target: 'steps:last', input: q{n - 1}_}}"
    return "\n".join(lines) + "\n"


def measure(commands: dict[str, list[str]], rounds: int) -> dict[str, float]:
    """Return the median wall time in seconds of each command, run in turn."""
    times: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(rounds):
        for name, command in commands.items():
            began = time.perf_counter()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            times[name].append(time.perf_counter() - began)
    return {name: statistics.median(seconds) for name, seconds in times.items()}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    mporch = str(Path(sys.executable).with_name("mporch"))
    with tempfile.TemporaryDirectory() as folder:
        spec = Path(folder) / "jobs.yaml"
        spec.write_text(spec_of(options.jobs), encoding="utf-8")
        spec.with_name("steps.py").write_text(steps_of(options.jobs), encoding="utf-8")
        commands = {
            "safe_load": [sys.executable, "-c", SAFE_LOAD, str(spec)],
            "validate": [mporch, "validate", str(spec)],
            "import click": [sys.executable, "-c", "import click"],
            "--help": [mporch, "--help"],
            "--version": [mporch, "--version"],
        }
        took = measure(commands, options.rounds)
    print(f"{options.jobs} jobs and queues, medians of {options.rounds} rounds in turn")
    for name, limit in LIMITS.items():
        peer = "safe_load" if name == "validate" else "import click"
        ratio = took[name] / took[peer]
        print(
            f"mporch {name}: {took[name] * 1e3:.0f} ms, {peer}: {took[peer] * 1e3:.0f} ms: "
            f"{ratio:.2f} times (at most {limit})"
        )


if __name__ == "__main__":
    main()
