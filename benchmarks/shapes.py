"""Items a second and processor time an item of every call shape, by workers and sizes.

`python -m benchmarks.shapes [--items N] [--rounds N] [--rows item,batch]`. Each cell is a pipeline,
source → map → sink, whose map has the row's shape and 1, 2 or 4 workers. Aligned: queues of 1000,
and batches of 250. Misaligned: a map's batches have 400 items, the sink's 999, so that what is put
never fills a batch beside what is there. All cells are run in turn, round by round, and a figure is
the median of its rounds. Start-up is not measured: seconds are those from the source's first item
to the sink's last, and the processor time of a run of two items is subtracted.

A cell is marked where its rate is less than half of the best of its row (`!`), or its processor
time an item more than twice the least (`*`). docs/speed.md has the reasons for those that are left.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import figures, processes
from benchmarks.ways import target

MAXSIZE = 1000
WORKERS = (1, 2, 4)
BATCHES = {"aligned": (250, 250), "misaligned": (400, 999)}
"""The sizes of the map's batches and of the sink's."""

Keys = dict[str, Any]

ROWS: dict[str, Keys] = {
    "item": {"target": "item"},
    "item, handle": {"target": "item_put", "output": {"out": "b"}},
    "item, generator": {"target": "item_yield"},
    "batch": {"target": "batch", "call": "batch"},
    "batch, handle": {"target": "batch_put", "call": "batch", "output": {"out": "b"}},
    "stream": {"target": "stream", "call": "stream"},
    "stream, handle": {"target": "stream_put", "call": "stream", "output": {"out": "b"}},
    "handles both ways": {
        "target": "handles",
        "input": {"numbers": "a"},
        "output": {"out": "b"},
    },
    "ordered": {"target": "item", "ordered": True},
    "ordered, handle": {"target": "item_put", "ordered": True, "output": {"out": "b"}},
    "fan-out": {"target": "item", "output": ["b", "c"]},
    "fan-in": {"target": "item", "input": ["a", "d"]},
    "routes": {"target": "route", "output": {"even": "b", "odd": "c"}},
    "max_bytes": {"target": "item"},
}


class Cell(NamedTuple):
    """One figure's place in the table."""

    row: str
    workers: int
    sizes: str


class Figures(NamedTuple):
    """What one run took, or the medians of several."""

    rate: float
    """Items a second."""
    cpu_us: float
    """Processor time an item, in microseconds, of all processes of the run."""


def spec_of(cell: Cell, n: int) -> tuple[Keys, Keys]:
    """The jobs and queues of the cell's pipeline for n items (an even number)."""
    of_map, of_sink = BATCHES[cell.sizes]
    keys = {"input": "a", "output": "b", **ROWS[cell.row], "workers": cell.workers}
    keys["target"] = target(keys["target"], "shape_targets")
    if keys.get("call") == "batch":
        keys["batch"] = {"size": of_map, "within": "1s"}
    jobs = {"map": keys}
    inputs = keys["input"] if isinstance(keys["input"], list) else ["a"]
    share = n // len(inputs)
    for at, queue in enumerate(inputs):
        jobs[f"source_{queue}"] = {
            "target": target("source", "shape_targets"),
            "args": [at * share, (at + 1) * share, "clock"],
            "output": queue,
        }
    outputs = keys["output"]
    names = [outputs] if isinstance(outputs, str) else [*_values(outputs)]
    for queue in names:
        jobs[f"sink_{queue}"] = {
            "target": target("Sink", "shape_targets"),
            "args": [n // 2 if isinstance(outputs, dict) and len(names) > 1 else n, "clock"],
            "input": queue,
            "call": "batch",
            "batch": {"size": of_sink, "within": "1s"},
        }
    of_queue: Any = MAXSIZE
    if cell.row == "max_bytes":
        of_queue = {"maxsize": MAXSIZE, "max_bytes": "100KiB"}
    return jobs, dict.fromkeys([*inputs, *names], of_queue)


def _values(outputs: Any) -> list[str]:
    return list(outputs.values()) if isinstance(outputs, dict) else outputs


def run(cell: Cell, n: int) -> tuple[float, float]:
    """Run the cell's pipeline; its seconds from the first item to the last, and CPU seconds."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        processes.lay_spec(folder, *spec_of(cell, n))
        took = processes.run(processes.mporch(), folder, timeout_s=600)
        found = processes.stamps(folder)
        return max(found) - min(found), took.cpu_s


def measure(cells: list[Cell], n: int, rounds: int) -> dict[Cell, Figures]:
    """The medians of several rounds, in each of which all cells are run in turn."""
    found: dict[Cell, list[tuple[float, float]]] = {cell: [] for cell in cells}
    starts: dict[tuple[str, int], list[float]] = {}
    for _ in range(rounds):
        for cell in cells:
            if cell.sizes == cells[0].sizes:
                starts.setdefault((cell.row, cell.workers), []).append(run(cell, 2)[1])
            found[cell].append(run(cell, n))
    return {
        cell: _figures(runs, n, statistics.median(starts[cell.row, cell.workers]))
        for cell, runs in found.items()
    }


def _figures(runs: list[tuple[float, float]], n: int, start_cpu_s: float) -> Figures:
    seconds, cpu_s = (statistics.median(column) for column in zip(*runs, strict=True))
    return Figures(rate=n / seconds, cpu_us=max(0.0, cpu_s - start_cpu_s) / n * 1e6)


def marks_of(found: dict[Cell, Figures]) -> dict[Cell, str]:
    """Which cells are worse than half of the best of their row."""
    marks: dict[Cell, str] = {}
    for row in {cell.row for cell in found}:
        of_row = {cell: one for cell, one in found.items() if cell.row == row}
        best = max(one.rate for one in of_row.values())
        least = min(one.cpu_us for one in of_row.values())
        for cell, one in of_row.items():
            slow, dear = 2 * one.rate < best, one.cpu_us > 2 * least
            marks[cell] = "!" * slow + "*" * dear
    return marks


def table(found: dict[Cell, Figures]) -> str:
    """Thousands of items a second, and microseconds of processor time an item, by cell."""
    marks = marks_of(found)
    columns = [(sizes, workers) for sizes in BATCHES for workers in WORKERS]
    heads = [f"{sizes}, {workers}" for sizes, workers in columns]
    lines = []
    for row in dict.fromkeys(cell.row for cell in found):
        cells = [Cell(row, workers, sizes) for sizes, workers in columns]
        texts = [
            f"{found[cell].rate / 1000:,.0f} · {found[cell].cpu_us:.1f}{' ' * bool(marks[cell])}"
            f"{marks[cell]}"
            for cell in cells
        ]
        lines.append([row, *texts])
    return figures.table(["map", *heads], lines, markdown=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rows", default=";".join(ROWS), help="names, with ; between them")
    options = parser.parse_args()
    rows = options.rows.split(";")
    if unknown := [row for row in rows if row not in ROWS]:
        parser.error(f"--rows: there is no row {unknown[0]!r}")
    cells = [Cell(row, workers, sizes) for sizes in BATCHES for workers in WORKERS for row in rows]
    processes.adopt_orphans()
    found = measure(cells, options.items // 2 * 2, options.rounds)
    print("thousands of items a second · microseconds of processor time an item\n")
    print(table(found))


if __name__ == "__main__":
    main()
