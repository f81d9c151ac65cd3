"""Daemons of code that runs outside of a run: none is left by whatever tries that code."""

import os
import pickle
import select
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.app.import_check.problems import import_problems
from orchestrator.errors import TargetError
from orchestrator.features.testcases import compare as comparing
from orchestrator.features.testcases.compare import (
    CaseQuestion,
    Dead,
    ExpectedItems,
    Request,
    compare,
)
from orchestrator.machine.machine import this_machine
from orchestrator.plan.checks.targets import imported_targets
from orchestrator.plan.compile import compile_spec
from orchestrator.spec import load

DAEMON = """\
import subprocess
_left = subprocess.Popen(
    ["/bin/sh", "-c", "sleep 600 & setsid sleep 600 & exec sleep 600"],
    start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
)
"""
"""Three processes; the last of them leads the session, and one has fled from that, too."""


def wanted(spec):
    machine = this_machine()
    return imported_targets(spec, compile_spec(spec, machine).plan, machine)


@pytest.fixture
def left(monkeypatch):
    """Those that carry this test's mark in their environment."""
    mark = f"MPORCH_TEST_MARK={os.getpid()}-{os.urandom(8).hex()}"
    monkeypatch.setenv(*mark.split("="))

    def find():
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                environ = (folder / "environ").read_bytes().split(b"\0")
            except OSError:
                continue
            if mark.encode() in environ and int(folder.name) != os.getpid():
                found.append((folder / "cmdline").read_bytes())
        return found

    return find


def imported(folder, text, timeout_s=60.0):
    (folder / "mine.py").write_text(f"{DAEMON}{text}\ndef work(): ...\n")
    (folder / "jobs.yaml").write_text("version: 1\njobs:\n  a: {target: mine:work}\n")
    spec = load(folder / "jobs.yaml")
    return [p.message for p in import_problems(spec, wanted(spec), timeout_s=timeout_s)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", None),
        ("raise ValueError", "raises ValueError"),
        ("import os; os._exit(3)", "exit code 3"),
        ("import os; os.kill(os.getpid(), 9)", "SIGKILL"),
        ("import os; os.setsid()", "raises PermissionError"),
        ("import os; os.killpg(0, 9)", "SIGKILL"),
    ],
    ids=["well", "raises", "exits", "dies", "leads", "dies as a group"],
)
def test_an_import_leaves_no_daemon_however_it_ends(tmp_path, left, text, said):
    told = imported(tmp_path, text)
    assert (told == []) if said is None else (said in told[0])
    assert left() == []


def test_an_import_that_hangs_leaves_no_daemon(tmp_path, left):
    (told,) = imported(tmp_path, "import signal; signal.pause()", timeout_s=1.0)
    assert "takes longer than 1 s" in told
    assert left() == []


def test_an_import_may_take_as_long_as_there_is_time(tmp_path, left):
    assert imported(tmp_path, "", timeout_s=36_500 * 86_400.0) == []


def request(folder, text):
    """Ask for items of a class whose module has such a text."""
    (folder / "mine.py").write_text(f"{text}\nclass Item:\n    pass\n")
    item = b"cmine\nItem\n."
    chunk = folder / "chunk-000001.pickle"
    chunk.write_bytes(pickle.dumps([item]))
    return Request(
        project_dir=str(folder),
        pythonpath=(),
        recorded="",
        dead=(Dead(job="a", path=str(chunk), index=0, packed=True),),
        asks=(CaseQuestion(name="a", dead=True, wanted=ExpectedItems(equals=(1,))),),
    )


def test_what_looks_at_the_items_of_a_test_leaves_no_daemon(tmp_path, left):
    assert compare(request(tmp_path, DAEMON))
    assert left() == []


def test_what_looks_at_them_too_long_leaves_no_daemon(tmp_path, left, monkeypatch):
    monkeypatch.setattr(comparing, "_LONGEST_S", 1.0)
    with pytest.raises(TargetError, match="took longer than 1 s"):
        compare(request(tmp_path, f"{DAEMON}import signal; signal.pause()"))
    assert left() == []


@pytest.mark.parametrize("end", ["", "raise ValueError", "import os; os.kill(os.getpid(), 9)"])
def test_a_call_by_hand_leaves_no_daemon(tmp_path, left, end):
    mporch = Path(sys.executable).with_name("mporch")

    def run(*arguments):
        done = subprocess.run(
            [mporch, *arguments],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return done.returncode, done.stderr

    (tmp_path / "jobs.yaml").write_text(
        "version: 1\nqueues: {a: 10}\njobs:\n"
        "  make: {target: mine:make, output: a}\n"
        "  work: {target: mine:work, input: a, on_error: dead_letter}\n"
    )
    (tmp_path / "mine.py").write_text(
        "def make(): return [1]\ndef work(item): raise ValueError('once')\n"
    )
    assert run("run")[0] == 3
    body = "".join(f"    {line}\n" for line in f"{DAEMON}{end}".splitlines())
    (tmp_path / "mine.py").write_text(f"def work(item):\n{body}def make(): ...\n")
    code, err = run("dead", "debug", "1")
    assert code == (1 if end else 0), err
    assert ("killed by SIGKILL" in err) == ("kill" in end)
    assert left() == []


def test_a_call_by_hand_whose_command_is_ended_leaves_no_daemon(tmp_path, left):
    reader, writer = os.pipe()
    with subprocess.Popen(
        [sys.executable, "-c", PARENT], pass_fds=(writer,), env={**os.environ, "W": str(writer)}
    ) as parent:
        os.close(writer)
        daemon = os.pidfd_open(int(os.read(reader, 20)))
        parent.kill()
        readable, _, _ = select.select([daemon], [], [], 30)
    os.close(daemon)
    os.close(reader)
    assert readable


PARENT = """\
import os, subprocess, sys
from orchestrator.engine.node.keeper import keep

me = os.getpid()
if os.fork() == 0:
    def call():
        left = subprocess.Popen(["sleep", "600"], start_new_session=True)
        os.write(int(os.environ["W"]), str(left.pid).encode())
        left.wait()
    keep(me, call)
os.wait()
"""
