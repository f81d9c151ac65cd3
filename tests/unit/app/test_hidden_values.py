"""The Python API, as far as it runs nothing."""

from pathlib import Path

import orchestrator
from orchestrator.core.reporting import JobSummary, Summary


def test_a_spec_is_shown_as_one_short_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "jobs.yaml").write_text(
        "version: 1\nname: census\njobs: {a: {target: 'os:getcwd'}, b: {target: 'os:getcwd'}}\n"
    )
    shown = repr(orchestrator.load("jobs.yaml"))
    assert shown == "Spec(name='census', path='jobs.yaml', jobs=2)"


def test_a_result_is_shown_as_one_short_line():
    summary = Summary(
        run="r1",
        name="census",
        status="failed",
        exit_code=1,
        started="",
        ended="",
        duration_s=1.0,
        jobs={"a": JobSummary(status="failed", workers=1)},
        queues={},
        reason="job a failed",
    )
    assert repr(orchestrator.RunResult(summary=summary, run_dir=Path("/runs/r1"))) == (
        "RunResult(name='census', status='failed', exit_code=1, jobs=1, run_dir='/runs/r1')"
    )
