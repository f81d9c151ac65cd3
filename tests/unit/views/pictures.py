"""Samples of a run that never was, for the tests of its pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from orchestrator.core.samples import (
    FORMAT,
    Header,
    JobSample,
    JobWiring,
    QueueSample,
    QueueWiring,
    Sample,
    Service,
    System,
    WorkerSample,
)

HEADER = Header(
    samples=FORMAT,
    run="20261201T120000-abcd",
    name="census",
    started="2026-12-01T12:00:00Z",
    pid=7,
    jobs=(
        JobWiring(name="find", writes=("files",)),
        JobWiring(name="parse", workers=2, reads=("files",), writes=("facts",)),
        JobWiring(name="write", reads=("facts",)),
        JobWiring(name="report"),
    ),
    queues=(QueueWiring(name="files", maxsize=256), QueueWiring(name="facts", maxsize=64)),
    processors=4,
)
BEFORE = Sample(
    t=10.0,
    jobs=(
        JobSample(state="running", workers=1, items_out=1500, running_s=4.0, blocked_s=6.0),
        JobSample(
            state="running",
            workers=2,
            items_in=800,
            items_out=790,
            running_s=18.0,
            starved_s=2.0,
            service=Service(items=800, total_s=16.0),
        ),
        JobSample(state="waiting_input", workers=1, items_in=790, running_s=1.0, starved_s=9.0),
        JobSample(state="pending"),
    ),
    queues=(
        QueueSample(size=256, put=1500, done=800, area=2000.0),
        QueueSample(size=0, put=790, done=790, area=1.0),
    ),
    workers=(
        WorkerSample(name="find-1", job=0, pid=11, running_s=4.0, blocked_s=6.0, cpu_s=1.0),
        WorkerSample(name="parse-1", job=1, pid=12, running_s=9.0, starved_s=1.0, cpu_s=8.0),
        WorkerSample(name="parse-2", job=1, pid=13, running_s=9.0, starved_s=1.0, cpu_s=8.0),
        WorkerSample(name="write-1", job=2, pid=14, running_s=1.0, starved_s=9.0, cpu_s=0.1),
    ),
    system=System(measured=9.5),
)
SAMPLE = Sample(
    t=12.0,
    jobs=(
        JobSample(state="succeeded", items_out=1706, running_s=4.4, blocked_s=7.6),
        JobSample(
            state="waiting_output",
            workers=2,
            items_in=1000,
            items_out=988,
            retried=3,
            skipped=12,
            running_s=21.9,
            starved_s=2.0,
            blocked_s=0.1,
            service=Service(items=1000, total_s=19.9),
        ),
        JobSample(state="ready", workers=1, items_in=988, running_s=1.4, starved_s=10.6),
        JobSample(state="pending"),
    ),
    queues=(
        QueueSample(size=256, put=1706, done=1000, area=2486.4),
        QueueSample(size=1, put=988, done=988, area=1.2),
    ),
    workers=(
        WorkerSample(
            name="parse-1",
            job=1,
            pid=12,
            running_s=10.9,
            starved_s=1.0,
            blocked_s=0.1,
            cpu_s=9.8,
            rss=45 << 20,
            item="files:999",
            at_item_s=0.012,
        ),
        WorkerSample(
            name="parse-2", job=1, pid=13, running_s=11.0, starved_s=1.0, cpu_s=9.8, rss=45 << 20
        ),
        WorkerSample(
            name="write-1", job=2, pid=14, running_s=1.4, starved_s=10.6, cpu_s=0.14, rss=20 << 20
        ),
    ),
    system=System(measured=11.5),
)
SENTENCE = (
    "`parse` limited the run for 92 %: its 2 workers ran 98 % of the time, `files` was 95 % full, "
    "`write` starved 80 %. 2 of 4 processors were in use: try workers: 4."
)


def run_of(
    jobs: Sequence[tuple[str, dict[str, Any]]], queues: Sequence[tuple[str, int, float]] = ()
) -> tuple[Header, Sample, Sample]:
    """A run of such jobs, each with its row, and queues with their bounds and mean sizes."""
    header = Header(
        samples=FORMAT,
        run="r",
        name="many",
        started="2026-12-01T12:00:00Z",
        pid=7,
        jobs=tuple(JobWiring(name=name) for name, _ in jobs),
        queues=tuple(QueueWiring(name=name, maxsize=most) for name, most, _ in queues),
    )
    before = Sample(
        t=0.0,
        jobs=tuple(JobSample(state="pending") for _ in jobs),
        queues=tuple(QueueSample() for _ in queues),
    )
    sample = Sample(
        t=2.0,
        jobs=tuple(JobSample(**{"state": "running"} | row) for _, row in jobs),
        queues=tuple(QueueSample(size=int(mean), area=2 * mean) for _, _, mean in queues),
    )
    return header, before, sample
