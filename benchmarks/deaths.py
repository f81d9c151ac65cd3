"""What a worker's death costs all the others, with no process beside and with a thousand.

`python -m benchmarks.deaths [--deaths N] [--beside N]`. A worker is killed in each of its items,
while other items flow past it, or none. Printed of each death: the orchestrator's processor time,
its replacement included (less that of the same run in which nobody dies), and how long nothing
flowed: the median of the N longest pauses, beside those of the run in which nobody dies.
"""

from __future__ import annotations

import argparse
import contextlib
import heapq
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from benchmarks.figures import table
from benchmarks.processes import lay_spec, mporch, run
from benchmarks.ways import target

_ENDED = Path("ended")


def numbers(n: int) -> Iterator[int]:
    """Yield n items, one every 20 ms."""
    for item in range(n):
        time.sleep(0.02)
        yield item
    _ENDED.touch()


def live(_item: int) -> None:
    """Do nothing."""


def die(_item: int) -> None:
    """Die at once, and leave nobody in the group."""
    os.kill(os.getpid(), signal.SIGKILL)


def die_beside_a_child(_item: int) -> None:
    """Die at once, and leave a child in the group."""
    subprocess.Popen(["sleep", "1000"])
    os.kill(os.getpid(), signal.SIGKILL)


def flow(*, flows: bool) -> Iterator[bytes]:
    """Yield items without a pause, or none, until nobody dies any more."""
    while not _ENDED.exists():
        if flows:
            yield from [b"x" * 1000] * 100
        else:
            time.sleep(0.02)


def pauses(items: Iterable[bytes], n: int) -> None:
    """Write down the n longest pauses, and the processor time of the parent: the orchestrator."""
    found, before = [0.0], time.perf_counter()
    for _ in items:
        now = time.perf_counter()
        if now - before > found[0]:
            (heapq.heappush if len(found) < n else heapq.heapreplace)(found, now - before)
        before = now
    used_ns = Path(f"/proc/{os.getppid()}/schedstat").read_text().split()[0]
    Path("told").write_text(f"{used_ns} {statistics.median(found)} {max(found)}")


@contextlib.contextmanager
def crowd(n: int) -> Iterator[None]:
    """Have n processes beside, which do nothing."""
    code = f"import os, signal\nfor _ in range({n}):\n  if os.fork() == 0: signal.pause()\n"
    code += "print('there', flush=True)\nsignal.pause()"
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdout=subprocess.PIPE, process_group=0) as parent:
        assert parent.stdout is not None
        parent.stdout.readline()
        try:
            yield
        finally:
            os.killpg(parent.pid, signal.SIGKILL)


def deaths_of(way: str, n: int, *, flows: bool) -> tuple[float, float, float]:
    """Milliseconds: of the orchestrator's processor in all, the median pause, the longest."""
    die = {"target": target(way, "deaths"), "input": "a", "workers": 4, "on_error": "skip"}
    jobs = {
        "source": {"target": target("numbers", "deaths"), "args": [n], "output": "a"},
        "die": {**die, "restart": {"max": n, "within": "1s"}},
        "flow": {"target": target("flow", "deaths"), "kwargs": {"flows": flows}, "output": "b"},
        "pauses": {
            "target": target("pauses", "deaths"),
            "kwargs": {"n": n},
            "input": "b",
            "call": "stream",
            "start_method": "fork",
        },
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        lay_spec(folder, jobs, {"a": 1000, "b": 1000})
        run(mporch(), folder, timeout_s=600)
        used_ns, median_s, longest_s = map(float, (folder / "told").read_text().split())
    return used_ns / 1e6, median_s * 1e3, longest_s * 1e3


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--deaths", type=int, default=100)
    parser.add_argument("--beside", type=int, default=1000)
    options = parser.parse_args()
    n: int = options.deaths
    whos = {"live": "nobody dies", "die": "dies alone", "die_beside_a_child": "leaves a child"}
    rows = []
    for beside in (0, options.beside):
        with crowd(beside):
            idle = 0.0
            for way, who in whos.items():
                used, _, _ = deaths_of(way, n, flows=False)
                idle = idle or used
                _, median, longest = deaths_of(way, n, flows=True)
                cost = f"{(used - idle) / n:.2f}"
                rows.append([who, str(beside), cost, f"{median:.1f}", f"{longest:.1f}"])
    print(table(["who", "beside", "CPU ms a death", "pause ms", "longest"], rows))


if __name__ == "__main__":
    main()
