"""Two processes that hand each other single items: round trips, and one-way latency.

`python -m benchmarks.pairs trips|ages WAY N`, in a folder: `found` then has a line of microseconds
for each trip or item. Those of `ages` are targets of a run as well.
"""

from __future__ import annotations

import multiprocessing
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks import machine

WARM_UP = 50
PAUSE_S = 0.02
"""Between two puts whose age is measured: everything runs cold."""


class PipeQueue:
    """A bare pipe with the two methods of a queue."""

    def __init__(self) -> None:
        reader, writer = multiprocessing.Pipe(duplex=False)
        self.get, self.put = reader.recv, writer.send


class ZmqQueue:
    """ZeroMQ's PUSH and PULL with the two methods of a queue; each end connects when first used."""

    _names = iter("ab")

    def __init__(self) -> None:
        self._name, self._ends = f"ipc://{next(self._names)}", {}

    def _end(self, kind: str) -> Any:
        import zmq  # noqa: PLC0415 - optional

        if kind not in self._ends:
            end = self._ends[kind] = zmq.Context.instance().socket(getattr(zmq, kind))
            (end.connect if kind == "PULL" else end.bind)(self._name)
        return self._ends[kind]

    def get(self) -> Any:  # noqa: D102 - a queue's
        return self._end("PULL").recv_pyobj()

    def put(self, item: Any) -> None:  # noqa: D102 - a queue's
        self._end("PUSH").send_pyobj(item)


def _product() -> Any:
    import orchestrator  # noqa: PLC0415 - the peers run without it

    queue = orchestrator.Queue()
    machine.raise_beside()  # the queue's broker is nobody's child, in a session of its own
    return queue


def _faster_fifo() -> Any:
    import faster_fifo  # noqa: PLC0415 - optional

    return faster_fifo.Queue()


WAYS: dict[str, Callable[[], Any]] = {
    "queue": multiprocessing.Queue,
    "mporch": _product,
    "pipe": PipeQueue,
    "zmq": ZmqQueue,
    "faster-fifo": _faster_fifo,
}


def found(folder: Path) -> list[float]:
    """What was written down, without the first ones."""
    return [float(line) for line in (folder / "found").read_text().split()][WARM_UP:]


def ask(n: int, there: Any, back: Any, path: str) -> None:
    """Time n round trips."""
    times = []
    for item in range(n + WARM_UP):
        began = time.perf_counter()
        there.put(item)
        back.get()
        times.append((time.perf_counter() - began) * 1e6)
    there.put(None)
    Path(path).write_text("".join(f"{us:.2f}\n" for us in times))


def echo(n: int, there: Any, back: Any) -> None:
    """Send back what comes; stay until the last has come, which ZeroMQ else drops."""
    for _ in range(n + WARM_UP):
        back.put(there.get())
    there.get()


def times(n: int) -> Iterator[int]:
    """The times at which items are put, each after a pause; the source of a run."""
    quiet = threading.Event()
    for _ in range(n + WARM_UP):
        quiet.wait(PAUSE_S)
        yield time.monotonic_ns()


def write(n: int, out: Any) -> None:
    """Put the times."""
    for at in times(n):
        out.put(at)


def read(n: int, source: Any, path: str) -> None:
    """Note how old each of the items is when `get` returns it."""
    ages = []
    for _ in range(n + WARM_UP):
        at = source.get()
        ages.append((time.monotonic_ns() - at) / 1000)
    Path(path).write_text("".join(f"{us:.2f}\n" for us in ages))


def main(what: str, way: str, n: int) -> None:
    """Be the two processes."""
    make = WAYS[way]
    if what == "trips":
        there, back = make(), make()
        other = multiprocessing.Process(target=echo, args=(n, there, back))
        other.start()
        ask(n, there, back, "found")
    else:
        there = make()
        other = multiprocessing.Process(target=write, args=(n, there))
        other.start()
        read(n, there, "found")
    other.join()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
