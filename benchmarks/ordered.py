"""What `ordered: true` costs: source → map in two workers → sink, with and without it.

`python -m benchmarks.ordered [--items N] [--rounds N]`. Both run in the same round, in turn; the
figure is the ratio of the medians. The map hands ints on, which is all overhead, or is busy for up
to 0.2 ms an item, as uneven as real work is.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

from benchmarks.throughput import MAXSIZE, ROOT, duration

MAPS = {"ints": "same", "uneven": "uneven"}
LESS = {"ints": 1, "uneven": 20}
"""How many times fewer items a map is given."""


def items_a_second(kind: str, n: int, *, ordered: bool) -> float:
    """Run the pipeline once."""
    target = "benchmarks.stages:{}".format
    with tempfile.TemporaryDirectory() as folder:
        clock = Path(folder) / "clock"
        spec = {
            "version": 1,
            "pythonpath": [str(ROOT)],
            "queues": {"a": MAXSIZE, "b": MAXSIZE},
            "jobs": {
                "source": {"target": target("ints"), "args": [n, str(clock)], "output": "a"},
                "map": {
                    "target": target(MAPS[kind]),
                    "input": "a",
                    "output": "b",
                    "workers": 2,
                    "ordered": ordered,
                },
                "sink": {"target": target("Sink"), "args": [n, str(clock)], "input": "b"},
            },
        }
        (Path(folder) / "jobs.yaml").write_text(yaml.safe_dump(spec))
        command = [sys.executable, "-m", "orchestrator", "run", "jobs.yaml", "--output", "none"]
        subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=300)
        return n / duration(clock)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=500_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    rates: dict[tuple[str, bool], list[float]] = {}
    for _ in range(options.rounds):
        for kind in MAPS:
            for ordered in (False, True):
                n = options.items // LESS[kind]
                found = items_a_second(kind, n, ordered=ordered)
                rates.setdefault((kind, ordered), []).append(found)
    print(f"{'map':10}{'plain':>12}{'ordered':>12}{'ratio':>8}")
    for kind in MAPS:
        plain, kept = (statistics.median(rates[kind, ordered]) for ordered in (False, True))
        print(f"{kind:10}{plain:12,.0f}{kept:12,.0f}{kept / plain:8.2f}")


if __name__ == "__main__":
    main()
