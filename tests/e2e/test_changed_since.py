"""`mporch resume` after a change: what counts as one, and the question on a terminal."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import pty
import sqlite3
import subprocess
import zlib
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

SPEC = """\
version: 1
durable: true
queues: {numbers: 10}
jobs:
  count: {target: "mine:count", output: numbers}
  check: {target: "mine:check", input: numbers, kwargs: {name: "${NAME:-x}"}}
"""

REWRITTEN = """\
# says the same
version: 1
durable: true

jobs:
  count:
    output: numbers  # all of them
    target: mine:count
  check:
    target: 'mine:check'
    input: numbers
    kwargs: {name: '${NAME:-x}'}
queues:
  numbers: 10
"""

CODE = '''\
"""Counts."""

def count():
    yield from range(50)

def check(number, name):
    """Note a number."""
    if number == 20:
        raise ValueError("not yet")
    with open("checked.txt", "a") as file:
        print(number, file=file)
'''

OTHERWISE = '''\
# a comment
"""Counts, and says more of it."""


def count():
    yield from range(
        50,  # so many
    )


def check(number, name):
    if number == 20: raise ValueError('not yet')
    with open(u"checked.txt", "a") as file:
        print(number, file=file)
'''

MENDED = CODE.replace("number == 20", "number == 9999")  # of another length: no stale bytecode


@pytest.fixture
def failed(command: Path, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """A run that has failed at an item; returns what calls the command in its folder."""

    def mporch(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [command, *arguments, "--output", "none"],
            cwd=tmp_path,
            env={**os.environ, **environ},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    (tmp_path / "jobs.yaml").write_text(SPEC)
    (tmp_path / "mine.py").write_text(CODE)
    assert mporch("run").returncode == 1
    return mporch


def asked(command: Path, folder: Path, answer: bytes, **environ: str) -> tuple[int, str]:
    """Resume on a terminal, and type an answer; returns the exit code and what it shows."""
    ours, theirs = pty.openpty()
    os.write(ours, answer)  # it waits until it is read
    with subprocess.Popen(
        [command, "resume", "--output", "none", "--no-live"],
        cwd=folder,
        env={**os.environ, **environ},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    ) as process:
        os.close(theirs)
        shown = b""
        with contextlib.suppress(OSError):  # EIO: nobody has it open any more
            while piece := os.read(ours, 4096):
                shown += piece
    os.close(ours)
    return process.returncode, shown.decode().replace("\r\n", "\n")


def checked(folder: Path) -> list[int]:
    return [int(line) for line in (folder / "checked.txt").read_text().split()]


def test_comments_docstrings_and_layout_are_no_change(failed, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(OTHERWISE)
    again = failed("resume")
    assert again.returncode == 1
    assert "not yet" in again.stderr, "it goes on, and fails at the same item"


def test_comments_and_layout_of_the_spec_are_no_change(failed, tmp_path: Path) -> None:
    (tmp_path / "jobs.yaml").write_text(REWRITTEN)
    again = failed("resume")
    assert again.returncode == 1
    assert "not yet" in again.stderr, "it goes on, and fails at the same item"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("numbers: 10", "numbers: 11"),
        ("version: 1", "version: 1\nname: other"),
        ("${NAME:-x}", "${NAME:-y}"),
        ("}\n", "\n"),  # no YAML any more
    ],
)
def test_another_key_or_value_of_the_spec_is_a_change(
    failed, tmp_path: Path, before: str, after: str
) -> None:
    (tmp_path / "jobs.yaml").write_text(SPEC.replace(before, after))
    refused = failed("resume")
    assert refused.returncode == 2
    assert "this has changed since the last start of run " in refused.stderr
    assert refused.stderr.partition(": the spec: ")[2].startswith(f"{tmp_path}/jobs.yaml")


def test_other_code_is_a_change_that_scripts_must_force(failed, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(MENDED)
    refused = failed("resume")
    assert refused.returncode == 2
    assert ": the code of targets: mine\n" in refused.stderr
    assert failed("resume", "--force").returncode == 0
    assert checked(tmp_path) == list(range(50))


def test_a_terminal_is_told_all_changes_and_asked_once(
    failed, command: Path, tmp_path: Path
) -> None:
    (tmp_path / "mine.py").write_text(MENDED)
    (tmp_path / "jobs.yaml").write_text(SPEC.replace("numbers: 10", "numbers: 11"))
    code, shown = asked(command, tmp_path, b"y\n", NAME="other")
    assert code == 0, shown
    assert (
        f":\n  the spec: {tmp_path}/jobs.yaml\n"
        "  the environment: NAME\n"
        "  the code of targets: mine\n"
    ) in shown
    assert shown.count("[y/N]") == 1
    assert checked(tmp_path) == list(range(50))


@pytest.mark.parametrize("answer", [b"\n", b"n\n", b"\x04"])
def test_who_does_not_agree_changes_nothing(
    failed, command: Path, tmp_path: Path, answer: bytes
) -> None:
    (tmp_path / "mine.py").write_text(MENDED)
    before = {path: path.read_bytes() for path in tmp_path.glob(".mporch/runs/*/*.json*")}
    ended, shown = asked(command, tmp_path, answer)
    assert ended == 2, shown
    assert "mporch: error: run " in shown
    assert " was not resumed\n" in shown
    assert before == {path: path.read_bytes() for path in before}
    assert checked(tmp_path) == list(range(20))


def test_nothing_is_asked_where_nothing_has_changed(failed, command: Path, tmp_path: Path) -> None:
    code, shown = asked(command, tmp_path, b"")
    assert code == 1
    assert "[y/N]" not in shown


@pytest.mark.parametrize(
    ("environ", "code"), [({"NAME": "x"}, 1), ({"NAME": ""}, 1), ({"NAME": "y"}, 2)]
)
def test_what_the_spec_gets_of_the_environment_counts(failed, environ, code) -> None:
    """A variable that is set to what was its default, or is empty, gives the spec the same."""
    again = failed("resume", **environ)
    assert again.returncode == code, again.stderr
    assert (": the environment: NAME\n" in again.stderr) is (code == 2)


@pytest.mark.parametrize("changed", [False, True])
def test_a_run_that_was_kept_by_its_files_bytes_is_still_read(
    failed, tmp_path: Path, changed: bool
) -> None:
    """As versions before this one have kept it, with None for what is unset."""
    (run,) = tmp_path.glob(".mporch/runs/*")
    plan = json.loads((run / "plan.json").read_text())
    del plan["code"], plan["python"], plan["instead"]
    plan["environment"] = {"NAME": None}
    (run / "plan.json").write_text(json.dumps(plan))
    with contextlib.closing(sqlite3.connect(run / "state.db")) as database, database:
        ((data,),) = database.execute("SELECT data FROM meta")
        meta = msgspec.msgpack.decode(data, type=dict[str, bytes])
        assert json.loads(meta["targets"])["mine"].startswith("code:")
        targets = json.dumps({"mine": hashlib.sha256(CODE.encode()).hexdigest()}).encode()
        data = msgspec.msgpack.encode(meta | {"targets": targets})
        database.execute("UPDATE meta SET data = ?, crc = ?", (data, zlib.crc32(data, 1)))
    if changed:
        (tmp_path / "mine.py").write_text(MENDED)
    again = failed("resume")
    assert again.returncode == (2 if changed else 1), again.stderr
    assert (": the code of targets: mine\n" in again.stderr) is changed


ELSEWHERE = CODE.replace("number == 20", "number == 1 + 29")
BOTH = [True, False]


def accept(failed, command: Path, folder: Path, *, at_the_terminal: bool, **environ: str) -> None:
    """Go on with what has changed; the run fails again."""
    if at_the_terminal:
        code, shown = asked(command, folder, b"y\n", **environ)
        assert code == 1, shown
        assert shown.count("[y/N]") == 1
    else:
        assert failed("resume", "--force", **environ).returncode == 1


@pytest.mark.parametrize("at_the_terminal", BOTH)
def test_code_that_was_accepted_is_what_the_next_resume_compares_with(
    failed, command: Path, tmp_path: Path, at_the_terminal: bool
) -> None:
    (tmp_path / "mine.py").write_text(ELSEWHERE)
    accept(failed, command, tmp_path, at_the_terminal=at_the_terminal)
    again = failed("resume")
    assert again.returncode == 1, again.stderr
    assert "not yet" in again.stderr, "nothing has changed since: it goes on"
    code, shown = asked(command, tmp_path, b"")
    assert code == 1
    assert "[y/N]" not in shown
    (tmp_path / "mine.py").write_text(CODE)
    back = failed("resume")
    assert back.returncode == 2, "what the run began with is a change by now"
    assert ": the code of targets: mine\n" in back.stderr
    code, shown = asked(command, tmp_path, b"n\n")
    assert code == 2
    assert "  the code of targets: mine\n" in shown


def test_code_that_was_not_accepted_is_asked_for_again(
    failed, command: Path, tmp_path: Path
) -> None:
    (tmp_path / "mine.py").write_text(MENDED)
    assert failed("resume").returncode == 2
    assert asked(command, tmp_path, b"n\n")[0] == 2
    assert failed("resume").returncode == 2
    (tmp_path / "mine.py").write_text(CODE)
    assert failed("resume").returncode == 1


def test_code_that_was_accepted_is_known_without_the_plan_too(failed, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(ELSEWHERE)
    assert failed("resume", "--force").returncode == 1
    (run,) = tmp_path.glob(".mporch/runs/*")
    (run / "plan.json").unlink()
    (tmp_path / "mine.py").write_text(CODE)
    back = failed("resume", "--salvage")
    assert back.returncode == 2
    assert ": the code of targets: mine\n" in back.stderr
    (tmp_path / "mine.py").write_text(ELSEWHERE)
    assert failed("resume", "--salvage").returncode == 1


def test_a_script_is_told_all_changes(failed, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(MENDED)
    (tmp_path / "jobs.yaml").write_text(SPEC.replace("numbers: 10", "numbers: 11"))
    refused = failed("resume", NAME="other")
    assert refused.returncode == 2
    told = refused.stderr.partition("this has changed since the last start of run ")[2]
    listed = f": the spec: {tmp_path}/jobs.yaml; the environment: NAME; the code of targets: mine\n"
    assert listed in told
    assert failed("resume", "--force", NAME="other").returncode == 0


@pytest.mark.parametrize("at_the_terminal", BOTH)
def test_all_that_was_accepted_is_what_the_next_resume_compares_with(
    failed, command: Path, tmp_path: Path, at_the_terminal: bool
) -> None:
    (tmp_path / "mine.py").write_text(ELSEWHERE)
    (tmp_path / "jobs.yaml").write_text(SPEC.replace("numbers: 10", "numbers: 11"))
    accept(failed, command, tmp_path, at_the_terminal=at_the_terminal, NAME="other")
    assert failed("resume", NAME="other").returncode == 1
    (tmp_path / "mine.py").write_text(CODE)
    (tmp_path / "jobs.yaml").write_text(SPEC)
    back = failed("resume")
    assert back.returncode == 2
    for each in ("the spec: ", "the environment: NAME", "the code of targets: mine"):
        assert each in back.stderr


def test_a_spec_that_is_not_durable_any_more_is_a_change(failed, tmp_path: Path) -> None:
    (tmp_path / "jobs.yaml").write_text(SPEC.replace("durable: true\n", ""))
    refused = failed("resume")
    assert refused.returncode == 2
    assert ": the spec: " in refused.stderr
    assert "not durable" not in refused.stderr
