"""Events of a run into its log, against structlog's JSON chain: each kind by the same record.

    python -m benchmarks.events [--rounds N] [--events N]

What becomes of items (skipped, retried, dead), with a traceback of one frame and of four, and lines
that a target printed. Both write the same fields into files of one directory, buffered; mporch's
log is committed every `TURN` events, as the conductor does it at the end of a turn, structlog's
never. The rounds are interleaved; the figures are microseconds of processor time an event, those
of the system included, the medians of the rounds.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import structlog

from benchmarks import figures
from benchmarks.log import TEXT, chain
from orchestrator.core.protocol.messages import Failure
from orchestrator.core.protocol.notifications import (
    ItemDead,
    ItemRetried,
    ItemSkipped,
    Notification,
    OutputLine,
    Stream,
    WorkerStarted,
)
from orchestrator.runlog.catalogue import describe
from orchestrator.runlog.writer import RunLog

TURN = 24
"""The median of a run in which two workers skip every item as fast as they can."""

_FRAME = '  File "/home/me/census/parsing.py", line {line}, in {name}\n    return {name}(text)\n'
_CHANGES = ("ts", "run", "event", "level", "job", "worker", "pid")


def failure(frames: int) -> Failure:
    """A failure of a target that is so deep."""
    names = ("parse", "module", "function", "constant")[:frames]
    told = "".join(_FRAME.format(line=31 + n, name=name) for n, name in enumerate(names))
    message = "invalid literal for int() with base 10: '0x1f'"
    return Failure(
        kind="ValueError",
        message=message,
        traceback=f"Traceback (most recent call last):\n{told}ValueError: {message}\n",
        where=f"/home/me/census/parsing.py:{30 + frames}",
    )


def facts() -> dict[str, Callable[[], Notification]]:
    """What makes one of each kind, as the broker does."""
    made: dict[str, Callable[[], Notification]] = {}
    for frames in (1, 4):
        why = failure(frames)
        told = f"{frames} frame{'s' * (frames > 1)}"
        made |= {
            f"skipped, {told}": lambda why=why: ItemSkipped(
                job="parse", worker="parse-1", item="texts:676", queue="texts", failure=why
            ),
            f"retried, {told}": lambda why=why: ItemRetried(
                job="parse",
                worker="parse-1",
                item="texts:676",
                queue="texts",
                attempts=2,
                delay_s=0.25,
                failure=why,
            ),
            f"dead, {told}": lambda why=why: ItemDead(
                job="parse",
                worker="parse-1",
                item="texts:676",
                queue="texts",
                attempts=3,
                failure=why,
                chunk=b"",
                index=0,
                packed=False,
            ),
        }
    made["output"] = lambda: OutputLine(
        job="parse", worker="parse-1", pid=4242, stream=Stream.STDOUT, text=TEXT
    )
    return made


def ours(folder: Path, make: Callable[[], Notification], events: int) -> Path:
    """Write so many by the run's log; returns the file."""
    log = RunLog(folder, "2026-12-01-census-ab12")
    log.notify(WorkerStarted(job="parse", worker="parse-1", pid=4242, start_method="forkserver"))
    for n in range(events):
        log.add(make())
        if n % TURN == 0 and log.urgent:
            log.flush()
    log.close()
    return log.path


def theirs(folder: Path, record: dict[str, Any], events: int) -> Path:
    """Write so many by structlog, with the fields of `record`."""
    path = folder / "structlog.jsonl"
    fields = {name: value for name, value in record.items() if name not in _CHANGES}
    with path.open("w") as file:
        log: structlog.typing.FilteringBoundLogger = chain(file).bind(
            run=record["run"], job=record["job"], worker=record["worker"], pid=record["pid"]
        )
        tell = getattr(log, record["level"])
        for _ in range(events):
            tell(record["event"], **fields)
    return path


def written(make: Callable[[], Notification]) -> dict[str, Any]:
    """One record, as the run's log writes it."""
    with tempfile.TemporaryDirectory() as name:
        record = json.loads(ours(Path(name), make, 1).read_text().splitlines()[-1])
    assert record["event"] == describe(make())[0]
    return dict(record)


def cost_us(way: Callable[[Path], Path], events: int) -> float:
    """Run once, into a new directory."""
    with tempfile.TemporaryDirectory() as name:
        began = time.process_time()
        way(Path(name))
        return (time.process_time() - began) / events * 1e6


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--events", type=int, default=5_000)
    options = parser.parse_args()
    made, events = facts(), options.events
    records = {kind: written(make) for kind, make in made.items()}
    took: dict[tuple[str, str], list[float]] = {}
    for _ in range(options.rounds):
        for kind, make in made.items():
            for whose, way in (
                ("structlog", lambda folder: theirs(folder, records[kind], events)),  # noqa: B023
                ("mporch", lambda folder: ours(folder, make, events)),  # noqa: B023
            ):
                took.setdefault((kind, whose), []).append(cost_us(way, events))
    rows = []
    for kind in made:
        peer, own = (statistics.median(took[kind, whose]) for whose in ("structlog", "mporch"))
        pairs = zip(took[kind, "structlog"], took[kind, "mporch"], strict=True)
        ratios = sorted(them / us for them, us in pairs)
        rows.append([kind, f"{peer:.2f}", f"{own:.2f}", f"{peer / own:.2f}", f"{ratios[0]:.2f}"])
    head = ["CPU µs an event", "structlog", "mporch", "structlog : mporch", "its worst round"]
    print(figures.table(head, rows))


if __name__ == "__main__":
    main()
