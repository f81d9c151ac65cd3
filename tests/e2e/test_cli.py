"""The command as a user runs it: its pages, pipes, signals, exit codes."""

import json
import os
import pty
import re
import shlex
import shutil
import signal
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest

MPORCH = [sys.executable, "-m", "orchestrator"]
ROOT = Path(__file__).parents[2]
DOC = (ROOT / "docs" / "cli.md").read_text()
FENCES = re.findall(r"^```(\w+)\n(.*?)^```$", DOC, re.MULTILINE | re.DOTALL)
LIVE = re.compile(r"mporch (top|tap|stack|stop)\b")
"""Commands for a run that goes on."""
ALL = [
    line[2:]
    for kind, text in FENCES
    if kind == "console"
    for line in text.splitlines()
    if line.startswith("$ ")
]
COMMANDS = [line for line in ALL if not LIVE.match(line)]


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.delenv("MPORCH_HOME", raising=False)
    for _, text in FENCES[:2]:
        name = text.splitlines()[0].removeprefix("# ")
        (tmp_path / name).write_text(text)
    return tmp_path


def mporch(*args, **options):
    options = {"capture_output": True, "text": True, "timeout": 60} | options
    return subprocess.run([*MPORCH, *args], check=False, **options)


def test_every_command_of_the_page_works(project):
    shell = f'set -e\nmporch() {{ {sys.executable} -m orchestrator "$@"; }}\n'
    assert len(COMMANDS) > 15
    script = shell + "\n".join(f"echo '+ {i}' >&2\n{line}" for i, line in enumerate(COMMANDS))
    # Some forty starts of Python, each of a second or more where others work.
    done = subprocess.run(
        ["sh", "-c", script], capture_output=True, text=True, timeout=280, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert json.loads((project / "summary.json").read_text())["status"] == "succeeded"
    assert json.loads((project / "plan.json").read_text())["name"] == project.name


def until(look):
    end = time.monotonic() + 60.0
    while not look():
        assert time.monotonic() < end
        time.sleep(0.02)


ENDLESS = """
import itertools, time

def numbers():
    for n in itertools.count():
        yield {"path": f"/{n}", "size": 2000, "meta": {"kind": "a", "size": n}}

def slow(item):
    time.sleep(0.01)
"""


def test_every_command_of_the_page_about_a_run_that_goes_on_works(project):
    (project / "endless.py").write_text(ENDLESS)
    (project / "jobs.yaml").write_text(
        "version: 1\nqueues: {todo: 10}\njobs:\n"
        "  numbers: {target: endless:numbers, output: todo}\n"
        "  parse: {target: endless:slow, input: todo, workers: 2}\n"
    )
    lines = [line for line in ALL if LIVE.match(line)]
    assert {LIVE.match(line)[1] for line in lines} == {"top", "tap", "stack", "stop"}
    for line in sorted(lines, key=lambda line: "stop" in line):
        with subprocess.Popen(
            [*MPORCH, "run", "--output", "none"], stderr=subprocess.DEVNULL
        ) as run:
            until(lambda: list(project.glob(".mporch/runs/*/control.sock")))
            shown = line.replace("20261123T08", "last").partition(" | ")[0]
            tried = shown + (" -n 2" if "tap" in shown else "")
            done = mporch(*shlex.split(tried)[1:])
            assert done.returncode == 0, (line, done.stderr)
            assert "stop" in line or run.poll() is None
            run.terminate()
            run.wait(60)
            for left in project.glob(".mporch/runs/*"):
                shutil.rmtree(left)


def test_output_of_targets_goes_to_standard_output_and_the_report_to_standard_error(project):
    done = mporch("run")
    assert done.returncode == 0
    assert sorted(done.stdout.splitlines(), key=lambda line: int(line.split()[-1])) == [
        f"work-1 | did {n}" for n in range(100) if n != 7
    ]
    assert "skipped by on_error: 1 item\n  work todo:8 (7): KeyError: 7" in done.stderr


def test_with_json_standard_output_is_the_summary_alone(project):
    done = mporch("run", "--format", "json")
    summary = json.loads(done.stdout)
    assert (summary["status"], summary["queues"]["todo"]["put"]) == ("succeeded", 100)
    assert "work-1 | did 3" in done.stderr


def test_the_log_is_ascii_json_from_run_started_to_run_ended(project):
    mporch("run", "--run-dir", "d", "--output", "none")
    raw = (project / "d" / "log.jsonl").read_bytes()
    records = [json.loads(line) for line in raw.splitlines()]
    assert raw.isascii()
    assert (records[0]["event"], records[-1]["event"]) == ("run.started", "run.ended")
    assert all({"ts", "run", "event", "level", "msg"} <= set(record) for record in records)
    assert sum(record["event"] == "output" for record in records) == 99


def test_a_reader_that_has_had_enough_is_no_error(project):
    mporch("run", "--output", "none")
    with subprocess.Popen(
        [*MPORCH, "logs", "--format", "json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as logs:
        logs.stdout.close()
        assert logs.stderr.read() == b""
        assert logs.wait(30) == 141


def test_on_a_terminal_progress_is_drawn_and_taken_away_before_the_report(project):
    leader, follower = pty.openpty()
    termios.tcsetwinsize(follower, (24, 80))
    env = {**os.environ, "TERM": "xterm", "MPORCH_RUN_OUTPUT": "none"}
    with subprocess.Popen([*MPORCH, "run"], stderr=follower, env=env) as run:
        os.close(follower)
        seen = read_to_the_end(leader)
        assert run.wait(60) == 0
    drawn, _, report = seen.rpartition("\x1b[J")
    assert " numbers " in drawn
    assert "succeeded\x1b[0m after" in report
    assert "queue" in report


def read_to_the_end(terminal):
    seen = b""
    try:
        while data := os.read(terminal, 65536):
            seen += data
    except OSError:  # how Linux says that nobody has the other side open any more
        os.close(terminal)
    return seen.decode()


def test_a_full_disk_behind_standard_output_is_told(project):
    with Path("/dev/full").open("w") as full:
        done = mporch("plan", stdout=full, capture_output=False, stderr=subprocess.PIPE)
    assert done.returncode == 74
    assert done.stderr == ("mporch: error: cannot write: No space left on device\n")


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_standard_descriptors_harm_nothing(project, closed):
    command = f"{' '.join(MPORCH)} run --run-dir d {closed}"
    assert subprocess.run(["sh", "-c", command], timeout=60, check=False).returncode == 0
    assert mporch("logs", "d", "--grep", "^did 99$").stdout.endswith("did 99  [todo:100]\n")


def test_following_ends_when_interrupted(project):
    (project / "mine.py").write_text("import signal\ndef numbers():\n    signal.pause()\n")
    (project / "jobs.yaml").write_text(
        "version: 1\njobs:\n  numbers: {target: 'mine:numbers', timeouts: {run: 60s}}\n"
    )
    with subprocess.Popen([*MPORCH, "run", "--run-dir", "d"], stderr=subprocess.PIPE) as run:
        try:
            for line in run.stderr:
                if b"numbers" in line:
                    break
            follow = [*MPORCH, "logs", "d", "-f"]
            with subprocess.Popen(follow, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as logs:
                assert b"run of" in logs.stdout.readline()
                logs.send_signal(signal.SIGINT)
                assert logs.wait(30) == 130
                assert b"Traceback" not in logs.stderr.read()
        finally:
            run.terminate()
            run.wait(30)


def test_following_sees_the_run_to_its_end(project):
    with subprocess.Popen([*MPORCH, "run", "--run-dir", "d"], stderr=subprocess.PIPE) as run:
        run.stderr.readline()
        done = mporch("logs", "d", "-f", "--format", "json")
        run.stderr.read()
        assert run.wait(60) == 0
    assert json.loads(done.stdout.splitlines()[-1])["event"] == "run.ended"


def test_following_tells_that_the_run_was_killed(project):
    (project / "mine.py").write_text("import signal\ndef numbers():\n    signal.pause()\n")
    (project / "jobs.yaml").write_text(
        "version: 1\njobs:\n  numbers: {target: 'mine:numbers', timeouts: {run: 60s}}\n"
    )
    with subprocess.Popen([*MPORCH, "run", "--run-dir", "d"], stderr=subprocess.PIPE) as run:
        try:
            for line in run.stderr:
                if b"numbers" in line:
                    break
            follow = [*MPORCH, "logs", "d", "-f"]
            with subprocess.Popen(follow, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as logs:
                assert b"run of" in logs.stdout.readline()
                run.kill()
                assert logs.wait(30) == 0
                assert logs.stderr.read().startswith(b"mporch: run d died: it was killed, or ")
        finally:
            run.kill()
            run.wait(30)


def test_python_dash_m_and_the_environment_work_without_a_terminal(project):
    done = mporch("run", env={**os.environ, "MPORCH_RUN_OUTPUT": "none"})
    assert (done.returncode, done.stdout) == (0, "")
    assert "\x1b" not in done.stderr
