"""A thousand jobs of one worker that each do nothing: that all end, what one costs, what is left.

`python -m benchmarks.thousand [--jobs N]`. The cost a worker is printed beside that of starting and
joining a bare `multiprocessing.Process`, by the same start method, in the same run.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import yaml

ROOT = Path(__file__).parents[1]


def bare_process_s(n: int) -> float:
    """Seconds to start and join one of n bare processes, all alive at once."""
    command = [sys.executable, "-m", "benchmarks.bare", str(n)]
    peer = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return float(peer.stdout)


def run(n: int, folder: Path) -> float:
    """Seconds a job of one run of n jobs."""
    jobs = {f"job{i}": {"target": "benchmarks.stages:nothing"} for i in range(n)}
    spec = {"version": 1, "pythonpath": [str(ROOT)], "jobs": jobs}
    (folder / "jobs.yaml").write_text(yaml.safe_dump(spec))
    command = [sys.executable, "-m", "orchestrator", "run", "--run-dir", "run", "--output", "none"]
    started = time.monotonic()
    subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=600)
    took = time.monotonic() - started
    summary = json.loads((folder / "run" / "summary.json").read_text())
    ended = sum(job["status"] == "succeeded" for job in summary["jobs"].values())
    print(f"{ended} of {n} jobs succeeded")
    return took / n


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=1000)
    n = parser.parse_args().jobs
    me = psutil.Process()
    with tempfile.TemporaryDirectory() as folder:
        bare = bare_process_s(n)
        before = {child.pid for child in me.children(recursive=True)}
        fds = me.num_fds()
        each = run(n, Path(folder))
    left = {child.pid for child in me.children(recursive=True)} - before
    print(f"processes left: {len(left)}, descriptors left: {me.num_fds() - fds}")
    print(
        f"a worker {each * 1e3:.1f} ms, a bare Process {bare * 1e3:.1f} ms: {each / bare:.2f} times"
    )


if __name__ == "__main__":
    main()
