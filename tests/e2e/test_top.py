"""`mporch top` beside a run, in a pipe and on a terminal, and of a run that has ended."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import termios
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

CODE = """
import os, time

class Sized(list):
    def __len__(self):
        return 40

def numbers():
    return Sized(range(40))

def double(x):
    while x == 30 and not os.path.exists("go"):
        time.sleep(0.02)
    return 2 * x

def end(x):
    pass
"""
SPEC = """
version: 1
name: census
queues: {numbers: 8, doubles: 5}
jobs:
  find: {target: t:numbers, output: numbers}
  work: {target: t:double, input: numbers, output: doubles}
  write: {target: t:end, input: doubles}
"""


class Pipeline:
    """A run that waits at its thirtieth item until it is let go."""

    def __init__(self, command: Path, folder: Path) -> None:
        (folder / "t.py").write_text(CODE)
        (folder / "jobs.yaml").write_text(SPEC)
        self._command = command
        self._folder = folder
        self._run = subprocess.Popen(
            [command, "run", "--progress", "none"], cwd=folder, stderr=subprocess.DEVNULL
        )
        while self.picture().get("jobs", [{}])[-1].get("items_in") != 30:
            assert self._run.poll() is None

    def picture(self) -> dict:
        done = self.top("--once", "--format", "json")
        return json.loads(done.stdout) if done.returncode == 0 else {}

    def top(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self._command, "top", *arguments],
            cwd=self._folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    def let_go(self) -> None:
        (self._folder / "go").touch()

    def finish(self) -> None:
        self.let_go()
        assert self._run.wait(60) == 0

    def kill(self) -> None:
        self.let_go()
        self._run.terminate()
        self._run.wait(60)


@pytest.fixture
def pipeline(command: Path, tmp_path: Path) -> Iterator[Pipeline]:
    pipeline = Pipeline(command, tmp_path)
    yield pipeline
    pipeline.kill()


def test_a_run_is_shown_while_it_goes_on_and_once_it_has_ended(pipeline: Pipeline) -> None:
    shown = pipeline.picture()
    assert (shown["status"], shown["name"]) == ("running", "census")
    assert {job["name"]: job["items_in"] for job in shown["jobs"]}["write"] == 30
    assert shown["jobs"][0]["total"] == 40
    lines = pipeline.top().stdout.splitlines()
    assert lines[0].startswith("census ")
    assert "75 %" in lines[0]
    assert [line.split()[0] for line in lines[2:5]] == ["find", "work", "write"]
    pipeline.finish()
    lines = pipeline.top("last").stdout.splitlines()
    assert lines[0].endswith("succeeded")
    assert [line.split()[1] for line in lines[2:5]] == ["done", "done", "done"]
    none = pipeline.top()
    assert none.returncode == 2
    assert "no run is going on" in none.stderr


def test_on_a_terminal_pictures_follow_until_the_run_has_ended(
    pipeline: Pipeline, command: Path, tmp_path: Path
) -> None:
    leader, follower = pty.openpty()
    termios.tcsetwinsize(follower, (24, 80))
    watching = subprocess.Popen(
        [command, "top"], cwd=tmp_path, stdin=follower, stdout=follower, start_new_session=True
    )
    told = b""

    def until(text: bytes) -> None:
        nonlocal told
        while text not in told:
            told += os.read(leader, 4096)

    until(b"q quit")
    os.write(leader, b"j\r")
    until(b">find")
    pipeline.finish()
    until(b"succeeded")
    assert watching.wait(60) == 0
    os.close(leader)
    os.close(follower)
    assert told.index(b"\x1b[?1049l") < told.index(b"succeeded")


@pytest.mark.parametrize("damage", ["none", "later", "nul"])
def test_without_samples_to_read_there_is_one_line(
    damage: str,
    pipeline: Pipeline,
    tmp_path: Path,
    in_folder: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    pipeline.finish()
    (run,) = (tmp_path / ".mporch" / "runs").iterdir()
    for file in run.glob("samples*"):
        if damage == "none":
            file.unlink()
        elif damage == "later":
            file.write_bytes(file.read_bytes().replace(b'{"samples":1', b'{"samples":99'))
        else:
            file.write_bytes(b"\0" * 100 + b"\n")
    done = in_folder("top", "last")
    assert done.returncode in {2, 74}
    assert "Traceback" not in done.stderr
    assert "samples" in done.stderr or "later version" in done.stderr


ODD = """
import sys

class Raises(list):
    def __len__(self):
        raise RuntimeError("no")

class Negative(list):
    def __len__(self):
        return -1

class Huge(list):
    def __len__(self):
        return sys.maxsize

def raises(): return Raises([1, 2])
def negative(): return Negative([1, 2])
def huge(): return Huge([1, 2])
def end(x): pass
"""


def test_a_length_that_is_none_harms_nobody(
    tmp_path: Path, in_folder: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    (tmp_path / "t.py").write_text(ODD)
    names = ("raises", "negative", "huge")
    jobs = "".join(
        f"  {name}: {{target: 't:{name}', output: {name}s}}\n"
        f"  of_{name}: {{target: 't:end', input: {name}s}}\n"
        for name in names
    )
    queues = ", ".join(f"{name}s: 5" for name in names)
    (tmp_path / "jobs.yaml").write_text(f"version: 1\nqueues: {{{queues}}}\njobs:\n{jobs}")
    done = in_folder("run", "--format", "json")
    assert done.returncode == 0
    assert all(queue["done"] == 2 for queue in json.loads(done.stdout)["queues"].values())


@pytest.mark.parametrize(
    ("samples", "said"),
    [
        (b'{"samples":2,"run":"r","name":"n","started":"","pid":1,"jobs":[]}\n', "later version"),
        (b'{"samples":2\n', ""),
        (None, "not a regular file"),
    ],
)
def test_a_run_whose_samples_cannot_be_read_is_shown_without(
    command: Path, tmp_path: Path, samples: bytes | None, said: str
) -> None:
    (tmp_path / "log.jsonl").touch()
    if samples is None:
        (tmp_path / "samples.jsonl").mkdir()
    else:
        (tmp_path / "samples.jsonl").write_bytes(samples)
    shown = subprocess.run([command, "show", tmp_path], capture_output=True, text=True, check=True)
    assert "has ended without a summary" in shown.stdout
    assert said in shown.stderr
    assert len(shown.stderr.splitlines()) == bool(said)
