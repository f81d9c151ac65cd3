"""Multiprocessing's helpers are known by pidfds: a number passes to another process."""

import os
import signal
import subprocess
from collections.abc import Iterator

import pytest

from orchestrator.engine.node.helpers import ForkServer


@pytest.fixture
def children() -> Iterator[list[subprocess.Popen[bytes]]]:
    """Two processes that stand for forkservers."""
    made = [subprocess.Popen(["sleep", "600"]) for _ in range(2)]
    yield made
    for child in made:
        child.kill()
        child.wait()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> ForkServer:
    made = ForkServer([])
    monkeypatch.setattr(made._server, "_forkserver_pid", None)
    return made


def test_a_number_that_has_passed_to_the_next_forkserver_is_that_ones(
    server: ForkServer, children: list[subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = children
    monkeypatch.setattr(server._server, "_forkserver_pid", first.pid)
    creator = server._last()
    assert creator is not None
    assert server._last() is creator
    first.kill()
    os.waitid(os.P_PID, first.pid, os.WEXITED | os.WNOWAIT)
    assert server._last() is creator, "a zombie has its number still"
    first.wait()
    creator.pid = second.pid  # as if the kernel had given the number away again
    monkeypatch.setattr(server._server, "_forkserver_pid", second.pid)
    assert not server.has_ended(wait_s=0.0)
    server.kill()
    assert second.wait(10) == -signal.SIGKILL


def test_a_forkserver_that_is_dead_and_reaped_has_ended(
    server: ForkServer, children: list[subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server._server, "_forkserver_pid", children[0].pid)
    assert not server.has_ended(wait_s=0.0)
    children[0].kill()
    children[0].wait()
    assert server.has_ended(wait_s=0.0)
    server.kill()


def test_a_number_that_has_passed_to_a_stranger_is_not_signalled(
    server: ForkServer, children: list[subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server._server, "_forkserver_pid", children[0].pid)
    assert server._last() is not None
    children[0].kill()
    children[0].wait()
    stranger = os.getppid()
    server._creators[-1].pid = stranger
    monkeypatch.setattr(server._server, "_forkserver_pid", stranger)
    assert server.has_ended(wait_s=0.0)
    server.kill()
