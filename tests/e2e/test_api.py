"""The Python API, from a program of its own: results, errors, Ctrl-C, a caller that is killed."""

import json
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from datetime import UTC, datetime
from pathlib import Path

import psutil
import pytest

from orchestrator.engine.node.guard import ONE_REQUEST_S

DOC = (Path(__file__).parents[2] / "docs" / "api.md").read_text()
SNIPPETS = re.findall(r"^```python\n(.*?)^```$", DOC, re.MULTILINE | re.DOTALL)
SPEC = """
version: 1
queues: {todo: 100}
jobs:
  numbers: {target: "mine:numbers", output: todo}
  work: {target: "mine:work", input: todo, on_error: {KeyError: skip}}
"""
MINE = """
def numbers():
    yield from range(100)
def work(number):
    if number == 7:
        raise KeyError(number)
    print("did", number)
"""
FOR_EVER = """
import signal
def work(number): pass
def numbers():
    yield 1
    signal.pause()
"""
DEADLINE_S = 30.0


@pytest.fixture
def project(tmp_path):
    (tmp_path / "jobs.yaml").write_text(SPEC)
    (tmp_path / "mine.py").write_text(MINE)
    return tmp_path


def begin(project, code):
    """A program of the user's in a process group of its own."""
    (project / "program.py").write_text(textwrap.dedent(code))
    return subprocess.Popen(
        [sys.executable, "program.py"],
        cwd=project,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        process_group=0,
    )


def result_of(project, code):
    with begin(project, code) as program:
        out, err = program.communicate(timeout=60)
        return program.returncode, out, err


def records(project):
    (log,) = project.glob(".mporch/runs/*/log.jsonl")
    return [json.loads(line) for line in log.read_text().splitlines()]


def until(look):
    end = time.monotonic() + DEADLINE_S
    while not (seen := look()):
        assert time.monotonic() < end
        time.sleep(0.02)
    return seen


def until_ready(project):
    """Wait for a run to be under way; its log may not be there yet, or end in half a line."""

    def ready():
        try:
            return sum(r["event"] == "worker.ready" for r in records(project)) == 2
        except ValueError:
            return False

    return until(ready)


def test_every_snippet_of_the_page_works(project):
    assert len(SNIPPETS) >= 4
    code = "import orchestrator\n" + "".join(SNIPPETS)
    exit_code, out, err = result_of(project, code)
    assert (exit_code, err) == (0, "")
    lines = out.splitlines()
    assert re.fullmatch(r"99 items in \d+\.\d+ s", lines[0])
    assert lines[1] == "1 100"
    assert lines[2] == "100 ('work',)"
    assert lines[3].startswith("numbers succeeded 0 ")
    assert lines[5] == "there is no such file"


def test_a_result_is_typed_and_quiet_but_for_what_targets_print(project):
    code = """
        import orchestrator
        result = orchestrator.load("jobs.yaml").run(run_dir="d")
        assert result and result.exit_code == 0 and result.status == "succeeded"
        assert result.reason == ""
        work, todo = result.jobs["work"], result.queues["todo"]
        assert (work.items_in, work.skipped, work.exit_codes) == (100, 1, (0,)), work
        assert (todo.put, todo.done, todo.skipped, todo.maxsize) == (100, 99, 1, 100)
        assert result.run_dir.is_absolute() and result.run_dir.name == "d"
        assert result.log_path.read_text().endswith("\\n")
    """
    exit_code, out, err = result_of(project, code)
    assert (exit_code, out) == (0, ""), err
    assert sorted(err.splitlines()) == sorted(f"work-1 | did {n}" for n in range(100) if n != 7)


def test_a_failed_job_is_a_false_result_that_says_why(project):
    (project / "mine.py").write_text(MINE.replace("KeyError(number)", "ValueError(number)"))
    code = """
        import orchestrator
        result = orchestrator.load("jobs.yaml").run(output="none")
        assert not result
        print(result.exit_code, result.status, result.jobs["work"].status, result.reason)
    """
    exit_code, out, err = result_of(project, code)
    assert (exit_code, err) == (0, "")
    place = f"{project / 'mine.py'}:6"
    assert out == f"1 failed failed job work failed: ValueError: 7 ({place}) at item todo:8 (7)\n"


def test_mistakes_raise_before_anything_runs(project):
    (project / "wrong.yaml").write_text("version: 1\njobs: {a: {target: 'mine:nothing'}}\n")
    code = """
        import orchestrator
        def raised(kind, call):
            try:
                call()
            except kind as error:
                print(type(error).__name__, error.hint or str(error))
        spec = orchestrator.load("jobs.yaml")
        raised(orchestrator.SpecError, lambda: orchestrator.load("wrong.yaml").run())
        raised(orchestrator.UsageError, lambda: spec.run(output="loud"))
        raised(orchestrator.RunDirectoryError, lambda: spec.run(run_dir="."))
        raised(orchestrator.RunDirectoryError, lambda: spec.run(run_dir="/dev/null/d"))
    """
    exit_code, out, err = result_of(project, code)
    assert (exit_code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].startswith("SpecError wrong.yaml:2:20: error: mine has no nothing")
    assert "UsageError output is one of prefixed, raw, none, not 'loud'" in lines
    assert (
        "RunDirectoryError each run needs a directory of its own: name a new or an empty one"
        in lines
    )
    assert lines[-1].startswith("RunDirectoryError ")
    assert not (project / ".mporch").exists()


def test_ctrl_c_ends_the_run_and_is_raised_after_it(project):
    (project / "mine.py").write_text(FOR_EVER)
    code = """
        import orchestrator
        try:
            orchestrator.load("jobs.yaml").run()
        except KeyboardInterrupt:
            print("interrupted")
    """
    with begin(project, code) as program:
        until_ready(project)
        os.killpg(program.pid, signal.SIGINT)
        out, err = program.communicate(timeout=DEADLINE_S)
    assert (program.returncode, out, err) == (0, "interrupted\n", "")
    last = records(project)[-1]
    assert (last["event"], last["exit_code"]) == ("run.ended", 130)


def test_the_run_ends_when_its_caller_is_killed(project):
    (project / "mine.py").write_text(FOR_EVER)
    code = "import orchestrator; orchestrator.load('jobs.yaml').run()"
    with begin(project, code) as program:
        until_ready(project)
        family = psutil.Process(program.pid).children(recursive=True)
        assert len(family) >= 4
        program.kill()
        _, alive = psutil.wait_procs(family, timeout=DEADLINE_S)
        assert alive == []
        assert program.stderr.read() == ""
    assert records(project)[-1]["exit_code"] == 143


HOST = """
    import _thread, ctypes, os, signal, subprocess, sys, threading, orchestrator

    class Late(BaseException):
        def __bool__(self):
            raise ValueError("it has no truth")

    def throw(error):
        raise error

    def leave(*_):
        sys.exit("asked to end")

    told = threading.Event()
    main = threading.get_ident()

    def throw_into(ident):
        told.wait()
        late = ctypes.py_object(Late)
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(ident), late)

    def from_thread(ident):
        threading.Thread(target=throw_into, args=(ident,), daemon=True).start()
        signal.signal(signal.SIGUSR1, lambda *_: told.set())

    def run():
        try:
            orchestrator.load("jobs.yaml").run()
        except BaseException as error:
            print(type(error).__name__)
            try:
                os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                print("nobody is left")

    def run_in_thread():
        thread = threading.Thread(target=run)
        thread.start()
        from_thread(thread.ident)
        thread.join()

"""
RAISED = {
    "sys.exit": ("signal.signal(signal.SIGUSR1, leave); run()", "SystemExit", 143),
    "own": ("signal.signal(signal.SIGUSR1, lambda *_: throw(Late())); run()", "Late", 143),
    "memory": (
        "signal.signal(signal.SIGUSR1, lambda *_: throw(MemoryError())); run()",
        "MemoryError",
        143,
    ),
    "looks like ours": (
        "signal.signal(signal.SIGUSR1,"
        " lambda *_: throw(subprocess.TimeoutExpired('it', 1))); run()",
        "TimeoutExpired",
        143,
    ),
    "from a thread": ("from_thread(main); run()", "Late", 143),
    "in a thread": ("run_in_thread()", "Late", 143),
    "interrupt_main": (
        "signal.signal(signal.SIGUSR1, lambda *_: _thread.interrupt_main()); run()",
        "KeyboardInterrupt",
        130,
    ),
    "as Ctrl-C": (
        "signal.signal(signal.SIGUSR1, signal.default_int_handler); run()",
        "KeyboardInterrupt",
        130,
    ),
}


@pytest.mark.parametrize(("act", "raised", "exit_code"), RAISED.values(), ids=RAISED)
def test_whatever_is_raised_in_run_from_outside_ends_the_run_and_comes_out(
    project, act, raised, exit_code
):
    (project / "mine.py").write_text(FOR_EVER)
    with begin(project, HOST + f"    {act}\n") as program:
        until_ready(project)
        program.send_signal(signal.SIGUSR1)
        out, err = program.communicate(timeout=DEADLINE_S)
    assert (program.returncode, out, err) == (0, f"{raised}\nnobody is left\n", "")
    assert records(project)[-1]["exit_code"] == exit_code


DEAF = """
import signal
def work(number): pass
def numbers():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    yield 1
    while True:
        signal.pause()
"""


def test_a_second_exception_ends_a_long_grace_as_a_second_sigterm_does(project):
    (project / "mine.py").write_text(DEAF)
    (project / "jobs.yaml").write_text(SPEC + "defaults: {terminate: {grace: 1h}}\n")
    act = "signal.signal(signal.SIGUSR1, lambda *_: throw(Late())); run()"
    with begin(project, HOST + f"    {act}\n") as program:
        until_ready(project)
        program.send_signal(signal.SIGUSR1)
        until(lambda: any(r["event"] == "signal.sent" for r in records(project)))
        time.sleep(ONE_REQUEST_S)
        program.send_signal(signal.SIGUSR1)
        out, err = program.communicate(timeout=DEADLINE_S)
    assert (program.returncode, out, err) == (0, "Late\nnobody is left\n", "")
    assert records(project)[-1]["exit_code"] == 143


@pytest.mark.parametrize("whom", ["the program", "its group"])
def test_a_second_ctrl_c_terminates_whether_or_not_the_terminal_tells_the_run_as_well(
    project, whom
):
    """One that comes both ways is one: the first only drains."""
    (project / "mine.py").write_text(DRAINED_LATE)
    kill = os.kill if whom == "the program" else os.killpg
    with begin(project, HOST + "    run()\n") as program:
        until_ready(project)
        kill(program.pid, signal.SIGINT)
        until((project / "draining").exists)
        again = datetime.now(UTC)
        kill(program.pid, signal.SIGINT)
        out, err = program.communicate(timeout=DEADLINE_S)
    assert (program.returncode, out, err) == (0, "KeyboardInterrupt\nnobody is left\n", "")
    sent = {r["worker"]: r["ts"] for r in records(project) if r["event"] == "signal.sent"}
    assert sent.keys() == {"numbers-1", "work-1"}
    assert datetime.fromisoformat(sent["numbers-1"]) < again
    assert datetime.fromisoformat(sent["work-1"]) > again


DRAINED_LATE = """
import os, signal, time
def numbers():
    yield 1
    try:
        signal.pause()
    finally:
        open("draining", "w").close()
def work(number):
    while True:
        signal.pause()
"""
