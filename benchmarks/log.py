"""What a line of the log costs, in the orchestrator and in a worker.

    python -m benchmarks.log [EVENTS]

Events a second into a log file: the run log's short way against structlog's JSON chain. Both write
the same lines of output of a worker, to files in the same directory, in the same run. Then the
processor time of an event in the worker, its system calls included, against Python's own way of
writing it to a pipe; another process reads whatever is written.
"""

from __future__ import annotations

import io
import logging
import os
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import structlog

from benchmarks.figures import table
from orchestrator.core.protocol.notifications import OutputLine, RunEnded, Stream, WorkerReady
from orchestrator.engine.node.child import _line_writer
from orchestrator.ipc.marks import Console
from orchestrator.runlog.writer import RunLog
from orchestrator.worker import logs

TEXT = "2026-11-23 08:00:00 parsed /usr/lib/python3.11/asyncio/base_events.py: 1,967 lines"


def short_way(directory: Path, events: int) -> None:
    log = RunLog(directory, "short")
    for _ in range(events):
        fact = OutputLine(job="parse", worker="parse-1", pid=4242, stream=Stream.STDOUT, text=TEXT)
        log.notify(fact)
    log.notify(RunEnded(status="succeeded", exit_code=0, duration_s=0.0))
    log.close()


def own_events(directory: Path, events: int) -> None:
    log = RunLog(directory, "own")
    for _ in range(events):
        log.notify(WorkerReady(job="parse", worker="parse-1", pid=4242, start_s=0.1))
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


CASES: dict[str, Callable[[], Callable[[int], Any]]] = {
    "print": lambda: lambda n: print("parsed", n),
    "logging": lambda: lambda n: logging.getLogger("bench").info("parsed %d", n),
    "with extras": lambda: (
        lambda n: logging.getLogger("bench").info("parsed %d", n, extra={"n": n, "path": "a.txt"})
    ),
    "stream handler": lambda: (
        logging.basicConfig(level=20, stream=sys.stdout, format="%(asctime)s %(message)s")
        or (lambda n: logging.getLogger("bench").info("parsed %d", n))
    ),
    "structlog": lambda: lambda n: structlog.get_logger().info("parsed", n=n, path="a.txt"),
}


def reader(*fds: int) -> None:
    """Read all that comes, in a process of its own."""

    def drain(fd: int) -> None:
        while os.read(fd, 1 << 17):
            pass

    threads = [threading.Thread(target=drain, args=(fd,)) for fd in fds]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def in_worker(case: str, events: int, tell: int, *, marked: bool) -> None:
    """Measure one case in this process, whose standard output goes to a reader."""
    theirs, ours = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    read_fd, write_fd = os.pipe()
    if not os.fork():
        ours.close()
        os.close(write_fd)
        reader(read_fd, theirs.fileno())
        os._exit(0)
    os.dup2(write_fd, 1)
    os.close(write_fd)
    console = Console("0123abcd", [1])
    alone = io.TextIOWrapper(io.FileIO(1, "w", closefd=False), line_buffering=True)
    sys.stdout = _line_writer(1, console) if marked else alone
    if marked:
        logs.install(ours, console)
    elif case in ("logging", "with extras"):
        logging.basicConfig(level=20, stream=sys.stdout)
    call, best = CASES[case](), float("inf")
    for _ in range(4):
        began = time.process_time()
        for n in range(events):
            call(n)
        best = min(best, time.process_time() - began)
    os.write(tell, f"{best / events * 1e6:6.2f}".encode())
    os._exit(0)


def cost(case: str, events: int, *, marked: bool) -> str:
    read_fd, write_fd = os.pipe()
    if not os.fork():
        in_worker(case, events, write_fd, marked=marked)
    os.close(write_fd)
    with os.fdopen(read_fd) as told:
        return told.read()


def main() -> None:
    events = int(sys.argv[1]) if len(sys.argv) > 1 else 200_000
    peer = rate(structlog_chain, events // 5)
    rows = [["structlog's JSON chain", f"{peer:,.0f}", ""]]
    for name, way in (("short way", short_way), ("own events", own_events)):
        ours = rate(way, events if way is short_way else events // 5)
        rows.append([name, f"{ours:,.0f}", f"{ours / peer:.1f}"])
    print(table(["log", "events/s", "ratio"], rows))
    costs = [
        [case, *(cost(case, events // 10, marked=marked) for marked in (True, False))]
        for case in CASES
    ]
    print(table(["CPU µs an event", "in a worker", "alone"], costs))


if __name__ == "__main__":
    main()
