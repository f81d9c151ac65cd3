"""The engine in this process over a scripted node: real sockets and signals, no processes."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import time
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from orchestrator.core.protocol.events import Blame
from orchestrator.core.protocol.messages import Failure, Hello, Ready, Shut, Stop
from orchestrator.engine.channels import Channel
from orchestrator.engine.engine import (
    Died,
    Happening,
    Malformed,
    Readable,
    Received,
    Signalled,
    Started,
    StartFailed,
    Told,
)
from orchestrator.engine.local import engine as module
from orchestrator.engine.local.engine import LocalEngine
from orchestrator.engine.node.process import ProcessFactory
from orchestrator.ipc import wire
from orchestrator.ipc.order import Order
from orchestrator.plan.model import JobPlan, Shape
from orchestrator.targets.target import Target


def order(worker: str) -> Order:
    job = JobPlan(name="job", target=Target(module="m", qualname="f"), shape=Shape.TASK)
    return Order(
        run="r",
        run_dir="/",
        project_dir="/",
        pythonpath=(),
        job=job,
        worker=worker,
        index=1,
        queues={},
    )


class ScriptedNode:
    """Steps as the test says; it has no processes, and its workers' ends of channels are kept."""

    def __init__(self, dial: Any, clock: Any, factory: Any) -> None:
        del clock, factory
        self._dial = dial
        self._read, self._write = os.pipe()
        self.ends: dict[str, socket.socket] = {}
        self.steps: list[Sequence[Happening]] = []
        self.asked: list[tuple[Any, ...]] = []
        self.deadline: float | None = None
        self.dead_children = 0

    def fileno(self) -> int:
        return self._read

    def next_deadline(self) -> float | None:
        return self.deadline

    def will(self, *happened: Happening) -> None:
        """Have this come of the next step."""
        self.steps.append(happened)
        os.write(self._write, b"x")

    def make(self, *workers: str) -> None:
        """They are there in the next step."""
        for worker in workers:
            self.ends[worker] = self._dial(worker)
        self.will(*(Started(worker=worker, pid=7) for worker in workers))

    def step(self) -> Sequence[Happening]:
        self.deadline = None
        if not self.steps:
            return ()
        os.read(self._read, 1)
        return self.steps.pop(0)

    def child_died(self) -> None:
        self.dead_children += 1

    def doing(self, worker: str) -> Blame:
        del worker
        return Blame()

    def close(self, within_s: float) -> Sequence[Any]:
        self.asked.append(("close", within_s))
        for end in self.ends.values():
            end.close()
        return ()

    def __getattr__(self, name: str) -> Any:
        return lambda *args, **keys: self.asked.append((name, *args, *keys.values()))


class Stage:
    """A local engine, and its node."""

    def __init__(self) -> None:
        self.engine = LocalEngine(ProcessFactory())
        self.node: ScriptedNode = self.engine._node  # type: ignore[assignment]
        self._readers: dict[str, Any] = {}

    def start(self, *workers: str) -> None:
        for worker in workers:
            self.engine.start(worker, "job", order(worker))

    def up(self, *workers: str) -> None:
        self.start(*workers)
        self.node.make(*workers)
        self.engine.wait(0)

    def say(self, worker: str, *messages: Any) -> None:
        for message in messages:
            self.node.ends[worker].sendall(b"".join(wire.encode(message, ())))

    def heard(self, worker: str) -> list[Any]:
        """What has come to the worker."""
        end = self.node.ends[worker]
        end.setblocking(False)
        reader = self._readers.setdefault(worker, wire.to_worker())
        try:
            return [message for message, _ in reader.feed(memoryview(end.recv(1 << 16)))]
        except BlockingIOError:
            return []


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    monkeypatch.setattr(module, "Node", ScriptedNode)
    stage = Stage()
    with stage.engine.open():
        yield stage
        stage.engine.close(1.0)


SHUT = Shut(queue="q", reader="snk", returned=False)


# -- sending --------------------------------------------------------------------------------------


def test_a_stop_and_a_shut_that_come_before_a_worker_is_there_arrive(stage):
    stage.start("src-1")
    stage.engine.send("src-1", SHUT, ())
    stage.engine.flush()
    stage.engine.send("src-1", Stop(), ())
    stage.engine.flush()
    stage.node.make("src-1")
    assert stage.engine.wait(0) == [Started(worker="src-1", pid=7)]
    stage.engine.send("src-1", Stop(), ())
    stage.engine.flush()
    assert stage.heard("src-1") == [SHUT, Stop(), Stop()]


def test_nothing_leaves_before_the_flush(stage):
    stage.up("src-1")
    stage.engine.send("src-1", Stop(), ())
    stage.engine.wait(0)
    assert stage.heard("src-1") == []
    stage.engine.flush()
    assert stage.heard("src-1") == [Stop()]


def test_what_was_sent_to_a_life_is_not_sent_to_the_next(stage):
    stage.start("src-1")
    stage.engine.send("src-1", SHUT, ())
    stage.node.will(StartFailed(worker="src-1", failure=Failure(kind="E", message="no")))
    stage.engine.wait(0)
    stage.engine.send("src-1", SHUT, ())
    stage.up("src-1")
    stage.engine.flush()
    assert stage.heard("src-1") == []


def test_who_is_cut_off_before_it_is_there_hears_nothing_and_is_not_heard(stage):
    stage.start("src-1")
    stage.engine.send("src-1", Stop(), ())
    stage.engine.disconnect("src-1")
    assert ("drop", "src-1") in stage.node.asked
    stage.node.make("src-1")
    stage.engine.wait(0)
    stage.engine.flush()
    with pytest.raises(OSError, match="Broken pipe"):
        stage.say("src-1", Ready())


def test_what_a_socket_does_not_take_goes_when_it_does(stage):
    stage.up("src-1")
    channel = stage.engine._channels._channels["src-1"]
    n = 0
    while not channel.blocked:
        stage.engine.send("src-1", Stop(), ())
        stage.engine.flush()
        n += 1
    assert stage.engine.wait(0) == []
    heard = len(stage.heard("src-1"))
    while heard < n:
        began = time.monotonic()
        stage.engine.wait(5.0)
        assert time.monotonic() - began < 0.9, "that it takes more wakes the engine"
        stage.engine.flush()
        while more := len(stage.heard("src-1")):
            heard += more
    began = time.monotonic()
    assert stage.engine.wait(0.1) == []
    assert time.monotonic() - began >= 0.1, "and there is nothing more to take"


def test_who_asks_and_does_not_read_is_told_once(stage):
    stage.up("src-1")
    for _ in range(1 << 18):
        stage.engine.send("src-1", Stop(), ())
    stage.engine.flush()
    stage.engine.flush()
    (told,) = stage.engine.wait(None)
    assert told == Malformed(worker="src-1", detail="asks, and does not read the answers")
    stage.engine.flush()
    assert stage.engine.wait(0) == []


# -- what happens, and in which order -------------------------------------------------------------


def test_a_death_comes_after_what_was_sent_and_printed_before_it(stage):
    stage.up("a-1", "b-1")
    stage.say("a-1", Hello(pid=1), Ready())
    printed, died = Told(notifications=()), Died(worker="a-1", exit_code=-9)
    stage.node.will(printed, died)
    stage.node.deadline = 0.0
    told = stage.engine.wait(0)
    said = [each for each in told if isinstance(each, Received) and each.frames]
    assert [message for message, _ in said[0].frames] == [Hello(pid=1), Ready()]
    assert [each for each in told if not isinstance(each, Received)] == [printed, died]
    assert told.index(said[0]) < told.index(printed)


def test_what_only_the_last_read_of_a_dead_worker_finds_comes_before_its_output(stage):
    """It had sent more than a read takes, or sent it when the others had been read."""
    stage.up("a-1")
    printed, died = Told(notifications=()), Died(worker="a-1", exit_code=-9)

    def step() -> Sequence[Happening]:
        stage.say("a-1", Ready())
        return (printed, died)

    stage.node.step = step
    stage.node.deadline = 0.0
    told = stage.engine.wait(0)
    kinds = [type(each) for each in told if not isinstance(each, Received) or each.frames]
    assert kinds == [Received, Told, Died]


def test_a_child_that_holds_a_dead_workers_channel_open_holds_nobody_up(stage):
    stage.up("a-1")
    stage.say("a-1", Ready())
    held = stage.node.ends["a-1"].dup()
    stage.node.will(Died(worker="a-1", exit_code=0))
    assert isinstance(stage.engine.wait(0)[-1], Died)
    stage.up("a-1")
    with held, pytest.raises(OSError, match="Broken pipe"):
        held.sendall(b"from another life")


@pytest.mark.pure_only
def test_a_child_that_writes_on_without_end_holds_nobody_up(stage, monkeypatch):
    stage.up("a-1")
    stage.say("a-1", Ready())
    read = Channel.read

    def read_and_write_more(self: Channel, buffer: memoryview) -> Any:
        frames = read(self, buffer)
        with contextlib.suppress(OSError):
            stage.say("a-1", Ready())
        return frames

    monkeypatch.setattr(Channel, "read", read_and_write_more)
    stage.node.will(Died(worker="a-1", exit_code=0))
    assert isinstance(stage.engine.wait(0)[-1], Died)


def test_the_dead_leave_no_descriptor(stage):
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 -- names are wanted
    for _ in range(3):
        stage.up("a-1")
        stage.node.will(Died(worker="a-1", exit_code=0))
        stage.engine.wait(0)
        stage.node.ends.pop("a-1").close()
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


def test_frames_come_before_output_and_signals(stage):
    stage.up("a-1")
    printed = Told(notifications=())
    signal.raise_signal(signal.SIGINT)
    stage.node.will(printed)
    stage.say("a-1", Ready())
    told = stage.engine.wait(0)
    assert [type(each) for each in told] == [Received, Signalled, Told]


def test_what_is_no_frame_is_told_after_those_before_it(stage):
    stage.up("a-1")
    stage.say("a-1", Ready())
    assert isinstance(stage.engine.wait(0)[0], Received)
    stage.node.ends["a-1"].sendall(b"\0" * 64)
    (torn,) = stage.engine.wait(0)
    assert isinstance(torn, Malformed)
    assert torn.worker == "a-1"


def test_nothing_is_received_of_who_was_cut_off_and_its_death_is_told(stage):
    stage.up("a-1")
    stage.say("a-1", Ready())
    stage.engine.disconnect("a-1")
    assert stage.engine.wait(0) == []
    assert stage.node.ends["a-1"].recv(1) == b"", "it hears that it is cut off"
    died = Died(worker="a-1", exit_code=-9)
    stage.node.will(died)
    assert stage.engine.wait(0) == [died]


def test_a_worker_that_closes_its_channel_and_lives_is_no_news(stage):
    stage.up("a-1")
    stage.node.ends["a-1"].shutdown(socket.SHUT_WR)
    stage.engine.wait(0)
    stage.engine.send("a-1", Stop(), ())
    stage.engine.flush()
    assert stage.engine.wait(0) == []


def test_a_connection_that_came_another_way_is_a_channel(stage):
    ours, theirs = socket.socketpair()
    stage.start("a-1")
    stage.engine.send("a-1", Stop(), ())
    stage.engine.adopt(ours.detach(), "a-1")
    stage.engine.flush()
    stage.node.ends["a-1"] = theirs
    assert stage.heard("a-1") == [Stop()]
    stage.say("a-1", Ready())
    (said,) = stage.engine.wait(0)
    assert isinstance(said, Received)


# -- waiting --------------------------------------------------------------------------------------


def test_the_node_is_stepped_when_it_is_due(stage):
    stage.node.steps.append([Told(notifications=())])
    os.write(stage.node._write, b"")
    stage.node.deadline = stage.engine.now() - 1
    stage.node.step = lambda: [Told(notifications=())]
    assert len(stage.engine.wait(None)) == 1


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_is_told_by_its_number(stage, signum):
    signal.raise_signal(signum)
    assert stage.engine.wait(None) == [Signalled(signum=signum)]


def test_a_childs_death_is_the_nodes_news(stage):
    signal.raise_signal(signal.SIGCHLD)
    assert stage.engine.wait(None) == []
    assert stage.node.dead_children == 1


def test_signals_are_as_before_when_it_is_left(monkeypatch):
    monkeypatch.setattr(module, "Node", ScriptedNode)
    before = signal.getsignal(signal.SIGTERM)
    stage = Stage()
    with stage.engine.open():
        assert signal.getsignal(signal.SIGTERM) != before
        stage.engine.close(1.0)
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_pause_ends_by_a_signal_that_ends_runs_and_by_no_other(stage):
    signal.raise_signal(signal.SIGCHLD)
    assert not stage.engine.pause(10.0)
    assert stage.node.dead_children == 1
    assert not stage.engine.pause(0.0)
    signal.raise_signal(signal.SIGTERM)
    assert stage.engine.pause(10.0)


def test_a_watched_descriptor_is_told_while_it_is_ready(stage):
    read_fd, write_fd = os.pipe()
    stage.engine.watch(read_fd, "key")
    assert stage.engine.wait(0) == []
    os.write(write_fd, b"x")
    assert stage.engine.wait(None) == [Readable(token="key")]
    assert stage.engine.wait(None) == [Readable(token="key")]
    stage.engine.unwatch(read_fd)
    assert stage.engine.wait(0) == []
    stage.engine.watch(write_fd, 5, for_write=True)
    assert stage.engine.wait(None) == [Readable(token=5)]
    stage.engine.unwatch(write_fd)
    for fd in (read_fd, write_fd):
        os.close(fd)


def test_closed_it_holds_no_descriptor(monkeypatch):
    monkeypatch.setattr(module, "Node", ScriptedNode)
    before = set(os.listdir("/proc/self/fd"))  # noqa: PTH208 -- names are wanted
    stage = Stage()
    with stage.engine.open():
        stage.up("a-1", "b-1")
        stage.node._dial("c-1").close()
        stage.engine.disconnect("b-1")
        stage.engine.close(1.0)
    os.close(stage.node._read)
    os.close(stage.node._write)
    assert set(os.listdir("/proc/self/fd")) == before  # noqa: PTH208
