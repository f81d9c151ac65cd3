"""The agent's program by itself: started by hand, without an orchestrator, with a wrong key."""

import resource
import secrets
import socket
import subprocess
import sys
import time

import pytest

from orchestrator.engine.agents.control import AgentLaunch
from orchestrator.engine.agents.keys import agent_key
from orchestrator.engine.agents.listener import Listener

WITHIN_S = 60


def launch(address, key, **changes):
    host, port = address
    settings = {
        "host": host,
        "port": port,
        "key": key,
        "run": "run",
        "agent": "agent-1",
        "patience_s": 4.0,
        "hash_seed": "0",
        "workers": 1,
        "descriptors": resource.getrlimit(resource.RLIMIT_NOFILE)[0],
        **changes,
    }
    return AgentLaunch(**settings).encode()


@pytest.fixture
def program(tmp_path, monkeypatch):
    """Begins the program and writes it its launch."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    begun = []

    def begin(said):
        command = [sys.executable, "-P", "-m", "orchestrator.engine.node"]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE)
        begun.append(process)
        process.stdin.write(said)
        process.stdin.close()
        return process

    yield begin
    for process in begun:
        process.kill()
        process.wait()
        process.stderr.close()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("said", [b"", b"nonsense", b"\x80"])
def test_started_by_hand_it_says_by_whom_it_is_started(program, said):
    process = program(said)
    assert process.wait(WITHIN_S) == 2
    assert process.stderr.read() == b"mporch: an agent is started by `mporch run --on agent`\n"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"port": 99_999}, 70),
        ({"host": "no\0host"}, 70),
        ({"descriptors": 1 << 40}, 71),
        ({"descriptors": 3}, 71),
    ],
    ids=["port", "host", "too many descriptors", "too few descriptors"],
)
def test_a_launch_that_cannot_be_is_told_in_one_line(program, changes, code):
    process = program(launch(("127.0.0.1", 9), bytes(32), agent="agent\x1b[31m", **changes))
    assert process.wait(WITHIN_S) == code
    said = process.stderr.read()
    assert said.startswith(b"mporch: agent\\x1b[31m: ")
    assert said.count(b"\n") == 1


def test_without_an_orchestrator_it_ends(program):
    with socket.create_server(("127.0.0.1", 0)) as gone:
        address = gone.getsockname()
    process = program(launch(address, bytes(32)))
    assert process.wait(WITHIN_S) == 1
    assert b"agent-1 finds no orchestrator" in process.stderr.read()


def drive(listener, process):
    """Play the port until the program has ended; return what was let in."""
    let_in, end = [], time.monotonic() + WITHIN_S
    while process.poll() is None:
        assert time.monotonic() < end
        let_in += listener.step(time.monotonic())
        time.sleep(0.01)
    return let_in


def test_with_a_wrong_key_it_ends_and_nobody_is_let_in(program):
    listener = Listener(secrets.token_bytes(32), "run")
    process = program(launch(listener.address, bytes(32)))
    assert drive(listener, process) == []
    assert process.returncode == 1
    listener.close()


def test_an_orchestrator_that_says_nothing_is_left_at_half_of_its_patience(program):
    key = secrets.token_bytes(32)
    listener = Listener(key, "run")
    process = program(launch(listener.address, agent_key(key, "agent-1")))
    [(sock, about)] = drive(listener, process)
    assert about.agent == "agent-1"
    assert process.returncode == 1
    assert sock.recv(1 << 16)
    sock.close()
    listener.close()
