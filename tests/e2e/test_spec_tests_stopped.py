"""`mporch test` that is stopped: its processes, its report, its exit code, and what it leaves."""

import contextlib
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

import psutil
import pytest

SPEC = """\
version: 1
queues: {todo: 10, done: 10}
jobs:
  give: {target: "mine:give", output: todo}
  work: {target: "mine:work", input: todo, output: done, terminate: {grace: 60s}}
  keep: {target: "mine:keep", input: done}
tests:
  first: {give: {todo: [1]}, replace: {work: [1], keep: null}, expect: {queues: {done: [1]}}}
  second:
    give: {todo: [PAUSE]}
    replace: {keep: null}
    expect: {queues: {done: [{$repr: Slow()}]}}
  third: {give: {todo: [1]}, replace: {work: [1], keep: null}}
"""
MINE = """\
import signal, time
from pathlib import Path


class Slow:
    def __repr__(self):
        pause()
        return "Slow()"


def pause():
    Path("began").touch()
    while True:
        signal.pause()


def give():
    yield 1


def keep(item):
    pass


def work(how):
    if how == "deaf":
        signal.signal(signal.SIGTERM, lambda *_: Path("heard").touch())
    if how == "slow":
        return Slow()
    pause()
"""
DEADLINE_S = 30.0


class Cases:
    """`mporch test --junit report.xml` in a process group of its own, and all of its processes."""

    def __init__(self, command: Path, folder: Path, how: str) -> None:
        (folder / "jobs.yaml").write_text(SPEC.replace("PAUSE", how))
        (folder / "mine.py").write_text(MINE)
        self.kept = folder / "kept"
        self.kept.mkdir()
        self.process = subprocess.Popen(
            [command, "test", "--junit", "report.xml"],
            cwd=folder,
            env={**os.environ, "TMPDIR": str(self.kept)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            process_group=0,
        )
        self.folder = folder
        self.family: list[psutil.Process] = []

    def until_under_way(self) -> None:
        """Wait for its second case."""
        self.until("began")
        self.family = psutil.Process(self.process.pid).children(recursive=True)

    def until(self, name: str) -> None:
        """Wait for a file of the project."""
        end = time.monotonic() + DEADLINE_S
        while not (self.folder / name).exists():
            assert self.process.poll() is None, self.process.communicate()
            assert time.monotonic() < end, f"no {name}"
            time.sleep(0.02)

    def ended(self) -> tuple[int, str, str]:
        """Return its exit code and words, with nobody left; durations and folders are dots."""
        out, err = self.process.communicate(timeout=DEADLINE_S)
        assert not psutil.wait_procs(self.family, timeout=5)[1]
        out = re.sub(r"\(\d.*? s\)|(?<=in )\d\S* s|kept/\S+", "…", out)
        return self.process.returncode, out, err


Begin = Callable[[str], Cases]


@pytest.fixture
def begin(command: Path, tmp_path: Path) -> Iterator[Begin]:
    """Begins a test whose second case does not end; afterwards nothing of it is left."""
    begun: list[Cases] = []

    def begin(how: str) -> Cases:
        begun.append(Cases(command, tmp_path, how))
        begun[-1].until_under_way()
        return begun[-1]

    yield begin
    for each in begun:
        if each.process.poll() is None:
            each.process.kill()
            each.process.communicate()
        psutil.wait_procs(each.family, timeout=DEADLINE_S)


REPORT = """\
ok    first …
FAIL  second …
      stopped: by {}, before its end
"""
WORDS = "mporch: stopping (terminate): {}\n  hint: {}, after 2 s, kills\n"


@pytest.mark.parametrize(
    ("signum", "send", "why", "again"),
    [
        pytest.param(signal.SIGINT, os.kill, "interrupted", "Ctrl-C again", id="INT"),
        pytest.param(
            signal.SIGINT,
            os.killpg,
            "interrupted",
            "Ctrl-C again",
            id="INT to all",
            marks=pytest.mark.long,
        ),
        pytest.param(signal.SIGTERM, os.killpg, "SIGTERM", "the same once more", id="TERM to all"),
        pytest.param(signal.SIGHUP, os.kill, "SIGHUP", "the same once more", id="HUP"),
    ],
)
def test_a_signal_ends_the_case_and_what_was_run_is_reported(
    begin: Begin, signum: signal.Signals, send: Callable[[int, int], None], why: str, again: str
) -> None:
    cases = begin("long")
    send(cases.process.pid, signum)
    report = (
        f"{REPORT.format(signum.name)}      its run: mporch show …\n"
        "1 of 2 cases failed in …; 1 not run\n"
    )
    assert cases.ended() == (128 + signum, report, WORDS.format(why, again))
    (suite,) = ET.parse(cases.folder / "report.xml").getroot()
    assert (suite.get("tests"), suite.get("failures")) == ("2", "1")
    (kept,) = cases.kept.iterdir()
    assert '"exit_code":143' in (kept / "summary.json").read_text().replace(" ", "")


def test_a_second_ctrl_c_kills_what_ignores_the_first(begin: Begin) -> None:
    cases = begin("deaf")
    cases.process.send_signal(signal.SIGINT)
    cases.until("heard")
    end = time.monotonic() + DEADLINE_S
    while cases.process.poll() is None:  # two within 2 s are one
        assert time.monotonic() < end
        cases.process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            cases.process.wait(0.5)
    code, out, err = cases.ended()
    assert (code, err) == (130, WORDS.format("interrupted", "Ctrl-C again"))
    assert out.startswith(REPORT.format("SIGINT"))


def test_a_signal_ends_a_look_at_the_items_too(begin: Begin) -> None:
    cases = begin("slow")
    cases.process.send_signal(signal.SIGTERM)
    code, out, err = cases.ended()
    assert (code, err) == (143, WORDS.format("SIGTERM", "the same once more"))
    assert out.startswith(REPORT.format("SIGTERM"))


def test_a_test_that_is_killed_takes_its_processes_with_it_in_silence(begin: Begin) -> None:
    cases = begin("long")
    cases.process.kill()
    assert cases.ended() == (-9, "ok    first …\n", "")


@pytest.mark.long
def test_a_test_that_is_stopped_stops_its_case_and_both_go_on_together(begin: Begin) -> None:
    cases = begin("long")
    run = psutil.Process(cases.process.pid).children()[0]
    cases.process.send_signal(signal.SIGTSTP)
    for each in (cases.process.pid, run.pid):
        until_status(each, {psutil.STATUS_STOPPED})
    cases.process.send_signal(signal.SIGCONT)
    until_status(run.pid, {psutil.STATUS_SLEEPING, psutil.STATUS_RUNNING})
    cases.process.send_signal(signal.SIGINT)
    assert cases.ended()[0] == 130


def until_status(pid: int, wanted: set[str]) -> None:
    end = time.monotonic() + DEADLINE_S
    while psutil.Process(pid).status() not in wanted:
        assert time.monotonic() < end
        time.sleep(0.02)
