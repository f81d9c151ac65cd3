"""The engine of agents, and agents that lie, are silent, or are gone: nothing else is touched."""

import pickle
import select
import selectors
import struct
import time

import pytest
from actors import Stage

from orchestrator.core.protocol.events import Blame, Orphaned, Phase
from orchestrator.core.protocol.messages import Ready, Stop
from orchestrator.core.protocol.notifications import Logged, OutputLine, Stream, Warned
from orchestrator.engine.agents import control, fleet
from orchestrator.engine.agents.keys import Introduction, Purpose
from orchestrator.engine.engine import Died, Figures, Overdue, Received, Started, StartFailed, Told
from orchestrator.ipc import wire

BLAME = Blame(lease=3, index=1, phase=Phase.RUNNING)


@pytest.fixture
def stage():
    stage = Stage(patience_s=30.0, agents=2)
    yield stage
    stage.close()


def line(worker="a-1", text="hello", job="a"):
    return OutputLine(job=job, worker=worker, pid=1, stream=Stream.STDOUT, text=text)


def one_worker(stage, worker="a-1"):
    """An agent with a worker that is there."""
    before = len(stage.actors)
    stage.start(worker)
    actor = stage.actors[-1]
    if len(stage.actors) > before:
        actor.connect(stage)
    life, channel = actor.has_worker(stage, worker)
    stage.until(lambda: stage.told(Started, worker=worker))
    return actor, life, channel


def frame(message):
    return b"".join(wire.encode(message))


def ready():
    return Ready()


# -- a life ---------------------------------------------------------------------------------------


def test_what_was_sent_before_a_worker_is_there_reaches_it(stage):
    stage.start("a-1")
    stage.engine.send("a-1", Stop(), ())
    stage.turn()
    actor = stage.actors[0]
    actor.connect(stage)
    _, channel = actor.has_worker(stage, "a-1")
    stage.until(lambda: select.select([channel], [], [], 0)[0])
    frames = wire.to_worker().feed(memoryview(channel.recv(1000)))
    assert [message for message, _ in frames] == [Stop()]


def test_a_worker_is_heard_only_when_its_process_is_there(stage):
    stage.start("a-1")
    actor = stage.actors[0]
    actor.connect(stage)
    order = actor.hear(stage, control.StartLife)
    assert (order.worker, order.order) == ("a-1", b"an order")
    channel = actor.channel(stage, order.life, "a-1")
    channel.sendall(frame(ready()))
    for _ in range(20):
        stage.turn()
    assert stage.happened == []
    actor.say(control.LifeStarted(life=order.life, pid=77))
    stage.until(lambda: stage.told(Received))
    started, received = stage.happened
    assert started == Started(worker="a-1", pid=77)
    assert [message for message, _ in received.frames] == [ready()]


def test_a_death_is_told_when_all_that_was_sent_is_read(stage):
    actor, life, channel = one_worker(stage)
    data = frame(ready()) * 3000
    actor.say(control.LifeDied(life=life, exit_code=-9, blame=BLAME))
    stage.turn(0.1)
    stage.turn()
    assert not stage.told(Died)
    channel.setblocking(False)
    sent = 0
    while sent < len(data):
        select.select([], [channel], [], 0.01)
        if select.select([], [channel], [], 0)[1]:
            sent += channel.send(data[sent:])
        stage.turn()
    channel.close()
    stage.until(lambda: stage.told(Died))
    assert sum(len(each.frames) for each in stage.told(Received)) == 3000
    assert stage.happened[-1] == Died(worker="a-1", exit_code=-9, blame=BLAME)
    assert actor.hear(stage, control.BuryLife).life == life


def test_a_death_is_believed_after_a_while_though_the_channel_has_no_end(stage, monkeypatch):
    monkeypatch.setattr(fleet, "_END_S", 0.2)
    actor, life, _ = one_worker(stage)
    actor.say(control.LifeDied(life=life, exit_code=0))
    began = time.monotonic()
    stage.until(lambda: stage.told(Died))
    assert 0.15 < time.monotonic() - began < 5


def test_commands_reach_the_agent_of_the_worker(stage):
    actor, life, _ = one_worker(stage)
    stage.engine.signal("a-1", 15)
    stage.engine.stack("a-1")
    stage.engine.kill("a-1")
    stage.engine.kill("nobody")
    assert actor.hear(stage, control.SignalLife) == control.SignalLife(life=life, signum=15)
    assert actor.hear(stage, control.StackOfLife) == control.StackOfLife(life=life)
    assert actor.hear(stage, control.KillLife) == control.KillLife(life=life)


def test_a_start_that_fails_is_told_and_its_name_is_free_again(stage):
    stage.start("a-1")
    actor = stage.actors[0]
    actor.connect(stage)
    order = actor.hear(stage, control.StartLife)
    failure = control.Failure(kind="OSError", message="no")
    actor.say(control.LifeNotStarted(life=order.life, failure=failure))
    stage.until(lambda: stage.told(StartFailed))
    assert stage.happened == [StartFailed(worker="a-1", failure=failure)]
    stage.start("a-1")
    assert actor.hear(stage, control.StartLife).life != order.life


def test_a_start_that_is_dropped_before_its_agent_is_there_is_not_answered(stage):
    stage.start("a-1")
    stage.engine.disconnect("a-1")
    actor = stage.actors[0]
    actor.connect(stage)
    stage.start("a-1")
    assert actor.hear(stage, control.StartLife).life == 2
    assert stage.happened == []


def test_a_start_that_is_dropped_later_is_cancelled_or_answered(stage):
    stage.start("a-1")
    actor = stage.actors[0]
    actor.connect(stage)
    order = actor.hear(stage, control.StartLife)
    stage.engine.disconnect("a-1")
    assert actor.hear(stage, control.CancelLife).life == order.life
    actor.say(control.LifeCancelled(life=order.life))
    stage.until(lambda: stage.engine._fleet.life("a-1") is None)
    assert stage.happened == []


def test_a_fenced_worker_hears_of_it_and_is_heard_no_more(stage):
    actor, life, channel = one_worker(stage)
    channel.sendall(frame(ready()))
    stage.engine.disconnect("a-1")
    with pytest.raises(OSError):
        while channel.recv(100):
            pass
        for _ in range(100):
            channel.sendall(frame(ready()) * 1000)
            time.sleep(0.001)
    stage.turn()
    assert not stage.told(Received)
    actor.say(control.LifeDied(life=life, exit_code=1))
    stage.until(lambda: stage.told(Died))


# -- figures and output ---------------------------------------------------------------------------


def test_figures_and_cells_are_the_agents_last_word(stage):
    actor, life, _ = one_worker(stage)
    assert stage.engine.doing("a-1") == Blame()
    assert stage.engine.measure("a-1") is None
    assert stage.engine.measure("a-1") is None
    actor.hear(stage, control.MeasureLife)
    figures = Figures(cpu_s=1.0, rss=5, blame=BLAME, at_item_s=0.1)
    actor.say(control.Cells(cells={life: BLAME}), control.LifeMeasured(life=life, figures=figures))
    stage.until(lambda: stage.engine.measure("a-1") == figures)
    assert stage.engine.doing("a-1") == BLAME
    assert not [each for each in actor.heard if type(each) is control.MeasureLife]
    assert stage.engine.measure("nobody") is None


def test_an_overdue_item_is_what_its_worker_is_at(stage):
    actor, life, _ = one_worker(stage)
    actor.say(control.LifeOverdue(life=life, blame=BLAME))
    stage.until(lambda: stage.told(Overdue, worker="a-1", blame=BLAME))
    assert stage.engine.doing("a-1") == BLAME


def test_output_is_acknowledged_when_it_is_taken_and_not_while_it_is_held(stage):
    actor, life, _ = one_worker(stage)
    stage.engine.hold_output(held=True)
    told = control.LifePrinted(life=life, line=line(text="x" * 50_000))
    size = len(control.encode(told))
    actor.say(*[told] * 4)
    stage.until(lambda: sum(len(each.notifications) for each in stage.told(Told)) == 4)
    for _ in range(20):
        stage.turn()
    with pytest.raises(AssertionError):
        stage_within(stage, actor, control.Acknowledge, 0.2)
    stage.engine.hold_output(held=False)
    assert actor.hear(stage, control.Acknowledge).n == 4 * size


def stage_within(stage, actor, kind, within_s):
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        stage.turn()
        while select.select([actor.control], [], [], 0)[0]:
            actor.heard += [r for r, _ in actor.reader.feed(actor.control.recv(1 << 16))]
    assert [each for each in actor.heard if type(each) is kind]


def test_what_an_agent_warns_of_is_told(stage):
    actor, _, _ = one_worker(stage)
    actor.say(control.AgentWarned(warning=Warned(message="could not be killed: x")))
    stage.until(lambda: stage.warnings() == ["could not be killed: x"])


# -- agents that lie ------------------------------------------------------------------------------


def lost(stage, actor, why):
    """Wait until the agent is lost for that, and its worker told dead for nobody's fault."""
    stage.until(lambda: stage.told(Died))
    assert stage.told(Died)[0].orphaned is Orphaned.AGENT
    assert [each for each in stage.warnings() if why in each], stage.warnings()
    assert actor.host.asked[:1] == ["end"]
    with pytest.raises((EOFError, OSError)):
        for _ in range(100):
            actor.hear(stage, control.EndAgent)


def lies(life):
    """What no agent may say, with what is said of it."""
    other = life + 1000
    return {
        "a life that is nobody's": control.LifeDied(life=other, exit_code=0),
        "a second start": control.LifeStarted(life=life, pid=5),
        "a start that fails afterwards": control.LifeCancelled(life=life),
        "figures of another": control.LifeMeasured(life=other, figures=None),
        "cells of another": control.Cells(cells={other: BLAME}),
        "output of another life": control.LifePrinted(life=other, line=line()),
        "output in another worker's name": control.LifePrinted(life=life, line=line("b-1")),
        "output in another job's name": control.LifePrinted(life=life, line=line(job="b")),
        "fields that would be lines of the log": control.LifeLogged(
            life=life, record=logged('{"a": 1}\n{"event": "run.ended"}')
        ),
        "fields that are no object": control.LifeLogged(life=life, record=logged("[1]")),
        "fields that are not ASCII": control.LifeLogged(life=life, record=logged('{"é": 1}')),
    }


def logged(fields):
    return Logged(
        job="a", worker="a-1", pid=1, ts=1.0, level="INFO", logger="", msg="m", fields=fields
    )


@pytest.mark.parametrize("lie", list(lies(1)))
def test_an_agent_that_says_what_it_may_not_is_lost(stage, lie):
    actor, life, channel = one_worker(stage)
    actor.say(lies(life)[lie])
    lost(stage, actor, "broken the protocol")
    assert stage.until(lambda: select.select([channel], [], [], 0)[0])


@pytest.mark.parametrize(
    "data",
    [
        b"\xff\xff\xff\xff" + bytes(100),
        struct.pack("<I", 3) + b"\xc1\xc1\xc1",
        struct.pack("<I", len(pickle.dumps(BLAME))) + pickle.dumps(BLAME),
        b"MP\x02\x00" + bytes(200_000),
    ],
    ids=["4 GiB", "no record", "a pickle", "a frame"],
)
def test_an_agent_that_says_what_is_no_record_is_lost(stage, data):
    actor, _, _ = one_worker(stage)
    actor.control.sendall(data)
    lost(stage, actor, "broken the protocol")


def test_what_it_said_before_the_lie_counts(stage):
    stage.start("a-1")
    actor = stage.actors[0]
    actor.connect(stage)
    order = actor.hear(stage, control.StartLife)
    actor.channel(stage, order.life, "a-1")
    actor.say(control.LifeStarted(life=order.life, pid=5), control.LifeDied(life=99, exit_code=0))
    stage.until(lambda: stage.told(Died))
    assert stage.told(Started)


def test_a_worker_without_a_channel_is_a_lie(stage):
    stage.start("a-1")
    actor = stage.actors[0]
    actor.connect(stage)
    order = actor.hear(stage, control.StartLife)
    actor.say(control.LifeStarted(life=order.life, pid=5))
    stage.until(lambda: stage.told(StartFailed))
    assert stage.told(StartFailed)[0].failure.kind == "AgentLost"


def test_an_agent_cannot_speak_for_anothers_life(stage):
    honest, life, channel = one_worker(stage, "a-1")
    liar, _, _ = one_worker(stage, "b-1")
    assert honest is not liar
    liar.say(control.LifeDied(life=life, exit_code=0))
    stage.until(lambda: stage.told(Died))
    assert [each.worker for each in stage.told(Died)] == ["b-1"]
    channel.sendall(frame(ready()))
    stage.until(lambda: stage.told(Received, worker="a-1"))


def test_an_agent_cannot_take_the_channel_of_anothers_life(stage):
    liar, _, _ = one_worker(stage, "b-1")
    stage.start("a-1")
    honest = stage.actors[1]
    honest.connect(stage)
    order = honest.hear(stage, control.StartLife)
    assert stage.is_closed(liar.channel(stage, order.life, "a-1"))
    with pytest.raises(OSError):  # in the other's name it has no key
        liar.channel(stage, order.life, "a-1", agent=honest.launch.agent)
    honest.channel(stage, order.life, "a-1")
    honest.say(control.LifeStarted(life=order.life, pid=5))
    stage.until(lambda: stage.told(Started, worker="a-1"))


def test_a_second_control_connection_and_a_second_channel_are_closed(stage):
    actor, life, channel = one_worker(stage)
    first = actor.control
    actor.connect(stage)
    second, actor.control = actor.control, first
    third = actor.channel(stage, life, "a-1")
    assert stage.is_closed(second)
    assert stage.is_closed(third)
    actor.say(control.LifeDied(life=life, exit_code=0))
    channel.close()
    stage.until(lambda: stage.told(Died))


@pytest.mark.parametrize("is_closed", [True, False])
def test_the_newest_channel_counts_until_something_is_said(stage, is_closed):
    """An agent has given up the first, whether its end has come or not."""
    stage.start("a-1")
    actor = stage.actors[0]
    actor.connect(stage)
    order = actor.hear(stage, control.StartLife)
    first = actor.channel(stage, order.life, "a-1")
    if is_closed:
        first.close()
    second = actor.channel(stage, order.life, "a-1")
    if not is_closed:
        assert stage.is_closed(first)
        first.close()
    second.sendall(frame(ready()))
    third = actor.channel(stage, order.life, "a-1")
    assert stage.is_closed(third)
    third.close()
    actor.say(control.LifeStarted(life=order.life, pid=5))
    stage.until(lambda: stage.told(Received, worker="a-1"))
    actor.channels["a-1"] = second


@pytest.mark.parametrize("is_closed", [True, False])
def test_the_newest_control_connection_counts_until_something_is_said(stage, is_closed):
    stage.start("a-1")
    actor = stage.actors[0]
    first = actor.dial(stage, Introduction(purpose=Purpose.CONTROL, agent=actor.launch.agent))
    stage.turn()
    if is_closed:
        first.close()
        stage.turn(0.1)
    actor.connect(stage)
    if not is_closed:
        assert stage.is_closed(first)
        first.close()
    actor.has_worker(stage, "a-1")
    stage.until(lambda: stage.told(Started, worker="a-1"))
    assert stage.warnings() == []


# -- agents that are gone -------------------------------------------------------------------------


def test_an_agent_whose_connection_ends_is_lost(stage):
    actor, _, _ = one_worker(stage)
    actor.control.close()
    stage.until(lambda: stage.told(Died))
    assert stage.told(Died) == [Died(worker="a-1", exit_code=None, orphaned=Orphaned.AGENT)]
    assert stage.warnings() == ["agent-1 is lost: its control connection has ended"]


def test_a_silent_agent_is_lost_after_the_patience_and_a_zombie_is_not_believed():
    stage = Stage(patience_s=0.5)
    try:
        actor, life, channel = one_worker(stage)
        actor.host.obeys = False
        began = time.monotonic()
        stage.until(stage.warnings)
        assert 0.4 < time.monotonic() - began < 5
        assert stage.warnings() == ["agent-1 is lost: it has said nothing for 0.5 s"]
        assert not stage.told(Died), "its host has not ended it yet"
        happened = len(stage.happened)
        with pytest.raises(OSError):  # woken, it speaks, and finds its connections closed
            for _ in range(50):
                channel.sendall(frame(ready()))
                actor.say(control.LifePrinted(life=life, line=line()))
                stage.turn()
        assert len(stage.happened) == happened
        actor.host.die()
        stage.until(lambda: stage.told(Died))
        stage.start("a-1")
        assert len(stage.actors) == 2, "another agent takes its place"
        assert stage.actors[1].launch.agent == "agent-2"
        assert stage.actors[1].launch.key != actor.launch.key
    finally:
        stage.close()


def test_beats_keep_an_agent():
    stage = Stage(patience_s=0.5)
    try:
        actor, _, _ = one_worker(stage)
        end = time.monotonic() + 1.2
        beats = 0
        while time.monotonic() < end:
            actor.hear(stage, control.Beat)
            actor.say(control.Beat())
            beats += 1
        assert beats >= 5
        assert stage.warnings() == []
    finally:
        stage.close()


def test_a_pause_keeps_the_agents():
    stage = Stage(patience_s=0.4)
    try:
        with stage.engine.open():
            actor, _, _ = one_worker(stage)
            actor.say(*[control.Beat()] * 3)
            assert stage.engine.pause(0.3) is False
            data = actor.control.recv(1 << 16)
            beats = [record for record, _ in actor.reader.feed(data)]
            assert beats.count(control.Beat()) >= 2
            assert stage.warnings() == []
    finally:
        stage.close()


def test_last_words_outlast_a_pause(stage, monkeypatch):
    """Nobody reads channels in a pause: the time of the dead does not run."""
    monkeypatch.setattr(fleet, "_END_S", 0.05)
    with stage.engine.open():
        actor, life, channel = one_worker(stage)
        channel.sendall(frame(ready()) * 3000)
        actor.say(control.LifeDied(life=life, exit_code=0))
        for _ in range(2):
            assert stage.engine.pause(0.2) is False
        assert stage.engine._fleet.life("a-1") is not None
        channel.close()
        stage.until(lambda: stage.told(Died))
    assert sum(len(each.frames) for each in stage.told(Received)) == 3000
    assert type(stage.happened[-1]) is Died


def test_a_worker_that_starts_in_a_pause_starts_before_it_speaks(stage):
    with stage.engine.open():
        stage.start("a-1")
        actor = stage.actors[0]
        actor.connect(stage)
        _, channel = actor.has_worker(stage, "a-1")
        channel.sendall(frame(ready()))
        stage.engine.pause(0.2)
        stage.until(lambda: stage.told(Received))
    assert [type(each) for each in stage.happened] == [Started, Received]


def test_who_connects_is_let_in_during_a_pause(stage):
    with stage.engine.open():
        stage.start("a-1")
        actor = stage.actors[0]
        about = Introduction(purpose=Purpose.CONTROL, agent=actor.launch.agent)
        dialing = actor.dialing(about)
        for _ in range(10):
            is_writer = dialing.events == selectors.EVENT_WRITE
            select.select([] if is_writer else [dialing.sock], [dialing.sock][:is_writer], [], 0.1)
            if dialing.go_on(time.monotonic()):
                break
            stage.engine.pause(0.05)
        else:
            pytest.fail("not let in")
        dialing.close()


def test_deaths_are_told_in_time_though_a_host_does_not_end_its_agent(stage, monkeypatch):
    monkeypatch.setattr(fleet, "_END_S", 0.2)
    actor, _, _ = one_worker(stage)
    actor.host.obeys = False
    actor.control.close()
    stage.until(lambda: stage.told(Died))
    assert actor.host.asked == ["end", "kill"]


def test_an_agent_that_is_never_there_fails_its_starts(stage):
    stage.start("a-1")
    stage.actors[0].host.die()
    stage.until(lambda: stage.told(StartFailed))
    assert stage.told(StartFailed)[0].failure.message == "its process ended"
    stage.start("a-1")
    stage.until(lambda: len(stage.actors) == 2)


def test_an_agent_that_does_not_connect_in_time_fails_its_starts(monkeypatch):
    monkeypatch.setattr(fleet, "_CONNECT_S", 0.2)
    stage = Stage()
    try:
        stage.start("a-1")
        stage.until(lambda: stage.told(StartFailed))
        assert "not there within 0.2 s" in stage.told(StartFailed)[0].failure.message
    finally:
        stage.close()


def test_a_death_that_was_told_is_told_as_it_was_though_its_agent_is_lost_since(stage):
    actor, life, _ = one_worker(stage)
    actor.say(control.LifeDied(life=life, exit_code=7))
    stage.turn(0.1)
    actor.control.close()
    stage.until(lambda: stage.told(Died))
    assert stage.told(Died)[0].exit_code == 7


def test_a_system_that_refuses_a_process_fails_the_start(stage, monkeypatch):
    def refuse(_launch):
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(stage.engine._fleet, "_begin", refuse)
    stage.start("a-1")
    stage.turn()
    assert "limit of processes" in stage.told(StartFailed)[0].failure.message


def test_workers_are_spread_over_the_agents_and_stay_with_theirs(stage):
    for worker in ("a-1", "a-2", "a-3"):
        stage.start(worker)
    assert len(stage.actors) == 2
    first = stage.actors[0]
    first.connect(stage)
    life, channel = first.has_worker(stage, "a-1")
    stage.until(lambda: stage.told(Started, worker="a-1"))
    assert first.hear(stage, control.StartLife).worker == "a-3"
    first.say(control.LifeDied(life=life, exit_code=0))
    channel.close()
    stage.until(lambda: stage.told(Died))
    stage.start("a-1")
    assert first.hear(stage, control.StartLife).worker == "a-1"


def test_what_a_worker_says_after_its_agent_is_gone_is_not_heard(stage):
    """Its pipes went with the agent: an item that fails of that must not be charged."""
    actor, _, channel = one_worker(stage)
    actor.control.close()
    channel.sendall(frame(ready()))
    time.sleep(0.05)
    stage.until(lambda: stage.told(Died))
    assert not stage.told(Received)


def test_a_worker_whose_connection_is_reset_is_disconnected_all_the_same(stage):
    _, _, channel = one_worker(stage)
    stage.engine.send("a-1", Stop(), ())
    stage.turn()
    select.select([channel], [], [], 5)
    channel.close()  # with unread bytes: a reset
    time.sleep(0.05)
    stage.engine.disconnect("a-1")
