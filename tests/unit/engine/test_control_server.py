"""The control server over real sockets, without a run: what clients get, and cannot do to it."""

from __future__ import annotations

import errno
import os
import select
import socket
import stat
from pathlib import Path
from typing import Any

import pytest

from orchestrator.control import protocol
from orchestrator.control.protocol import (
    GREETING,
    LARGEST_ITEM,
    SOCKET_NAME,
    AskItems,
    AskPicture,
    AskStop,
    PassedItems,
    Picture,
    Refusal,
    Stopping,
    Welcome,
    encode,
)
from orchestrator.core.broker.chunks import Chunk
from orchestrator.core.broker.observers import LiveTap
from orchestrator.core.broker.queue import QueueState
from orchestrator.core.protocol.events import StopHow
from orchestrator.core.samples import Header, Sample
from orchestrator.engine import control_server
from orchestrator.engine.control_server import ControlServer, listen

HEADER = Header(samples=1, run="r", name="n", started="", pid=1, jobs=())


class Live:
    """A run that keeps what it is asked; `put` has items come onto its queue."""

    def __init__(self) -> None:
        self.queue = QueueState("q", 0, ["a"], ["b"])
        self.stops: list[StopHow] = []
        self.sample = Sample(t=1.0, jobs=())

    def samples(self) -> tuple[Sample, Sample]:
        return self.sample, self.sample

    def look(self, who: str, tell: Any) -> bool:
        del who, tell
        return False

    def stop(self, how: StopHow) -> None:
        self.stops.append(how)

    def tap(self, queue: str) -> LiveTap | None:
        return LiveTap(self.queue) if queue == "q" else None

    def put(self, n: int, blob: bytes = b"items") -> None:
        self.queue.append(Chunk(blob, packed=False, items=n), 0, n)


class World:
    """A server in a directory, its run, and clients."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.run = Live()
        self.sentences = 0
        self.server = ControlServer.listening(directory, HEADER, sentence=self.sentence)
        self.socks: list[socket.socket] = []
        self.frames: dict[socket.socket, protocol.Frames[protocol.Answer]] = {}

    def sentence(self) -> str:
        self.sentences += 1
        return "all is well"

    def client(self, *records: protocol.Request) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX)
        self.socks.append(sock)
        here = os.open(self.directory, os.O_PATH)
        sock.connect(f"/proc/self/fd/{here}/{SOCKET_NAME}")
        os.close(here)
        sock.settimeout(5)
        sock.sendall(GREETING + b"".join(map(encode, records)))
        self.steps()
        return sock

    def steps(self) -> None:
        """As many as the loop would do until nothing is ready."""
        for _ in range(100):
            self.server.step(self.run)
            if self.server.is_tapping:
                self.server.pass_on()
            if not select.select([self.server.fileno()], [], [], 0)[0]:
                return

    def heard(self, sock: socket.socket) -> list[protocol.Answer]:
        """All that a client has been sent until now."""
        self.steps()
        frames, found = self.frames.setdefault(sock, protocol.answers()), []
        sock.setblocking(False)
        try:
            while data := sock.recv(1 << 20):
                found += frames.feed(data)
                self.steps()
        except BlockingIOError:
            pass
        return found

    def is_cut_off(self, sock: socket.socket) -> bool:
        sock.setblocking(False)
        try:
            while sock.recv(1 << 20):
                pass
        except BlockingIOError:
            return False
        except OSError:
            pass
        return True


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path)
    yield made
    for sock in made.socks:
        sock.close()
    made.server.close()  # again, of some


def kinds(answers):
    return [type(answer) for answer in answers]


# -- the socket -----------------------------------------------------------------------------------


@pytest.mark.parametrize("mask", [0o000, 0o077, 0o777])
def test_the_socket_is_its_owners_whatever_the_umask(tmp_path, mask):
    before = os.umask(mask)
    try:
        sock = listen(tmp_path)
    finally:
        os.umask(before)
    mode = (tmp_path / SOCKET_NAME).stat().st_mode
    assert (stat.S_ISSOCK(mode), stat.S_IMODE(mode)) == (True, 0o600)
    sock.close()


def test_a_directory_may_have_a_path_that_is_no_address(tmp_path):
    deep = tmp_path.joinpath(*["d" * 100] * 5)
    deep.mkdir(parents=True)
    world = World(deep)
    assert kinds(world.heard(world.client())) == [Welcome]
    world.server.close()


def test_what_a_life_before_has_left_is_replaced(tmp_path):
    listen(tmp_path).close()
    (tmp_path / f".{SOCKET_NAME}.draft").touch()
    world = World(tmp_path)
    assert kinds(world.heard(world.client())) == [Welcome]
    world.server.close()
    assert not list(tmp_path.iterdir())


def test_a_link_in_the_place_of_the_directory_is_not_followed(tmp_path):
    (tmp_path / "run").symlink_to(tmp_path)
    with pytest.raises(OSError, match=r"Not a directory|symbolic"):
        listen(tmp_path / "run")


def test_another_user_is_not_answered(world):
    world.server.close()
    sock = listen(world.directory)
    world.server = ControlServer(sock, HEADER, uids=frozenset({os.geteuid() + 1}))
    sock = world.client(AskStop())
    world.steps()
    assert world.is_cut_off(sock)
    assert world.run.stops == []


# -- requests -------------------------------------------------------------------------------------


def test_a_client_is_told_the_run_and_how_it_stands(world):
    (welcome, picture) = world.heard(world.client(AskPicture()))
    assert (welcome, picture.sample) == (Welcome(header=HEADER), world.run.sample)


def test_a_picture_is_made_once_a_sample(world):
    sock = world.client(*[AskPicture()] * 50)
    assert kinds(world.heard(sock)) == [Welcome, *[Picture] * 50]
    assert world.sentences == 1
    world.run.sample = Sample(t=2.0, jobs=())
    assert world.heard(world.client(AskPicture()))[1].sample.t == 2.0


@pytest.mark.parametrize("how", list(StopHow))
def test_a_stop_is_passed_on(world, how):
    assert kinds(world.heard(world.client(AskStop(how=how)))) == [Welcome, Stopping]
    assert world.run.stops == [how]


def test_a_tap_gets_the_next_items_with_their_numbers_and_no_more(world):
    world.run.put(5)
    sock = world.client(AskItems(queue="q", n=4))
    world.run.put(3, b"one")
    world.run.put(3, b"two")
    world.run.put(3, b"three")
    found = world.heard(sock)[1:]
    assert [(each.first, each.start, each.stop, each.blob) for each in found] == [
        (6, 0, 3, b"one"),
        (9, 0, 1, b"two"),
    ]
    assert world.run.queue.observers == ()
    assert not world.server.is_tapping


def test_a_tap_that_is_not_wanted_any_more_leaves_the_queue(world):
    sock = world.client(AskItems(queue="q", n=9))
    assert len(world.run.queue.observers) == 1
    sock.close()
    world.steps()
    assert world.run.queue.observers == ()
    sock = world.client(AskItems(queue="q", n=9), AskItems(queue="q", n=0))
    assert world.run.queue.observers == ()
    assert kinds(world.heard(sock)) == [Welcome]


def test_a_queue_that_is_none_is_refused_and_the_client_may_ask_again(world):
    sock = world.client(AskItems(queue="x", n=1), AskPicture())
    assert kinds(world.heard(sock)) == [Welcome, Refusal, Picture]


def test_what_is_too_large_is_told_and_not_copied(world):
    sock = world.client(AskItems(queue="q", n=1))
    world.run.put(1, bytes(LARGEST_ITEM + 1))
    (found,) = world.heard(sock)[1:]
    assert (found.size, found.blob) == (LARGEST_ITEM + 1, b"")


def test_two_taps_of_a_queue_get_the_same(world):
    socks = [world.client(AskItems(queue="q", n=2)) for _ in range(2)]
    world.run.put(2)
    assert [kinds(world.heard(sock)) for sock in socks] == [[Welcome, PassedItems]] * 2


# -- clients that mean no good --------------------------------------------------------------------


@pytest.mark.parametrize("garbage", [b"\0" * 9000, b"GET / HTTP/1.1\r\n", GREETING, b"mporch\0\7"])
def test_garbage_is_cut_off_and_the_next_client_is_served(world, garbage):
    sock = world.client()
    sock.sendall(garbage)
    sock.sendall(garbage)
    world.steps()
    assert world.is_cut_off(sock)
    assert kinds(world.heard(world.client(AskPicture()))) == [Welcome, Picture]


def test_who_asks_and_never_reads_is_cut_off(world, monkeypatch):
    monkeypatch.setattr(control_server, "_MOST_UNSENT", 1 << 16)
    sock = world.client()
    sock.setblocking(False)
    asked = encode(AskPicture()) * 1000
    with pytest.raises((BrokenPipeError, ConnectionResetError)):
        for _ in range(1000):
            sock.send(asked)
            world.steps()


def test_who_asks_much_at_once_and_never_reads_is_answered_a_few_times_only(world, monkeypatch):
    asked = []
    monkeypatch.setattr(world.run, "stop", asked.append)
    sock = world.client()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 22)
    sock.setblocking(False)
    with pytest.raises(BlockingIOError):  # more than anybody asks
        while sock.send(encode(AskStop()) * 100):
            pass
    world.server.step(world.run)
    assert 0 < len(asked) < 300
    world.steps()
    assert world.is_cut_off(sock)


def test_a_tap_that_is_not_read_holds_little_and_goes_on_when_it_is(world):
    sock = world.client(AskItems(queue="q", n=100))
    for _ in range(50):
        world.run.put(1, bytes(1 << 20))
        world.server.pass_on()
    found = world.heard(sock)[1:]
    assert 16 <= len(found) < 30
    sock.sendall(encode(AskItems(queue="q", n=1)))
    world.steps()
    world.run.put(1, b"after")
    (last,) = world.heard(sock)
    assert (last.first, last.blob) == (51, b"after")


def test_the_oldest_of_too_many_clients_makes_room(world):
    socks = [world.client() for _ in range(40)]
    assert world.is_cut_off(socks[0])
    assert not world.is_cut_off(socks[-1])


def test_a_client_that_nobody_has_room_for_is_not_told_for_ever(world, monkeypatch):
    def refuse(*_):
        raise OSError(errno.EMFILE, "too many open files")

    monkeypatch.setattr(socket.socket, "accept", refuse)
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(str(world.directory / SOCKET_NAME))
    for _ in range(3):
        world.server.step(world.run)
    assert not select.select([world.server.fileno()], [], [], 0)[0]
    sock.close()


def test_at_the_end_everybody_is_cut_off_and_nobody_can_connect(world):
    sock = world.client(AskItems(queue="q", n=9))
    world.server.close()
    assert world.is_cut_off(sock)
    assert world.run.queue.observers == ()
    assert not (world.directory / SOCKET_NAME).exists()
