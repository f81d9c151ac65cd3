"""A round trip of one item between two processes over two queues, against multiprocessing's.

`python -m benchmarks.roundtrip [--rounds N] [--trips N] [--method spawn]`. The rounds of both are
interleaved in the same run; the figure is the ratio of the medians of all round trips.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import time
from collections.abc import Callable
from typing import Any

import orchestrator

_WARM_UP = 50


def echo(source: Any, sink: Any) -> None:
    """Called in the child: send back what comes, until None comes."""
    for item in iter(source.get, None):
        sink.put(item)


class Peer:
    """A child process and the two queues that lead to it and back."""

    def __init__(self, make: Callable[[], Any], context: Any) -> None:
        self._there, self._back = make(), make()
        self._process = context.Process(target=echo, args=(self._there, self._back))
        self._process.start()
        self.trips(_WARM_UP)

    def trips(self, n: int) -> list[float]:
        """Seconds that each of n round trips took."""
        there, back = self._there, self._back
        times: list[float] = []
        for item in range(n):
            started = time.perf_counter()
            there.put(item)
            back.get()
            times.append(time.perf_counter() - started)
        return times

    def close(self) -> None:
        """End the child."""
        self._there.put(None)
        self._process.join()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--trips", type=int, default=500)
    parser.add_argument("--method", default="spawn", choices=("fork", "spawn", "forkserver"))
    options = parser.parse_args()
    context = multiprocessing.get_context(options.method)
    peers = {
        "multiprocessing.Queue": Peer(context.Queue, context),
        "orchestrator.Queue": Peer(orchestrator.Queue, context),
    }
    times: dict[str, list[float]] = {name: [] for name in peers}
    for _ in range(options.rounds):
        for name, peer in peers.items():
            times[name] += peer.trips(options.trips)
    for peer in peers.values():
        peer.close()
    medians = {name: statistics.median(found) for name, found in times.items()}
    print(f"{'queue':24}{'median µs':>12}{'ratio':>8}")
    for name, median in medians.items():
        ratio = median / medians["multiprocessing.Queue"]
        print(f"{name:24}{median * 1e6:12.1f}{ratio:8.2f}")


if __name__ == "__main__":
    main()
