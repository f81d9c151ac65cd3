"""What the log tells of a plan that is lost."""

import json
from pathlib import Path

import pytest

from orchestrator.plan.model import Selection
from orchestrator.runlog.directory import RunDirectory, create
from orchestrator.runlog.find import plan_of_log

SPEC = "version: 1\n"


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    made = create(tmp_path / "home", now=1.0)
    made.write_spec(SPEC)
    return made


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    file = tmp_path / "project" / "jobs.yaml"
    file.parent.mkdir()
    file.write_text(SPEC)
    return file


def log(run: RunDirectory, *records: dict[str, object]) -> None:
    run.log_path.write_text("".join(f"{json.dumps(record)}\n" for record in records))


def test_it_tells_where_the_spec_was_and_what_was_left_out(run: RunDirectory, spec: Path) -> None:
    begun = {"event": "run.started", "name": "census", "spec": str(spec), "left_out": ["a", "b"]}
    log(run, begun, {"event": "run.ended"})
    plan = plan_of_log(run)
    assert plan is not None
    assert (plan.name, plan.spec_path, plan.project_dir) == ("census", str(spec), str(spec.parent))
    assert plan.selection == Selection(skip=("a", "b"), left_out=("a", "b"))
    assert plan.layers == ()


def test_the_last_life_tells(run: RunDirectory, spec: Path) -> None:
    log(
        run,
        {"event": "run.started", "spec": "/x.yaml"},
        {"event": "run.resumed", "spec": str(spec)},
    )
    plan = plan_of_log(run)
    assert plan is not None
    assert plan.spec_path == str(spec)
    assert plan.selection == Selection()


def test_a_spec_that_is_not_what_was_kept_stands_below_that(run: RunDirectory, spec: Path) -> None:
    spec.write_text("version: 2\n")
    log(run, {"event": "run.started", "spec": str(spec)})
    plan = plan_of_log(run)
    assert plan is not None
    assert plan.layers == (str(spec), str(run.spec_path))


@pytest.mark.parametrize(
    "record",
    [
        {},
        {"event": "run.started"},
        {"event": "run.started", "spec": "<stdin>"},
        {"event": "run.started", "spec": 3},
        {"event": "run.started", "spec": "/jobs.yaml", "left_out": "a"},
        {"event": "log", "spec": "/jobs.yaml"},
    ],
)
def test_a_log_that_does_not_tell_is_none(run: RunDirectory, record: dict[str, object]) -> None:
    log(run, record)
    assert plan_of_log(run) is None


def test_no_log_is_none(run: RunDirectory) -> None:
    assert plan_of_log(run) is None
