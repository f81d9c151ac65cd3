"""Values of the environment reach targets, and nothing that a run keeps."""

import json
import os
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from e2e_runs import finished

CANARY = "canary7q"
SPEC = """\
version: 1
name: nightly-${STAGE}
durable: true
pythonpath: [., "${FOLDER}"]
vars:
  token: ${TOKEN}
  out: ${run.dir}/${TOKEN}
defaults: {env: {TOKEN_COPY: "a ${TOKEN}"}}
queues: {numbers_eu: 10, numbers_us: 10}
jobs:
  count:
    target: mine:count
    matrix: {region: [eu, us], key: ["${TOKEN}"]}
    args: ["${TOKEN}", [1, {deep: "x-${vars.token}"}], "${matrix.key}"]
    output: numbers_${matrix.region}
  check:
    target: mine:check
    description: checks for ${STAGE}
    matrix: {region: [eu, us]}
    input: numbers_${matrix.region}
    kwargs: {token: "${vars.token}", out: "${vars.out}", me: "${worker.name}"}
    env: {OWN: "${STAGE}", INDEX: "${worker.index}"}
    cwd: ${FOLDER}
    on_error: {LookupError: dead_letter}
  report: {target: "mine:report", after: check, args: ["${TOKEN}"], cwd: "${run.dir}"}
"""
MINE = """\
import os, pathlib

HERE = pathlib.Path(__file__).parent

def count(token, nested, key):
    assert token == key == nested[1]["deep"][2:] == os.environ["TOKEN_COPY"][2:], "other values"
    yield from range(4)

def check(number, token, out, me):
    if number == 1:
        raise LookupError("a letter")
    if number == 2 and not (HERE / "mended").exists():
        raise ValueError("not yet")
    assert out == f"{os.environ['RUN']}/{token}" if "RUN" in os.environ else out.endswith(token)
    with open(HERE / "checked.txt", "a") as file:
        print(me, number, len(token), os.environ["INDEX"], pathlib.Path.cwd().name, file=file)

def report(token):
    (HERE / "reported.txt").write_text(f"{len(token)} {pathlib.Path.cwd()}")
"""

Mporch = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def mporch(command: Path, tmp_path: Path) -> Mporch:
    (tmp_path / "jobs.yaml").write_text(SPEC)
    (tmp_path / "mine.py").write_text(MINE)
    (tmp_path / "prod.env").write_text(f"TOKEN={CANARY}\n")
    (tmp_path / f"folder-{CANARY}").mkdir()
    given = {"STAGE": f"stage-{CANARY}", "FOLDER": f"folder-{CANARY}"}

    def run(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
        env = {**os.environ, **given, **environ}
        return finished([command, *arguments], cwd=tmp_path, env=env, timeout_s=100)

    return run


def kept_of_it(home: Path) -> Iterator[Path]:
    """Yield what is under the home and has a value of the environment in it, or in its name."""
    for path in home.rglob("*"):
        if CANARY in path.name or (path.is_file() and CANARY.encode() in path.read_bytes()):
            yield path


def test_a_run_keeps_no_value_of_the_environment_whatever_becomes_of_it(
    mporch: Mporch, tmp_path: Path
) -> None:
    home, env = tmp_path / ".mporch", ("--env-file", "prod.env")
    failed = mporch("run", *env)
    assert failed.returncode == 1, failed.stderr
    assert [*kept_of_it(home)] == []

    other = mporch("resume", TOKEN="other")
    assert other.returncode == 2
    assert "this has changed since the last start of run" in other.stderr
    assert other.stderr.partition("the environment: ")[2].startswith("TOKEN\n")
    assert CANARY not in other.stderr

    (tmp_path / "mended").touch()
    resumed = mporch("resume", *env)
    assert resumed.returncode == 3, resumed.stderr
    assert [*kept_of_it(home)] == []

    (run,) = (home / "runs").iterdir()
    length = len(CANARY)
    assert sorted((tmp_path / "checked.txt").read_text().splitlines()) == [
        f"check_{region}-1 {n} {length} 1 folder-{CANARY}"
        for region in ("eu", "us")
        for n in (0, 2, 3)
    ]
    assert (tmp_path / "reported.txt").read_text() == f"{length} {run}"
    assert stat.S_IMODE((home / "key").stat().st_mode) == 0o600
    plan = json.loads((run / "plan.json").read_text())
    assert plan["environment"].keys() == {"STAGE", "TOKEN", "FOLDER"}
    assert plan["name"] == "nightly-${STAGE}"
    assert plan["jobs"]["count_eu_1"]["args"] == [
        "${TOKEN}", [1, {"deep": "x-${TOKEN}"}], "${TOKEN}"
    ]  # fmt: skip
    assert plan["jobs"]["check_us"]["kwargs"]["out"] == "${run.dir}/${TOKEN}"

    debugged = mporch("dead", "debug", "last", "1", *env)
    assert debugged.returncode == 1
    assert "LookupError: a letter" in debugged.stderr
    replayed = mporch("dead", "replay", "--all", *env)
    assert replayed.returncode == 3, replayed.stderr
    assert [*kept_of_it(home)] == []


def test_a_changed_environment_is_gone_on_with_by_force(mporch: Mporch, tmp_path: Path) -> None:
    assert mporch("run", TOKEN=CANARY).returncode == 1
    (tmp_path / "mended").touch()
    forced = mporch("resume", "--force", TOKEN=f"{CANARY}longer")
    assert forced.returncode == 3, forced.stderr
    assert (tmp_path / "reported.txt").read_text().startswith(f"{len(CANARY) + 6} ")
    assert [*kept_of_it(tmp_path / ".mporch")] == []


def test_what_would_run_is_shown_without_it(mporch: Mporch) -> None:
    for given in (
        (), ("--format", "json"), ("--format", "yaml"), ("--origins",),
        ("--format", "tree", "--origins"), ("--format", "json", "--origins"),
    ):  # fmt: skip
        shown = mporch("plan", *given, TOKEN=CANARY)
        assert shown.returncode == 0, shown.stderr
        assert CANARY not in shown.stdout


def test_the_origin_of_each_value_is_told(mporch: Mporch) -> None:
    told = mporch("plan", "--origins", "--set", "jobs.check.workers=2", TOKEN=CANARY).stdout
    lines = [" ".join(line.split()) for line in told.splitlines()]
    for line in (
        "check_eu: # jobs.yaml:16:3, matrix of check",
        "workers: 2 # --set:1:20",
        "input: numbers_eu # jobs.yaml:20:12, matrix.region (jobs.yaml:19:23)",
        "token: ${TOKEN} # jobs.yaml:21:21, vars.token (jobs.yaml:6:10), environment TOKEN",
        "INDEX: ${worker.index} # jobs.yaml:22:35, worker.index",
    ):
        assert line in lines, told
