"""The looking for remains is tested: whatever a run can leave behind is found, and told."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from .remains import SHM, Seen, left, segments

WITHIN_S = 10.0


class Planted:
    """A process that carries a tag, as one of a run does."""

    def __init__(self, tag: str, folder: Path) -> None:
        self.tag = tag
        self.folder = folder
        self.seen = Seen(segments=segments())
        self._started: list[subprocess.Popen[bytes]] = []

    def start(self, code: str, *, tagged: bool = True, pass_fds: tuple[int, ...] = ()) -> int:
        """Run that code, which says a word when it is ready and then waits."""
        process = subprocess.Popen(
            [sys.executable, "-c", f"{code}\nprint('ready', flush=True)\ninput()"],
            env={**os.environ, **({"TAG": self.tag} if tagged else {})},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=pass_fds,
        )
        self._started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        return process.pid

    def look(self) -> None:
        self.seen.look(self.tag)

    def left(self) -> list[str]:
        return left(self.tag, self.seen, self.folder)

    def end(self) -> None:
        for process in self._started:
            process.kill()
            process.communicate(timeout=WITHIN_S)
        self._started.clear()


@pytest.fixture
def planted(tmp_path: Path) -> Iterator[Planted]:
    (tmp_path / "tmp").mkdir()
    (tmp_path / "run").mkdir()
    made = Planted(uuid.uuid4().hex, tmp_path)
    yield made
    made.end()


def test_what_is_gone_is_not_told(planted: Planted) -> None:
    planted.start("import socket; held = socket.socketpair()")
    planted.look()
    assert planted.seen.processes
    assert planted.seen.sockets
    planted.end()
    assert planted.left() == []


def test_a_process_is_found_by_its_environment(planted: Planted) -> None:
    pid = planted.start("")
    assert any(what.startswith(f"process {pid} ") for what in planted.left())


def test_a_process_is_found_by_its_command_line(planted: Planted) -> None:
    pid = planted.start(f"# {planted.tag}", tagged=False)
    assert any(what.startswith(f"process {pid} ") for what in planted.left())


def test_a_dead_process_that_its_parent_has_not_waited_for_is_found(planted: Planted) -> None:
    pid = planted.start("")
    planted.look()
    os.kill(pid, signal.SIGKILL)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert [what for what in planted.left() if f"process {pid} (" in what]


def test_a_descriptor_that_a_stranger_holds_is_found(planted: Planted) -> None:
    ours, theirs = os.pipe()
    planted.start("", tagged=False, pass_fds=(theirs,))
    with contextlib.ExitStack() as held:
        held.callback(os.close, ours)
        held.callback(os.close, theirs)
        pid = planted.start("", pass_fds=(theirs,))
        planted.look()
        assert not planted.seen.others & {_kernel(theirs)}, "what is ours is not the run's"
    planted.look()
    os.kill(pid, signal.SIGKILL)
    assert any(what.startswith("descriptor") for what in planted.left())


def test_a_socket_is_found(planted: Planted) -> None:
    planted.start("import socket; held = socket.create_server(('127.0.0.1', 0))")
    planted.look()
    assert any(what.startswith("socket") for what in planted.left())


@pytest.mark.parametrize("name", ["tmp/pymp-x", "run/.plan.json.draft"])
def test_a_file_is_found(planted: Planted, name: str) -> None:
    (planted.folder / name).touch()
    assert planted.left() == [f"file {name}"]


def test_a_memory_segment_is_found_unless_a_process_has_it(planted: Planted) -> None:
    name = f"psm_{planted.tag}"
    (SHM / name).write_bytes(bytes(10))
    try:
        assert f"segment {name}" in planted.left()
        planted.start(f"held = open('{SHM / name}')", tagged=False)
        assert f"segment {name}" not in planted.left()
    finally:
        (SHM / name).unlink()


def _kernel(fd: int) -> tuple[int, int]:
    about = os.fstat(fd)
    return about.st_dev, about.st_ino


def test_the_harness_knows_its_own_sockets(planted: Planted) -> None:
    """What the one who looks has open itself is no remains of the run."""
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as ours:
        planted.start("", pass_fds=(ours.fileno(),))
        planted.look()
        assert _kernel(ours.fileno()) not in planted.seen.sockets
