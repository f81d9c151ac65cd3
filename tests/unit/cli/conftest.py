"""A project folder with runs in it, and the command line in one process."""

import pytest

from orchestrator.cli.main import command_line
from orchestrator.core.protocol.messages import Failure
from orchestrator.core.protocol.notifications import (
    ItemSkipped,
    Ledger,
    OutputLine,
    RunEnded,
    Stream,
    Warned,
)
from orchestrator.core.reporting import JobSummary, Summary
from orchestrator.runlog.directory import create
from orchestrator.runlog.writer import RunLog

SPEC = """\
version: 1
queues: {todo: 100}
jobs:
  numbers: {target: "mine:numbers", output: todo}
  work: {target: "mine:work", input: todo}
"""


class Answer:
    """What a command returned and printed."""

    def __init__(self, code, captured):
        self.code = code
        self.out, self.err = captured


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("MPORCH_HOME", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "jobs.yaml").write_text(SPEC)
    (tmp_path / "mine.py").write_text("def numbers(): ...\n\n\ndef work(x): ...\n")
    return tmp_path


@pytest.fixture
def mporch(project, capfd):
    def call(*args):
        return Answer(command_line(list(args)), capfd.readouterr())

    return call


def log_of_two_lines(run, end=True):
    log = RunLog(run.path, run.run_id)
    log.notify(
        OutputLine(job="work", worker="work-1", pid=5, stream=Stream.STDOUT, text="hello"), ts=1.0
    )
    log.notify(Warned(message="careful", job="numbers"), ts=2.0)
    failure = Failure(kind="KeyError", message="7")
    log.notify(
        ItemSkipped(job="work", worker="work-1", item="todo:8", queue="todo", failure=failure),
        ts=3.0,
    )
    if end:
        log.notify(RunEnded(status="succeeded", exit_code=0, duration_s=1.0), ts=4.0)
        log.close()
    return log


def summary_of(run):
    return Summary(
        run=run.run_id,
        name="census",
        status="succeeded",
        exit_code=0,
        started="2026-11-23T08:00:00.000000Z",
        ended="2026-11-23T08:00:01.000000Z",
        duration_s=1.0,
        jobs={"work": JobSummary(status="succeeded", workers=1, items_in=8, skipped=1)},
        queues={"todo": Ledger(maxsize=100, put=8, done=7, skipped=1)},
    )


@pytest.fixture
def finished(project):
    run = create(project / ".mporch", now=1.0)
    log_of_two_lines(run)
    run.write_summary(summary_of(run))
    return run


@pytest.fixture
def died(project):
    run = create(project / ".mporch", now=2.0)
    log_of_two_lines(run, end=False).close()
    return run


@pytest.fixture
def running(project):
    run = create(project / ".mporch", now=3.0)
    log = log_of_two_lines(run, end=False)
    yield run
    log.close()
