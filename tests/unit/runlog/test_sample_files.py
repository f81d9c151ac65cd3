"""The files of samples: what stays, what is cut short, and what a disk without room costs."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

import msgspec
import pytest

from orchestrator.core.samples import (
    FORMAT,
    Header,
    JobSample,
    JobWiring,
    QueueSample,
    QueueWiring,
    Sample,
    WorkerSample,
)
from orchestrator.errors import RunDirectoryError
from orchestrator.runlog import samples as module
from orchestrator.runlog.samples import RECENT_NAMES, SAMPLES_NAME, SampleFiles, read_samples


def header(started: str = "2026-01-02T03:04:05Z", **keys: Any) -> Header:
    about: dict[str, Any] = {"samples": FORMAT, "run": "r", "name": "n", "pid": 7} | keys
    jobs, queues = (JobWiring(name="j"),), (QueueWiring(name="q"),)
    return Header(started=started, jobs=jobs, queues=queues, **about)


def sample(t: float, *, workers: int = 1, last: bool = False) -> Sample:
    return Sample(
        t=t,
        jobs=(JobSample(state="ready", items_in=int(t)),),
        queues=(QueueSample(put=int(t)),),
        workers=tuple(WorkerSample(name=f"j-{n}", job=0) for n in range(workers)),
        last=last,
    )


def times(directory: Path) -> list[float]:
    (life,) = read_samples(directory)
    return [each.t for each in life.samples]


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of 8 lines, not 2,400."""
    monkeypatch.setattr(module, "LINES", 8)


def test_a_short_run_has_each_of_its_samples(tmp_path: Path) -> None:
    files = SampleFiles(tmp_path, header())
    for t in range(5):
        files.add(sample(t))
    files.close()
    assert times(tmp_path) == [0, 1, 2, 3, 4]


def test_a_long_run_has_ever_fewer_and_the_newest_of_all(tmp_path: Path) -> None:
    files = SampleFiles(tmp_path, header())
    for t in range(100):
        files.add(sample(t))
    found = times(tmp_path)  # it is killed: nothing is closed
    whole = [*range(8), *range(8, 24, 2), *range(24, 56, 4), *range(56, 100, 8)]
    newest = [t for t in found if t not in whole]
    assert [t for t in found if t in whole] == whole
    assert newest == [t for t in range(int(min(newest)), 100) if t not in whole]
    assert len(newest) >= 3
    assert found[-1] == 99


def test_the_last_sample_is_kept_at_any_density(tmp_path: Path) -> None:
    files = SampleFiles(tmp_path, header())
    for t in range(29):
        files.add(sample(t, last=t == 27))
    lines = (tmp_path / SAMPLES_NAME).read_text().splitlines()
    assert [json.loads(line)["t"] for line in lines if '"last":true' in line] == [27]


def test_every_eighth_line_of_the_whole_has_workers_and_each_of_the_newest(tmp_path: Path) -> None:
    files = SampleFiles(tmp_path, header())
    for t in range(10):
        files.add(sample(t, workers=2))
    lines = [json.loads(line) for line in (tmp_path / SAMPLES_NAME).read_text().splitlines()]
    assert [line["t"] for line in lines[1:] if "workers" in line] == [0, 8]
    (life,) = read_samples(tmp_path)
    assert [len(each.workers) for each in life.samples][4:] == [2] * 6


def test_a_run_that_is_resumed_has_two_lives(tmp_path: Path) -> None:
    for started, stop in [("2026-01-02T03:04:05Z", 3), ("2026-01-02T03:09:05Z", 2)]:
        files = SampleFiles(tmp_path, header(started))
        for t in range(stop):
            files.add(sample(t))
        files.close()
    lives = read_samples(tmp_path)
    assert [(life.header.started[14:16], len(life.samples)) for life in lives] == [
        ("04", 3),
        ("09", 2),
    ]


@pytest.mark.parametrize(
    ("damage", "left", "damaged"),
    [
        (b'{"t":9.0,"jobs":[["rea', [0, 1], 0),
        (b'{"t":9.0,"jobs":[["ready"]]}\0\n', [0, 1], 1),
        (b"\0\0\0\0\n", [0, 1], 1),
        (b'{"t":9.0,"jobs":[]}\n', [0, 1], 1),
        (b'{"t":9.0,"jobs":[["ready"]],"queues":[[1]],"workers":[["j-9",7]]}\n', [0, 1], 1),
        (b'{"t":9.0,"jobs":[["ready"]],"queues":[[1]],"workers":[["j-9",-1]]}\n', [0, 1], 1),
        (b'{"t":9.0,"jobs":[["ready"]],"queues":[[1]],"more":1}\n', [0, 1, 9], 0),
        (b'{"t":"x"}\n', [0, 1], 1),
        (b'{"samples":\n', [0, 1], 0),
        (b"\xff\xfe{}\n", [0, 1], 1),
        (b'{"t":1e300,"jobs":[["ready"]],"queues":[[1]]}\n', [0, 1], 1),
        (b'{"t":1.0000000000000001e17,"jobs":[["ready"]],"queues":[[1]]}\n', [0, 1], 1),
        (b'{"t":5e-324,"jobs":[["ready"]],"queues":[[1]]}\n', [0, 1], 1),
        (b'{"t":9.0,"jobs":[["ready",%s]],"queues":[[1]]}\n' % (b"9" * 400), [0, 1], 1),
        (b'{"t":9.0,"jobs":[["ready",-1e200]],"queues":[[1]]}\n', [0, 1], 1),
        (b'{"t":9.0,"jobs":[["ready"]],"queues":[[1,%s]]}\n' % (b"9" * 400), [0, 1], 1),
        (b'{"t":9.0,"jobs":[["1e99"]],"queues":[[1,0,0,1e-06]]}\n', [0, 1, 9], 0),
    ],
)
def test_what_is_damaged_is_left_out(
    tmp_path: Path, damage: bytes, left: list[float], damaged: int
) -> None:
    files = SampleFiles(tmp_path, header())
    for t in range(2):
        files.add(sample(t))
    files.close()
    with (tmp_path / SAMPLES_NAME).open("ab") as file:
        file.write(damage)
    (life,) = read_samples(tmp_path)
    assert [each.t for each in life.samples] == left
    assert life.damaged == damaged


def test_a_header_with_numbers_that_are_none_begins_no_life(tmp_path: Path) -> None:
    head = msgspec.json.encode(header(memory=1)).replace(b'"memory":1', b'"memory":' + b"9" * 400)
    line = b'{"t":1.0,"jobs":[["ready"]],"queues":[[1]]}\n'
    (tmp_path / SAMPLES_NAME).write_bytes(head + b"\n" + line)
    assert read_samples(tmp_path) == []


def test_a_line_that_was_cut_short_is_taken_away_by_the_next_life(tmp_path: Path) -> None:
    SampleFiles(tmp_path, header()).close()
    with (tmp_path / SAMPLES_NAME).open("ab") as file:
        file.write(b'{"t":9.0,"jo')
    files = SampleFiles(tmp_path, header("2026-01-02T04:00:00Z"))
    files.add(sample(1))
    files.close()
    assert [life.damaged for life in read_samples(tmp_path)] == [0, 0]


def test_a_later_version_is_said_to_be_one(tmp_path: Path) -> None:
    SampleFiles(tmp_path, header(samples=FORMAT + 1)).close()
    with pytest.raises(RunDirectoryError, match="later version"):
        read_samples(tmp_path)


def test_columns_that_a_later_version_adds_at_the_end_are_no_damage(tmp_path: Path) -> None:
    SampleFiles(tmp_path, header()).close()
    fields = [*msgspec.to_builtins(JobSample(state="ready")), "new"]
    fields[JobSample.__struct_fields__.index("service")].append("new")
    row = json.dumps(fields)
    with (tmp_path / SAMPLES_NAME).open("a") as file:
        file.write(f'{{"t":1.0,"jobs":[{row}],"queues":[[1]]}}\n')
    assert times(tmp_path) == [1.0]


def test_an_older_run_has_none(tmp_path: Path) -> None:
    assert read_samples(tmp_path) == []


def test_a_full_disk_costs_samples_and_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = SampleFiles(tmp_path, header())
    files.add(sample(0))
    write = os.pwrite
    full = [True]

    def short(fd: int, data: bytes, at: int) -> int:
        if full[0]:
            write(fd, data[:3], at)
            raise OSError(errno.ENOSPC, "full")
        return write(fd, data, at)

    monkeypatch.setattr(os, "pwrite", short)
    for t in range(1, 10):
        files.add(sample(t))
    assert files.dropped >= 9
    assert "No space left" in files.trouble
    full[0] = False
    for t in range(10, 100):
        files.add(sample(t))
    files.close()
    found = times(tmp_path)
    assert found[0] == 0
    assert found[-1] == 99
    (life,) = read_samples(tmp_path)
    assert life.damaged == 0


def test_a_life_that_begins_on_a_full_disk_is_not_taken_for_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = SampleFiles(tmp_path, header())
    files.add(sample(7))
    files.close()
    write = os.pwrite

    def none(fd: int, data: bytes, at: int) -> int:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "pwrite", none)
    files = SampleFiles(tmp_path, header("2026-01-02T04:00:00Z"))
    monkeypatch.setattr(os, "pwrite", write)
    for t in range(100):
        files.add(sample(t))
    files.close()
    before, after = read_samples(tmp_path)
    assert [each.t for each in before.samples] == [7]
    assert after.samples[-1].t == 99
    (tmp_path / SAMPLES_NAME).unlink()
    assert read_samples(tmp_path)[-1].samples[-1].t == 99


@pytest.mark.parametrize("late", ["2026-01-02T04:00:00Z", "2026-01-02T02:00:00Z"])
def test_lives_are_in_order_whatever_the_clock_says(tmp_path: Path, late: str) -> None:
    for started, t in ((header().started, 1), (late, 2)):
        files = SampleFiles(tmp_path, header(started))
        files.add(sample(t))
        files.close()
    assert [life.samples[-1].t for life in read_samples(tmp_path)] == [1, 2]


def test_a_life_that_the_whole_has_lost_is_in_its_place(tmp_path: Path) -> None:
    files = SampleFiles(tmp_path, header())
    files.add(sample(1))
    files.close()
    (tmp_path / SAMPLES_NAME).write_bytes(bytes(1000))
    files = SampleFiles(tmp_path, header("2026-01-02T04:00:00Z"))
    files.add(sample(2))
    files.close()
    assert [life.samples[-1].t for life in read_samples(tmp_path)] == [1, 2]


def test_what_nobody_reads_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_BYTES", 1 << 16)
    SampleFiles(tmp_path, header()).close()
    os.truncate(tmp_path / SAMPLES_NAME, 1 << 40)
    files = SampleFiles(tmp_path, header("2026-01-02T04:00:00Z"))
    files.add(sample(2))
    files.close()
    assert (tmp_path / SAMPLES_NAME).stat().st_size < 1 << 16
    assert read_samples(tmp_path)[-1].samples[-1].t == 2


@pytest.mark.parametrize("names", [[SAMPLES_NAME], RECENT_NAMES])
def test_a_link_in_the_place_of_a_file_is_not_followed(tmp_path: Path, names: list[str]) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("mine")
    for name in names:
        (tmp_path / name).symlink_to(elsewhere)
    files = SampleFiles(tmp_path, header())
    files.add(sample(0))
    files.close()
    assert elsewhere.read_text() == "mine"
    assert files.dropped
    assert files.trouble
