"""Runs of other users: read, and not run; the installed command."""

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from e2e_runs import SOCKETS, finished

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")

OTHER = 12345
SPEC = """\
version: 1
durable: true
queues: {numbers: 10}
jobs:
  count: {target: "mine:count", output: numbers}
  check: {target: "mine:check", input: numbers, on_error: {ValueError: dead_letter}}
"""
MINE = """\
def count():
    yield from range(4)

def check(number):
    with open("ran", "a") as file:
        print(number, file=file)
    if number == 1:
        raise ValueError("a dead letter")
    if number == 2:
        raise RuntimeError("fails its job")
"""
Mporch = Callable[..., subprocess.CompletedProcess[str]]
RUNNING = [("resume",), ("resume", "last"), ("dead", "debug", "1"), ("dead", "replay", "--all")]
READING = [("show",), ("runs",), ("logs",), ("dead", "list"), ("dead", "show", "1")]


@pytest.fixture(scope="module")
def shared(command: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a run that has failed and left a dead letter."""
    project = tmp_path_factory.mktemp("shared")
    (project / "mine").mkdir()
    (project / "jobs.yaml").write_text(SPEC)
    (project / "mine.py").write_text(MINE)
    done = finished([command, "run"], cwd=project, env=os.environ, timeout_s=60)
    assert done.returncode == 1, done.stderr
    shutil.copytree(project / ".mporch", project / "kept", ignore=SOCKETS)
    return project


@pytest.fixture
def theirs(shared: Path) -> Path:
    """Its `.mporch`, which belongs to another user."""
    home = shared / ".mporch"
    shutil.rmtree(home)
    shutil.copytree(shared / "kept", home)
    for path in (home, *home.rglob("*")):
        os.lchown(path, OTHER, OTHER)
    (shared / "ran").unlink(missing_ok=True)
    return home


@pytest.fixture
def mporch(command: Path, theirs: Path) -> Mporch:
    """Runs `mporch ARGUMENT…` in a folder of the user's own, below the one with the runs."""

    def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        env = {**os.environ, **variables}
        folder = theirs.parent / "mine"
        return finished([command, *arguments], cwd=folder, env=env, timeout_s=60)

    return run


@pytest.mark.parametrize("arguments", RUNNING, ids=" ".join)
def test_what_another_has_made_in_a_folder_above_is_not_run(
    mporch: Mporch, theirs: Path, arguments: tuple[str, ...]
) -> None:
    refused = mporch(*arguments)
    assert refused.returncode == 2
    assert f"mporch: error: {theirs} belongs to uid 12345: " in refused.stderr
    assert "could have anything run as root (uid 0)" in refused.stderr
    assert "MPORCH_TRUST=" in refused.stderr
    assert not (theirs.parent / "ran").exists()


@pytest.mark.parametrize("arguments", READING, ids=" ".join)
def test_it_is_read(mporch: Mporch, theirs: Path, arguments: tuple[str, ...]) -> None:
    assert mporch(*arguments).returncode == 0
    assert not (theirs.parent / "ran").exists()


@pytest.mark.parametrize("arguments", RUNNING[1:], ids=" ".join)
def test_it_is_run_where_it_is_trusted(
    mporch: Mporch, theirs: Path, arguments: tuple[str, ...]
) -> None:
    done = mporch(*arguments, MPORCH_TRUST=str(theirs))
    assert "belongs to" not in done.stderr
    assert (theirs.parent / "ran").exists()


@pytest.mark.parametrize("allowed", [{"MPORCH_TRUST": "*"}, {"SUDO_UID": str(OTHER)}])
def test_under_sudo_the_callers_runs_are_run_and_with_a_star_all(
    mporch: Mporch, theirs: Path, allowed: dict[str, str]
) -> None:
    assert mporch("dead", "debug", "1", **allowed).returncode == 1
    assert (theirs.parent / "ran").exists()


def test_the_hint_is_what_helps(mporch: Mporch, theirs: Path) -> None:
    (path,) = re.findall(r"MPORCH_TRUST=(\S+?);", mporch("resume").stderr)
    assert mporch("resume", MPORCH_TRUST=path).returncode == 1
    assert (theirs.parent / "ran").exists()


def test_a_path_that_is_given_is_the_users_word_unless_others_can_write_there(
    mporch: Mporch, theirs: Path
) -> None:
    (run,) = (theirs / "runs").iterdir()
    assert mporch("resume", str(run)).returncode == 1
    assert (theirs.parent / "ran").exists()
    (theirs.parent / "ran").unlink()
    run.chmod(0o770)
    os.chown(run, OTHER, OTHER)
    refused = mporch("resume", str(run))
    assert refused.returncode == 2
    assert f"{run} can be written by the group 12345" in refused.stderr
    assert not (theirs.parent / "ran").exists()


def test_a_run_of_ones_own_in_a_home_of_anothers_is_not_found_there(
    mporch: Mporch, theirs: Path
) -> None:
    (run,) = (theirs / "runs").iterdir()
    for path in (run, *run.rglob("*")):
        os.lchown(path, 0, 0)
    assert f"{theirs} belongs to uid 12345" in mporch("resume").stderr


def test_no_run_is_put_into_what_belongs_to_another(
    mporch: Mporch, theirs: Path, tmp_path: Path
) -> None:
    before = sorted(theirs.rglob("*"))
    refused = mporch("run", "../jobs.yaml")
    assert refused.returncode == 2
    assert f"{theirs} belongs to uid 12345" in refused.stderr
    (tmp_path / "empty").mkdir()
    os.chown(tmp_path / "empty", OTHER, OTHER)
    refused = mporch("run", "../jobs.yaml", "--run-dir", str(tmp_path / "empty"))
    assert refused.returncode == 2
    assert f"{tmp_path}/empty belongs to uid 12345" in refused.stderr
    assert list((tmp_path / "empty").iterdir()) == []
    assert sorted(theirs.rglob("*")) == before
    assert not (theirs.parent / "ran").exists()
    mine = {"MPORCH_HOME": str(tmp_path / "mine")}
    assert mporch("run", "../jobs.yaml", **mine).returncode == 1


def test_a_trusted_path_that_is_none_is_told(mporch: Mporch, theirs: Path) -> None:
    refused = mporch("resume", MPORCH_TRUST="shared")
    assert refused.returncode == 2
    assert "MPORCH_TRUST names shared, which is not an absolute path" in refused.stderr
