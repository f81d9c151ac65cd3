"""`mporch doctor` tries things out, and tells the truth."""

import json
import os
import resource
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from orchestrator.features.doctor import examine, protection
from orchestrator.features.doctor.finding import Verdict
from orchestrator.features.doctor.protection import look_at_protection
from orchestrator.plan.model import StartMethod

DOCTOR = [sys.executable, "-m", "orchestrator", "doctor", "--format", "json"]


@pytest.fixture(autouse=True)
def nobody_is_left():
    """No trial leaves a child."""
    before = children()
    yield
    assert children() == before


def children():
    return Path(f"/proc/self/task/{os.getpid()}/children").read_text()


def found_by(command, **options):
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=False, **options
    )
    return done.returncode, {row["name"]: row for row in json.loads(done.stdout)}


def test_what_runs_rest_upon_works_where_the_tests_run():
    assert protection.pidfds_work()
    assert protection.orphan_trial() == protection.SUBREAPER | protection.PARENT_DEATH


def test_a_kernel_without_pidfds_is_found_out(monkeypatch):
    def refused(pid, flags=0):
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(os, "pidfd_open", refused)
    assert not protection.pidfds_work()
    pidfd, *_ = look_at_protection()
    assert (pidfd.name, pidfd.verdict) == ("pidfd", Verdict.BROKEN)


@pytest.mark.timeout(30)
def test_a_parent_death_signal_that_never_comes_is_found_out(monkeypatch):
    monkeypatch.setattr(protection, "_PATIENCE_S", 1)
    monkeypatch.setattr(protection, "set_parent_death_signal", lambda _: True)
    assert protection.orphan_trial() == protection.SUBREAPER


def test_an_orphan_that_goes_to_somebody_else_is_found_out(monkeypatch):
    monkeypatch.setattr(protection, "become_subreaper", lambda: False)
    assert protection.orphan_trial() == 0


def test_a_namespace_that_is_refused_is_found_out(monkeypatch):
    monkeypatch.setattr(protection, "enter_new_pid_namespace", lambda: False)
    assert not protection.pid_namespace_works()


def test_a_namespace_that_only_seems_to_be_one_is_found_out(monkeypatch):
    monkeypatch.setattr(protection, "enter_new_pid_namespace", lambda: True)
    assert not protection.pid_namespace_works()


def test_processes_start_by_fork():
    finding = examine.start_method(StartMethod.FORK)
    assert finding.verdict is Verdict.OK
    assert finding.found.endswith(" ms a process")


def test_a_process_that_does_not_start_well_is_told(monkeypatch):
    monkeypatch.setattr(examine, "os", SimpleNamespace(getpid=lambda: os._exit(3)))
    finding = examine.start_method(StartMethod.FORK)
    assert (finding.verdict, finding.found) == (
        Verdict.LIMITED,
        "failed: the process ended with 3",
    )


def test_the_command_finds_this_machine_fit(tmp_path):
    code, found = found_by(DOCTOR, cwd=tmp_path)
    assert code == 0
    assert found["run directory"]["found"].startswith(str(tmp_path / ".mporch"))
    assert {"system", "python", "start by spawn", "pidfd", "/dev/shm"} <= set(found)
    assert not (tmp_path / ".mporch").exists()


def test_too_few_descriptors_for_any_worker_break_all_runs(tmp_path):
    def few():
        resource.setrlimit(resource.RLIMIT_NOFILE, (130, 130))

    code, found = found_by(DOCTOR, cwd=tmp_path, preexec_fn=few)
    assert code == 1
    assert found["open files"]["verdict"] == "broken"
