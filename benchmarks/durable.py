"""What durability costs: items a second of a durable run, against the same run without it.

`python -m benchmarks.durable [--items N] [--rounds N]`. All run in the same round, in turn; the
figure is the ratio of the medians. source → map → sink, queues of 1000.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
MODES = {"forgetful": False, "durable": True, "durable: full": "full"}


def rate(kind: str, n: int, *, durable: bool | str) -> float:
    """Items a second of one run."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clock = folder / "clock"
        target = "benchmarks.stages:{}".format
        spec = {
            "version": 1,
            "durable": durable,
            "pythonpath": [str(ROOT)],
            "queues": {"a": 1000, "b": 1000},
            "jobs": {
                "source": {"target": target(kind), "args": [n, str(clock)], "output": "a"},
                "map": {"target": target("same"), "input": "a", "output": "b"},
                "sink": {"target": target("Sink"), "args": [n, str(clock)], "input": "b"},
            },
        }
        (folder / "jobs.yaml").write_text(yaml.safe_dump(spec))
        command = [sys.executable, "-m", "orchestrator", "run", "--output", "none"]
        subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=300)
        first, last = map(float, clock.read_text().split())
        return n / (last - first)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=500_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    rates: dict[tuple[str, str], list[float]] = {}
    for _ in range(options.rounds):
        for kind, n in (("ints", options.items), ("dicts", options.items // 2)):
            for mode, durable in MODES.items():
                rates.setdefault((kind, mode), []).append(rate(kind, n, durable=durable))
    print(f"{'items':8}{'run':16}{'items/s':>12}{'ratio':>8}")
    for (kind, mode), found in rates.items():
        base = statistics.median(rates[kind, "forgetful"])
        median = statistics.median(found)
        print(f"{kind:8}{mode:16}{median:12,.0f}{median / base:8.2f}")


if __name__ == "__main__":
    main()
