"""Durable runs that are killed at a moment they choose: `mporch resume` makes them whole."""

import json
import subprocess
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

DEADLINE_S = 30.0

Mporch = Callable[..., subprocess.CompletedProcess[str]]

HELP = """
import os, time

def reached(name):
    open(name, "w").close()

def until(name):
    while not os.path.exists(name):
        time.sleep(0.001)

def killed_here():
    '''In the first life: the run is killed here.'''
    if not os.path.exists("killed"):
        reached("killed")
        time.sleep(600)

def note(item):
    with open("seen", "a") as file:
        print(item, file=file)

def seen():
    return open("seen").read().split() if os.path.exists("seen") else []
"""


@pytest.fixture
def mporch(in_folder: Mporch) -> Mporch:
    """Runs `mporch ARGUMENT…` in the test's folder."""
    return in_folder


@pytest.fixture
def resumed(command: Path, mporch: Mporch, tmp_path: Path) -> Callable[[str, str], dict[str, dict]]:
    """Runs a pipeline until it says `killed`, kills it, resumes it; returns its ledger."""

    def lives(spec: str, code: str) -> dict[str, dict]:
        (tmp_path / "jobs.yaml").write_text("version: 1\ndurable: true\n" + textwrap.dedent(spec))
        (tmp_path / "t.py").write_text(HELP + textwrap.dedent(code))
        with psutil.Popen(
            [command, "run", "--output", "none"],
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        ) as run:
            deadline = time.monotonic() + DEADLINE_S
            while not (tmp_path / "killed").exists():
                assert run.poll() is None, run.stderr.read()
                assert time.monotonic() < deadline, "the run does not come to its end"
                time.sleep(0.005)
            kill(run)
        done = mporch("resume", "--format", "json")
        assert done.returncode == 0, done.stderr
        summary = json.loads(done.stdout)
        return summary["queues"]

    return lives


def kill(run: psutil.Popen) -> None:
    """Everything of the run dies at once."""
    family = [run, *run.children(recursive=True)]
    for process in family:
        process.suspend()  # so that none sees another die
    for process in family:
        process.kill()
    psutil.wait_procs(family, 10)


def lines(path: Path) -> list[str]:
    return path.read_text().split()


@pytest.mark.parametrize(
    ("bound", "outputs"),
    [
        ("maxsize: 2, when_full: drop_newest", "live, all, tick"),
        ("when_full: drop_oldest", "tick, live, all"),
    ],
)
def test_what_a_queue_that_drops_did_not_take_its_neighbour_still_has(
    resumed, tmp_path, bound: str, outputs: str
) -> None:
    """The copy on `all` is the only one of a chunk that was dropped in the same moment."""
    ledger = resumed(
        f"""
        queues: {{live: {{max_bytes: 1kB, {bound}}}, all: 1000, tick: 1}}
        jobs:
          src: {{target: "t:src", output: [{outputs}]}}
          show: {{target: "t:show", input: live}}
          keep: {{target: "t:keep", input: all}}
          count: {{target: "t:count", input: tick}}
        """,
        """
        ITEMS = 20
        def src():
            for n in range(ITEMS):
                if n:
                    until(f"tick {n - 1}")
                yield n, "x" * 600
            until(f"tick {n}")
            reached("all put")
        def count(item):
            reached(f"tick {item[0]}")
        def show(item):
            until("all put")
        def keep(item):
            until("all put")
            if item[0] == 5:
                killed_here()
            note(item[0])
        """,
    )
    assert ledger["all"]["done"] == ledger["all"]["put"] == 20
    live = ledger["live"]
    assert live["put"] == live["done"] + live["dropped"] == 20
    assert {*map(int, lines(tmp_path / "seen"))} == {*range(20)}


def test_a_transaction_rolled_back_where_the_repetition_ends_puts_nothing_twice(
    resumed, tmp_path
) -> None:
    """Three items were put; a block of five is rolled back in the second life, then done."""
    ledger = resumed(
        """
        queues: {a: 20, b: 20, c: 20}
        jobs:
          src: {target: "t:src", output: a}
          move:
            target: "t:move"
            input: {a: a}
            output: {b: b, c: c}
          sink: {target: "t:note", input: b}
          other: {target: "t:note", input: c}
        """,
        """
        import orchestrator
        def src():
            yield from range(10)
        def move(a, b, c):
            if not os.path.exists("killed"):
                for n in range(3):
                    b.put(a.get())
                while len(seen()) < 3:
                    time.sleep(0.001)
                killed_here()
            raised = False
            while True:
                try:
                    with orchestrator.transaction():
                        for n in range(5):
                            n = a.get()
                            b.put(n)
                        c.put("once")
                        if not raised:
                            raised = True
                            raise KeyError
                    break
                except (KeyError, orchestrator.WouldWaitError):
                    pass
            for n in a:
                b.put(n)
        """,
    )
    assert ledger["a"]["done"] == ledger["b"]["put"] == 10
    assert sorted(lines(tmp_path / "seen")) == sorted([*map(str, range(10)), "once"])
