"""`mporch resume` of a run whose files are not what they were: told, never passed over."""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import zlib
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from e2e_runs import SOCKETS, finished

ITEMS = 60
BAD = 3
"""The item that is a dead letter before the run is killed."""
GOOD = [number for number in range(ITEMS) if number != BAD]

SPEC = """\
version: 1
durable: true
queues: {numbers: 100, passed: 5}
jobs:
  count: {target: "mine:count", output: numbers}
  pass-on: {target: "mine:pass_on", input: numbers, output: passed, on_error: dead_letter}
  write: {target: "mine:write", input: passed, call: stream}
"""

MINE = f"""\
import os, time

def count():
    yield from range({ITEMS})

def pass_on(number):
    if number == {BAD}:
        raise ValueError("bad")
    if number == 20 and not os.path.exists("killed"):
        open("killed", "x").close()
        time.sleep(60)
    return number

def write(numbers):
    with open("written.txt", "w") as file:
        for number in numbers:
            print(number, file=file, flush=True)
"""

Resume = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def killed(command: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose run was killed at item 20, its source done; `run` is its directory."""
    project = tmp_path_factory.mktemp("project")
    (project / "jobs.yaml").write_text(SPEC)
    (project / "mine.py").write_text(MINE)
    run = subprocess.Popen(
        [command, "run", "--run-dir", "run"],
        cwd=project,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    waited_for = {"count succeeded", "is a dead letter"}
    while waited_for:
        line = run.stderr.readline()
        assert line, f"it ended before {waited_for}"
        waited_for = {words for words in waited_for if words not in line}
    orchestrator = Path(f"/proc/{run.pid}/task/{run.pid}/children").read_text().split()[0]
    os.kill(int(orchestrator), signal.SIGKILL)
    run.communicate(timeout=30)
    (project / "killed").touch()
    shutil.copytree(project / "run", project / "kept", ignore=SOCKETS)
    return project


@pytest.fixture
def run(killed: Path) -> Path:
    """The directory of that run, as it was left."""
    shutil.rmtree(killed / "run")
    shutil.copytree(killed / "kept", killed / "run")
    (killed / "written.txt").unlink(missing_ok=True)
    return killed / "run"


@pytest.fixture
def resume(command: Path, killed: Path) -> Resume:
    def resumed(*options: str) -> subprocess.CompletedProcess[str]:
        arguments = [command, "resume", "./run", "--output", "none", *options]
        return finished(arguments, cwd=killed, env=os.environ, timeout_s=60)

    return resumed


def written(run: Path) -> list[int]:
    """What the sink has written."""
    return sorted(map(int, (run.parent / "written.txt").read_text().split()))


def test_an_undamaged_run_goes_on(run: Path, resume: Resume) -> None:
    assert resume().returncode == 3
    assert written(run) == GOOD
    records = map(json.loads, (run / "log.jsonl").read_text().splitlines())
    assert len({record["run"] for record in records}) == 1, "it keeps its id"


def test_a_store_that_lost_its_end_goes_back_and_says_that_work_is_done_again(
    run: Path, resume: Resume
) -> None:
    with closing(sqlite3.connect(run / "state.db")) as connection, connection:
        connection.execute("DELETE FROM journal WHERE seq > (SELECT max(seq) - 2 FROM journal)")
    again = "what was done after that is done again"
    refused = resume()
    assert refused.returncode == 2
    assert again in refused.stderr
    salvaged = resume("--salvage", "--format", "json")
    assert "warning: what the run had kept was damaged: the last 2 of its" in salvaged.stderr
    (warning,) = json.loads(salvaged.stdout)["warnings"]
    assert warning.endswith(again)
    (resumed,) = [line for line in (run / "log.jsonl").open() if "run.resumed" in line]
    assert again in resumed


def test_what_a_damaged_store_has_lost_is_told_and_is_left_in_the_ledger(
    run: Path, resume: Resume
) -> None:
    with closing(sqlite3.connect(run / "state.db")) as connection, connection:
        connection.execute("UPDATE chunk SET data = zeroblob(3)")
    refused = resume()
    assert refused.returncode == 2
    assert "state.db is damaged" in refused.stderr
    assert "--salvage" in refused.stderr
    assert "Traceback" not in refused.stderr
    salvaged = resume("--salvage", "--format", "json")
    assert salvaged.returncode == 1
    assert "damaged, and with them" in salvaged.stderr
    queues = json.loads(salvaged.stdout)["queues"]
    for ledger in queues.values():
        ends = ("done", "skipped", "dropped", "dead", "left")
        assert ledger["put"] == sum(ledger[end] for end in ends)
    lost = sum(ledger["left"] for ledger in queues.values())
    assert lost > 0
    assert len(written(run)) == len(GOOD) - lost


@pytest.mark.parametrize(
    ("names", "named"),
    [
        (("state.db", "state.db-wal"), "state.db"),
        (("state.db-wal",), "state.db"),
        (("state.seq",), "state.seq"),
        (("state.db", "state.db-wal", "state.seq"), "state.db"),
        (("plan.json",), "plan.json"),
    ],
    ids=["database", "its log", "witness", "all", "plan"],
)
def test_a_file_that_is_gone_is_named(
    run: Path, resume: Resume, names: tuple[str, ...], named: str
) -> None:
    for name in names:
        (run / name).unlink()
    refused = resume()
    assert refused.returncode == 2
    assert named in refused.stderr
    assert not (run.parent / "written.txt").exists()


@pytest.mark.parametrize("there", [True, False], ids=["damaged", "gone"])
def test_a_plan_that_is_lost_is_made_anew_from_the_spec_and_the_log(
    run: Path, resume: Resume, there: bool
) -> None:
    before = json.loads((run / "plan.json").read_text())
    (run / "plan.json").unlink()
    if there:
        (run / "plan.json").write_bytes(b'{"name": "run", "spec_')
    refused = resume()
    assert refused.returncode == 2
    assert "plan.json is damaged or gone" in refused.stderr
    assert "hint: --salvage makes it anew, from spec.yaml and the log" in refused.stderr
    salvaged = resume("--salvage", "--format", "json")
    assert salvaged.returncode == 3, salvaged.stderr
    (warning,) = json.loads(salvaged.stdout)["warnings"]
    assert warning == "what the run had kept was damaged: plan.json is made anew"
    assert written(run) == GOOD
    assert json.loads((run / "plan.json").read_text()) == before


def test_a_plan_of_which_the_log_does_not_tell_either_is_lost(run: Path, resume: Resume) -> None:
    (run / "plan.json").unlink()
    log = run / "log.jsonl"
    log.write_text("".join(line for line in log.open() if "run.started" not in line))
    refused = resume("--salvage")
    assert refused.returncode == 2
    assert "its log does not tell, either, which file its spec was" in refused.stderr


def test_a_spec_that_is_gone_cannot_be_salvaged(run: Path, resume: Resume) -> None:
    (run / "spec.yaml").unlink()
    refused = resume("--salvage")
    assert refused.returncode == 2
    assert "cannot read" in refused.stderr
    assert "hint: run the spec anew" in refused.stderr


def test_a_torn_log_is_gone_on_with(run: Path, resume: Resume) -> None:
    log = run / "log.jsonl"
    log.write_bytes(log.read_bytes()[:-10])
    assert resume().returncode == 3
    assert written(run) == GOOD


def test_a_dead_letter_that_is_gone_is_named(run: Path, resume: Resume) -> None:
    shutil.rmtree(run / "dead")
    refused = resume()
    assert refused.returncode == 2
    assert f"dead letters are gone (numbers:{BAD + 1})" in refused.stderr
    salvaged = resume("--salvage")
    assert salvaged.returncode == 3
    assert "dead letters are gone" in salvaged.stderr
    assert written(run) == GOOD


@pytest.mark.parametrize("beside_the_plan", [True, False])
def test_another_python_is_refused_unless_forced(
    run: Path, resume: Resume, beside_the_plan: bool
) -> None:
    with closing(sqlite3.connect(run / "state.db")) as connection, connection:
        ((data,),) = connection.execute("SELECT data FROM meta")
        meta = msgspec.msgpack.decode(data, type=dict[str, bytes])
        data = msgspec.msgpack.encode(meta | {"python": b"3.9"})
        connection.execute("UPDATE meta SET data = ?, crc = ?", (data, zlib.crc32(data, 1)))
    plan = json.loads((run / "plan.json").read_text())
    if beside_the_plan:
        plan["python"] = "3.9"
    else:  # as versions before this one have kept it
        del plan["python"], plan["code"]
    (run / "plan.json").write_text(json.dumps(plan))
    refused = resume()
    assert refused.returncode == 2
    assert "Python, which was 3.9 and is " in refused.stderr
    assert resume("--force").returncode == 3
    assert written(run) == GOOD
