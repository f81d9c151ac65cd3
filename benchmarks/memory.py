"""Peak memory of the orchestrator from 100,000 to 2,000,000 items: it should stay flat.

`python -m benchmarks.memory [--items N …]`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from pathlib import Path

from benchmarks.figures import table
from benchmarks.processes import lay_spec, mporch
from benchmarks.ways import target


def peak_mib(n: int) -> float:
    """The largest resident set of the orchestrator in a run of n ints, in MiB."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        jobs = {
            "source": {"target": target("ints"), "args": [n, "clock"], "output": "a"},
            "map": {"target": target("same"), "input": "a", "output": "b"},
            "sink": {"target": target("Sink"), "args": [n, "clock"], "input": "b"},
        }
        lay_spec(folder, jobs, {"a": 1000, "b": 1000})
        command = mporch("--run-dir", "run")
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
    print(table(["items", "MiB"], [[f"{n:,}", f"{peak:.1f}"] for n, peak in peaks]))
    print(f"difference: {max(p for _, p in peaks) - min(p for _, p in peaks):.1f} MiB")


if __name__ == "__main__":
    main()
