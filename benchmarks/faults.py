"""The same kills against four ways to share work among processes: who loses what.

`python -m benchmarks.faults [--items N] [--kills K] [--rounds R]`. Two workers call the same
function with N items. K times, spread over the run, the worker that has begun a call last gets
SIGKILL, up to twice the length of a call later: in the midst of it, or while it hands on its result
or fetches the next. Each way counts as its user would see it:

- failed: the caller was told, by an exception or a dead letter
- lost: neither a result nor a word
- doubled: a result twice
- innocent: failed or lost, though no worker was killed that had begun with it last
- hung: rounds that had not ended within the deadline, and were ended

Workers of `multiprocessing.Queue` are written by hand, and replaced by hand when they die. mporch
runs twice: with one attempt, which makes a dead letter of an item whose worker dies, and with
three.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import os
import random
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

from pebble import ProcessPool

from benchmarks.figures import table
from benchmarks.processes import ROOT, lay_spec, mporch
from benchmarks.ways import target

WORKERS = 2
CALL_S = 0.002
DEADLINE_S = 100.0
"""Longer than any of the ways waits for a lock before it gives up (pebble: 60 s)."""

CONTEXT = multiprocessing.get_context("forkserver")


def work(n: int) -> int:
    """The function that everybody calls; it says that it has begun."""
    begun = os.open("begun", os.O_WRONLY)
    os.write(begun, f"{n} {os.getpid()}\n".encode())
    os.close(begun)
    time.sleep(CALL_S)
    return n


# -- four ways ----------------------------------------------------------------------------------


def note(name: str, n: int) -> None:
    """Write an item to one of the files that count."""
    file = os.open(name, os.O_CREAT | os.O_APPEND | os.O_WRONLY)
    os.write(file, f"{n}\n".encode())
    os.close(file)


def _serve(tasks: Any, results: Any) -> None:
    for n in iter(tasks.get, None):
        results.put(work(n))
    results.put(None)


def _replace(tasks: Any, results: Any) -> None:
    """Keep as many workers as there are to be, until each has had its sentinel."""
    alive = []
    missing = WORKERS
    while missing or alive:
        for _ in range(missing):
            alive.append(CONTEXT.Process(target=_serve, args=(tasks, results), daemon=True))
            alive[-1].start()
        wait([process.sentinel for process in alive])
        ended = [process for process in alive if not process.is_alive()]
        alive = [process for process in alive if process not in ended]
        missing = sum(1 for process in ended if process.exitcode)


def by_queue(items: int) -> None:
    """`multiprocessing.Queue`: tasks, results, a sentinel for each worker."""
    tasks, results = CONTEXT.Queue(100), CONTEXT.Queue(100)

    def feed() -> None:
        for n in [*range(items), *[None] * WORKERS]:
            tasks.put(n)

    for of_its_own in (feed, lambda: _replace(tasks, results)):
        threading.Thread(target=of_its_own, daemon=True).start()
    for _ in range(WORKERS):
        for n in iter(results.get, None):
            note("out", n)


def by_executor(items: int) -> None:
    """`concurrent.futures.ProcessPoolExecutor`."""
    with ProcessPoolExecutor(WORKERS, mp_context=CONTEXT) as pool:
        given = {}
        for n in range(items):
            try:
                given[pool.submit(work, n)] = n
            except BrokenProcessPool:
                note("failed", n)
        for future in as_completed(given):
            try:
                note("out", future.result())
            except BrokenProcessPool:
                note("failed", given[future])


def by_pebble(items: int) -> None:
    """`pebble.ProcessPool`."""
    with ProcessPool(WORKERS, context=CONTEXT) as pool:
        given = {pool.schedule(work, args=[n]): n for n in range(items)}
        for future in as_completed(given):
            try:
                note("out", future.result())
            except Exception:  # noqa: BLE001 - whatever it is, the caller was told
                note("failed", given[future])


def numbers(items: int) -> Iterator[int]:
    """The source of mporch's pipeline."""
    yield from range(items)


def write(results: Iterable[int]) -> None:
    """The sink of mporch's pipeline."""
    for n in results:
        note("out", n)


def _mporch(attempts: int) -> Callable[[int], None]:
    def by_mporch(items: int) -> None:
        victim = {
            "workers": WORKERS,
            "retry": {"attempts": attempts},
            "on_error": "dead_letter",
            "restart": {"max": 1000, "within": "1m"},
        }
        jobs = {
            "numbers": {"target": target("numbers", "faults"), "args": [items], "output": "todo"},
            "work": {
                "target": target("work", "faults"),
                "input": "todo",
                "output": "done",
                **victim,
            },
            "write": {"target": target("write", "faults"), "input": "done", "call": "stream"},
        }
        queues = {"todo": 100, "done": 100}
        lay_spec(Path.cwd(), jobs, queues)
        subprocess.run(mporch("--run-dir", "run"), check=False, capture_output=True)
        letters = Path("run/dead/letters.jsonl")
        for letter in letters.read_text().splitlines() if letters.exists() else ():
            note("failed", int(json.loads(letter)["item"].rpartition(":")[2]) - 1)

    return by_mporch


WAYS: dict[str, Callable[[int], None]] = {
    "multiprocessing.Queue": by_queue,
    "ProcessPoolExecutor": by_executor,
    "pebble.ProcessPool": by_pebble,
    "mporch, 1 attempt": _mporch(1),
    "mporch, 3 attempts": _mporch(3),
}


# -- the kills, and what came of them -----------------------------------------------------------


class Killer:
    """Reads who has begun with what, and kills at the calls that were chosen."""

    def __init__(self, items: int, kills: int, seed: int) -> None:
        self.killed: set[int] = set()
        self._chance = random.Random(seed)
        self._moments = {(i + 1) * items // (kills + 1) for i in range(kills)}
        self._calls = 0
        self._last: dict[int, int] = {}
        self._text = b""

    def read(self, begun: int) -> None:
        """Take in what has been said since."""
        *lines, self._text = (self._text + os.read(begun, 4096)).split(b"\n")
        for line in lines:
            n, pid = map(int, line.split())
            self._last[pid] = n
            self._calls += 1
            if self._calls in self._moments:
                time.sleep(self._chance.uniform(0, 2 * CALL_S))
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                    self.killed.add(pid)

    @property
    def victims(self) -> set[int]:
        """The items that those who were killed had begun last."""
        return {self._last[pid] for pid in self.killed}


def measure(way: str, items: int, kills: int, seed: int) -> Counter[str]:
    """One round, in a process group that is ended if it hangs."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.mkfifo(folder / "begun")
        begun = os.open(folder / "begun", os.O_RDWR)
        command = [sys.executable, "-m", "benchmarks.faults", "--way", way, "--items", str(items)]
        path = {**os.environ, "PYTHONPATH": str(ROOT)}
        killer = Killer(items, kills, seed)
        with subprocess.Popen(
            command, cwd=folder, env=path, start_new_session=True, stderr=subprocess.DEVNULL
        ) as process:
            hung = not _watch(process, begun, killer)
            if hung:
                os.killpg(process.pid, signal.SIGKILL)
        os.close(begun)
        return _count(folder, items, killer, hung=hung)


def _watch(process: subprocess.Popen[bytes], begun: int, killer: Killer) -> bool:
    """Kill until the process has ended; whether it did in time."""
    pidfd = os.pidfd_open(process.pid)
    deadline = time.monotonic() + DEADLINE_S
    try:
        while (left := deadline - time.monotonic()) > 0:
            ready, _, _ = select.select([begun, pidfd], [], [], left)
            if begun in ready:
                killer.read(begun)
            elif pidfd in ready:
                return True
        return False
    finally:
        os.close(pidfd)


def _count(folder: Path, items: int, killer: Killer, *, hung: bool) -> Counter[str]:
    out, failed = (
        Counter(map(int, path.read_text().split()) if path.exists() else ())
        for path in (folder / "out", folder / "failed")
    )
    lost = set(range(items)) - set(out) - set(failed)
    return Counter(
        {
            "in": items,
            "kills": len(killer.killed),
            "out": len(out),
            "failed": len(failed),
            "lost": len(lost),
            "doubled": out.total() - len(out) + sum(1 for n in failed if n in out),
            "innocent": len((lost | set(failed)) - killer.victims),
            "hung": int(hung),
        }
    )


COLUMNS = ("in", "kills", "out", "failed", "lost", "doubled", "innocent", "hung")


def main() -> None:
    """Measure and print, as the table that the README shows."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--items", type=int, default=2000)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--way", choices=WAYS, help="be one of the ways, in this folder")
    options = parser.parse_args()
    if options.way:
        WAYS[options.way](options.items)
        return
    rows = []
    for way in WAYS:
        total: Counter[str] = Counter()
        for seed in range(options.rounds):
            total.update(measure(way, options.items, options.kills, seed))
        rows.append([way, *(f"{total[name]:,}" for name in COLUMNS)])
    print(table(["", *COLUMNS], rows, markdown=True))


if __name__ == "__main__":
    main()
