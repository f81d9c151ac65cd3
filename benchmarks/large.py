"""Items of 10 to 900 MB from one process to another, against multiprocessing.Queue.

`python -m benchmarks.large [--megabytes N …] [--rounds N]`. The rounds of both are interleaved in
the same run, one item in flight; printed are medians of seconds and of processor seconds of all
processes an item, those of their start among them, and their ratios.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]


def items(n: int, megabytes: int) -> Iterator[bytes]:
    """Yield n items, each made anew, and write down when the first was asked for."""
    Path("began").write_text(str(time.monotonic()))
    for number in range(n):
        yield bytes([number % 256]) * (megabytes << 20)


def take(received: Any) -> None:
    """Look at each item, and write down when the last one came."""
    for item in received:
        assert item[0] == item[-1]
    Path("ended").write_text(str(time.monotonic()))


def put_all(n: int, megabytes: int, queue: Any) -> None:
    """The peer's source."""
    for item in items(n, megabytes):
        queue.put(item)
    queue.put(None)


def get_all(queue: Any) -> None:
    """The peer's sink."""
    take(iter(queue.get, None))


def peer(n: int, megabytes: int) -> None:
    """The pipeline as written by hand."""
    queue = multiprocessing.Queue(1)
    source = multiprocessing.Process(target=put_all, args=(n, megabytes, queue))
    sink = multiprocessing.Process(target=get_all, args=(queue,))
    for process in (source, sink):
        process.start()
    for process in (source, sink):
        process.join()


def mporch(n: int, megabytes: int) -> None:
    """The pipeline as a spec."""
    name = "benchmarks.large:{}".format
    jobs = {
        "items": {"target": name("items"), "args": [n, megabytes], "output": "a"},
        "take": {"target": name("take"), "input": "a", "call": "stream"},
    }
    spec = {"version": 1, "pythonpath": [str(ROOT)], "queues": {"a": 1}, "jobs": jobs}
    Path("jobs.yaml").write_text(yaml.safe_dump(spec))
    command = [sys.executable, "-m", "orchestrator", "run", "--output", "none", "--no-live"]
    subprocess.run(command, check=True, capture_output=True)


def measured(run: Callable[[int, int], None], n: int, megabytes: int) -> tuple[float, float]:
    """Seconds and processor seconds an item."""
    with tempfile.TemporaryDirectory() as folder:
        code = (
            "import os, sys; from benchmarks import large; os.chdir(sys.argv[1]);"
            f" large.{run.__name__}({n}, {megabytes})"
        )
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-c", code, folder], cwd=ROOT, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        began, ended = (float((Path(folder) / name).read_text()) for name in ("began", "ended"))
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return (ended - began) / n, used / n


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, nargs="+", default=[10, 100, 400, 900])
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    print(f"{'MB':>5}{'items':>7}{'Queue s':>10}{'mporch s':>10}{'ratio':>7}", end="")
    print(f"{'Queue CPU s':>13}{'mporch CPU s':>14}{'ratio':>7}")
    for megabytes in options.megabytes:
        n = max(4, 1000 // megabytes)
        found: dict[str, list[tuple[float, float]]] = {"peer": [], "mporch": []}
        for _ in range(options.rounds):
            for run in (peer, mporch):
                found[run.__name__].append(measured(run, n, megabytes))
        (theirs, their_cpu), (ours, our_cpu) = (
            [statistics.median(column) for column in zip(*rounds, strict=True)]
            for rounds in found.values()
        )
        print(f"{megabytes:5}{n:7}{theirs:10.3f}{ours:10.3f}{ours / theirs:7.2f}", end="")
        print(f"{their_cpu:13.3f}{our_cpu:14.3f}{our_cpu / their_cpu:7.2f}")


if __name__ == "__main__":
    main()
