"""Where workers are: asked for while they go on, told once when they are killed."""

import json
import os
import signal
import subprocess
import threading
from pathlib import Path

import pytest
from life_runs import COMMAND, until

from orchestrator.files import PACKAGE

REGEX = "re.match('(a+)+$', 'a' * 60 + 'b')"


HANGING = """
queues: {a: 10, b: 10}
jobs:
  src: {target: "t:numbers", output: a}
  regex: {target: "t:hold_the_gil", input: a, output: b}
  idle: {target: "t:take", input: b}
  sleep: {target: "t:sleep"}
  thread: {target: "t:wait_for_thread"}
  stopped: {target: "t:sleep"}
  taken: {target: "t:take_the_signal"}
  shell: {command: "sleep 60"}
"""
CODE = f"""
import re, signal, threading, time

signal.signal(signal.SIGRTMAX - 8, signal.SIG_IGN)

def numbers():
    yield 1

def hold_the_gil(n):
    {REGEX}

def take(n):
    pass

def sleep():
    time.sleep(600)

def wait_for_thread():
    thread = threading.Thread(target=lambda: time.sleep(600))
    thread.start()
    thread.join()

def take_the_signal():
    signal.signal(signal.SIGRTMAX - 6, lambda *_: print("taken"))
    print("has it")
    time.sleep(600)
"""


def stacks(life, *words):
    """What `mporch stack` says, by worker."""
    asked = subprocess.run(
        [COMMAND, "stack", "./run", *words, "--format", "json"],
        cwd=life.folder,
        capture_output=True,
        check=True,
    )
    return {each["worker"]: each for each in json.loads(asked.stdout)}


def main(stack):
    """The functions of the main thread that are shown, the outermost first."""
    return [frame["name"] for each in stack["threads"] if each["main"] for frame in each["frames"]]


def test_stacks_of_all_kinds_of_workers_are_told_and_all_go_on(begin):
    life = begin(HANGING, CODE)
    life.said("has it")
    jobs = ("src", "regex", "idle", "sleep", "thread", "stopped", "taken", "shell")
    pids = {f"{job}-1": life.pid(f"{job}-1") for job in jobs[1:]}
    os.kill(pids["stopped-1"], signal.SIGSTOP)
    until(lambda: stacks(life, "regex")["regex-1"]["doing"] == "at item a:1", "it has its item")
    found = stacks(life)
    assert PACKAGE not in json.dumps(found)
    assert main(found["regex-1"])[:2] == ["hold_the_gil", "match"]
    assert found["regex-1"]["for_s"] > 0
    assert (found["idle-1"]["doing"], found["idle-1"]["threads"]) == ("waits for items of b", [])
    assert main(found["sleep-1"]) == ["sleep"]
    assert found["thread-1"]["threads"][0]["frames"][-1]["name"] == "<lambda>"
    assert main(found["thread-1"])[0] == "wait_for_thread"
    assert "is stopped (state T)" in found["stopped-1"]["why"]
    assert "has set a handler of its own" in found["taken-1"]["why"]
    assert "sleep" in {program["name"] for program in found["shell-1"]["programs"]}
    assert {name: stack["pid"] for name, stack in found.items() if name in pids} == pids
    assert main(stacks(life, "sleep-1")["sleep-1"]) == ["sleep"]
    names = {name: Path(f"/proc/{pid}/cmdline").read_bytes() for name, pid in pids.items()}
    assert {name: title.rstrip(b"\0").decode() for name, title in names.items()} == {
        name: f"mporch: {name}" for name in pids
    }
    assert Path(f"/proc/{pids['sleep-1']}/comm").read_text() == "mporch: sleep-1\n"
    os.kill(pids["stopped-1"], signal.SIGCONT)
    assert not life.log.having("worker.ended", state="failed")


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_each_start_method_shows_stacks_and_names(begin, method):
    life = begin(
        f"""
        defaults: {{start_method: {method}}}
        jobs:
          sleep: {{target: "t:sleep"}}
        """,
        CODE,
    )
    pid = life.pid("sleep-1")
    until(lambda: main(stacks(life)["sleep-1"]) == ["sleep"], "the stack of its target")
    title = Path(f"/proc/{pid}/cmdline").read_bytes()
    assert title.rstrip(b"\0") == b"mporch: sleep-1"


def test_a_signal_that_a_module_takes_at_its_import_is_not_used(begin):
    life = begin(
        """
        jobs:
          sleep: {target: "t:sleep"}
        """,
        CODE.replace("SIGRTMAX - 8", "SIGRTMAX - 6"),
    )
    life.pid("sleep-1")
    until(lambda: main(stacks(life)["sleep-1"]) == ["sleep"], "the stack of its target")
    first, second = signal.SIGRTMAX - 6, signal.SIGRTMAX - 7
    assert stacks(life)["sleep-1"]["why"] == (
        f"asked by signal {second}: its target has taken {first}"
    )


def test_workers_that_die_while_they_are_asked_are_told_and_nobody_waits(begin):
    life = begin(
        """
        queues: {a: 10}
        jobs:
          src: {target: "t:numbers", output: a}
          dies:
            target: "t:dies"
            input: a
            workers: 4
            restart: {max: 10000, within: 1s}
            on_error: skip
        """,
        """
        import os

        def numbers():
            n = 0
            while True:
                yield n
                n += 1

        def dies(n):
            if n % 3 == 0:
                os._exit(1)
        """,
    )
    life.log.wait("worker.replaced")
    for _ in range(5):
        found = stacks(life, "dies")
        assert found
        assert set(found) <= {f"dies-{n}" for n in range(1, 5)}


def test_two_that_ask_at_the_same_time_are_both_answered(begin):
    life = begin(HANGING, CODE)
    life.pid("regex-1")
    found = []
    asking = [threading.Thread(target=lambda: found.append(stacks(life))) for _ in range(3)]
    for each in asking:
        each.start()
    for each in asking:
        each.join()
    assert [sorted(each) for each in found] == [sorted(found[0])] * 3


def test_nobody_of_that_name_is_told(begin):
    life = begin(HANGING, CODE)
    life.pid("sleep-1")
    asked = subprocess.run(
        [COMMAND, "stack", "./run", "nobody"], cwd=life.folder, capture_output=True, check=False
    )
    assert asked.returncode == 2
    assert b"no job or worker 'nobody'" in asked.stderr
    assert b"its jobs are " in asked.stderr


def test_a_worker_that_its_job_does_not_have_is_told_how_many_there_are(begin):
    life = begin(HANGING, CODE)
    life.pid("sleep-1")
    asked = subprocess.run(
        [COMMAND, "stack", "./run", "sleep-9"], cwd=life.folder, capture_output=True, check=False
    )
    assert asked.returncode == 2
    assert b"no job or worker 'sleep-9'" in asked.stderr
    assert b"sleep has 1 worker\n" in asked.stderr


KILLED = """
import itertools, signal, time

def hang():
    helper()

def helper():
    sum(itertools.repeat(0))

def deaf():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(600)
"""


def stack_of(ended, worker):
    (record,) = ended.log.having("worker.ended", worker=worker)
    return record["stack"]


def test_a_worker_that_is_killed_for_its_run_or_after_a_stop_is_told_where_it_hung(ran):
    """Python comes to no signal in a sum without an end, and the other ignores SIGTERM."""
    ended = ran(
        """
        defaults: {terminate: {grace: 200ms}}
        jobs:
          hang: {target: "t:hang", timeouts: {run: 500ms}, on_failure: stop}
          deaf: {target: "t:deaf"}
        """,
        KILLED,
    )
    hung, deaf = stack_of(ended, "hang-1"), stack_of(ended, "deaf-1")
    assert "in hang\n" in hung
    assert "in helper\n" in hung
    assert hung.splitlines()[-1].endswith("in helper")
    assert "in deaf\n" in deaf
    assert PACKAGE not in hung + deaf
    assert ended.statuses() == {"hang": "timed_out", "deaf": "killed"}
    assert ended.codes() == {"hang": [-signal.SIGKILL], "deaf": [-signal.SIGKILL]}


def test_a_worker_whose_target_hangs_in_its_import_is_told_where(ran):
    ended = ran(
        """
        jobs:
          slow: {target: "t:f", timeouts: {start: 500ms}}
        """,
        """
        import re
        def never(): re.match('(a+)+$', 'a' * 60 + 'b')
        never()
        def f(): pass
        """,
    )
    stack = stack_of(ended, "slow-1")
    assert [line.rpartition(" in ")[2] for line in stack.splitlines()] == [
        "<module>",
        "never",
        "match",
    ]


def test_a_crash_is_told_once_and_a_childs_is_printed(ran):
    ended = ran(
        """
        jobs:
          crash: {target: "t:crash", on_failure: continue}
          child: {target: "t:child", on_failure: continue}
        """,
        """
        import ctypes, os

        def crash():
            ctypes.string_at(0)

        def child():
            if not (pid := os.fork()):
                crash()
            os.waitpid(pid, 0)
            os._exit(7)
        """,
    )
    (crash,) = ended.log.having("worker.ended", worker="crash-1")
    assert "in crash\n" in crash["traceback"]
    assert PACKAGE not in crash["traceback"]
    assert ended.log.printed("crash-1") == []
    assert any("Segmentation fault" in line for line in ended.log.printed("child-1"))
