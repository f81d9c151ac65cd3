"""Ways to do a work: the commands of mporch and of its peers, laid ready in a folder."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import pairs
from benchmarks.figures import percentile
from benchmarks.processes import Took, lay_spec, lay_targets, mporch, stamps

KEEP_BYTES = str(256 << 20)
MALLOC = {"MALLOC_MMAP_THRESHOLD_": KEEP_BYTES, "MALLOC_TRIM_THRESHOLD_": KEEP_BYTES}
"""What mporch gives its workers: without it glibc maps and unmaps each large item."""


DISTRIBUTIONS = {
    "faster_fifo": "faster-fifo",
    "joblib": "joblib",
    "numpy": "numpy",
    "pypeln": "pypeln",
    "zmq": "pyzmq",
}
"""By module: all of the extra `bench`."""


@dataclass(frozen=True)
class Place:
    """Where one run of a way happens, and how large it is."""

    folder: Path
    n: int
    python: str = sys.executable


@dataclass(frozen=True)
class Way:
    """One of those who do a work."""

    name: str
    prepare: Callable[[Place], Sequence[str]]
    """Lays files in the folder and returns the command."""
    env: dict[str, str] = field(default_factory=dict)
    needs: str = ""
    """The module without which it is missing."""
    product: bool = False
    """Whether it is mporch, and so is run by each build."""
    cap: int = 1 << 40
    """Items at most: it keeps all of them at once."""

    def missing(self) -> str:
        """Why it cannot be run here; empty if it can."""
        if not self.needs or importlib.util.find_spec(self.needs):
            return ""
        return f"no module {self.needs} (`pip install {DISTRIBUTIONS[self.needs]}`)"


def target(name: str, module: str = "stages") -> str:
    """A function of the benchmarks as a spec names it."""
    return f"benchmarks.{module}:{name}"


def module_command(place: Place, module: str, *arguments: str) -> list[str]:
    """The command that runs a module of the benchmarks in the folder."""
    lay_targets(place.folder)
    return [place.python, "-m", f"benchmarks.{module}", *arguments]


def peer(key: str, kind: str, bound: int) -> Callable[[Place], Sequence[str]]:
    """A pipeline of `benchmarks.peers`."""

    def prepare(place: Place) -> Sequence[str]:
        return module_command(place, "peers", key, kind, str(place.n), str(bound))

    return prepare


@dataclass(frozen=True)
class Pipeline:
    """Source → map → sink as a spec of mporch."""

    kind: str
    bound: int | None = None
    """The queues' `maxsize`; None: what mporch takes when none is written."""
    handles: bool = False
    map_keys: dict[str, Any] = field(default_factory=dict)
    spec_keys: dict[str, Any] = field(default_factory=dict)

    def __call__(self, place: Place) -> Sequence[str]:
        """Write the spec."""
        jobs = self._with_handles(place.n) if self.handles else self._by_item(place)
        lay_spec(place.folder, jobs, {"a": self.bound, "b": self.bound}, **self.spec_keys)
        return mporch(python=place.python)

    def _by_item(self, place: Place) -> dict[str, Any]:
        sizes = [place.n, "clock"]
        return {
            "source": {"target": target("source"), "args": [self.kind, *sizes], "output": "a"},
            "map": {"target": target("same"), "input": "a", "output": "b", **self.map_keys},
            "sink": {"target": target("Sink"), "args": sizes, "input": "b"},
        }

    def _with_handles(self, n: int) -> dict[str, Any]:
        return {
            "source": {
                "target": target("put_all"),
                "args": [self.kind, n, "clock"],
                "output": {"out": "a"},
            },
            "map": {
                "target": target("move"),
                "args": [n],
                "input": {"source": "a"},
                "output": {"out": "b"},
            },
            "sink": {"target": target("drain"), "args": [n, "clock"], "input": {"source": "b"}},
        }


def rate(place: Place, _took: Took) -> list[float]:
    """Items a second, from the first that is asked for to the last that has come."""
    found = stamps(place.folder)
    return [place.n / (max(found) - min(found))]


# -- single items -------------------------------------------------------------------------------


def pair(what: str, key: str) -> Callable[[Place], Sequence[str]]:
    """Two processes of `benchmarks.pairs`."""
    return lambda place: module_command(place, "pairs", what, key, str(place.n))


def ages_in_a_run(place: Place) -> Sequence[str]:
    """Items that a source yields, through an item job, to a handle."""
    jobs = {
        "first": {"target": target("times", "pairs"), "kwargs": {"n": place.n}, "output": "a"},
        "middle": {"target": target("same"), "input": "a", "output": "b"},
        "last": {
            "target": target("read", "pairs"),
            "kwargs": {"n": place.n, "path": "found"},
            "input": {"source": "b"},
        },
    }
    lay_spec(place.folder, jobs, {"a": 1000, "b": 1000})
    return mporch(python=place.python)


def waits(place: Place, _took: Took) -> list[float]:
    """The median and the 99th percentile, in microseconds."""
    found = pairs.found(place.folder)
    return [percentile(found, 50), percentile(found, 99)]


# -- starting -----------------------------------------------------------------------------------


def code(text: str) -> Callable[[Place], Sequence[str]]:
    """A program of the standard library or of a peer; it may use `place` for its size."""

    def prepare(place: Place) -> Sequence[str]:
        lay_targets(place.folder)
        return [place.python, "-c", text, str(place.n)]

    return prepare


def command(*arguments: str) -> Callable[[Place], Sequence[str]]:
    """The command `mporch` as it is installed."""

    def prepare(place: Place) -> Sequence[str]:
        script = Path(place.python).with_name("mporch")
        run = [str(script)] if script.exists() else [place.python, "-m", "orchestrator"]
        return [*run, *arguments]

    return prepare


def tasks(name: str, *arguments: str) -> Callable[[Place], Sequence[str]]:
    """A run of n jobs of one worker, each of them a call of one function."""

    def prepare(place: Place) -> Sequence[str]:
        job = {"target": target(name), "args": list(arguments)}
        lay_spec(place.folder, {f"job{i}": job for i in range(place.n)}, {})
        return mporch(python=place.python)

    return prepare


def thousand_jobs(*arguments: str) -> Callable[[Place], Sequence[str]]:
    """A command of mporch, or `python -c`, on a spec of n jobs, functions and queues."""

    def prepare(place: Place) -> Sequence[str]:
        (place.folder / "jobs.yaml").write_text(wide_spec(place.n), encoding="utf-8")
        (place.folder / "steps.py").write_text(steps(place.n), encoding="utf-8")
        if arguments[0] == "-c":
            return [place.python, *arguments]
        return command(*arguments)(place)

    return prepare


def steps(n: int) -> str:
    """A module with the functions of n jobs in a row, and of the one at their end."""
    source = "def f0() -> list[int]:\n    return [1]\n"
    step = "def f{}(number: int, by: int = 2) -> int:\n    return number * by\n"
    return source + "".join(step.format(i) for i in range(1, n)) + "def last(number: int): ...\n"


def wide_spec(n: int) -> str:
    """A spec of n jobs in a row, and n queues: each between two of them, the last too."""
    lines = ["version: 1", "queues:"]
    lines += [f"  q{i}_: {{maxsize: 64}}" for i in range(n)]
    lines.append("jobs:")
    for i in range(n):
        lines += [f"  j{i}_:", f"    target: steps:f{i}", f"    output: q{i}_", "    workers: 1"]
        if i:
            lines += [f"    input: q{i - 1}_", "    timeouts: {item: 10s}"]
    lines[-1] += f"\n  last: {{target: 'steps:last', input: q{n - 1}_}}"
    return "\n".join(lines) + "\n"


def milliseconds(_place: Place, took: Took) -> list[float]:
    """The whole command, in milliseconds."""
    return [took.wall_s * 1e3]


def milliseconds_each(place: Place, took: Took) -> list[float]:
    """The whole command's milliseconds by its size."""
    return [took.wall_s * 1e3 / place.n]


def between_stamps(place: Place, _took: Took) -> list[float]:
    """Milliseconds from one stamp to the next, on average: what each after the first adds."""
    found = stamps(place.folder)
    if len(found) != place.n:
        raise ValueError(f"{len(found)} of {place.n} were ready")
    return [(max(found) - min(found)) * 1e3 / (place.n - 1)]
