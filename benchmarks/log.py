"""Events a second into a log file: the run log's short way against structlog's JSON chain.

    python benchmarks/log.py [EVENTS]

Both write the same lines of output of a worker, to files in the same directory, in the same run.
"""

from __future__ import annotations

import io
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import structlog

from orchestrator.core.facts import Output, RunEnded, Stream, WorkerReady
from orchestrator.runlog.writer import RunLog

TEXT = "2026-11-23 08:00:00 parsed /usr/lib/python3.11/asyncio/base_events.py: 1,967 lines"


def short_way(directory: Path, events: int) -> None:
    log = RunLog(directory, "short")
    for _ in range(events):
        fact = Output(job="parse", worker="parse-1", pid=4242, stream=Stream.STDOUT, text=TEXT)
        log.fact(fact)
    log.fact(RunEnded(status="succeeded", exit_code=0, duration_s=0.0))
    log.close()


def own_events(directory: Path, events: int) -> None:
    log = RunLog(directory, "own")
    for _ in range(events):
        log.fact(WorkerReady(job="parse", worker="parse-1", pid=4242, start_s=0.1))
    log.close()


def structlog_chain(directory: Path, events: int) -> None:
    with (directory / "structlog.jsonl").open("w") as file:
        log = chain(file).bind(run="r1", job="parse", worker="parse-1", pid=4242)
        for _ in range(events):
            log.info("output", msg=TEXT, stream="stdout")


def chain(file: io.TextIOBase) -> structlog.typing.FilteringBoundLogger:
    """The processors of structlog's own page on JSON logs, into a buffered file."""
    return structlog.wrap_logger(
        structlog.WriteLogger(file),
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.StackInfoRenderer(),
            structlog.processors.format_exc_info,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(0),
    )


def rate(way: Callable[[Path, int], None], events: int) -> float:
    with tempfile.TemporaryDirectory() as directory:
        began = time.perf_counter()
        way(Path(directory), events)
        return events / (time.perf_counter() - began)


def main() -> None:
    events = int(sys.argv[1]) if len(sys.argv) > 1 else 200_000
    peer = rate(structlog_chain, events // 5)
    for name, way in (("short way", short_way), ("own events", own_events)):
        ours = rate(way, events if way is short_way else events // 5)
        print(f"{name:12} {ours:10,.0f} events/s  {ours / peer:5.1f} x structlog's JSON chain")
    print(f"{'structlog':12} {peer:10,.0f} events/s")


if __name__ == "__main__":
    main()
