"""Kill-points strike where they are told to, and nobody has them who did not ask."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Iterator

import pytest

from orchestrator.core.protocol.messages import (
    Commit,
    Committed,
    Hello,
    NoLease,
    Output,
    Pull,
    Ready,
)
from orchestrator.ipc import arena, wire
from orchestrator.ipc.arena import Handover
from orchestrator.worker.fault_injection import (
    POINTS,
    FaultError,
    FaultyArenas,
    InjectedFault,
    ordered,
)
from orchestrator.worker.faulty_link import FaultyLink
from orchestrator.worker.link import Link

PULL = Pull(pull=5, queues=("q",), most=1)
PULL_AND_COMMIT = Pull(pull=5, queues=("q",), most=1, commit=Commit(seq=1))


class Struck(BaseException):
    """The signal has come."""


@pytest.fixture(autouse=True)
def _strikes() -> Iterator[None]:
    def strike(signum, frame):
        raise Struck

    before = signal.signal(signal.SIGUSR1, strike)
    yield
    signal.signal(signal.SIGUSR1, before)


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        yield ours, theirs


def received(sock: socket.socket) -> bytes:
    """All that has come."""
    try:
        return sock.recv(1 << 20)
    except BlockingIOError:
        return b""


def frame(message) -> bytes:
    return b"".join(wire.encode(message))


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"MPORCH_TEST": "1"},
        {"MPORCH_FAULT": "w.pull_sent"},
        {"MPORCH_TEST": "0", "MPORCH_FAULT": "w.pull_sent"},
        {"MPORCH_TEST": "1", "MPORCH_FAULT": "o.somebody_elses"},
    ],
)
def test_nobody_has_a_fault_who_did_not_ask_for_one_of_a_worker(environ):
    assert ordered("job-1", environ) is None


@pytest.mark.parametrize(
    "text",
    ["w.nowhere", "w.pull_sent:0", "w.pull_sent:x", "w.pull_sent:1:bang", "w.pull_torn:1:kill:-1"],
)
def test_an_order_that_makes_no_sense_is_refused(text):
    with pytest.raises(FaultError):
        ordered("job-1", {"MPORCH_TEST": "1", "MPORCH_FAULT": text})


def test_every_message_of_the_protocol_has_its_points():
    assert {"w.hello_before", "w.pull_torn", "w.closing_sent", "w.leased_received"} <= POINTS
    assert {"w.place_written", "w.place_sent", "w.place_read", "w.place_freed"} <= POINTS
    assert len(POINTS) == 3 * 13 + 11 + 3 + 6


class Door(threading.Thread):
    """Answers each who asks, and keeps what they say."""

    def __init__(self, path: str, *answers: bytes) -> None:
        super().__init__()
        self._door = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._door.bind(path)
        self._door.listen()
        self._answers = answers
        self.asked: list[tuple[bytes, socket.socket]] = []

    def run(self) -> None:
        with self._door:
            for answer in self._answers:
                teller, _ = self._door.accept()
                self.asked.append((teller.recv(100), teller))
                teller.send(answer)


def test_whoever_listens_is_asked_for_the_order_and_told_when_it_is_reached(tmp_path):
    door = Door(str(tmp_path / "faults"), b"w.item_begun:1:usr1", b"w.pull_sent")
    environ = {"MPORCH_TEST": "1", "MPORCH_FAULT": f"@{tmp_path}/faults"}
    door.start()
    first, second = ordered("job-1", environ), ordered("job-2", environ)
    door.join(5)
    assert [name for name, _ in door.asked] == [b"job-1", b"job-2"]
    assert second.point == "w.pull_sent"
    with pytest.raises(Struck):
        first.reached("w.item_begun")
    assert door.asked[0][1].recv(100) == b"w.item_begun"
    for _, teller in door.asked:
        teller.close()


@pytest.mark.parametrize("at", ["before", "torn", "sent"])
def test_a_frame_has_not_left_has_left_in_part_or_has_left_whole(ends, at):
    ours, theirs = ends
    link = FaultyLink(theirs, InjectedFault(f"w.pull_{at}:2:usr1:7"))
    link.queue(PULL)
    link.flush()
    assert received(ours) == frame(PULL)
    link.queue(PULL)
    with pytest.raises(Struck):
        link.flush()
    assert received(ours) == {"before": b"", "torn": frame(PULL)[:7], "sent": frame(PULL)}[at]


@pytest.mark.parametrize(("size", "left"), [("", 0.5), (":1000000", -1), (":1", 1)])
def test_a_torn_frame_is_never_whole_and_never_nothing(ends, size, left):
    ours, theirs = ends
    link = FaultyLink(theirs, InjectedFault(f"w.ready_torn:1:usr1{size}"))
    link.queue(Ready())
    with pytest.raises(Struck):
        link.flush()
    whole = frame(Ready())
    assert received(ours) == whole[: len(whole) // 2 if left == 0.5 else left]


def test_a_commit_in_a_pull_is_a_commit(ends):
    ours, theirs = ends
    link = FaultyLink(theirs, InjectedFault("w.commit_sent:1:usr1"))
    link.queue(PULL)
    link.flush()
    link.queue(PULL_AND_COMMIT)
    with pytest.raises(Struck):
        link.flush()
    assert received(ours) == frame(PULL) + frame(PULL_AND_COMMIT)


@pytest.mark.parametrize("answer", [NoLease(pull=5), Committed(seq=1)])
def test_the_answer_to_a_commit_acknowledges_it(ends, answer):
    ours, theirs = ends
    link = FaultyLink(theirs, InjectedFault("w.commit_acked:1:usr1"))
    link.queue(PULL_AND_COMMIT)
    link.flush()
    ours.send(frame(answer))
    with pytest.raises(Struck):
        link.receive()


def test_the_answer_to_a_pull_without_a_commit_acknowledges_nothing(ends):
    ours, theirs = ends
    link = FaultyLink(theirs, InjectedFault("w.commit_acked:1:usr1"))
    link.queue(PULL)
    link.flush()
    ours.send(frame(NoLease(pull=5)))
    assert [message for message, _ in link.receive()] == [NoLease(pull=5)]


def test_a_faulty_link_that_is_not_struck_says_what_a_link_says(ends):
    ours, theirs = ends
    said = []
    for link in (Link(theirs), FaultyLink(theirs, InjectedFault("w.closing_sent"))):
        link.queue(Hello(pid=1))
        link.queue(PULL_AND_COMMIT)
        link.queue(Ready())
        link.flush()
        said.append(received(ours))
    assert said[0] == said[1]


def test_the_target_has_a_point_before_and_one_after_it():
    done = []
    for point in ("w.item_begun", "w.item_ended"):
        with pytest.raises(Struck):
            InjectedFault(f"{point}:1:usr1").around(done.append)(point)
    assert done == ["w.item_ended"]


def test_a_generator_has_ended_when_it_is_used_up():
    items = InjectedFault("w.item_ended:1:usr1").around(lambda n: (i for i in range(n)))(3)
    assert [next(items) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(Struck):
        next(items)


@pytest.mark.parametrize("carried", [True, False])
def test_only_a_commit_of_what_lies_in_an_arena_announces_a_place(ends, carried):
    ours, theirs = ends
    link = FaultyLink(theirs, InjectedFault("w.place_before:1:usr1"))
    for placed in (False, True):
        output = Output(queues=("q",), n=1, size=1, packed=False, placed=placed)
        commit = Commit(seq=1, outputs=(output,))
        link.queue(
            Pull(pull=5, queues=("q",), most=1, commit=commit) if carried else commit, (b"x",)
        )
        if placed:
            with pytest.raises(Struck):
                link.flush()
        else:
            link.flush()
            assert received(ours)
    assert received(ours) == b""


@pytest.fixture
def arenas():
    """A producer and a reader of its arena, each with the fault that it is told."""
    size = 1 << 20
    fd = arena.make(size)
    pairs = [socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in range(2)]
    for own, (ours, _) in zip((True, False), pairs, strict=True):
        arena.give(ours, Handover(1, size, own, "src-1", fd))

    def made(text: str) -> list[FaultyArenas]:
        return [FaultyArenas(theirs, InjectedFault(text)) for _, theirs in pairs]

    yield made
    os.close(fd)
    for sock in (sock for pair in pairs for sock in pair):
        sock.close()


@pytest.mark.parametrize("lay", [True, False])
def test_a_place_is_written_in_part_when_its_producer_dies_in_the_midst(arenas, lay):
    producer, _ = arenas("w.place_written:2:usr1")
    parts = [b"a" * 5000, b"b" * 5000]
    with pytest.raises(Struck):
        for _ in range(2):
            producer.lay(b"".join(parts)) if lay else producer.put(parts, 10_000)


def test_a_place_is_read_and_freed_as_without_points_but_for_those(arenas):
    producer, reader = arenas("w.place_read:2:usr1")
    place = producer.put([b"a" * 5000, memoryview(b"b" * 5001), b"c"], 10_002)
    placed = reader.placed(place.stub.encode())
    assert placed.load(bytes) == b"a" * 5000 + b"b" * 5001 + b"c"
    with pytest.raises(Struck):
        placed.load(bytes)
    assert len(placed) == 10_002


def test_a_place_that_is_freed_is_known_to_be(arenas):
    producer, _ = arenas("w.place_freed:1:usr1")
    place = producer.put([b"a" * 5000], 5000)
    place.sent = True
    with pytest.raises(Struck):
        producer.freed([place.stub.offset])
    again = producer.put([b"b" * 5000], 5000)
    assert again.stub.offset == place.stub.offset
