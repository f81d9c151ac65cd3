"""Variables and options in a run, and in the same run when it is resumed."""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from e2e_runs import finished

SPEC = """\
version: 1
durable: true
vars: {most: 5, folder: nowhere}
queues: {numbers: 10}
jobs:
  count:
    target: mine:count
    kwargs:
      most: ${vars.most}
    output: numbers
  check:
    target: mine:check
    kwargs:
      token: ${TOKEN}
      folder: ${vars.folder}/${SUB:-here}
      deep: {words: ["${TOKEN}", "plain"]}
    env: {COPY: "a ${TOKEN}"}
    input: numbers
    workers: ${WORKERS}
"""
MINE = """\
import os, pathlib

def count(most):
    yield from range(most)

def check(number, token, folder, deep):
    if number == 2 and not pathlib.Path("mended").exists():
        raise ValueError("not yet")
    with open("checked.txt", "a") as file:
        print(number, token, folder, deep["words"], os.environ["COPY"], file=file)
"""
SECRET = "qv81xs3cr3t"
ENV_FILE = f"TOKEN={SECRET}\nexport WORKERS='1'\n"

Mporch = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def mporch(command: Path, tmp_path: Path) -> Mporch:
    (tmp_path / "jobs.yaml").write_text(SPEC)
    (tmp_path / "mine.py").write_text(MINE)
    (tmp_path / "prod.env").write_text(ENV_FILE)

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return finished([command, *arguments], cwd=tmp_path, env=os.environ, timeout_s=100)

    return run


def test_a_run_with_variables_is_resumed_with_them_and_its_directory_has_none_of_the_environment(
    mporch: Mporch, tmp_path: Path
) -> None:
    given = ("--var", "folder=out", "--set", "vars.most=8")
    assert mporch("run", *given, "--env-file", "prod.env").returncode == 1
    (run,) = (tmp_path / ".mporch" / "runs").glob("2*")
    (tmp_path / "mended").touch()

    bare = mporch("resume")
    assert bare.returncode == 2
    assert "the environment has no variable TOKEN" in bare.stderr

    resumed = mporch("resume", "--env-file", "prod.env")
    assert resumed.returncode == 0, resumed.stderr
    words = f"{SECRET} out/here ['{SECRET}', 'plain'] a {SECRET}"
    lines = (tmp_path / "checked.txt").read_text().splitlines()
    assert sorted(lines) == [f"{n} {words}" for n in range(8)]

    plan = json.loads((run / "plan.json").read_text())
    assert plan["layers"] == ["jobs.yaml", "--var", "--set"]
    assert plan["jobs"]["check"]["kwargs"] == {
        "token": "${TOKEN}",
        "folder": "out/here",
        "deep": {"words": ["${TOKEN}", "plain"]},
    }
    assert plan["jobs"]["check"]["env"] == [["COPY", "a ${TOKEN}"]]
    for file in run.rglob("*"):
        if file.is_file():
            assert SECRET.encode() not in file.read_bytes(), file


def test_the_commands_that_run_nothing_take_the_options_too(mporch: Mporch) -> None:
    given = ("--env-file", "prod.env", "--set", "jobs.check.workers=3")
    plan = mporch("plan", "--format", "json", *given)
    assert json.loads(plan.stdout)["jobs"]["check"]["workers"] == 3
    assert SECRET not in plan.stdout
    assert "3 workers" in mporch("graph", *given).stdout
    assert mporch("validate", *given).returncode == 0


def test_a_wrong_option_is_shown_with_a_mark_under_what_is_meant(mporch: Mporch) -> None:
    done = mporch("validate", "--env-file", "prod.env", "--set", "jobs.check.workers=many")
    assert done.returncode == 2
    assert done.stderr.startswith(
        "--set:1:20: error: expected a whole number or auto, got the text"
    ), done.stderr
    assert "    1 | jobs.check.workers=many\n                           ^^^^\n" in done.stderr


def test_files_are_laid_over_each_other_with_and_without_a_spec(
    mporch: Mporch, tmp_path: Path
) -> None:
    (tmp_path / "prod.yaml").write_text("jobs: {check: {workers: 4}}\n")
    (tmp_path / "wrong.yaml").write_text("jobs: {check: {workers: many}}\n")
    env = ("--env-file", "prod.env", "--format", "json")
    for given in (("jobs.yaml", "-f", "prod.yaml"), ("-f", "jobs.yaml", "-f", "prod.yaml")):
        plan = mporch("plan", *given, *env)
        assert json.loads(plan.stdout)["jobs"]["check"]["workers"] == 4
        assert mporch("validate", *given, *env).returncode == 0
    done = mporch("validate", "-f", "jobs.yaml", "-f", "wrong.yaml", "--env-file", "prod.env")
    assert done.returncode == 2
    assert "wrong.yaml:1:25: error: expected a whole number" in done.stderr
    assert "    1 | jobs: {check: {workers: many}}\n" in done.stderr
