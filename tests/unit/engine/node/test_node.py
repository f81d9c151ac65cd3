"""A node over processes that are none: real descriptors, scripted lives."""

from __future__ import annotations

import mmap
import os
import select
import signal
import socket
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from orchestrator.core.protocol.events import Blame, Orphaned, Phase
from orchestrator.core.protocol.messages import Failure
from orchestrator.core.protocol.notifications import OutputLine
from orchestrator.engine.engine import (
    Died,
    Happening,
    Overdue,
    Started,
    StartFailed,
    Told,
    Unstoppable,
)
from orchestrator.engine.node import node as module
from orchestrator.engine.node.child import STACK_SIGNAL
from orchestrator.engine.node.hosting import LoopClock
from orchestrator.engine.node.node import Node
from orchestrator.engine.node.workerprocess import WorkerProcess
from orchestrator.ipc.cell import RUNNING, SHARED_BYTES, Cell
from orchestrator.plan.model import Capture, StartMethod, TimeoutsPlan

AT_ITEM = Blame(lease=3, index=1, phase=Phase.RUNNING)


class FakeProcess(WorkerProcess):
    """A worker whose descriptors are real, and whose death is written by the test."""

    def __init__(self, name: str, pid: int) -> None:
        self.name, self.pid, self.key = name, pid, "k"
        self.start_method = StartMethod.FORKSERVER
        self.log_sock, self.log = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.log_sock.setblocking(False)
        self.stdout_fd, self.stdout = os.pipe()
        self.stderr_fd, self.stderr = os.pipe()
        for fd in (self.stdout_fd, self.stderr_fd):
            os.set_blocking(fd, False)
        self.pidfd, self._death = os.pipe()
        self.cell = mmap.mmap(-1, SHARED_BYTES)
        self.unstoppable = self.refuses = self.orphaned = False
        self.signals: list[int] = []
        self.closed = False

    def dies(self, exit_code: int | None = 0) -> None:
        self._exit_code = exit_code
        os.write(self._death, b"x")

    def prints(self, text: str) -> None:
        os.write(self.stdout, text.encode())

    def signal(self, signum: int) -> None:
        self.signals.append(signum)
        self.unstoppable = self.refuses

    def has_ended(self) -> bool:
        return bool(select.select([self.pidfd], [], [], 0)[0])

    def kill_group(self) -> bool:
        if self.has_ended():
            return False
        self.signal(signal.SIGKILL)
        return True

    def exit_code(self, *, wait_s: float = 0.5) -> int | None:
        del wait_s
        return self._exit_code

    def creator_died(self) -> bool:
        return self.orphaned

    def creator_refused(self) -> Failure | None:
        return None

    def close(self) -> None:
        self.log_sock.close()
        self.log.close()
        for fd in (self.stdout_fd, self.stdout, self.stderr_fd, self.stderr, self.pidfd):
            os.close(fd)
        os.close(self._death)
        self.closed = True


class FakeFactory:
    """Makes those processes; what `fails` cannot be made."""

    def __init__(self, events: list[str]) -> None:
        self.made: dict[str, FakeProcess] = {}
        self.fails: set[str] = set()
        self._events = events

    def begin(self, *, name: str, channel: socket.socket, **_: Any) -> FakeProcess:
        channel.close()
        self._events.append(f"begin {name}")
        if name in self.fails:
            raise OSError("no more")
        self.made[name] = FakeProcess(name, 1000 + len(self.made))
        return self.made[name]

    def helper_pids(self) -> frozenset[int]:
        return frozenset()

    def refusal(self, error: OSError) -> str:
        del error
        return ""

    def close(self) -> None:
        self._events.append("factory closed")


class Stage:
    """A node, its factory, and what was killed, begun and reaped, in order."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.events: list[str] = []
        self.factory = FakeFactory(self.events)
        self.left: list[Any] = []
        monkeypatch.setattr(module, "kill_groups", self._kill_groups)
        monkeypatch.setattr(module, "reap_strangers", lambda _: self.events.append("reap"))
        monkeypatch.setattr(module, "sweep", self._sweep)
        monkeypatch.setattr(module, "survivors", lambda found: found)
        self.time = 50.0
        clock = LoopClock()
        monkeypatch.setattr(clock, "now", lambda: self.time)
        monkeypatch.setattr(clock, "of", lambda monotonic_s: monotonic_s)
        self._theirs: list[socket.socket] = []
        self.node = Node(self._dial, clock, self.factory)  # type: ignore[arg-type]

    def _dial(self, worker: str) -> socket.socket:
        self.events.append(f"dial {worker}")
        return socket.socket()

    def _kill_groups(self, groups: set[int]) -> list[Any]:
        self.events.append(f"kill {sorted(groups)}")
        return self.left

    def _sweep(self, **_: Any) -> Any:
        self.events.append("sweep")
        return SimpleNamespace(survived=())

    def start(self, *workers: str, item_s: float | None = None) -> None:
        for worker in workers:
            job: Any = SimpleNamespace(
                inputs=("q",),
                name="job",
                start_method=StartMethod.SPAWN,
                env=(),
                target=None,
                capture=Capture.AUTO,
                timeouts=TimeoutsPlan(item_s=item_s),
            )
            order: Any = SimpleNamespace(
                worker=worker, job=job, pythonpath=(), encode=lambda: b"order"
            )
            self.node.start(worker, order)

    def up(self, *workers: str, item_s: float | None = None) -> list[FakeProcess]:
        self.start(*workers, item_s=item_s)
        for _ in workers:
            self.node.step()
        self.events.clear()
        return [self.factory.made[worker] for worker in workers]

    def at_item(self, process: FakeProcess, since_s: float) -> None:
        cell = Cell(process.cell)
        cell.begin(AT_ITEM.lease, AT_ITEM.index, int(since_s * 1e9))
        assert cell.words[2] == RUNNING
        cell.words.release()


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    stage = Stage(monkeypatch)
    yield stage
    stage.node.close(1.0)


def kinds(happened: Any) -> list[type[Happening]]:
    return [type(each) for each in happened]


def texts(happened: Any) -> list[str]:
    told = [each.notifications for each in happened if isinstance(each, Told)]
    return [line.text for lines in told for line in lines if isinstance(line, OutputLine)]


# -- starts ---------------------------------------------------------------------------------------


def test_one_start_a_step_in_the_order_asked_for(stage):
    stage.start("a-1", "a-2")
    assert stage.node.next_deadline() == stage.time
    assert stage.node.step() == [Started(worker="a-1", pid=1000)]
    assert stage.node.step() == [Started(worker="a-2", pid=1001)]
    assert stage.node.next_deadline() is None
    assert stage.events == ["dial a-1", "begin a-1", "dial a-2", "begin a-2"]


def test_a_start_that_was_dropped_is_neither_dialled_nor_begun_nor_told(stage):
    stage.start("a-1", "a-2")
    stage.node.drop("a-1")
    assert stage.node.step() == [Started(worker="a-2", pid=1000)]
    assert stage.node.step() == []


def test_what_cannot_be_made_is_told(stage):
    stage.factory.fails.add("a-1")
    stage.start("a-1")
    failure = Failure(kind="OSError", message="no more")
    assert stage.node.step() == [StartFailed(worker="a-1", failure=failure)]


def test_what_a_worker_is_asked_before_it_is_there_does_nothing(stage):
    stage.start("a-1")
    stage.node.signal("a-1", 15)
    stage.node.kill("a-1")
    stage.node.stack("a-1")
    assert stage.node.settle() == []
    assert (stage.node.doing("a-1"), stage.node.measure("a-1")) == (Blame(), None)


# -- deaths ---------------------------------------------------------------------------------------


def test_a_death_comes_after_what_was_printed_and_when_its_group_is_dead(stage):
    (process,) = stage.up("a-1")
    stage.at_item(process, 40.0)
    process.prints("last words")
    process.dies(-11)
    happened = stage.node.step()
    assert texts(happened) == ["last words"]
    assert happened[-1] == Died(worker="a-1", exit_code=-11, blame=AT_ITEM)
    assert stage.events == ["kill [1000]", "reap"]
    assert process.closed


def test_the_groups_of_all_that_died_are_searched_for_at_once(stage):
    """Each search may have to read all of /proc."""
    processes = stage.up("a-1", "a-2", "a-3")
    for process in processes:
        process.dies(-9)
    assert kinds(stage.node.step()) == [Died] * 3
    stage.node.step()
    assert stage.events == ["kill [1000, 1001, 1002]", "reap"]


def test_a_group_is_left_alone_whose_leader_ended_well_between_items(stage):
    (process,) = stage.up("a-1")
    process.dies(0)
    stage.node.step()
    assert stage.events == ["reap"]


def test_no_process_is_made_between_a_death_and_the_kill_of_its_group(stage):
    """It could have the dead one's number."""
    (process,) = stage.up("a-1")
    process.dies(-9)
    stage.start("a-2")
    assert kinds(stage.node.step()) == [Died, Started]
    assert stage.events == ["kill [1000]", "reap", "dial a-2", "begin a-2"]


def test_a_kill_of_who_has_died_meanwhile_reaches_its_group_before_anything_is_sent(stage):
    (process,) = stage.up("a-1")
    process.dies(0)
    stage.node.kill("a-1")
    assert stage.events == []
    assert stage.node.settle() == []
    assert stage.events == ["kill [1000]"]
    assert process.signals == []


def test_what_could_not_be_killed_in_a_group_is_told(stage):
    (process,) = stage.up("a-1")
    stage.left = [SimpleNamespace(command="sudo", pid=7, user="root")]
    process.dies(-9)
    (told,) = [each for each in stage.node.step() if isinstance(each, Told)]
    assert told.notifications[0].message == "could not be killed: sudo (pid 7, of root)"


def test_nothing_is_read_of_who_was_forgotten_in_the_same_step(stage):
    """Its descriptors are closed, and their numbers may be another's."""
    processes = stage.up("a-1", "a-2")
    for process in processes:
        process.dies(0)
    for process in processes:
        process.prints("x\n")
        process.log.send(b"no record")
    happened = stage.node.step()
    assert sorted(texts(happened)) == ["no record", "no record", "x", "x"]
    assert kinds(happened).count(Died) == 2


def test_a_worker_whose_forkserver_is_dead_is_an_orphan(stage):
    (process,) = stage.up("a-1")
    process.orphaned = True
    process.dies(-9)
    (died,) = stage.node.step()
    assert died.orphaned is Orphaned.FORKSERVER


def test_but_not_if_it_has_ended_of_itself(stage):
    (process,) = stage.up("a-1")
    process.orphaned = True
    process.dies(1)
    (died,) = stage.node.step()
    assert died.orphaned is None


# -- signals --------------------------------------------------------------------------------------


def test_a_refused_signal_is_told_when_it_is_settled(stage):
    (process,) = stage.up("a-1")
    process.refuses = True
    stage.node.signal("a-1", 15)
    assert stage.node.settle() == [Unstoppable(worker="a-1")]
    assert stage.node.settle() == []
    stage.node.kill("a-1")
    assert stage.node.settle() == [Unstoppable(worker="a-1")]
    assert process.signals == [15, 9]


def test_who_may_not_be_signalled_is_due_without_a_descriptor(stage):
    (process,) = stage.up("a-1")
    process.refuses = True
    stage.node.signal("a-1", 15)
    assert stage.node.next_deadline() == stage.time


# -- items that take too long ---------------------------------------------------------------------


def test_an_item_is_overdue_once_and_its_worker_dies_of_it(stage, monkeypatch):
    (process,) = stage.up("a-1", item_s=5.0)
    stage.at_item(process, 48.0)
    stage.node.step()
    assert stage.node.next_deadline() == 53.0
    stage.time = 53.0
    assert stage.node.step() == [Overdue(worker="a-1", blame=AT_ITEM)]
    assert stage.node.step() == []
    asked = stage.node._workers["a-1"].stack
    monkeypatch.setattr(asked, "ask", lambda: setattr(asked, "asked", True) or True)
    stage.node.stack("a-1")
    Cell(process.cell).words[1] = 7  # it goes on to another item meanwhile
    process.dies(-STACK_SIGNAL)
    (died,) = stage.node.step()
    assert (died.exit_code, died.blame) == (-signal.SIGKILL, AT_ITEM)


def test_who_does_not_tell_its_stack_is_killed(stage, monkeypatch):
    (process,) = stage.up("a-1", item_s=5.0)
    asked = stage.node._workers["a-1"].stack
    monkeypatch.setattr(asked, "ask", lambda: True)
    stage.node.step()
    stage.node.stack("a-1")
    assert stage.node.next_deadline() == 50.5
    stage.time = 50.5
    stage.node.step()
    assert process.signals == [signal.SIGKILL]


def test_who_cannot_be_asked_is_killed_at_once(stage, monkeypatch):
    (process,) = stage.up("a-1", item_s=5.0)
    monkeypatch.setattr(stage.node._workers["a-1"].stack, "ask", lambda: False)
    stage.node.stack("a-1")
    assert process.signals == [signal.SIGKILL]


# -- output and figures ---------------------------------------------------------------------------


def test_output_is_not_read_while_it_is_held_and_all_of_it_later(stage):
    (process,) = stage.up("a-1")
    stage.node.hold_output(held=True)
    process.prints("one\n")
    assert stage.node.step() == []
    stage.up("a-2")[0].prints("two\n")
    assert stage.node.step() == []
    stage.node.hold_output(held=False)
    assert sorted(texts(stage.node.step())) == ["one", "two"]


def test_held_output_of_a_dead_worker_is_told_all_the_same(stage):
    (process,) = stage.up("a-1")
    stage.node.hold_output(held=True)
    process.prints("one\n")
    process.dies(0)
    assert texts(stage.node.step()) == ["one"]


def test_adopted_strangers_are_reaped_when_a_child_has_died(stage):
    stage.up("a-1")
    stage.node.child_died()
    assert stage.node.next_deadline() == stage.time
    assert stage.node.step() == []
    assert stage.events == ["reap"]


def test_figures_are_the_machines_own(stage):
    (process,) = stage.up("a-1")
    process.pid = os.getpid()
    stage.at_item(process, 0.0)
    figures = stage.node.measure("a-1")
    assert figures is not None
    assert figures.blame == stage.node.doing("a-1") == AT_ITEM
    assert figures.cpu_s > 0
    assert figures.rss > 1 << 20
    assert figures.at_item_s > 0
    process.dies(0)
    assert stage.node.measure("a-1") is None


# -- the end --------------------------------------------------------------------------------------


def test_at_the_end_nothing_is_begun_and_all_is_swept_before_the_helpers_go(monkeypatch):
    stage = Stage(monkeypatch)
    (process,) = stage.up("a-1")
    stage.start("a-2")
    stage.node.close(1.0)
    assert process.closed
    assert stage.events == ["sweep", "factory closed"]
