"""An interpreter without a global lock is refused by name, wherever a worker would begin."""

import subprocess
import sys
from pathlib import Path

import pytest

import orchestrator
from orchestrator.features.doctor import examine
from orchestrator.features.doctor.finding import Verdict
from orchestrator.free_threading import is_free_threaded

SPEC = """\
version: 1
jobs:
  a:
    target: os:getcwd
"""
COMMAND = """\
import sys
sys._is_gil_enabled = lambda: False
from orchestrator.__main__ import main
main()
"""


@pytest.fixture(params=["build", "state"])
def without_a_lock(request, monkeypatch):
    if request.param == "build":
        monkeypatch.setattr(sys, "abiflags", "t")
        monkeypatch.setattr(sys, "_is_gil_enabled", lambda: True, raising=False)
    else:
        monkeypatch.setattr(sys, "_is_gil_enabled", lambda: False, raising=False)


@pytest.fixture
def jobs(tmp_path):
    file = tmp_path / "jobs.yaml"
    file.write_text(SPEC)
    return file


def test_this_interpreter_has_a_lock():
    assert not is_free_threaded()


@pytest.mark.usefixtures("without_a_lock")
def test_a_program_gets_an_error_and_nothing_is_started(jobs):
    spec = orchestrator.load(jobs)
    assert spec.plan().jobs
    for start in (spec.run, orchestrator.Queue, orchestrator.JoinableQueue):
        with pytest.raises(orchestrator.UsageError, match="free-threaded Python at /"):
            start()
    assert [path.name for path in jobs.parent.iterdir()] == ["jobs.yaml"]


@pytest.mark.usefixtures("without_a_lock")
def test_doctor_calls_it_broken():
    found = examine.python()
    assert found.verdict is Verdict.BROKEN
    assert "free-threaded" in found.means


def without(*arguments, cwd):
    return subprocess.run(
        [sys.executable, "-c", COMMAND, *arguments],
        cwd=cwd, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_the_command_refuses_to_run_and_can_still_look(jobs):
    refused = without("run", cwd=jobs.parent)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "free-threaded Python" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert not Path(jobs.parent, ".mporch").exists()
    assert without("validate", cwd=jobs.parent).returncode == 0
