"""Stop signals that mporch did not send: to one worker, or to all processes of a run at once."""

import contextlib
import json
import os
import random
import signal
from collections import Counter

import psutil
import pytest

ITEMS = 60

CHAIN = """
    durable: {durable}
    queues: {{todo: 10, made: 10, done: 10}}
    jobs:
      src: {{target: "t:src", output: todo}}
      work:
        target: t:work
        input: todo
        output: made
        workers: 2
        retry: {retry}
        on_error: dead_letter
        restart: {{max: 100, within: 60s}}
      pass: {{command: "sleep 0.01; cat", input: made, output: done, on_error: dead_letter}}
      end: {{target: "t:end", input: done, call: stream}}
      task: {{target: "t:task"}}
"""

CODE = f"""
    import os, signal, time

    def src():
        yield from range({ITEMS})

    def work(n):
        time.sleep(0.01)
        return n

    def end(items):
        seen = os.open("seen", os.O_CREAT | os.O_APPEND | os.O_WRONLY)
        for item in items:
            os.write(seen, f"{{item}}\\n".encode())

    def task():
        if not os.path.exists("short"):
            signal.pause()
"""


def _seen(life):
    path = life.folder / "seen"
    return Counter(map(int, path.read_text().split())) if path.exists() else Counter()


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_a_worker_that_is_told_to_stop_by_a_stranger_is_replaced_and_nothing_is_lost(begin, signum):
    life = begin(CHAIN.format(durable=False, retry="{attempts: 3}"), CODE)
    (life.folder / "short").touch()
    os.kill(life.pid("work-1"), signum)
    ended = life.end()
    assert (ended.exit_code, _seen(life)) == (0, Counter(range(ITEMS)))
    (replaced,) = ended.log.having("worker.replaced", worker="work-1")
    assert signal.Signals(signum).name in replaced["reason"]


def test_a_target_that_tells_itself_to_stop_costs_its_item_what_on_error_says(ran):
    ended = ran(
        """
        queues: {todo: 10}
        jobs:
          src: {target: "t:src", output: todo}
          work: {target: "t:work", input: todo, on_error: dead_letter, retry: {attempts: 2}}
        """,
        """
        import os, signal

        def src():
            yield from range(4)

        def work(n):
            if n == 2:
                os.kill(os.getpid(), signal.SIGTERM)
        """,
    )
    assert ended.exit_code == 3
    assert ended.ledger("todo") == {"put": 4, "done": 3, "dead": 1}
    letters = (ended.log.path.with_name("dead") / "letters.jsonl").read_text().splitlines()
    (letter,) = map(json.loads, letters)
    assert (letter["item"], letter["attempts"]) == ("todo:3", 2)
    assert "stopped by SIGTERM" in letter["error"]


@pytest.mark.parametrize("point", ["w.ready_before", "w.ready_sent"])
def test_a_stop_signal_that_comes_while_a_worker_says_that_it_is_ready_is_not_lost(ran, point):
    ended = ran(
        f"""
        timeout: 30s
        jobs:
          task:
            target: t:task
            env: {{MPORCH_TEST: "1", MPORCH_FAULT: "{point}:1:term"}}
        """,
        """
        import signal

        def task():
            signal.pause()
        """,
    )
    assert (ended.exit_code, ended.codes()["task"]) == (1, [-signal.SIGTERM])
    assert "stopped by SIGTERM" in ended.reason


CHARGED = ("item.retried", "item.dead", "item.failed", "item.skipped", "worker.replaced")


@pytest.mark.parametrize(
    "seed", [*range(5), *(pytest.param(n, marks=pytest.mark.long) for n in range(5, 200))]
)
def test_a_run_all_of_whose_processes_are_told_to_stop_is_stopped_and_charges_nobody(begin, seed):
    """As systemd does with a unit, in any order: then it can be resumed, exactly."""
    chance = random.Random(seed)
    life = begin(CHAIN.format(durable=seed % 2 == 0, retry="{attempts: 1}"), CODE)
    life.log.wait("worker.ready", worker="end-1")
    if chance.random() < 0.7:
        life.log.wait("worker.ready", worker=chance.choice(["task-1", "work-2", "pass-1"]))
    everybody = life.processes()
    chance.shuffle(everybody)
    for process in everybody:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGTERM)
    ended = life.end()
    assert ended.exit_code == 143
    stopped = {"terminated", "killed", "succeeded"}  # killed: it had finished what has no room yet
    assert set(ended.statuses().values()) <= stopped, ended.summary
    assert ended.statuses()["task"] == "terminated"
    told = [record["msg"] for event in CHARGED for record in ended.log.having(event)]
    assert told == []
    assert {job["restarts"] for job in ended.summary["jobs"].values()} == {0}
    if seed % 2 == 0:
        (life.folder / "short").touch()
        life.resume()
        assert life.end().exit_code == 0
        assert set(_seen(life)) == set(range(ITEMS))
