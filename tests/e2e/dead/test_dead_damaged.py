"""Dead letters of which a bit has changed on the disk: named by file and letter, and never fed."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from dead_runs import Mporch

SPEC = """\
version: 1
queues: {a: 20}
jobs:
  src: {target: "bank:src", output: a}
  work: {target: "bank:work", input: a, on_error: dead_letter}
"""
CODE = """\
import os

WIDE = " " * 40_000

def src():
    for n in range(1, 7):
        yield f"account-{n}{WIDE}"

def work(account):
    if account[8] in "35" and not os.path.exists("mended"):
        raise ValueError("no such account")
    print("did", account.strip())
"""


@pytest.fixture
def dead(mporch: Mporch, tmp_path: Path) -> Path:
    """The folder of two letters, each with a chunk of its own: account-3 and account-5."""
    (tmp_path / "jobs.yaml").write_text(SPEC)
    (tmp_path / "bank.py").write_text(CODE)
    done = mporch("run", "--run-dir", "run")
    assert done.returncode == 3, done.stderr
    (tmp_path / "mended").touch()
    return tmp_path / "run" / "dead"


def flip(path: Path, before: bytes, after: bytes) -> None:
    data = path.read_bytes()
    assert data.count(before) == 1
    path.write_bytes(data.replace(before, after))


def check(
    done: subprocess.CompletedProcess[str], code: int, path: Path, letter: str = "letter 1"
) -> None:
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    assert f"{path} is damaged" in done.stderr
    assert letter in done.stderr


def test_an_item_that_is_another_now_is_named_and_never_fed(mporch: Mporch, dead: Path) -> None:
    path = dead / "chunk-000001.pickle"
    flip(path, b"account-3", b"account-2")
    listed = mporch("dead", "list", "./run")
    check(listed, 1, path)
    assert "letter 2" not in listed.stderr
    both = mporch("dead", "list", "./run", "--format", "json")
    check(both, 1, path)
    assert [bool(letter["damaged"]) for letter in json.loads(both.stdout)] == [True, False]
    shown = mporch("dead", "show", "./run", "1-2")
    check(shown, 1, path)
    assert "account-2" not in shown.stdout
    assert "cannot be shown" in shown.stdout
    assert "account-5" in shown.stdout
    assert mporch("dead", "show", "./run", "2").returncode == 0
    exported = mporch("dead", "export", "./run")
    check(exported, 1, path)
    lines = [json.loads(line) for line in exported.stdout.splitlines()]
    assert [line["item_is"] for line in lines] == ["unreadable", "json"]
    check(mporch("dead", "export", "./run", "--format", "pickle", "-o", "p"), 2, path)
    assert mporch("dead", "export", "./run", "2", "--format", "pickle", "-o", "q").returncode == 0
    check(mporch("dead", "debug", "./run", "1"), 2, path)
    for which in (["--all"], ["1"], ["1-2"]):
        check(mporch("dead", "replay", "./run", *which), 2, path)
    fed = mporch("dead", "replay", "./run", "2")
    assert fed.returncode == 0, fed.stderr
    assert "did account-5" in fed.stdout
    assert "account-2" not in fed.stdout


def test_a_line_of_the_list_that_is_another_now_is_named(mporch: Mporch, dead: Path) -> None:
    path = dead / "letters.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0].replace(b"chunk-000001", b"chunk-000003") + lines[1])
    for command in ("list", "export"):
        done = mporch("dead", command, "./run")
        check(done, 1, path)
        assert "a:5" in done.stdout
        assert "a:3" not in done.stdout
    for command in (["show"], ["debug"], ["replay"], ["export"]):
        check(mporch("dead", *command, "./run", "1"), 2, path)
    check(mporch("dead", "show", "./run", "2"), 1, path)
    check(mporch("dead", "replay", "./run", "--all"), 2, path)
    fed = mporch("dead", "replay", "./run", "2")
    assert (fed.returncode, fed.stdout) == (0, "work-1 | did account-5\n")


def test_a_note_of_a_replay_that_is_another_now_is_named(mporch: Mporch, dead: Path) -> None:
    assert mporch("dead", "replay", "./run", "1").returncode == 0
    path = dead / "replayed.jsonl"
    flip(path, b'"letters": [1]', b'"letters": [3]')
    check(mporch("dead", "list", "./run"), 1, path, "which letters were replayed")
    check(mporch("dead", "replay", "./run", "--all"), 2, path, "which letters were replayed")
    assert mporch("dead", "replay", "./run", "1-2").returncode == 0


def test_a_durable_run_whose_letters_have_lost_a_file_goes_on(
    mporch: Mporch, tmp_path: Path
) -> None:
    spec = SPEC.replace("version: 1", "version: 1\ndurable: true")
    (tmp_path / "jobs.yaml").write_text(spec)
    code = """\
        import os, signal

        def src():
            for n in range(24):
                yield n

        def work(n):
            if n == 14 and not os.path.exists("killed"):
                open("killed", "w").close()
                os.kill(int(open("run.pid").read()), signal.SIGKILL)
                signal.pause()
            if n % 4 == 3:
                raise ValueError(n)
        """
    (tmp_path / "bank.py").write_text("\n".join(line[8:] for line in code.splitlines()))
    starts = (
        "import os, sys; open('run.pid', 'w').write(str(os.getpid()));"
        "me = [sys.executable, '-m', 'orchestrator', 'run', '--run-dir', 'run'];"
        "os.execv(me[0], me)"
    )
    # Whoever is killed here is the guard, and all of the run with it.
    begun = subprocess.run(
        [sys.executable, "-c", starts], cwd=tmp_path, env=os.environ, check=False, timeout=60
    )
    assert begun.returncode == -signal.SIGKILL
    dead = tmp_path / "run" / "dead"
    lost, *_ = sorted(dead.glob("chunk-*"))
    lost.unlink()
    refused = mporch("resume", "./run")
    assert refused.returncode == 2
    told = re.search(r"([123]) of the run's dead letters are gone", refused.stderr)
    assert told, refused.stderr
    left = 6 - int(told[1])  # the items of several letters may have come in one chunk
    done = mporch("resume", "./run", "--salvage")
    assert done.returncode == 3, done.stderr
    listed = json.loads(mporch("dead", "list", "./run", "--format", "json").stdout)
    assert len({letter["letter"] for letter in listed}) == len(listed) == left
    errors = {letter["error"] for letter in listed}
    assert len(errors) == left
    assert errors < {"3", "7", "11", "15", "19", "23"}
    assert not any(letter["damaged"] for letter in listed)
