"""One-way latency of a put that no other call follows, against multiprocessing.Queue's.

`python -m benchmarks.latency [--rounds N] [--puts N] [--pause MS]`. An item is the time at which it
was put; its reader waits in `get`. The rounds of all are interleaved in the same run. A burst is of
five items, and each of them counts. In a run the items go from handle to handle, from a source's
`yield` to a handle, and from a source through an item job to a handle.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml

import orchestrator

ROOT = Path(__file__).parents[1]
_BURST = 5
_WARM_UP = 5
_PEER = "multiprocessing.Queue"


def stamps(n: int, burst: int, pause_s: float) -> Iterator[int]:
    """The times of n bursts, each after a pause; the source of a run."""
    quiet = threading.Event()
    for _ in range(n):
        quiet.wait(pause_s)
        for _ in range(burst):
            yield time.monotonic_ns()


def write(q: Any, n: int, burst: int, pause_s: float) -> None:
    """Put the times."""
    for stamp in stamps(n, burst, pause_s):
        q.put(stamp)


def read(q: Any, n: int, path: str) -> None:
    """Note how old each of n items is when `get` returns it."""
    ages = []
    for _ in range(n):
        stamp = q.get()
        ages.append(time.monotonic_ns() - stamp)
    Path(path).write_text(json.dumps(ages))


def same(item: Any) -> Any:
    """The item job in the middle."""
    return item


def _target(name: str) -> str:
    return f"benchmarks.latency:{name}"


def alone(make: Callable[[], Any], n: int, burst: int, pause_s: float, path: str) -> None:
    """Two processes and a queue between them."""
    q = make()
    processes = [
        multiprocessing.Process(target=read, args=(q, n * burst, path)),
        multiprocessing.Process(target=write, args=(q, n, burst, pause_s)),
    ]
    for process in processes:
        process.start()
    q.close()
    for process in processes:
        process.join()


def in_a_run(how: str, n: int, burst: int, pause_s: float, path: str) -> None:
    """A run of its own, in which the reader has a handle."""
    given = {"n": n, "burst": burst, "pause_s": pause_s}
    source = {"target": _target("stamps"), "kwargs": given, "output": "a"}
    writer = {"target": _target("write"), "kwargs": given, "output": {"q": "a"}}
    jobs = {
        "first": writer if how == "handle" else source,
        "last": {
            "target": _target("read"),
            "kwargs": {"n": n * burst, "path": path},
            "input": {"q": "b" if how == "item" else "a"},
        },
    }
    queues = {"a": 1000}
    if how == "item":
        queues["b"] = 1000
        jobs["middle"] = {"target": _target("same"), "input": "a", "output": "b"}
    spec = {"version": 1, "pythonpath": [str(ROOT)], "queues": queues, "jobs": jobs}
    here = Path(path).parent
    (here / "jobs.yaml").write_text(yaml.safe_dump(spec))
    command = [sys.executable, "-m", "orchestrator", "run", "jobs.yaml", "--output", "none"]
    subprocess.run(command, cwd=here, check=False, capture_output=True, timeout=300)


_WAYS: dict[str, Callable[..., None]] = {
    _PEER: lambda *how: alone(multiprocessing.Queue, *how),
    "orchestrator.Queue": lambda *how: alone(orchestrator.Queue, *how),
    "handle → handle": lambda *how: in_a_run("handle", *how),
    "yield → handle": lambda *how: in_a_run("source", *how),
    "yield → item → handle": lambda *how: in_a_run("item", *how),
}


def measure(way: str, n: int, burst: int, pause_s: float) -> list[float]:
    """Ages in microseconds, without those of the first puts."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ages"
        _WAYS[way](n + _WARM_UP, burst, pause_s, str(path))
        ages = json.loads(path.read_text())
    return [age / 1000 for age in ages[_WARM_UP * burst :]]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--puts", type=int, default=100)
    parser.add_argument("--pause", type=float, default=20.0, help="milliseconds between two puts")
    options = parser.parse_args()
    ages: dict[tuple[str, int], list[float]] = {}
    for _ in range(options.rounds):
        for burst in (1, _BURST):
            for way in _WAYS:
                found = measure(way, options.puts, burst, options.pause / 1000)
                ages.setdefault((way, burst), []).extend(found)
    print(f"{'one way, µs':26}{'puts':>6}{'p50':>8}{'p99':>8}{'max':>8}{'ratio p50':>11}{'p99':>6}")
    for (way, burst), found in ages.items():
        peer = ages[_PEER, burst]
        p50, p99 = statistics.median(found), statistics.quantiles(found, n=100)[98]
        ratios = p50 / statistics.median(peer), p99 / statistics.quantiles(peer, n=100)[98]
        print(
            f"{way:26}{burst:>6}{p50:8.0f}{p99:8.0f}{max(found):8.0f}"
            f"{ratios[0]:11.1f}{ratios[1]:6.1f}"
        )


if __name__ == "__main__":
    main()
