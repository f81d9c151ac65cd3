"""Run directories: private, one for each run, sorted by time."""

import json
import stat

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.core.protocol.notifications import Ledger
from orchestrator.core.reporting import JobSummary, Summary
from orchestrator.errors import RunDirectoryError
from orchestrator.plan.model import JobPlan, Plan, QueuePlan, Shape, Target
from orchestrator.runlog.directory import _run_id, create, home_of

SUMMARY = Summary(
    run="r1",
    name="census",
    status="succeeded",
    exit_code=0,
    started="2026-11-23T08:00:00Z",
    ended="2026-11-23T08:00:01Z",
    duration_s=1.0,
    jobs={"a": JobSummary(status="succeeded", workers=1, exit_codes=(0,))},
    queues={"q": Ledger(maxsize=3, put=1, done=1)},
)
PLAN = Plan(
    name="census",
    spec_path="/p/jobs.yaml",
    project_dir="/p",
    queues={"q": QueuePlan(name="q")},
    jobs={
        "a": JobPlan(name="a", target=Target(module="m", qualname="f"), shape=Shape.TASK),
    },
)


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


@given(st.integers(0, 4_000_000_000_000_000), st.integers(1, 10_000_000))
def test_ids_sort_as_their_times(micros, later):
    assert _run_id(micros) < _run_id(micros + later)


def test_an_id_tells_date_and_time():
    assert _run_id(1_795_420_920_000_035) == "20261123T080200-000z"


def test_two_runs_of_the_same_microsecond_get_directories_of_their_own(tmp_path):
    first, second = (create(tmp_path / ".mporch", now=1.0) for _ in range(2))
    assert first.run_id < second.run_id
    assert first.path != second.path


def test_directories_are_private_and_git_ignores_them(tmp_path):
    run = create(tmp_path / ".mporch")
    assert [mode(path) for path in (run.path, run.path.parent)] == [0o700, 0o700]
    assert (tmp_path / ".mporch" / ".gitignore").read_text() == "*\n"


def test_files_are_private_and_read_back_equal(tmp_path):
    run = create(tmp_path)
    run.write_spec("version: 1\n")
    run.write_plan(PLAN)
    run.write_summary(SUMMARY)
    assert run.read_summary() == SUMMARY
    assert run.read_plan() == PLAN
    assert {mode(path) for path in run.path.iterdir()} == {0o600}
    assert json.loads((run.path / "summary.json").read_text())["jobs"]["a"]["exit_codes"] == [0]


def test_a_path_that_is_no_text_is_kept(tmp_path):
    """A folder may be named in bytes that are no UTF-8; Python tells them as lone surrogates."""
    run = create(tmp_path / ".mporch")
    plan = msgspec.structs.replace(PLAN, project_dir="/p/\udcff")
    run.write_plan(plan)
    assert run.read_plan() == plan


def test_a_summary_is_replaced_as_a_whole(tmp_path):
    run = create(tmp_path)
    run.write_summary(SUMMARY)
    run.write_summary(SUMMARY)
    assert [path.name for path in run.path.iterdir()] == ["summary.json"]


def test_a_link_in_the_place_of_a_file_is_replaced_not_followed(tmp_path):
    run = create(tmp_path)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("mine")
    (run.path / "spec.yaml").symlink_to(elsewhere)
    run.write_spec("version: 1\n")
    assert elsewhere.read_text() == "mine"
    (run.path / "summary.json").symlink_to(elsewhere)
    assert run.read_summary() is None


def test_a_summary_that_cannot_be_read_is_none(tmp_path):
    run = create(tmp_path)
    assert run.read_summary() is None
    (run.path / "summary.json").write_text('{"run": 3}')
    assert run.read_summary() is None


def test_a_directory_that_is_named_is_made_with_its_parents(tmp_path):
    run = create(tmp_path / ".mporch", tmp_path / "a" / "b")
    assert run.path == tmp_path / "a" / "b"
    assert mode(run.path) == 0o700
    assert not (tmp_path / ".mporch").exists()


def test_an_empty_directory_is_taken_and_a_full_one_refused(tmp_path):
    (tmp_path / "d").mkdir()
    create(tmp_path, tmp_path / "d").write_spec("x")
    with pytest.raises(RunDirectoryError, match="not empty") as caught:
        create(tmp_path, tmp_path / "d")
    assert caught.value.hint


def test_a_file_in_the_place_of_the_home_is_an_error_with_its_path(tmp_path):
    (tmp_path / ".mporch").write_text("")
    with pytest.raises(RunDirectoryError, match=r"\.mporch"):
        create(tmp_path / ".mporch")


def test_a_failed_write_names_the_file(tmp_path):
    run = create(tmp_path)
    run.path.rmdir()
    with pytest.raises(RunDirectoryError, match=r"spec\.yaml: No such file"):
        run.write_spec("x")


def test_a_write_where_something_else_has_taken_the_directorys_place_names_the_file(tmp_path):
    run = create(tmp_path)
    run.path.rmdir()
    run.path.write_text("no directory")
    with pytest.raises(RunDirectoryError, match=r"spec\.yaml: Not a directory"):
        run.write_spec("x")


def test_mporch_home_replaces_the_projects_own(tmp_path):
    assert home_of(tmp_path, {}) == tmp_path / ".mporch"
    assert home_of(tmp_path, {"MPORCH_HOME": "/var/x"}).as_posix() == "/var/x"
    assert home_of(tmp_path, {"MPORCH_HOME": "~nobody-of-that-name/x"}).parts[-1] == "x"
