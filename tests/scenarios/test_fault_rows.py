"""Rows of docs/faults.md that no other test has: one run each, from outside."""

from __future__ import annotations

import os
import re
import signal
import time
from pathlib import Path

import psutil
import pytest
from life_runs import DEADLINE_S

PAGE = Path(__file__).parents[2] / "docs/faults.md"
ITEMS = 30
CHAIN = f"""
queues: {{todo: 20, done: 20}}
jobs:
  src: {{target: "t:numbers", args: [{ITEMS}], output: todo}}
  work:
    target: t:work
    input: todo
    output: done
    restart: {{max: 200, within: 1s}}
    retry: {{attempts: 100}}
    env: {{MPORCH_TEST: "1", MPORCH_FAULT: "{{fault}}"}}
    timeouts: {{item: {{item_timeout}}}}
  sink: {{target: "t:write", input: done, call: stream}}
"""
CODE = """
def numbers(n):
    yield from range(n)

def work(n):
    return n

def write(numbers):
    with open("out", "w") as out:
        for n in numbers:
            print(n, file=out)
"""


def _chain(fault: str, item_timeout: str = "1m") -> str:
    return CHAIN.replace("{fault}", fault).replace("{item_timeout}", item_timeout)


def _written(ended) -> list[int]:
    return sorted(map(int, (ended.log.path.parents[1] / "out").read_text().split()))


@pytest.mark.parametrize(
    "fault",
    [
        *("w.pull_before:3", "w.pull_torn:3", "w.pull_sent:3", "w.leased_received:3"),
        *("w.item_begun:9", "w.item_ended:9"),
        re.search(r"MPORCH_FAULT=(w\S+) mporch", PAGE.read_text())[1],
        *("w.commit_before:2", "w.commit_torn:2", "w.commit_sent:2", "w.commit_acked:2"),
    ],
)
def test_a_worker_that_always_dies_at_the_same_point_costs_no_item(ran, fault):
    ended = ran(_chain(fault), CODE)
    assert ended.exit_code == 0
    assert _written(ended) == list(range(ITEMS))
    assert ended.ledger("todo") == {"put": ITEMS, "done": ITEMS}
    assert ended.log.having("worker.replaced", job="work"), "nobody has died: it proves nothing"


def test_a_worker_that_dies_before_its_first_word_uses_up_restarts_and_no_attempt(ran):
    spec = _chain("w.hello_before").replace("max: 200, within: 1s", "max: 3, within: 1m")
    ended = ran(spec, CODE)
    assert ended.exit_code == 1
    assert "used up its restarts (3 within 60 s)" in ended.summary["jobs"]["work"]["reason"]
    assert ended.summary["jobs"]["work"]["retried"] == 0
    assert ended.ledger("todo")["put"] == ended.ledger("todo")["left"]


def test_a_worker_that_is_stopped_in_an_item_is_killed_before_its_items_are_given_away(ran):
    ended = ran(_chain("w.item_begun:25:stop", item_timeout="500ms"), CODE)
    assert ended.exit_code == 0
    assert _written(ended) == list(range(ITEMS))
    stopped = ended.log.having("worker.replaced", job="work")
    assert stopped, "nobody was stopped: it proves nothing"
    assert len({record["pid"] for record in stopped}) == len(stopped)


def test_all_workers_of_a_stage_are_killed_at_once_and_the_last_while_the_run_drains(begin):
    life = begin(
        """
        queues: {todo: 20, done: 20}
        jobs:
          src: {target: "t:numbers", args: [60], output: todo}
          work:
            {target: "t:work", input: todo, output: done, workers: 4,
             restart: {max: 20, within: 1m}, retry: {attempts: 9}}
          sink: {target: "t:write", input: done, call: stream}
        """,
        CODE.replace(
            "    return n\n",
            '    if not os.path.exists("go"):\n        print("here", flush=True)\n'
            "        time.sleep(60)\n    return n\n",
        ).replace("def numbers", "import os\nimport time\n\ndef numbers", 1),
    )
    names = [f"work-{n}" for n in range(1, 5)]
    for name in names:
        life.said("here", worker=name)
    for name in names:
        os.kill(life.pid(name), signal.SIGKILL)
    for name in names:
        life.log.wait("output", msg="here", worker=name, count=2)
    life.interrupt()
    life.log.wait("run.stopping")
    (life.folder / "go").touch()
    for name in names:
        os.kill(life.log.wait("worker.ready", worker=name, count=2)["pid"], signal.SIGKILL)
    ended = life.end()
    assert ended.exit_code == 130
    put = ended.ledger("todo")["put"]
    assert ended.ledger("todo") == {"put": put, "done": put}
    assert _written(ended) == list(range(put))


def test_whatever_a_target_raises_or_gives_back_ends_its_item_and_not_its_worker(ran):
    ended = ran(
        """
        queues: {todo: 20, done: 20}
        jobs:
          src: {target: "t:numbers", args: [10], output: todo}
          work: {target: "t:work", input: todo, output: done, on_error: dead_letter}
          sink: {target: "t:write", input: done, call: stream}
        """,
        CODE.replace(
            "    return n\n",
            """    if n == 0: return lambda: 0
    if n == 1: return threading.Lock()
    if n == 2: raise Mute(1, 2)
    if n == 3: raise ExceptionGroup("some", [ValueError(1), Mute(1, 2)])
    if n == 4: raise KeyboardInterrupt
    if n == 5: raise Base
    if n == 6: raise deep()
    if n == 7: sys.exit(3)
    if n == 8: return (i for i in [sys, 1])
    return n

class Mute(Exception):
    def __init__(self, a, b):
        super().__init__(a)
    def __str__(self):
        raise RuntimeError("no words")
    def __reduce__(self):
        raise RuntimeError("no pickle")

class Base(BaseException):
    pass

def deep():
    error = None
    for n in range(10_000):
        new = ValueError("x" * 100)
        new.__cause__, error = error, new
    return error
""",
        ).replace("def numbers", "import sys\nimport threading\n\ndef numbers", 1),
    )
    assert ended.exit_code == 3
    assert ended.ledger("todo") == {"put": 10, "done": 1, "dead": 9}
    assert _written(ended) == [9]
    assert len(ended.log.having("worker.started", job="work")) == 1
    assert max(map(len, ended.log.path.read_bytes().splitlines())) < 100_000


def test_signals_that_rain_on_workers_and_orchestrator_change_nothing(begin):
    life = begin(
        """
        queues: {todo: 20, done: 20}
        jobs:
          src: {target: "t:numbers", args: [2000], output: todo}
          work: {target: "t:work", input: todo, output: done}
          sink: {target: "t:write", input: done, call: stream}
        """,
        CODE.replace(
            "def work(n):\n",
            """import signal, time

def work(n):
    if n == 0:
        signal.signal(signal.SIGALRM, lambda *_: None)
        signal.siginterrupt(signal.SIGALRM, True)
        signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
    if n % 500 == 0:
        time.sleep(0.1)
""",
        ),
    )
    hub = psutil.Process(life.orchestrator)
    sent = 0
    while life.guard.poll() is None:
        for signum in (signal.SIGCHLD, signal.SIGWINCH):
            try:
                hub.send_signal(signum)
            except psutil.NoSuchProcess:
                break
            sent += 1
        time.sleep(0.001)
    ended = life.end()
    assert ended.exit_code == 0
    assert _written(ended) == list(range(2000))
    assert sent > 100


def test_a_target_that_changes_its_directory_mask_and_group_is_cleaned_up_after(ran):
    ended = ran(
        """
        queues: {todo: 20, done: 20}
        jobs:
          src: {target: "t:numbers", args: [1], output: todo}
          work: {target: "t:work", input: todo, output: done}
          sink: {target: "t:write", input: done, call: stream}
        """,
        CODE.replace(
            "def work(n):\n",
            """import os, subprocess

def work(n):
    os.umask(0)
    subprocess.Popen(["sleep", "1000"], process_group=0)
    os.setsid() if os.getpid() != os.getpgrp() else None
    os.chdir("/")
    if os.getuid() == 0:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
""",
        ),
    )
    assert ended.exit_code == 0
    assert _written(ended) == [0]
    modes = {path.stat().st_mode & 0o077 for path in ended.log.path.parent.iterdir()}
    assert modes == {0}


def test_threads_processes_and_exit_handlers_that_never_end_have_the_grace_and_no_more(ran):
    ended = ran(
        """
        jobs:
          work: {target: "t:work", terminate: {signal: SIGTERM, grace: 1s}}
        """,
        """
        import atexit, multiprocessing, threading, time

        def work():
            multiprocessing.Process(target=time.sleep, args=(1000,)).start()
            threading.Thread(target=time.sleep, args=(1000,)).start()
            atexit.register(time.sleep, 1000)
        """,
    )
    assert ended.exit_code == 0
    assert ended.statuses() == {"work": "succeeded"}


def test_a_source_that_gives_nothing_is_a_run_of_nothing(ran):
    ended = ran(_chain(""), CODE.replace("range(n)", "()"))
    assert ended.exit_code == 0
    assert ended.ledger("todo") == {}


def test_any_item_arrives_as_it_was_and_a_large_one_is_not_held_many_times(begin):
    life = begin(
        """
        queues: {todo: 2, made: 2, done: 2}
        jobs:
          src: {target: "t:items", output: todo}
          first: {target: "t:same", input: todo, output: made}
          second: {target: "t:same", input: made, output: done}
          sink: {target: "t:check", input: done, call: stream}
        """,
        """
        import math, time, zlib

        NESTED = []
        for _ in range(200):
            NESTED = [NESTED, {"k": (NESTED[:0], 1)}]
        SMALL = [b"", None, "", 0, math.inf, math.nan, NESTED, "\\ud800", 1 << 4000, {1}]

        def items():
            yield SMALL
            yield from ("small", "small")
            for n in range(3):
                yield bytes([n]) * (64 << 20)

        def same(item):
            return (item,)[0] if item is not None else None

        def check(items):
            got = list(items)
            assert repr(got[0]) == repr(SMALL)
            assert [len(item) for item in got[3:]] == [64 << 20] * 3
            assert [item[:1] for item in got[3:]] == [b"\\0", b"\\1", b"\\2"]
            print("as they were", flush=True)
        """,
    )
    hub = psutil.Process(life.orchestrator)
    most = 0
    while life.guard.poll() is None:
        try:
            most = max(most, hub.memory_info().rss)
        except psutil.Error:
            break
        time.sleep(0.002)
    ended = life.end()
    assert ended.exit_code == 0
    assert ended.log.printed("sink-1") == ["as they were"]
    assert most < 3 * 3 * (64 << 20), "three queues of two, three items: never more than once each"


def test_a_run_directory_that_is_swept_away_ends_the_run_and_nothing_outside_is_written(begin):
    life = begin(
        """
        jobs:
          work: {target: "t:work"}
        """,
        """
        import os, time

        def work():
            print("here", flush=True)
            while not os.path.exists("go"):
                time.sleep(0.01)
            for n in range(1000):
                print("more", n, flush=True)
        """,
    )
    life.said("here")
    before = set(life.folder.iterdir())
    run = life.log.path.parent
    run.rename(life.folder / "moved")
    os.mkfifo(run)
    (life.folder / "go").touch()
    assert life.guard.wait(DEADLINE_S) == 74
    life.gone()
    new = {path.name for path in set(life.folder.iterdir()) - before}
    assert new <= {"moved", "run", "go", "__pycache__"}
