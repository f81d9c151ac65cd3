"""What questions cost, and gets and puts that will not wait, against multiprocessing.Queue's.

`python -m benchmarks.questions [--rounds N] [--calls N]`. A queue of three items at most is asked
by one process, empty and full. The rounds of both are interleaved; the figures are microseconds a
call, the medians of the rounds.
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import queue
import statistics
import time
from collections.abc import Callable
from typing import Any

import orchestrator
from benchmarks import figures

MAXSIZE = 3


def _empty_handed(q: Any) -> None:
    with contextlib.suppress(queue.Empty):
        q.get_nowait()


def _refused(q: Any) -> None:
    with contextlib.suppress(queue.Full):
        q.put_nowait(0)


_CALLS: dict[str, tuple[bool, Callable[[Any], Any]]] = {
    "empty() of an empty one": (False, lambda q: q.empty()),
    "qsize() of an empty one": (False, lambda q: q.qsize()),
    "get_nowait() of an empty one": (False, _empty_handed),
    "empty() of a full one": (True, lambda q: q.empty()),
    "qsize() of a full one": (True, lambda q: q.qsize()),
    "full() of a full one": (True, lambda q: q.full()),
    "put_nowait() on a full one": (True, _refused),
}


def measure(q: Any, calls: int) -> dict[str, float]:
    """Microseconds of each call."""
    found = {}
    for full in (False, True):
        for name, (wants_full, call) in _CALLS.items():
            if wants_full is full:
                call(q)
                started = time.perf_counter()
                for _ in range(calls):
                    call(q)
                found[name] = (time.perf_counter() - started) / calls * 1e6
        if not full:
            for item in range(MAXSIZE):
                q.put(item)
            until_seen(q)
    for _ in range(MAXSIZE):
        q.get()
    return found


def until_seen(q: Any) -> None:
    """Wait until what is put is seen."""
    while q.empty() or q.qsize() < MAXSIZE:
        pass


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--calls", type=int, default=500)
    options = parser.parse_args()
    queues = {"peer": multiprocessing.Queue(MAXSIZE), "ours": orchestrator.Queue(MAXSIZE)}
    times: dict[tuple[str, str], list[float]] = {}
    for _ in range(options.rounds):
        for whose, q in queues.items():
            for name, us in measure(q, options.calls).items():
                times.setdefault((name, whose), []).append(us)
    rows = []
    for name in _CALLS:
        peer, ours = times[name, "peer"], times[name, "ours"]
        us = [figures.number(statistics.median(found)) for found in (peer, ours)]
        rows.append([name, *us, figures.times(figures.ratio(ours, peer))])
    print(figures.table(["µs a call", "multiprocessing", "orchestrator", "ratio"], rows))


if __name__ == "__main__":
    main()
