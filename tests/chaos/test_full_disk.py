"""The run's directory on a disk of its own that is too small: the run waits, and loses nothing."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.errors import ExitCode

from .resumed_checker import judge
from .resumed_rounds import Round
from .resumed_shapes import Middle, Shape

SHAPE = Shape(middle=Middle.LETTERS, maxsize=30, size=2000, least=200)
TOO_SMALL, LARGE = "512k", "32m"
WAITS = "everything waits for room"
LONGEST_S = 60.0

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small disk")


@pytest.fixture
def cramped(tmp_path: Path) -> Iterator[Round]:
    """A round whose run directory is too small for it."""
    played = Round(SHAPE, tmp_path / "round", 0)
    (played.folder / "enough").touch()
    disk = played.folder / "run"
    disk.mkdir()
    if not _mount(disk, f"size={TOO_SMALL},mode=700"):
        pytest.skip("no file system can be mounted here: the container forbids it")
    yield played
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


def _mount(disk: Path, options: str) -> bool:
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(disk)]
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


def _wait_until_it_waits(played: Round) -> None:
    deadline = time.monotonic() + LONGEST_S
    while WAITS not in played.said():
        assert time.monotonic() < deadline, played.last_words()
        time.sleep(0.05)  # what it says on its screen wakes nobody


def _make_room(played: Round) -> None:
    assert _mount(played.folder / "run", f"remount,size={LARGE}")


def test_a_run_without_room_says_so_and_goes_on_when_there_is_some(cramped):
    process = cramped.start()
    _wait_until_it_waits(cramped)
    _make_room(cramped)
    exit_code = cramped.ended(process)
    assert judge(cramped.history(0, exit_code)).problems == ()
    assert "disk.freed" in (cramped.folder / "run" / "log.jsonl").read_text()


def test_a_run_that_is_ended_while_it_waits_for_room_resumes_exactly(cramped):
    process = cramped.start()
    _wait_until_it_waits(cramped)
    process.terminate()
    assert cramped.ended(process) == ExitCode.CANT_WRITE
    assert "then mporch resume run goes on" in cramped.said()
    cramped.look_around(directory=True)
    _make_room(cramped)
    exit_code = cramped.finish()
    assert judge(cramped.history(0, exit_code)).problems == ()
