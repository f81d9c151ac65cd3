"""A part of a pipeline: it runs to its end, what nobody reads is counted, resume keeps to it."""

import json
import os
from pathlib import Path

import pytest
from e2e_runs import finished

SPEC = """\
version: 1
queues: {numbers: 10, good: 5, odd: {maxsize: 5, max_bytes: 1KB}, copies: 3}
jobs:
  count: {target: "mine:count", output: [numbers, copies]}
  sort: {target: "mine:sort", input: numbers, output: {good: good, odd: odd}, workers: 2}
  hold: {target: "mine:hold", input: {q: good}, output: {w: copies}}
  look: {target: "mine:look", input: odd}
  last: {target: "mine:look", input: copies, call: batch}
  report: {target: "mine:report", after: hold}
"""
MINE = """\
import pathlib

def count():
    yield from range(500)

def sort(n, good, odd):
    if n == 300 and pathlib.Path("broken").exists():
        raise ValueError("not yet")
    (good if n % 2 else odd).put(n)

def hold(q, w):
    for n in q:
        w.put(n)
    w.join()

def look(n): pass

def report(): print("reported")
"""


@pytest.fixture
def mporch(command, tmp_path):
    (tmp_path / "jobs.yaml").write_text(SPEC)
    (tmp_path / "mine.py").write_text(MINE)

    def run(*arguments):
        return finished([command, *arguments], cwd=tmp_path, env=os.environ, timeout_s=60)

    return run


def summary(folder: Path):
    return json.loads((folder / "summary.json").read_text())


def dropped(folder: Path):
    return {
        name: (queue["put"], queue["dropped"], queue["left"])
        for name, queue in summary(folder)["queues"].items()
    }


def test_a_source_alone_runs_to_its_end_and_every_item_is_counted(mporch, tmp_path):
    done = mporch("run", "count", "--run-dir", "d")
    assert done.returncode == 0, done.stderr
    assert dropped(tmp_path / "d") == {"numbers": (500, 500, 0), "copies": (500, 500, 0)}
    assert "numbers and copies are read by no job of these" in done.stderr
    assert "queue numbers: 500 items dropped: no job that reads it was chosen" in done.stderr


def test_jobs_that_were_left_out_are_in_no_part_of_the_run(mporch, tmp_path):
    done = mporch("run", "jobs.yaml", "report", "--run-dir", "d")
    assert done.returncode == 0, done.stderr
    assert list(summary(tmp_path / "d")["jobs"]) == ["count", "sort", "hold", "report"]
    assert dropped(tmp_path / "d")["odd"] == (250, 250, 0)
    assert dropped(tmp_path / "d")["copies"] == (750, 750, 0)  # whose join has not waited
    started = json.loads((tmp_path / "d" / "log.jsonl").read_text().splitlines()[0])
    assert (started["left_out"], started["unread"]) == (["look", "last"], ["odd", "copies"])
    kept = json.loads((tmp_path / "d" / "plan.json").read_text())
    expected = {"jobs": ["report"], "tags": [], "skip": [], "left_out": ["look", "last"]}
    assert summary(tmp_path / "d")["selection"] == kept["selection"] == expected


def test_who_waited_for_a_skipped_job_runs_at_once(mporch, tmp_path):
    done = mporch("run", "--skip", "hold", "--run-dir", "d", "--no-live")
    assert done.returncode == 0, done.stderr
    assert "report does not wait for hold" in done.stderr
    assert "report-1 | reported" in done.stdout
    assert dropped(tmp_path / "d")["good"] == (250, 250, 0)


def test_a_durable_part_is_resumed_as_the_part_it_was(mporch, tmp_path):
    (tmp_path / "jobs.yaml").write_text(SPEC.replace("version: 1", "version: 1\ndurable: true"))
    (tmp_path / "broken").touch()
    failed = mporch("run", "sort", "--run-dir", "d")
    assert failed.returncode == 1, failed.stderr
    (tmp_path / "broken").unlink()
    done = mporch("resume", "d")
    assert done.returncode == 0, done.stderr
    assert list(summary(tmp_path / "d")["jobs"]) == ["count", "sort"]
    assert dropped(tmp_path / "d") == {
        "numbers": (500, 0, 0),
        "good": (250, 250, 0),
        "odd": (250, 250, 0),
        "copies": (500, 500, 0),
    }


@pytest.mark.parametrize("options", [(), ("--spec", "jobs.yaml")])
def test_dead_letters_of_a_part_are_replayed_into_that_part(mporch, tmp_path, options):
    text = SPEC.replace("workers: 2", "on_error: dead_letter")
    (tmp_path / "jobs.yaml").write_text(text)
    (tmp_path / "broken").touch()
    assert mporch("run", "sort", "--run-dir", "d").returncode == 3
    (tmp_path / "broken").unlink()
    done = mporch("dead", "replay", "./d", "--all", "--run-dir", "again", *options)
    assert done.returncode == 0, done.stderr
    assert list(summary(tmp_path / "again")["jobs"]) == ["replay-numbers", "sort"]
    assert dropped(tmp_path / "again")["odd"] == (1, 1, 0)
