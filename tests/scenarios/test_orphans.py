"""Whatever of mporch is killed or stopped: nothing of the run is left, or it goes on."""

import os
import signal
import time
from pathlib import Path

import psutil
import pytest
from life_runs import GONE_WITHIN_S, until

STOPPED_S = 2.5
"""Longer than any limit in the run that is stopped."""

FAMILY = """
queues: {numbers: 10}
defaults: {terminate: {grace: 60s}}
jobs:
  count: {target: "t:count", output: numbers, start_method: fork}
  take: {target: "t:take", input: numbers, workers: 2}
  parent: {target: "t:parent", start_method: spawn}
  stubborn: {target: "t:stubborn"}
"""

FAMILY_CODE = """
import itertools, os, signal, subprocess, time

def count():
    for n in itertools.count():
        time.sleep(0.001)
        yield n

def take(n):
    pass

def parent():
    subprocess.Popen(["sleep", "1000"])
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            for signum in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
                signal.signal(signum, signal.SIG_IGN)
            print("a daemon")
            while True:
                signal.pause()
        os._exit(0)
    os.wait()
    print("a parent")
    signal.pause()

def stubborn():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print("stubborn")
    while True:
        signal.pause()
"""


@pytest.fixture
def family(begin):
    run = begin(FAMILY, FAMILY_CODE)
    for text in ("a daemon", "a parent", "stubborn"):
        run.said(text)
    assert len(run.processes()) >= 11
    return run


def test_nothing_survives_the_guard(family):
    family.guard.kill()
    family.guard.wait()
    family.gone()


def test_nothing_survives_the_orchestrator_and_its_end_is_told(family):
    os.kill(family.orchestrator, signal.SIGKILL)
    ended = family.end(within_s=GONE_WITHIN_S)
    assert ended.exit_code == 128 + signal.SIGKILL
    assert "the orchestrator was ended by SIGKILL" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_nothing_survives_a_clean_end(begin):
    run = begin(
        """
        jobs:
          parent: {target: "t:parent"}
        """,
        FAMILY_CODE.replace('print("a parent")\n    signal.pause()', "return"),
    )
    ended = run.end()
    assert ended.exit_code == 0
    assert "Traceback" not in ended.stdout + ended.stderr  # of the fork in the fork


def test_a_forkserver_that_is_killed_is_to_blame_for_its_workers_deaths(family):
    forkserver(family).kill()
    ended = family.end(within_s=20)
    assert ended.exit_code == 1
    assert "with the forkserver" in ended.reason
    assert ended.reason.startswith("job stubborn"), "the others of its workers can be replaced"
    told = [r for event in ("ended", "replaced") for r in ended.log.having(f"worker.{event}")]
    assert {r["worker"] for r in told if r.get("exit_code") == -signal.SIGKILL} >= {
        "take-1",
        "take-2",
        "stubborn-1",
    }
    ended.ledger("numbers")


def test_the_workers_of_a_killed_forkserver_are_replaced_by_a_new_ones_and_no_item_is_charged(
    begin,
):
    run = begin(
        """
        queues: {numbers: 100}
        jobs:
          count: {target: "t:count", output: numbers, start_method: fork}
          take: {target: "t:take", input: numbers, workers: 2}
        """,
        """
        import pathlib, signal

        def count():
            yield from range(100)

        def take(n):
            if n == 50 and not pathlib.Path("been").exists():
                pathlib.Path("been").touch()
                print("in the midst")
                signal.pause()
        """,
    )
    run.said("in the midst")
    for worker in ("take-1", "take-2"):
        run.pid(worker)
    forkserver(run).kill()
    ended = run.end()
    assert ended.exit_code == 0
    assert ended.ledger("numbers") == {"put": 100, "done": 100}
    replaced = ended.log.having("worker.replaced")
    assert {r["worker"] for r in replaced} == {"take-1", "take-2"}
    assert all("with the forkserver" in r["reason"] for r in replaced)
    assert len(ended.log.having("worker.started")) == 5


def test_a_job_with_more_workers_than_restarts_outlives_its_forkserver(begin):
    """They are lost together, by no fault of the job's: that is one loss, and no restart."""
    run = begin(
        """
        queues: {numbers: 100}
        jobs:
          count: {target: "t:count", output: numbers, start_method: fork}
          take: {target: "t:take", input: numbers, workers: 4, restart: {max: 1}}
        """,
        """
        import pathlib, signal

        def count():
            yield from range(100)

        def take(n):
            if n == 50 and not pathlib.Path("been").exists():
                pathlib.Path("been").touch()
                print("in the midst")
                signal.pause()
        """,
    )
    run.said("in the midst")
    for n in range(1, 5):
        run.pid(f"take-{n}")
    forkserver(run).kill()
    ended = run.end()
    assert ended.exit_code == 0
    assert ended.ledger("numbers") == {"put": 100, "done": 100}
    job = ended.summary["jobs"]["take"]
    assert (job["orphaned"], job["restarts"], job["retried"]) == (4, 0, 0)
    assert {r["n"] for r in ended.log.having("worker.replaced")} == {1}


def forkserver(run):
    """The process that makes the workers."""
    fork = [p for p in run.processes() if "forkserver import main" in " ".join(p.cmdline())]
    pids = {p.pid for p in fork}
    (server,) = [p for p in fork if p.ppid() not in pids]
    return server


def test_a_run_whose_processes_were_stopped_goes_on_and_misses_no_deadline(begin):
    run = begin(
        """
        queues: {numbers: 10}
        jobs:
          count: {target: "t:count", output: numbers}
          take: {target: "t:take", input: numbers}
          limited: {target: "t:until_told", timeouts: {run: 1500ms}}
        """,
        """
        import os, time

        def count():
            yield from range(500)

        def take(n):
            if n == 100:
                print("begun")
            time.sleep(0.001)

        def until_told():
            os.mkfifo("go")
            print("waiting")
            open("go").read()
        """,
    )
    run.said("waiting")
    run.said("begun")
    pids = [run.orchestrator, run.pid("take-1")]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    until(lambda: all(_state(pid) == "T" for pid in pids), "a stop")
    time.sleep(STOPPED_S)
    for pid in pids:
        os.kill(pid, signal.SIGCONT)
    (run.folder / "go").write_text("")
    ended = run.end()
    assert ended.exit_code == 0
    assert ended.ledger("numbers") == {"put": 500, "done": 500}


def _state(pid):
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


HANGING = """
queues: {numbers: 10, more: 10}
jobs:
  count: {target: "t:count", output: numbers, start_method: fork}
  take: {target: "t:take", input: numbers, call: stream, start_method: fork}
  once: {target: "t:once", input: more, restart: {max: 5}, retry: {attempts: 2},
         terminate: {grace: 60s}}
  give: {target: "t:give", output: more, start_method: fork}
"""

HANGING_CODE = """
import itertools, os, signal, time

def count():
    yield from itertools.count()

def take(numbers):
    for n in numbers:
        if not n % 100 and os.path.exists("hangs"):
            print("after", n)
            os.remove("hangs")
        if os.path.exists("lingers"):
            try:
                print("lingers")
                signal.pause()
            finally:
                while os.path.exists("lingers"):
                    time.sleep(0.01)

def give():
    yield 1

def once(n):
    with open("forkservers", "a") as file:
        print(os.getppid(), file=file)
    os.kill(os.getppid(), signal.SIGSTOP)
    open("hangs", "w").close()
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("stop", ["SIGTERM", "SIGINT twice"])
def test_a_forkserver_that_hangs_holds_up_nobody_but_the_workers_it_is_to_make(begin, stop):
    """Items move on, and the run can be stopped, long before the start is given up."""
    run = begin(HANGING, HANGING_CODE)
    run.log.wait("worker.replaced", worker="once-1")
    (run.folder / "hangs").touch()
    until(lambda: not (run.folder / "hangs").exists(), "items do not move", within_s=15)
    for signum in (signal.SIGTERM,) if stop == "SIGTERM" else (signal.SIGINT, signal.SIGINT):
        run.guard.send_signal(signum)
        run.log.wait("run.stopping", within_s=10)
    ended = run.end(within_s=25)
    assert ended.exit_code == (143 if stop == "SIGTERM" else 130)
    assert ended.statuses()["take"] in ("terminated", "succeeded")
    assert ended.statuses()["once"] == "terminated", "it had no process, and was not waited for"


def test_a_process_that_a_forkserver_makes_after_its_worker_was_stopped_is_killed(begin):
    """It hangs, its worker has ended, it goes on: the target is not called, and nobody is left."""
    run = begin(HANGING, HANGING_CODE)
    run.log.wait("worker.replaced", worker="once-1")
    (run.folder / "lingers").touch()
    run.said("lingers")
    run.guard.send_signal(signal.SIGTERM)
    run.log.wait("worker.ended", worker="once-1", within_s=10)
    (forkserver,) = (run.folder / "forkservers").read_text().split()
    before = set(psutil.Process(int(forkserver)).children())
    os.kill(int(forkserver), signal.SIGCONT)
    until(lambda: not before & set(psutil.process_iter()), "the dead worker is not reaped")
    (run.folder / "lingers").unlink()
    ended = run.end(within_s=25)
    assert ended.statuses()["once"] == "terminated"
    assert (run.folder / "forkservers").read_text().split() == [forkserver]
