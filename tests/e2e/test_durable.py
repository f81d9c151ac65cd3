"""`mporch resume`, the installed command: its page, and what it refuses."""

import json
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from e2e_runs import ROOT, kill_at_once

PAGE = (ROOT / "docs" / "durable.md").read_text()
FENCES = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
COMMANDS = [line[2:] for kind, text in FENCES if kind == "console" for line in text.splitlines()]
PAGES = 1000
AT_REST = """\
    time.sleep(0.002)
    while int(address[5:]) > 500 and pathlib.Path("held").exists():
        time.sleep(0.01)
"""

FAILS_ONCE = """\
version: 1
durable: true
queues: {numbers: 10}
jobs:
  count: {target: "mine:count", output: numbers}
  check: {target: "mine:check", input: numbers}
"""

MINE = """\
import pathlib

def count():
    yield from range(50)

def check(number):
    if number == 20 and not pathlib.Path("mended").exists():
        raise ValueError("not yet")
    with open("checked.txt", "a") as file:
        print(number, file=file)
"""

Mporch = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def mporch(in_folder: Mporch) -> Mporch:
    """Runs `mporch ARGUMENT…` in a project folder."""
    return in_folder


@pytest.fixture
def running(command: Path, tmp_path: Path) -> Iterator[psutil.Popen]:
    """The page's pipeline, some way on; it cannot come to its end before it is killed."""
    for kind, text in FENCES:
        if kind in {"yaml", "python"}:
            held = text.replace("import time\n", "import pathlib\nimport time\n")
            held = held.replace("    time.sleep(0.002)\n", AT_REST)
            (tmp_path / text.splitlines()[0].removeprefix("# ")).write_text(held)
    assert AT_REST in (tmp_path / "crawl.py").read_text()
    (tmp_path / "held").touch()
    run = psutil.Popen(
        [command, "run"],
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    for _ in range(PAGES // 3):
        assert "fetched" in run.stdout.readline()
    yield run
    if run.is_running():
        run.kill()
    run.wait(10)
    run.stdout.close()


def killed(run: psutil.Popen) -> None:
    """Everything of the run dies at once, and nothing holds the next."""
    held = Path(run.cwd(), "held")
    kill_at_once(run)
    held.unlink()


def test_the_page_is_true(mporch: Mporch, running: psutil.Popen, tmp_path: Path) -> None:
    killed(running)
    first, *others = [command.partition("#")[0].split() for command in COMMANDS]
    assert first == ["mporch", "run"]
    for command in others:
        if command[0] == "mporch":
            done = mporch(*command[1:])
            assert done.returncode == 0, done.stderr
        else:
            assert subprocess.check_output(command, cwd=tmp_path).split()[0] == b"1000"
    lines = (tmp_path / "pages.txt").read_text().splitlines()
    assert sorted(lines) == sorted(f"page-{n} {len(f'page-{n}')}" for n in range(PAGES))


def test_a_run_that_goes_on_is_not_resumed_and_its_process_is_named(
    mporch: Mporch, running: psutil.Popen
) -> None:
    (orchestrator,) = running.children()
    refused = mporch("resume")
    assert refused.returncode == 2
    assert f"in process {orchestrator.pid}" in refused.stderr


@pytest.mark.parametrize(
    ("name", "more"), [("jobs.yaml", "x-note: a word more\n"), ("crawl.py", "MORE = 1\n")]
)
def test_what_has_changed_is_refused_unless_forced(
    mporch: Mporch, running: psutil.Popen, tmp_path: Path, name: str, more: str
) -> None:
    killed(running)
    file = tmp_path / name
    file.write_text(f"{file.read_text()}\n{more}")
    refused = mporch("resume")
    assert refused.returncode == 2
    assert "this has changed since the last start of run " in refused.stderr
    assert "--force" in refused.stderr
    assert mporch("resume", "--force", "--output", "none").returncode == 0
    assert len((tmp_path / "pages.txt").read_text().splitlines()) == PAGES


def test_a_pipe_in_the_place_of_the_kept_spec_is_refused_at_once(
    mporch: Mporch, running: psutil.Popen, tmp_path: Path
) -> None:
    killed(running)
    (kept,) = tmp_path.glob(".mporch/runs/*/spec.yaml")
    kept.unlink()
    os.mkfifo(kept)
    refused = mporch("resume")
    assert refused.returncode == 2
    assert "spec.yaml: not a regular file" in refused.stderr


def test_a_failed_run_goes_on_at_the_item_it_failed_at(mporch: Mporch, tmp_path: Path) -> None:
    (tmp_path / "jobs.yaml").write_text(FAILS_ONCE)
    (tmp_path / "mine.py").write_text(MINE)
    assert mporch("run").returncode == 1
    (tmp_path / "mended").touch()
    done = mporch("resume", "--format", "json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["queues"]["numbers"]["done"] == 50
    assert (tmp_path / "checked.txt").read_text().split() == [str(n) for n in range(50)]
    assert "resumed on Python" in done.stderr
    assert "items are queued" in done.stderr
    (listed,) = json.loads(mporch("runs", "--format", "json").stdout)
    summary = json.loads(done.stdout)
    assert listed["started"] == summary["first_started"] < listed["resumed"] == summary["started"]


@pytest.mark.parametrize("found", [False, True], ids=["given", "found"])
def test_a_link_to_a_runs_directory_leads_to_that_run(
    mporch: Mporch, tmp_path: Path, found: bool
) -> None:
    (tmp_path / "jobs.yaml").write_text(FAILS_ONCE)
    (tmp_path / "mine.py").write_text(MINE)
    assert mporch("run", "--run-dir", "run").returncode == 1
    link = tmp_path / ".mporch" / "runs" / "20300101T000000-0000" if found else tmp_path / "link"
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(tmp_path / "run")
    (tmp_path / "mended").touch()
    name = "last" if found else "./link"
    assert "failed" in mporch("show", name).stderr + mporch("show", name).stdout
    done = mporch("resume", name, "--format", "json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == json.loads((tmp_path / "run" / "summary.json").read_text())
    assert (tmp_path / "checked.txt").read_text().split() == [str(n) for n in range(50)]
    assert "has finished" in mporch("resume", name).stderr


def test_a_run_that_has_finished_or_is_not_durable_has_nothing_to_go_on_with(
    mporch: Mporch, tmp_path: Path
) -> None:
    (tmp_path / "mine.py").write_text(MINE)
    (tmp_path / "mended").touch()
    for text, why in ((FAILS_ONCE, "has finished"), (FAILS_ONCE.replace("true", "false"), "")):
        (tmp_path / "jobs.yaml").write_text(text)
        assert mporch("run").returncode == 0
        refused = mporch("resume")
        assert refused.returncode == 2
        assert why in refused.stderr
    (tmp_path / "mended").unlink()
    assert mporch("run").returncode == 1
    assert "not durable" in mporch("resume").stderr


DROPS = """\
version: 1
durable: true
queues: {numbers: {maxsize: 2, when_full: drop_newest}}
jobs:
  count: {target: "mine:count", output: numbers}
  check: {target: "mine:check", input: numbers}
"""

CHECKS_WHEN_ALL_IS_COUNTED = """\
import pathlib, time

def count():
    yield from range(50)
    pathlib.Path("counted").touch()

def check(number):
    while not pathlib.Path("counted").exists():
        time.sleep(0.001)
    if not pathlib.Path("mended").exists():
        raise ValueError("not yet")
"""


def test_what_a_full_queue_dropped_before_is_not_blamed_on_its_readers(
    mporch: Mporch, tmp_path: Path
) -> None:
    (tmp_path / "jobs.yaml").write_text(DROPS)
    (tmp_path / "mine.py").write_text(CHECKS_WHEN_ALL_IS_COUNTED)
    assert mporch("run", "--run-dir", "run").returncode == 1
    (tmp_path / "mended").touch()
    done = mporch("resume", "./run")
    assert done.returncode == 0, done.stderr
    dropped = json.loads((tmp_path / "run" / "summary.json").read_text())["queues"]["numbers"]
    full = f"{dropped['dropped']} items dropped: it was full (when_full: drop_newest)"
    assert dropped["dropped"] > 40
    assert full in done.stderr
    assert "returned early" not in done.stderr


AFTER_A_FAILURE = """\
version: 1
durable: true
queues: {a: 10, b: 10}
jobs:
  src: {target: "mine:src", output: a}
  conv: {target: "mine:conv", input: a, output: b, on_failure: continue}
  store: {target: "mine:store", input: b, call: stream}
  apart: {command: "echo once >> apart.txt"}
  alert: {command: "echo alert >> alert.txt", after: {apart: failed}}
  calm: {command: "echo once >> calm.txt", after: {alert: finished}}
  upload: {command: "cat rows.txt > uploaded.txt", after: %s}
  mail: {command: "echo mail >> mail.txt", after: {upload: succeeded}}
"""

ROWS = """\
import os

def src():
    yield from range(5)

def conv(x):
    if x == 2 and not os.path.exists("mended"):
        raise ValueError(x)
    return x

def store(rows):
    with open("rows.txt", "w") as f:
        for row in rows:
            print(row, file=f)
"""


@pytest.mark.parametrize("after", ["store", "{store: finished}"])
def test_what_waits_after_a_job_that_runs_again_runs_again(
    mporch: Mporch, tmp_path: Path, after: str
) -> None:
    (tmp_path / "jobs.yaml").write_text(AFTER_A_FAILURE % after)
    (tmp_path / "mine.py").write_text(ROWS)
    assert mporch("run").returncode == 1
    assert (tmp_path / "uploaded.txt").read_text().split() == ["0", "1"]
    (tmp_path / "mended").touch()
    done = mporch("resume")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "uploaded.txt").read_text().split() == ["0", "1", "2", "3", "4"]
    assert (tmp_path / "mail.txt").read_text().split() == ["mail"] * 2
    for name in ("apart", "calm"):  # what waits for none of it is done for good
        assert (tmp_path / f"{name}.txt").read_text().split() == ["once"]
    assert not (tmp_path / "alert.txt").exists()
