"""Files of a run: regular ones, private, and nothing that a link stands for."""

import os
from pathlib import Path

import pytest

from orchestrator.core.protocol.messages import Failure
from orchestrator.core.protocol.notifications import ItemDead
from orchestrator.errors import RunDirectoryError, RunNotFoundError
from orchestrator.files import open_directory, open_new, open_regular
from orchestrator.plan.model import Plan
from orchestrator.runlog.directory import RunDirectory, create
from orchestrator.runlog.letters import (
    DeadLetters,
    Replayed,
    note_replayed,
    read_letters,
    read_replayed,
)
from orchestrator.runlog.reader import LogReader
from orchestrator.runlog.writer import RunLog
from orchestrator.store.witness import read_witness

PLAN = Plan(name="p", spec_path="/s", project_dir="/", queues={}, jobs={})
DEAD = ItemDead(
    job="a",
    worker="a-1",
    item="q:1",
    queue="q",
    attempts=1,
    failure=Failure(kind="E", message=""),
    chunk=b"x",
    index=0,
    packed=False,
)


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    return create(tmp_path / "home", now=1.0)


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    path = tmp_path / "outside"
    path.mkdir()
    (path / "file").write_text("untouched")
    return path


def test_everything_in_a_run_directory_is_its_owners_alone(run: RunDirectory) -> None:
    before = os.umask(0)
    try:
        run.write_spec("version: 1")
        run.write_plan(PLAN)
        letters = DeadLetters(run.path)
        letters.add(DEAD, 1.0)
        letters.close()
        RunLog(run.path, run.run_id).close()
        note_replayed(run.path, Replayed(letters=(1,), run="r", ts=1.0))
    finally:
        os.umask(before)
    modes = {path.name: mode(path) for path in (run.path, *run.path.rglob("*"))}
    assert len(modes) == 8
    assert {m for name, m in modes.items() if name in (run.run_id, "dead")} == {0o700}
    assert {m for name, m in modes.items() if name not in (run.run_id, "dead")} == {0o600}


def test_an_empty_directory_of_the_users_becomes_private(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir(mode=0o755)
    assert mode(create(tmp_path, tmp_path / "mine").path) == 0o700


def test_a_link_that_the_user_names_leads_to_the_directory_itself(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    run = create(tmp_path, tmp_path / "link")
    run.write_spec("")
    assert run.path == (tmp_path / "real").resolve()


def test_a_gitignore_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / ".gitignore").symlink_to(tmp_path / "elsewhere")
    create(tmp_path / "home")
    assert not (tmp_path / "elsewhere").exists()


def test_a_draft_that_is_a_link_is_replaced_and_not_followed(
    run: RunDirectory, outside: Path
) -> None:
    (run.path / ".plan.json.draft").symlink_to(outside / "file")
    (run.path / "plan.json").symlink_to(outside / "file")
    run.write_plan(PLAN)
    assert run.read_plan() == PLAN
    assert (outside / "file").read_text() == "untouched"


def test_a_run_directory_that_has_become_a_link_is_not_written_to(
    run: RunDirectory, outside: Path
) -> None:
    run.path.rename(run.path.with_name("moved"))
    run.path.symlink_to(outside)
    with pytest.raises(RunDirectoryError):
        run.write_plan(PLAN)
    assert [path.name for path in outside.iterdir()] == ["file"]


def test_letters_go_on_into_their_own_directory_whatever_its_path_becomes(
    run: RunDirectory, outside: Path
) -> None:
    letters = DeadLetters(run.path)
    letters.add(DEAD, 1.0)
    (run.path / "dead").rename(run.path / "moved")
    (run.path / "dead").symlink_to(outside)
    letters.add(DEAD, 1.0)
    letters.close()
    assert len((run.path / "moved" / "letters.jsonl").read_text().splitlines()) == 2
    assert [path.name for path in outside.iterdir()] == ["file"]


@pytest.mark.parametrize("kind", ["link", "pipe", "directory"])
def test_what_is_no_regular_file_is_refused_at_once(
    kind: str, run: RunDirectory, outside: Path
) -> None:
    def place(path: Path) -> Path:
        if kind == "link":
            path.symlink_to(outside / "file")
        elif kind == "pipe":
            os.mkfifo(path)
        else:
            path.mkdir()
        return path

    with pytest.raises(OSError):
        open_regular(place(run.path / "any"), os.O_RDWR)
    with pytest.raises(OSError):
        open_new(run.path / "any")
    with pytest.raises(RunDirectoryError):
        RunLog(place(run.path / "log.jsonl").parent, "r")
    with pytest.raises(RunDirectoryError):
        RunLog(run.path, "r", resumed=True)
    with pytest.raises(RunNotFoundError):
        LogReader(run.log_path)
    place(run.path / "summary.json")
    assert run.read_summary() is None
    assert read_witness(place(run.path / "state.seq")) is None
    (run.path / "dead").mkdir()
    place(run.path / "dead" / "letters.jsonl")
    with pytest.raises(RunDirectoryError):
        list(read_letters(run.path))
    place(run.path / "dead" / "replayed.jsonl")
    with pytest.raises(RunDirectoryError):
        read_replayed(run.path, ())
    with pytest.raises(RunDirectoryError):
        note_replayed(run.path, Replayed(letters=(1,), run="r", ts=1.0))
    assert (outside / "file").read_text() == "untouched"


def test_what_is_opened_from_a_directory_stays_in_it(tmp_path: Path, outside: Path) -> None:
    (tmp_path / "here").mkdir()
    with open_directory(tmp_path / "here") as here:
        (tmp_path / "here").rename(tmp_path / "there")
        (tmp_path / "here").symlink_to(outside)
        os.close(open_new("new", dir_fd=here))
    assert (tmp_path / "there" / "new").exists()
    with pytest.raises(OSError), open_directory(tmp_path / "here"):
        pass
