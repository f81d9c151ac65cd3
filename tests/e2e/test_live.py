"""A run that goes on, seen and ended from another terminal: top, show, tap, stop."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from e2e_runs import finished

SPEC = """\
version: 1
queues: {todo: 100, done: 100}
jobs:
  numbers: {target: "mine:numbers", output: todo}
  work: {target: "mine:work", input: todo, output: done}
  sink: {target: "mine:sink", input: done}
"""
CODE = """\
import threading

class Thing:
    def __init__(self, n):
        self.n = n
        self.text = chr(27) + "[31m"

    def __reduce__(self):
        return (Thing, (self.n,), {"n": self.n, "text": self.text})

def numbers():
    for n in range(1_000_000):
        threading.Event().wait(0.005)
        yield {"n": n, "deep": {"odd": n % 2 == 1}}

def work(item):
    return Thing(item["n"])

def sink(item):
    print("at", item.n, flush=True)
"""
PYTHON = "import orchestrator; orchestrator.load('jobs.yaml').run()"


class Live:
    """A run that has begun to print, and commands in its folder."""

    def __init__(self, folder: Path, command: Path, *begin: str | Path) -> None:
        (folder / "jobs.yaml").write_text(SPEC)
        (folder / "mine.py").write_text(CODE)
        self.folder = folder
        self.command = command
        self.process = subprocess.Popen(
            begin or (command, "run", "--no-live"),
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if "at " in line:
                break

    def call(self, *words: str) -> subprocess.CompletedProcess[str]:
        return finished([self.command, *words], cwd=self.folder, env=os.environ, timeout_s=60)

    def end(self) -> int:
        self.process.communicate(timeout=60)
        return self.process.returncode


@pytest.fixture
def live(tmp_path: Path, command: Path) -> Iterator[Callable[..., Live]]:
    made: list[Live] = []

    def begin(*words: str | Path) -> Live:
        made.append(Live(tmp_path, command, *words))
        return made[-1]

    yield begin
    for each in made:
        if each.process.poll() is None:
            each.process.send_signal(signal.SIGTERM)
        each.process.communicate(timeout=60)


def test_it_is_seen_and_drained(live):
    run = live()
    shown = json.loads(run.call("top", "--once", "--format", "json").stdout)
    assert [job["name"] for job in shown["jobs"]] == ["numbers", "work", "sink"]
    assert shown["queues"][0]["put"] > 0
    assert shown["status"] == "running"
    assert "numbers" in run.call("top").stdout
    again = json.loads(run.call("show", "last", "--format", "json").stdout)
    assert (again["run"], again["pid"]) == (shown["run"], shown["pid"])
    assert "mporch logs last -f" in run.call("show").stdout
    (row,) = json.loads(run.call("runs", "--format", "json").stdout)
    assert (row["pid"], row["status"]) == (shown["pid"], "running")
    stopped = run.call("stop")
    assert stopped.returncode == 0
    assert "interrupted after" in stopped.stdout
    assert "exit code 130" in stopped.stdout
    assert run.end() == 130
    summary = json.loads(run.call("show", "--format", "json").stdout)
    assert [queue["left"] for queue in summary["queues"].values()] == [0, 0]
    assert not list(run.folder.rglob("control.sock"))
    gone = run.call("stop", shown["run"])
    assert (gone.returncode, gone.stdout) == (2, "")
    assert "it has ended" in gone.stderr


@pytest.mark.parametrize("how", ["--terminate", "--kill"])
def test_a_run_in_python_is_stopped_at_once(live, how):
    run = live(sys.executable, "-c", PYTHON)
    stopped = run.call("stop", how)
    assert "exit code 143" in stopped.stdout
    run.end()


def test_items_are_tapped_and_none_of_their_code_runs(live):
    run = live()
    words = ["tap", "todo", "-n", "3", "--format", "json", "--where", "deep.odd"]
    found = run.call(*words, "--fields", "n,deep.odd,no")
    lines = [json.loads(line) for line in found.stdout.splitlines()]
    assert len(lines) == 3
    for line in lines:
        assert line["value"] == {"n": line["number"] - 1, "deep.odd": True}
    nothing = run.call("tap", "todo", "-n", "1", "--fields", "no").stdout
    assert nothing.endswith("  (none of these fields)\n")
    things = run.call("tap", "last", "done", "-n", "2").stdout
    assert len(things.splitlines()) == 2
    assert "mine.Thing(" in things
    assert "\x1b" not in things
    for words, said in [
        (("tap", "nope"), "its queues are todo, done"),
        (("tap", "todo", "--where", "9**9**9"), "--where"),
        (("tap", "todo", "--fields", "a("), "--fields"),
        (("tap",), "which queue"),
    ]:
        refused = run.call(*words)
        assert (refused.returncode, refused.stdout) == (2, "")
        assert said in refused.stderr


def test_a_tap_may_ask_for_more_than_will_ever_come(live):
    run = live()
    tap = subprocess.Popen(
        [run.command, "tap", "todo", "-n", str(10**20)],
        cwd=run.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert tap.stdout is not None
    assert tap.stdout.readline().startswith("todo:")
    assert run.call("stop", "--kill").returncode == 0
    _, said = tap.communicate(timeout=60)
    assert tap.returncode == 0
    assert "has ended" in said


def test_of_several_runs_one_must_be_named(live):
    first, _ = live(), live()
    for words in (("top",), ("stop",), ("tap", "todo")):
        refused = first.call(*words)
        assert refused.returncode == 2
        assert "2 runs are going on" in refused.stderr
    names = [row["run"] for row in json.loads(first.call("runs", "--format", "json").stdout)]
    assert all(name in refused.stderr for name in names)
    assert first.call("stop", names[0]).returncode == 0
    assert first.call("stop").returncode == 0
