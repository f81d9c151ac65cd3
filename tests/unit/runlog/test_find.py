"""Finding runs by what people type."""

import os

import pytest

from orchestrator.errors import RunNotFoundError
from orchestrator.runlog.directory import create
from orchestrator.runlog.find import argument_for, find_home, last_resumption, list_runs, resolve

DAY_S = 86_400.0


@pytest.fixture
def home(tmp_path):
    return tmp_path / ".mporch"


@pytest.fixture
def runs(home):
    return [create(home, now=day * DAY_S) for day in (3, 1, 2)]


def test_runs_are_listed_oldest_first(home, runs):
    assert list_runs(home) == sorted(runs, key=lambda run: run.run_id)


def test_last_is_the_latest_run(home, runs):
    assert resolve(home, "last") == runs[0]


def test_an_id_or_its_unique_beginning_names_a_run(home, runs):
    assert resolve(home, runs[1].run_id) == runs[1]
    assert resolve(home, runs[1].run_id[:8]) == runs[1]


def test_a_beginning_of_several_is_refused_and_the_latest_named(home, runs):
    with pytest.raises(RunNotFoundError, match="3 runs") as caught:
        resolve(home, "1970")
    assert runs[0].run_id in caught.value.hint


@pytest.mark.parametrize("typed, meant", [("lsat", "last"), ("19700102T000000-000O", "19700102")])
def test_a_name_that_is_none_gets_the_nearest(home, runs, typed, meant):
    with pytest.raises(RunNotFoundError, match=typed) as caught:
        resolve(home, typed)
    assert f"did you mean {meant}" in caught.value.hint


def test_a_directory_that_is_shut_is_not_said_to_have_no_log(tmp_path, monkeypatch):
    (tmp_path / "log.jsonl").touch()
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.X_OK)
    with pytest.raises(RunNotFoundError, match=f"cannot open {tmp_path}: Permission denied"):
        resolve(None, str(tmp_path) + "/")


def test_a_directory_with_a_log_is_a_run(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "log.jsonl").touch()
    assert resolve(None, f"{tmp_path}/out").path == tmp_path / "out"


@pytest.mark.parametrize("here", [True, False])
def test_the_log_of_a_run_means_the_run(tmp_path, monkeypatch, here):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "log.jsonl").touch()
    monkeypatch.chdir(tmp_path / "out")
    name = "log.jsonl" if here else f"{tmp_path}/out/log.jsonl"
    assert resolve(None, name).path == tmp_path / "out"


@pytest.mark.parametrize("folder", ["/", "/.mporch", "/.mporch/runs", "/.mporch/runs/"])
@pytest.mark.parametrize("is_path", [True, False])
def test_of_a_project_the_latest_run_is_named(tmp_path, monkeypatch, runs, folder, is_path):
    monkeypatch.chdir(tmp_path.parent)
    with pytest.raises(RunNotFoundError) as caught:
        resolve(None, f"{tmp_path if is_path else tmp_path.name}{folder.rstrip('/')}")
    assert caught.value.hint.startswith("its latest run is ")
    assert caught.value.hint.endswith(f".mporch/runs/{runs[0].run_id}")


@pytest.mark.parametrize("path", ["nowhere", "."])
def test_a_path_that_is_no_run_directory_is_refused(tmp_path, path):
    with pytest.raises(RunNotFoundError, match="run directory"):
        resolve(None, f"{tmp_path}/{path}")


@pytest.mark.parametrize("there", [True, False])
def test_without_a_run_the_hint_says_how_to_make_one(home, there):
    with pytest.raises(RunNotFoundError, match="no runs") as caught:
        resolve(home if there else None, "last")
    assert "mporch run" in caught.value.hint


def test_the_home_is_searched_upwards(tmp_path, home, runs):
    (tmp_path / "a" / "b").mkdir(parents=True)
    assert find_home(tmp_path / "a" / "b", {}) == home
    assert find_home(tmp_path / "a" / "b", {"MPORCH_HOME": "/var/x"}).as_posix() == "/var/x"


def test_no_home_is_none(tmp_path):
    assert find_home(tmp_path, {}) is None


def test_a_run_is_named_by_last_or_its_id_where_it_is_found_and_by_its_path_elsewhere(
    tmp_path, home, runs
):
    (tmp_path / "deep").mkdir()
    assert argument_for(runs[0], tmp_path / "deep", {}) == "last"
    assert argument_for(runs[1], tmp_path / "deep", {}) == runs[1].run_id
    other = create(home, tmp_path / "deep" / "d1")
    assert argument_for(other, tmp_path, {}) == "deep/d1"
    assert argument_for(other, tmp_path / "x", {}) == str(other.path)


def resumed_record(ts):
    return f'{{"ts": "{ts}", "run": "r", "event": "run.resumed"}}\n'


def test_the_last_resumption_is_that_of_the_last_life(runs):
    run = runs[0]
    assert last_resumption(run) == "", "there is no log yet"
    first = '{"ts": "1", "run": "r", "event": "run.started"}\n'
    printed = '{"ts": "4", "run": "r", "event": "output", "msg": "run.resumed"}\n'
    run.log_path.write_text(first)
    assert last_resumption(run) == ""
    run.log_path.write_text(first + resumed_record("2") + resumed_record("3") + printed)
    assert last_resumption(run) == "3"
