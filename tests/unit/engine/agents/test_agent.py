"""An agent over a scripted node, with an orchestrator that the test plays: real connections."""

import os
import pickle
import select
import socket
import time

import pytest

from orchestrator.core.protocol.events import Blame, Phase
from orchestrator.core.protocol.messages import Failure
from orchestrator.core.protocol.notifications import OutputLine, Stream, Warned
from orchestrator.engine.agents import agent as module
from orchestrator.engine.agents import control
from orchestrator.engine.agents.agent import WINDOW_BYTES, Agent
from orchestrator.engine.agents.connection import ControlConnection
from orchestrator.engine.agents.control import AgentLaunch
from orchestrator.engine.agents.keys import Purpose, agent_key
from orchestrator.engine.agents.listener import Listener
from orchestrator.engine.engine import Died, Figures, Overdue, Started, StartFailed, Told
from orchestrator.engine.engine import Unstoppable as Refused
from orchestrator.kernel.descendants import KnownSurvivors as Survived

RUN_KEY, RUN = bytes(32), "run"
BLAME = Blame(lease=1, index=2, phase=Phase.RUNNING)
FIGURES = Figures(cpu_s=1.0, rss=2, blame=BLAME, at_item_s=3.0)


class ScriptedNode:
    """Does nothing by itself; it notes what it is asked."""

    def __init__(self, dial, _clock, _factory):
        self.dial = dial
        self.asked = []
        self.happens = []
        self.blame = Blame()
        self._read, self._write = os.pipe()

    def fileno(self):
        return self._read

    def next_deadline(self):
        return None

    def will(self, *happenings):
        self.happens += happenings
        os.write(self._write, b"x")

    def step(self):
        if not self.happens:
            return ()
        os.read(self._read, 1)
        happens, self.happens = self.happens, []
        return happens

    def doing(self, _worker):
        return self.blame

    def measure(self, _worker):
        return FIGURES

    def close(self, within_s):
        self.asked.append(("close", within_s))
        os.close(self._read)
        os.close(self._write)
        return ()

    def __getattr__(self, name):
        return lambda *args, **keys: self.asked.append((name, *args, *keys.values()))


class FakeOrder:
    """In an order's place."""


class Play:
    """An agent, and the orchestrator that the test is."""

    def __init__(self, patience_s=30.0):
        self.listener = Listener(RUN_KEY, RUN)
        host, port = self.listener.address
        launch = AgentLaunch(
            host=host,
            port=port,
            key=agent_key(RUN_KEY, "agent-1"),
            run=RUN,
            agent="agent-1",
            patience_s=patience_s,
            hash_seed="0",
            workers=4,
            descriptors=1024,
        )
        self.control, theirs = socket.socketpair()
        self.control.setblocking(False)
        connection = ControlConnection(
            theirs, control.to_agent(), patience_s=patience_s / 2, now=time.monotonic()
        )
        self.agent = Agent(launch, connection, directory="/nowhere", told=Survived())
        self.node = self.agent._node
        self.reader = control.from_agent()
        self.heard = []
        self.channels = {}
        self.reads = True

    def say(self, *records):
        self.control.send(b"".join(map(control.encode, records)))

    def turn(self):
        self.say(control.Beat())
        self.agent.turn()
        for sock, about in self.listener.step(time.monotonic()):
            assert about.purpose is Purpose.CHANNEL and about.agent == "agent-1"
            self.channels[about.worker, about.life] = sock
        while self.reads and select.select([self.control], [], [], 0)[0]:
            data = self.control.recv(1 << 20)
            self.heard += [record for record, _ in self.reader.feed(data)]
            if not data:
                break

    def until(self, look, within_s=10.0):
        end = time.monotonic() + within_s
        while not (seen := look()):
            assert time.monotonic() < end, self.heard
            self.turn()
        return seen

    def told(self, kind):
        return [record for record in self.heard if type(record) is kind]

    def has_worker(self, worker="a-1", life=1):
        """Have a worker made; return its end of the channel, and the orchestrator's."""
        before = len(self.starts(worker))
        order = pickle.dumps(FakeOrder())
        self.say(control.StartLife(life=life, worker=worker, order=order))
        self.until(lambda: len(self.starts(worker)) > before)
        assert isinstance(self.starts(worker)[-1][2], FakeOrder)
        end = self.node.dial(worker)
        self.node.will(Started(worker=worker, pid=7))
        self.until(lambda: control.LifeStarted(life=life, pid=7) in self.heard)
        return end, self.channels[worker, life]

    def starts(self, worker):
        return [each for each in self.node.asked if each[:2] == ("start", worker)]

    def close(self):
        self.agent.close()
        self.control.close()
        self.listener.close()
        for sock in self.channels.values():
            sock.close()


@pytest.fixture
def make(monkeypatch):
    monkeypatch.setattr(module, "Node", ScriptedNode)
    monkeypatch.setattr(module.Order, "decode", staticmethod(pickle.loads))
    plays = []

    def made(**settings):
        plays.append(Play(**settings))
        return plays[-1]

    yield made
    for play in plays:
        play.close()


@pytest.fixture
def play(make):
    return make()


def line(n, worker="a-1"):
    return OutputLine(job="a", worker=worker, pid=7, stream=Stream.STDOUT, text="x" * n)


def test_a_worker_is_made_when_its_channel_is_proved_and_has_it(play):
    end, ours = play.has_worker()
    assert end.getblocking()
    end.sendall(b"straight to the orchestrator")
    select.select([ours], [], [], 5)
    assert ours.recv(100) == b"straight to the orchestrator"


def test_it_does_as_it_is_told(play):
    play.has_worker()
    play.say(
        control.SignalLife(life=1, signum=15),
        control.StackOfLife(life=1),
        control.KillLife(life=1),
        control.KillLife(life=99),
        control.MeasureLife(life=1),
    )
    play.until(lambda: play.told(control.LifeMeasured))
    assert play.node.asked[-3:] == [("signal", "a-1", 15), ("stack", "a-1"), ("kill", "a-1")]
    assert play.told(control.LifeMeasured) == [control.LifeMeasured(life=1, figures=FIGURES)]


def test_it_tells_what_its_node_says_in_that_order(play):
    play.has_worker()
    failure = Failure(kind="Crash", message="m")
    play.heard.clear()
    play.node.will(
        Told(notifications=[line(3), Warned(message="w")]),
        Overdue(worker="a-1", blame=BLAME),
        Refused(worker="a-1"),
        Died(worker="a-1", exit_code=-11, blame=BLAME, failure=failure),
    )
    play.until(lambda: play.told(control.LifeDied))
    said = [record for record in play.heard if type(record) is not control.Beat]
    assert said == [
        control.LifePrinted(life=1, line=line(3)),
        control.AgentWarned(warning=Warned(message="w")),
        control.LifeOverdue(life=1, blame=BLAME),
        control.LifeUnstoppable(life=1),
        control.LifeDied(life=1, exit_code=-11, blame=BLAME, failure=failure),
    ]


def test_a_start_that_fails_is_told_and_its_connection_closed(play):
    play.say(control.StartLife(life=1, worker="a-1", order=pickle.dumps(FakeOrder())))
    play.until(lambda: play.node.asked)
    play.node.dial("a-1").close()
    failure = Failure(kind="OSError", message="no")
    play.node.will(StartFailed(worker="a-1", failure=failure))
    play.until(lambda: control.LifeNotStarted(life=1, failure=failure) in play.heard)
    assert play.channels["a-1", 1].recv(1) == b""


def test_a_start_is_cancelled_before_its_turn_and_not_after_it(play):
    order = pickle.dumps(FakeOrder())
    play.say(control.StartLife(life=1, worker="a-1", order=order))
    play.until(lambda: play.node.asked)
    play.say(control.CancelLife(life=1))
    play.until(lambda: control.LifeCancelled(life=1) in play.heard)
    assert ("drop", "a-1") in play.node.asked
    play.say(control.StartLife(life=2, worker="a-1", order=order), control.CancelLife(life=2))
    play.until(lambda: control.LifeCancelled(life=2) in play.heard)
    play.has_worker(life=3)
    play.say(control.CancelLife(life=3), control.MeasureLife(life=3))
    play.until(lambda: play.told(control.LifeMeasured))
    assert control.LifeCancelled(life=3) not in play.heard


def test_all_that_a_dead_worker_had_sent_arrives_though_it_had_not_read_its_answers(play):
    """A TCP socket that is closed with unread bytes resets, and loses what is on its way."""
    end, ours = play.has_worker()
    ours.send(b"an answer that nobody will read")
    select.select([end], [], [], 5)
    end.setblocking(False)
    sent = 0
    while select.select([], [end], [], 0.1)[1]:
        sent += end.send(b"\x55" * 65536)
    assert sent > 500_000
    end.close()  # as the death of its process does
    play.node.will(Died(worker="a-1", exit_code=-9))
    play.until(lambda: play.told(control.LifeDied))
    arrived, ours_end = 0, time.monotonic() + 10
    ours.setblocking(True)
    while data := ours.recv(1 << 20):
        assert time.monotonic() < ours_end
        arrived += len(data)
    assert arrived == sent


def test_the_connection_of_a_dead_worker_stays_until_it_is_buried(play):
    end, ours = play.has_worker()
    ours.send(b"an answer that nobody will read")
    end.close()
    play.node.will(Died(worker="a-1", exit_code=-9))
    play.until(lambda: play.told(control.LifeDied))
    ours.setblocking(True)
    assert ours.recv(1) == b""
    for _ in range(3):
        play.turn()
        ours.send(b"still no reset")
    play.say(control.BuryLife(life=1))
    with pytest.raises(OSError):
        for _ in range(100):
            play.turn()
            ours.send(b"nobody is there")


def test_a_worker_that_takes_a_dead_ones_name_is_another_life(play):
    end, _ = play.has_worker(life=1)
    end.close()
    play.node.will(Died(worker="a-1", exit_code=1))
    play.until(lambda: play.told(control.LifeDied))
    play.has_worker(life=2)
    play.say(control.KillLife(life=1), control.MeasureLife(life=2))
    play.until(lambda: play.told(control.LifeMeasured))
    assert ("kill", "a-1") not in play.node.asked


def test_workers_wait_while_their_output_is_not_acknowledged(play):
    play.has_worker()
    told = line(60_000)
    play.node.will(Told(notifications=[told] * (WINDOW_BYTES // 60_000 + 1)))
    play.until(lambda: ("hold_output", True, True) in play.node.asked)
    size = len(control.encode(control.LifePrinted(life=1, line=told)))
    play.until(lambda: len(play.told(control.LifePrinted)) == WINDOW_BYTES // 60_000 + 1)
    assert ("hold_output", False, True) not in play.node.asked
    play.say(control.Acknowledge(n=size * 2))
    play.until(lambda: ("hold_output", False, True) in play.node.asked)


def test_it_kills_though_nobody_reads_what_it_says(play):
    play.has_worker()
    play.reads = False
    play.node.will(Told(notifications=[line(60_000)] * 100))
    began = time.monotonic()
    play.turn()
    play.say(control.KillLife(life=1))
    play.until(lambda: ("kill", "a-1") in play.node.asked)
    assert time.monotonic() - began < 3
    play.reads = True
    play.until(lambda: len(play.told(control.LifePrinted)) == 100)


def test_it_tells_what_workers_are_at_with_its_heartbeats_if_that_has_changed(make):
    play = make(patience_s=1.0)
    play.has_worker()
    play.node.blame = BLAME
    play.until(lambda: play.told(control.Cells))
    for _ in range(20):
        play.turn()
    assert play.told(control.Cells) == [control.Cells(cells={1: BLAME})]


def test_it_is_over_when_its_orchestrator_has_been_silent_for_half_of_the_patience(make):
    play = make(patience_s=0.6)
    began = time.monotonic()
    while not play.agent.is_over:
        play.agent.turn()
    assert 0.25 < time.monotonic() - began < 0.6
    assert not play.agent.was_let_go


@pytest.mark.parametrize("data", [b"", b"\xff\xff\xff\xff", b"\x01\x00\x00\x00\xc1"])
def test_it_is_over_when_its_connection_ends_or_is_no_such(play, data):
    if data:
        play.control.send(data)
    else:
        play.control.close()
    while not play.agent.is_over:
        play.agent.turn()
    assert not play.agent.was_let_go


def test_at_its_end_everybody_is_ended_and_it_says_so(play):
    end, _ = play.has_worker()
    play.say(control.EndAgent())
    while not play.agent.is_over:
        play.agent.turn()
    play.agent.close()
    assert play.node.asked[-1][0] == "close"
    assert play.agent.was_let_go
    data = play.control.recv(1 << 16)
    assert [record for record, _ in play.reader.feed(data)][-1] == control.AgentEnded()
    end.close()
    play.agent.close = lambda: None


def test_workers_lose_their_channels_before_anything_else(play):
    """What they fail of then, a pipe that nobody reads any more, reaches nobody."""
    _, ours = play.has_worker()
    said = []
    play.node.close = lambda _within_s: said.append(ours.recv(1)) or ()
    ours.setblocking(False)
    play.agent.close()
    assert said == [b""]
    play.agent.close = lambda: None
