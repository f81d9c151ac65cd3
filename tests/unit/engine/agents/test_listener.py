"""The port: many that say nothing, or the wrong things, keep nobody out who knows the key."""

import contextlib
import resource
import select
import socket
import time

import pytest

from orchestrator.engine.agents.dialing import Dialing
from orchestrator.engine.agents.keys import (
    HANDSHAKE_S,
    Introduction,
    Prover,
    Purpose,
    UnprovedError,
    agent_key,
)
from orchestrator.engine.agents.listener import Listener

RUN_KEY, RUN = bytes(range(32)), "run"
ABOUT = Introduction(purpose=Purpose.CONTROL, agent="agent-1")


@pytest.fixture
def listener():
    listener = Listener(RUN_KEY, RUN)
    yield listener
    listener.close()


@pytest.fixture
def strangers():
    with contextlib.ExitStack() as open_ones:
        yield open_ones


def stranger(listener, open_ones, said=b""):
    sock = open_ones.enter_context(socket.socket())
    sock.setblocking(False)
    sock.connect_ex(listener.address)
    if said:
        select.select([], [sock], [], 5)
        sock.send(said)
    return sock


def dial(listener, key=None):
    key = key or agent_key(RUN_KEY, "agent-1")
    return Dialing(listener.address, key, RUN, ABOUT, now=time.monotonic())


def drive(listener, dialing, within_s=10.0):
    """Run both ends until the dialer is done; return what the listener has let in."""
    let_in, end = [], time.monotonic() + within_s
    done = False
    while not (done and let_in):
        assert time.monotonic() < end, "not let in"
        reads = [listener.fileno()]
        writes = []
        if not done:
            (writes if dialing.events & 2 else reads).append(dialing.sock)
        select.select(reads, writes, [], 0.2)
        let_in += listener.step(time.monotonic())
        now = time.monotonic()
        if not done and now >= dialing.until:
            dialing.retry(now)
        done = done or dialing.go_on(now)
    return let_in


def test_who_proves_the_key_is_let_in(listener):
    dialing = dial(listener)
    [(sock, introduction)] = drive(listener, dialing)
    assert introduction == ABOUT
    dialing.sock.send(b"hello")
    select.select([sock], [], [], 5)
    assert sock.recv(10) == b"hello"
    assert listener.unproved == 0
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    sock.close()
    dialing.close()


def test_it_listens_on_loopback_only(listener):
    assert listener.address[0] == "127.0.0.1"


def test_a_wrong_key_is_cut_off(listener):
    dialing = dial(listener, bytes(32))
    with pytest.raises((UnprovedError, OSError)):
        drive(listener, dialing)
    assert listener.unproved == 0


def test_frames_of_a_stranger_are_cut_off(listener, strangers):
    sock = stranger(listener, strangers, b"MP\x02\x00" + bytes(100))
    until = time.monotonic() + 5
    with contextlib.suppress(ConnectionResetError):
        while time.monotonic() < until:
            listener.step(time.monotonic())
            with contextlib.suppress(BlockingIOError):
                if not (said := sock.recv(100)):
                    break
                assert len(said) == 40, "a greeting and no more"
    assert listener.unproved == 0


@pytest.mark.parametrize("n", [0, 1, 8, 41, 60, 80])
def test_half_a_handshake_has_its_time(listener, strangers, n):
    said = Prover(agent_key(RUN_KEY, "agent-1"), RUN, ABOUT).feed(b"mporch\x00\x01" + bytes(32))
    stranger(listener, strangers, said[:n])
    select.select([listener.fileno()], [], [], 5)
    now = time.monotonic()
    listener.step(now)
    listener.step(now)
    assert listener.unproved == 1
    assert now < listener.next_deadline() <= now + HANDSHAKE_S
    listener.step(now + HANDSHAKE_S)
    assert listener.unproved == 0
    assert listener.next_deadline() is None


def test_a_thousand_that_say_nothing_keep_nobody_out(listener, strangers):
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, before[1]), before[1]))
    try:
        silent = [stranger(listener, strangers) for _ in range(500)]
        dialing = dial(listener)
        silent += [stranger(listener, strangers) for _ in range(500)]
        began = time.monotonic()
        [(sock, _)] = drive(listener, dialing)
        assert time.monotonic() - began < HANDSHAKE_S
        for _ in range(200):
            listener.step(time.monotonic())
        assert len(silent) == 1000 and listener.unproved <= 64
        sock.close()
        dialing.close()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_it_waits_without_spinning_while_nobody_speaks(listener, strangers):
    stranger(listener, strangers)
    select.select([listener.fileno()], [], [], 5)
    listener.step(time.monotonic())
    assert select.select([listener.fileno()], [], [], 0.05)[0] == []


def test_without_descriptors_it_pauses_and_goes_on(listener, strangers):
    stranger(listener, strangers)
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    select.select([listener.fileno()], [], [], 5)
    now = time.monotonic()
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, before[1]))
    try:
        listener.step(now)
        assert select.select([listener.fileno()], [], [], 0.05)[0] == []
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert listener.unproved == 0
    assert listener.next_deadline() == now + 1.0
    listener.step(now + 1.0)
    listener.step(now + 1.0)
    assert listener.unproved == 1


def test_a_proof_on_a_connection_that_its_agent_has_given_up_is_refused(listener):
    """Stopped between greeting and proof, the orchestrator finds the proof, and then the end."""
    dialing = dial(listener)
    select.select([listener.fileno()], [], [], 5)
    listener.step(time.monotonic())
    select.select([], [dialing.sock], [], 5)
    assert not dialing.go_on(time.monotonic())
    while select.select([dialing.sock], [], [], 0)[0]:
        assert not dialing.go_on(time.monotonic())
    select.select([listener.fileno()], [], [], 5)
    dialing.retry(dialing.until)
    assert listener.step(time.monotonic()) == []
    [(sock, _)] = drive(listener, dialing)
    dialing.sock.send(b"hello")
    select.select([sock], [], [], 5)
    assert sock.recv(10) == b"hello"
    sock.close()
    dialing.close()


def test_nobody_listening_is_an_error_of_the_dialer(listener):
    address = listener.address
    listener.close()
    with pytest.raises(OSError):
        dialing = Dialing(address, bytes(32), RUN, ABOUT, now=0.0)
        while not dialing.go_on(0.0):
            select.select([], [dialing.sock], [], 1)


def test_a_dialer_that_hears_nothing_gives_up_in_the_end():
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        dialing = Dialing(deaf.getsockname(), bytes(32), RUN, ABOUT, now=0.0)
        with pytest.raises(TimeoutError):
            for n in range(20):
                assert dialing.until == HANDSHAKE_S * (n + 1)
                dialing.retry(dialing.until)
