"""Durable runs that are killed at a moment they choose: `mporch resume` makes them whole."""

import json
import subprocess
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from e2e_runs import kill_at_once

DEADLINE_S = 60.0

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
            kill_at_once(run)
        done = mporch("resume", "--format", "json")
        assert done.returncode == 0, done.stderr
        summary = json.loads(done.stdout)
        return summary["queues"]

    return lives


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


POLLS = {
    "get_nowait": "return q.get_nowait()",
    "get_timeout": "return q.get(timeout=0.005)",
    "empty": "return q.get() if not q.empty() else q.get_nowait()",
}


@pytest.mark.parametrize("how", POLLS)
def test_a_merge_that_polls_gets_the_items_of_all_its_queues_in_the_order_of_before(
    resumed, tmp_path, how: str
) -> None:
    """It gives what comes, as it comes: the first of `b` when it had all of `a`."""
    ledger = resumed(
        """
        queues: {a: 100, b: 100, m: 200}
        jobs:
          one: {target: "t:one", output: a}
          two: {target: "t:two", output: b}
          merge: {target: "t:merge", input: {a: a, b: b}, output: {m: m}}
          sink: {target: "t:note", input: m}
        """,
        f"""
        import queue
        import orchestrator
        def one():
            yield from range(50)
        def two():
            until("go")
            yield from range(100, 103)
        def poll(q):
            {POLLS[how].strip()}
        def merge(a, b, m):
            while not a.full() and a.qsize() < 40 and not os.path.exists("killed"):
                pass
            open_, given = [a, b], 0
            while open_:
                for q in list(open_):
                    try:
                        item = poll(q)
                    except orchestrator.EndOfStream:
                        open_.remove(q)
                    except queue.Empty:
                        pass
                    else:
                        m.put(item)
                        given += 1
                        if given == 50:
                            reached("go")
                        if given == 51:
                            while len(seen()) < 51:
                                time.sleep(0.001)
                            killed_here()
        """,
    )
    assert ledger["m"]["put"] == 53
    assert sorted(map(int, lines(tmp_path / "seen"))) == [*range(50), *range(100, 103)]
