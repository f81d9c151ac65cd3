"""Items a second through source → map → sink, against three processes over multiprocessing.Queue.

`python -m benchmarks.throughput [--items N] [--rounds N]`. Both run in the same round, in turn; the
figure is the ratio of the medians. Peer and pipeline call the same functions with queues of 1000.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

from benchmarks import stages

MAXSIZE = 1000
ROOT = Path(__file__).parents[1]


def duration(clock: Path) -> float:
    """Seconds between the first stamp and the last."""
    first, last = map(float, clock.read_text().split())
    return last - first


def run_peer(kind: str, n: int, clock: Path) -> None:
    """The pipeline as written by hand."""
    a, b = (multiprocessing.Queue(MAXSIZE) for _ in range(2))
    processes = [
        multiprocessing.Process(target=stages.put_all, args=(kind, n, str(clock), a)),
        multiprocessing.Process(target=stages.move, args=(n, a, b)),
        multiprocessing.Process(target=stages.drain, args=(n, str(clock), b)),
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()


def run_mporch(kind: str, n: int, clock: Path, *, handles: bool) -> None:
    """The pipeline as a spec: per item, or with the peer's own functions and handles."""
    here = clock.parent
    target = "benchmarks.stages:{}".format
    jobs = {
        "source": {"target": target(kind), "args": [n, str(clock)], "output": "a"},
        "map": {"target": target("same"), "input": "a", "output": "b"},
        "sink": {"target": target("Sink"), "args": [n, str(clock)], "input": "b"},
    }
    if handles:
        jobs = {
            "source": {
                "target": target("put_all"),
                "args": [kind, n, str(clock)],
                "output": {"out": "a"},
            },
            "map": {
                "target": target("move"),
                "args": [n],
                "input": {"source": "a"},
                "output": {"out": "b"},
            },
            "sink": {
                "target": target("drain"),
                "args": [n, str(clock)],
                "input": {"source": "b"},
            },
        }
    spec = {
        "version": 1,
        "pythonpath": [str(ROOT)],
        "queues": {"a": MAXSIZE, "b": MAXSIZE},
        "jobs": jobs,
    }
    (here / "jobs.yaml").write_text(yaml.safe_dump(spec))
    command = [sys.executable, "-m", "orchestrator", "run", "jobs.yaml", "--output", "none"]
    subprocess.run(command, cwd=here, check=True, capture_output=True, timeout=300)


def measure(name: str, n: int) -> float:
    """Items a second of one run of a peer or of mporch."""
    how, kind = name.split()
    with tempfile.TemporaryDirectory() as folder:
        clock = Path(folder) / "clock"
        if how == "multiprocessing":
            run_peer(kind, n, clock)
        else:
            run_mporch(kind, n, clock, handles=how == "handles")
        return n / duration(clock)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--peer-items", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    rates: dict[str, list[float]] = {}
    sizes = {
        "multiprocessing ints": options.peer_items,
        "mporch ints": options.items,
        "handles ints": options.items,
        "multiprocessing dicts": options.peer_items,
        "mporch dicts": options.items // 2,
    }
    for _ in range(options.rounds):
        for name, n in sizes.items():
            rates.setdefault(name, []).append(measure(name, n))
    print(f"{'pipeline':24}{'items/s':>12}{'ratio':>8}")
    for name, found in rates.items():
        rate = statistics.median(found)
        peer = statistics.median(rates[f"multiprocessing {name.split()[1]}"])
        print(f"{name:24}{rate:12,.0f}{rate / peer:8.1f}")


if __name__ == "__main__":
    main()
