"""Peak memory of the orchestrator from 100,000 to 2,000,000 items: it should stay flat.

`python -m benchmarks.memory [--items N …]`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]


def peak_mib(n: int) -> float:
    """The largest resident set of the orchestrator in a run of n ints, in MiB."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        target = "benchmarks.stages:{}".format
        clock = str(folder / "clock")
        spec = {
            "version": 1,
            "pythonpath": [str(ROOT)],
            "queues": {"a": 1000, "b": 1000},
            "jobs": {
                "source": {"target": target("ints"), "args": [n, clock], "output": "a"},
                "map": {"target": target("same"), "input": "a", "output": "b"},
                "sink": {"target": target("Sink"), "args": [n, clock], "input": "b"},
            },
        }
        (folder / "jobs.yaml").write_text(yaml.safe_dump(spec))
        command = [sys.executable, "-m", "orchestrator", "run", "--run-dir", "run"]
        run = subprocess.Popen(command, cwd=folder, stderr=subprocess.DEVNULL)
        log = folder / "run" / "log.jsonl"
        peak = 0
        while run.poll() is None:
            if log.exists() and (lines := log.read_text().splitlines()):
                peak = max(peak, resident(json.loads(lines[0])["pid"]))
            try:
                run.wait(0.05)
            except subprocess.TimeoutExpired:
                continue
        return peak / (1 << 20)


def resident(pid: int) -> int:
    """The largest resident set a process has had so far, in bytes; 0 if it is gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    high = next((line for line in status.splitlines() if line.startswith("VmHWM")), "VmHWM: 0")
    return int(high.split()[1]) * 1024


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, nargs="+", default=[100_000, 500_000, 2_000_000])
    peaks = [(n, peak_mib(n)) for n in parser.parse_args().items]
    for n, peak in peaks:
        print(f"{n:>12,} items: {peak:.1f} MiB")
    print(f"difference: {max(p for _, p in peaks) - min(p for _, p in peaks):.1f} MiB")


if __name__ == "__main__":
    main()
