"""What looking at a run costs it: samples, their display, a tap, and a client that never reads.

`python -m benchmarks.insight [--rounds N] [--items N]`. Runs without anybody looking, with `top`
and a tap beside them, and with a client that asks and does not read, are interleaved. `own` is the
processor time that the orchestrator has spent on samples and their display, as its last sample
tells it, beside that of the whole run; the other shares are of the processor time of the run that
nobody looks at. All figures are medians of the rounds.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

from orchestrator.control import protocol
from orchestrator.control.protocol import GREETING, SOCKET_NAME, AskPicture
from orchestrator.runlog.samples import read_samples

_MPORCH = Path(sys.executable).with_name("mporch")

_TARGETS = """
import time

def numbers(n):
    yield from range(n)

def same(x):
    return x

def end(x):
    pass

def slow(x):
    time.sleep(0.01)
"""

_INTS = """
version: 1
queues: {a: 1000, b: 1000}
jobs:
  numbers: {target: t:numbers, kwargs: {n: ITEMS}, output: a}
  same: {target: t:same, input: a, output: b}
  end: {target: t:end, input: b}
"""

_HUNDRED = """
version: 1
queues: {a: 1000}
jobs:
  numbers: {target: t:numbers, kwargs: {n: ITEMS}, output: a}
  slow: {target: t:slow, input: a, workers: 100}
"""


@contextlib.contextmanager
def _nobody(_: Path) -> Iterator[None]:
    yield


@contextlib.contextmanager
def _beside(directory: Path, *arguments: str) -> Iterator[None]:
    """Run a command beside the run until that ends."""
    _wait_for(directory / SOCKET_NAME)
    command = [_MPORCH, *arguments]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as one:
        yield
        one.terminate()


@contextlib.contextmanager
def _top(directory: Path) -> Iterator[None]:
    with _beside(directory, "top", str(directory), "--format", "json"):
        yield


@contextlib.contextmanager
def _tap(directory: Path) -> Iterator[None]:
    with _beside(directory, "tap", str(directory), "a", "-n", "1000000", "--every", "1s"):
        yield


@contextlib.contextmanager
def _deaf(directory: Path) -> Iterator[None]:
    """Ask for a picture a thousand times, and read none."""
    _wait_for(directory / SOCKET_NAME)
    with socket.socket(socket.AF_UNIX) as sock:
        here = os.open(directory, os.O_RDONLY)
        sock.connect(f"/proc/self/fd/{here}/{SOCKET_NAME}")
        os.close(here)
        sock.settimeout(0.5)
        with contextlib.suppress(OSError):
            sock.sendall(GREETING + protocol.encode(AskPicture()) * 1000)
        yield


_LOOKERS = {"nobody": _nobody, "top": _top, "a tap": _tap, "one that never reads": _deaf}


def _wait_for(path: Path) -> None:
    while not path.exists():
        time.sleep(0.01)


def measure(folder: Path, spec: str, items: int, looker: str) -> tuple[float, float, float]:
    """Run it once; return wall seconds, processor seconds of the run, and its own seconds."""
    (folder / "t.py").write_text(_TARGETS)
    (folder / "jobs.yaml").write_text(spec.replace("ITEMS", str(items)))
    directory = folder / f"run-{time.monotonic_ns()}"
    began = time.perf_counter()
    command = [_MPORCH, "run", "--run-dir", directory, "--output", "none"]
    with subprocess.Popen(
        command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as run:
        with _LOOKERS[looker](directory):
            _, status, usage = os.wait4(
                run.pid, 0
            )  # of the run and all its workers, not of who looks
            wall_s = time.perf_counter() - began
        run.returncode = os.waitstatus_to_exitcode(status)
    assert run.returncode == 0
    (life,) = read_samples(directory)
    own_s = life.samples[-1].system.own_s
    return wall_s, usage.ru_utime + usage.ru_stime, own_s


def main() -> None:
    """Measure, and print a line for each way of looking."""
    parser = argparse.ArgumentParser(description=textwrap.dedent(__doc__ or ""))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--items", type=int, default=3_000_000)
    options = parser.parse_args()
    works = {"ints, three stages": (_INTS, options.items), "100 workers": (_HUNDRED, 40_000)}
    for name, (spec, items) in works.items():
        found: dict[str, list[tuple[float, float, float]]] = {looker: [] for looker in _LOOKERS}
        with tempfile.TemporaryDirectory() as folder:
            for _ in range(options.rounds):
                for looker, rounds in found.items():
                    rounds.append(measure(Path(folder), spec, items, looker))
        alone = [statistics.median(column) for column in zip(*found["nobody"], strict=True)]
        for looker, rounds in found.items():
            wall_s, cpu_s, own_s = (statistics.median(c) for c in zip(*rounds, strict=True))
            print(
                f"{name}, {looker}: {wall_s:.2f} s ({wall_s / alone[0]:.2f}), "
                f"CPU {cpu_s:.2f} s ({cpu_s / alone[1]:.2f}), own {100 * own_s / cpu_s:.2f} %"
            )


if __name__ == "__main__":
    main()
