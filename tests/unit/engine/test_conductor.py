"""The conductor over a scripted engine: what it asks, in which order, and what it hears."""

from __future__ import annotations

import signal
from typing import Any

import msgspec
import pytest
from scripted import Ear, Performance, ScriptedEngine, dies, job, says, up

from orchestrator.core.protocol.events import Blame, Phase
from orchestrator.core.protocol.messages import (
    Closing,
    Commit,
    Failure,
    Hello,
    Output,
    Pull,
    Ready,
)
from orchestrator.core.protocol.notifications import (
    DiskFull,
    ItemDead,
    OutputLine,
    ProcessesSurvived,
    Stream,
    Survivor,
    WaitingFor,
    Warned,
    WorkerEnded,
    WorkerReplaced,
)
from orchestrator.engine.engine import (
    Malformed,
    Overdue,
    Readable,
    Signalled,
    StartFailed,
    Told,
    Unstoppable,
    Waits,
)
from orchestrator.errors import DiskFullError, ExitCode
from orchestrator.plan.model import (
    Durability,
    ErrorAction,
    ErrorPolicy,
    FailurePolicy,
    JobPlan,
    RestartPlan,
    TimeoutsPlan,
)

PIPE = (job("src", writes="q"), job("snk", "q"))
READY = [says("src-1", Ready()), says("snk-1", Ready())]
UP = [*up("src-1", "snk-1"), *READY]
LEASE = 2
"""The number of the first lease of a run in which one worker has put before."""
INTERRUPT = Signalled(signum=signal.SIGINT)


def put(n: int, *, seq: int = 1) -> tuple[Commit, bytes]:
    out = Output(queues=("q",), n=n, size=n, packed=False, counts=(n,))
    return Commit(seq=seq, outputs=(out,)), bytes(n)


def pull(n: int, commit: Commit | None = None) -> Pull:
    return Pull(pull=n, queues=("q",), most=9, commit=commit)


def done(lease: int, n: int, *, seq: int = 1) -> Commit:
    return Commit(seq=seq, finished=((lease, n),))


def failing() -> ErrorPolicy:
    return ErrorPolicy(otherwise=ErrorAction.DEAD_LETTER)


# -- a run ----------------------------------------------------------------------------------------


def test_a_pipeline_runs_from_its_orders_to_its_close():
    engine = ScriptedEngine(
        UP,
        [says("src-1", put(2), Closing()), dies("src-1")],
        [says("snk-1", pull(1))],
        [says("snk-1", pull(2, done(LEASE, 2)))],
        [says("snk-1", Closing()), dies("snk-1")],
    )
    run = Performance(engine, *PIPE).play().conductor.run
    assert run.outcome is not None
    assert run.outcome.exit_code is ExitCode.OK
    ledger = run.ledgers()["q"]
    assert (ledger.put, ledger.done, ledger.left) == (2, 2, 0)
    assert [asked[1:3] for asked in engine.of("start")] == [("src-1", "src"), ("snk-1", "snk")]
    assert engine.of("start")[0][3].worker == "src-1"
    assert "Leased" in engine.sent("snk-1")
    assert engine.names()[0] == "open"
    assert engine.names()[-2:] == ["close", "left"]


def test_what_could_not_be_killed_is_told_after_all_are_swept():
    engine = ScriptedEngine(up("t-1"), [says("t-1", Ready(), Closing()), dies("t-1")])
    engine.left = (Survivor(pid=7, command="sudo", user="root"),)
    stage = Performance(engine, job("t")).play()
    assert stage.conductor.survivors == engine.left
    assert stage.audience.of(ProcessesSurvived)
    assert engine.names().index("close") < engine.asked.index(("told", "ProcessesSurvived"))


# -- the order in a turn --------------------------------------------------------------------------


def last_turn(engine: ScriptedEngine) -> list[str]:
    """What was asked and told from the last wait on that came to its end."""
    names = engine.names()
    waits = [n for n, name in enumerate(names) if name == "wait"]
    return names[waits[-2] : waits[-1]]


def test_what_changed_is_kept_before_anybody_is_told():
    """Else a worker could have seen what a resumed run does not know."""
    engine = ScriptedEngine(UP, [says("src-1", put(2))])
    durable = {"durability": Durability.ON}
    Performance(engine, *PIPE, plan=durable, store=Ear(engine)).play()
    turn = last_turn(engine)
    assert turn.index("send") < turn.index("kept") < turn.index("flush")


def test_what_is_told_is_committed_before_anything_is_sent_or_kept():
    """A warning is in the log before a worker knows of what it tells."""
    engine = ScriptedEngine(UP, [says("src-1", put(2), Closing()), dies("src-1")])
    durable = {"durability": Durability.ON}
    Performance(engine, *PIPE, plan=durable, store=Ear(engine)).play()
    turn = last_turn(engine)
    assert turn.index("told") < turn.index("committed") < turn.index("kept") < turn.index("flush")


def test_what_the_dead_left_is_killed_before_anything_is_sent():
    """It may be at the item that goes to another in this turn."""
    engine = ScriptedEngine(UP, [says("src-1", put(2)), says("snk-1", pull(1))])
    Performance(engine, *PIPE).play()
    turn = last_turn(engine)
    assert turn.index("send") < turn.index("settle") < turn.index("flush")


def test_who_waits_for_items_gets_them_before_others_are_heard():
    pair = (job("src", writes="q", workers=2), job("snk", "q"))
    engine = ScriptedEngine(
        [*up("src-1", "src-2", "snk-1"), says("snk-1", Ready(), pull(1))],
        [says("src-1", Ready(), put(2)), says("src-2", Ready(), put(2))],
    )
    Performance(engine, *pair).play()
    turn = last_turn(engine)
    sent = [n for n, name in enumerate(turn) if name == "send"]
    assert turn.index("settle") < turn.index("flush") < sent[-1]


def test_who_waits_for_items_gets_none_before_that_is_kept():
    engine = ScriptedEngine(
        [*UP, says("snk-1", pull(1))], [says("src-1", put(2)), says("snk-1", Closing())]
    )
    durable = {"durability": Durability.ON}
    Performance(engine, *PIPE, plan=durable, store=Ear(engine)).play()
    turn = last_turn(engine)
    assert turn.index("send") < turn.index("kept") < turn.index("flush")


def test_who_may_not_be_signalled_is_known_before_anybody_is_told():
    """The core gives it up in the same turn: its items go to others with what is sent now."""
    pair = (job("src", writes="q"), job("snk", "q", workers=2, restart=RestartPlan(max=5)))

    def overdue() -> list[Any]:
        engine.settling.append([Unstoppable(worker="snk-1")])
        return [Overdue(worker="snk-1", blame=Blame(lease=LEASE, index=0, phase=Phase.RUNNING))]

    engine = ScriptedEngine(
        [*up("src-1", "snk-1", "snk-2"), *READY, says("snk-2", Ready())],
        [says("src-1", put(2)), says("snk-1", pull(1))],
        [says("snk-2", pull(1))],
        overdue,
    )
    stage = Performance(engine, pair[0], _limited(pair[1])).play()
    names = engine.names()
    refused = max(n for n, asked in enumerate(engine.asked) if asked[0] == "stack")
    assert engine.asked[refused] == ("stack", "snk-1")
    rest = names[refused:]
    assert rest.index("settle") < rest.index("disconnect") < rest.index("flush")
    assert rest.index("disconnect") < rest.index("settle", rest.index("settle") + 1)
    assert ("told", "Warned") in engine.asked[refused:]
    assert stage.audience.of(Warned)


def _limited(plan: JobPlan) -> JobPlan:
    """With a limit for its items, of which it may lose some."""
    limit = TimeoutsPlan(item_s=1.0)
    return msgspec.structs.replace(plan, timeouts=limit, on_error=failing())


def test_output_waits_for_what_is_sent():
    """Who observes comes last: a full terminal holds up no worker."""
    engine = ScriptedEngine(UP, [says("src-1", put(1)), says("snk-1", pull(1))])
    Performance(engine, *PIPE).play()
    names = engine.names()
    assert names.index("flush") < names.index("observed")


# -- frames ---------------------------------------------------------------------------------------


def test_a_death_hears_first_what_was_said_before_it():
    """Both items are done when it dies, so it costs none, and the next is not blamed."""
    engine = ScriptedEngine(
        UP,
        [says("src-1", put(2)), says("snk-1", pull(1))],
        [
            says("snk-1", done(LEASE, 2)),
            dies("snk-1", -9, blame=Blame(lease=LEASE, index=1, phase=Phase.RUNNING)),
        ],
    )
    stage = Performance(engine, PIPE[0], job("snk", "q", restart=RestartPlan(max=5))).play()
    ledger = stage.conductor.run.ledgers()["q"]
    assert (ledger.done, ledger.left) == (2, 0)
    (replaced,) = stage.audience.of(WorkerReplaced)
    assert replaced.item == ""


def test_nothing_is_heard_of_who_has_broken_the_protocol_in_the_same_read():
    """Its frames came together; what comes after the breach must not count."""
    engine = ScriptedEngine(UP, [says("src-1", put(2, seq=7), put(2))])
    stage = Performance(engine, *PIPE).play()
    assert engine.of("disconnect") == [("disconnect", "src-1")]
    assert stage.conductor.run.ledgers()["q"].put == 0


def test_nor_is_what_came_later_in_the_same_turn():
    torn = Malformed(worker="src-1", detail="no frame")
    engine = ScriptedEngine(UP, [torn, says("src-1", put(2)), torn])
    stage = Performance(engine, *PIPE).play()
    assert stage.conductor.run.ledgers()["q"].put == 0
    assert engine.of("kill") == [("kill", "src-1")]


def test_a_replacement_of_who_was_cut_off_is_heard_again():
    engine = ScriptedEngine(
        UP,
        [Malformed(worker="snk-1", detail="no frame"), dies("snk-1", -9)],
        [],
        up("snk-1"),
        [says("snk-1", Ready()), says("src-1", put(1)), says("snk-1", pull(1))],
    )
    Performance(engine, PIPE[0], job("snk", "q", restart=RestartPlan(max=5))).play()
    assert engine.sent("snk-1") == ["Leased"]


def test_a_hello_is_nobodys_news():
    engine = ScriptedEngine([*up("src-1", "snk-1"), says("src-1", Hello(pid=1), Ready())])
    Performance(engine, *PIPE).play()
    assert not engine.of("disconnect")


# -- starts ---------------------------------------------------------------------------------------


def test_a_stop_goes_to_a_source_that_is_not_there_yet():
    """Its process comes in the same turn, and lives: it must hear that it is to end."""
    engine = ScriptedEngine([INTERRUPT, *up("src-1", "snk-1")], READY)
    Performance(engine, *PIPE).play()
    sent = engine.asked.index(next(asked for asked in engine.of("send") if asked[1] == "src-1"))
    assert engine.sent("src-1") == ["Stop"]
    assert engine.names().index("start") < sent
    assert engine.of("signal") == [("signal", "src-1", signal.SIGTERM)]


def test_a_shut_goes_to_a_producer_that_is_not_there_yet():
    """Nobody will read what it gives: its readers have failed, and the run goes on."""
    reader = job("snk", "q", on_failure=FailurePolicy.CONTINUE)
    engine = ScriptedEngine(
        [*up("snk-1"), says("snk-1", Ready())],
        [says("snk-1", Closing(failure=Failure(kind="E", message="bad"))), dies("snk-1", 1)],
        up("src-1"),
    )
    Performance(engine, PIPE[0], reader).play()
    assert engine.sent("src-1") == ["Shut"]


def test_a_start_that_failed_is_told_and_tried_again():
    failure = Failure(kind="OSError", message="no memory")
    engine = ScriptedEngine([StartFailed(worker="t-1", failure=failure)], [])
    stage = Performance(engine, job("t", restart=RestartPlan(max=1, before_call=1))).play()
    (replaced,) = stage.audience.of(WorkerReplaced)
    assert "no memory" in replaced.reason
    assert len(engine.of("start")) == 2


def test_who_waits_for_a_place_is_told():
    engine = ScriptedEngine([Waits(worker="t-1", why="cpus 1")])
    stage = Performance(engine, job("t")).play()
    assert [each.message for each in stage.audience.of(Warned)] == ["t-1 waits for a place: cpus 1"]


# -- deaths and limits ----------------------------------------------------------------------------


def test_the_item_at_hand_is_named_by_the_core():
    """The cell knows a lease and an index; which item that is, only the core knows."""
    engine = ScriptedEngine(
        UP,
        [says("src-1", put(3)), says("snk-1", pull(1))],
        [dies("snk-1", -11, blame=Blame(lease=LEASE, index=1, phase=Phase.RUNNING))],
    )
    reader = job("snk", "q", restart=RestartPlan(max=5), on_error=failing())
    stage = Performance(engine, PIPE[0], reader).play()
    (dead,) = stage.audience.of(ItemDead)
    assert dead.item == "q:2"


def test_who_died_between_items_is_at_none():
    engine = ScriptedEngine(
        UP,
        [says("src-1", put(3)), says("snk-1", pull(1))],
        [dies("snk-1", -11, blame=Blame(lease=LEASE, index=1))],
    )
    stage = Performance(engine, PIPE[0], job("snk", "q")).play()
    (ended,) = stage.audience.of(WorkerEnded)
    assert ended.item == ""


def test_an_overdue_item_is_asked_for_its_stack_and_any_other_kill_is_a_kill():
    blame = Blame(lease=LEASE, index=0, phase=Phase.RUNNING)
    reader = _limited(job("snk", "q", restart=RestartPlan(max=5)))
    engine = ScriptedEngine(
        UP,
        [says("src-1", put(1)), says("snk-1", pull(1))],
        [Overdue(worker="snk-1", blame=blame)],
        [INTERRUPT] * 3,
    )
    Performance(engine, PIPE[0], reader).play()
    assert engine.of("stack", "kill") == [("stack", "snk-1"), ("kill", "src-1")]


def test_who_is_waited_for_is_told_with_what_it_is_at():
    def later() -> list[Any]:
        engine.time += 10.0
        return []

    engine = ScriptedEngine(
        UP,
        [says("src-1", put(1)), says("snk-1", pull(1))],
        [Signalled(signum=signal.SIGTERM)],
        later,
    )
    engine.places["snk-1"] = Blame(lease=LEASE, index=0, phase=Phase.RUNNING)
    stage = Performance(engine, *PIPE).play()
    told = [dict(zip(w.workers, w.doing, strict=True)) for w in stage.audience.of(WaitingFor)]
    assert any("q:1" in each.get("snk-1", "") for each in told)


@pytest.mark.parametrize(
    ("signum", "code"),
    [
        (signal.SIGINT, ExitCode.INT),
        (signal.SIGTERM, ExitCode.TERM),
        (signal.SIGHUP, ExitCode.HUP),
    ],
)
def test_each_signal_ends_the_run_in_its_own_name(signum, code):
    engine = ScriptedEngine(
        up("t-1"), [says("t-1", Ready()), Signalled(signum=signum)], [dies("t-1", -signum)]
    )
    stage = Performance(engine, job("t")).play()
    outcome = stage.conductor.run.outcome
    assert outcome is not None
    assert outcome.exit_code is code


def test_a_deadline_of_the_core_is_waited_for_and_kept():
    def late() -> list[Any]:
        engine.time += 0.125
        return []

    engine = ScriptedEngine(up("t-1"), [says("t-1", Ready())], late)
    Performance(engine, job("t", timeouts=TimeoutsPlan(run_s=0.125))).play()
    assert engine.of("wait")[2] == ("wait", 0.125)
    assert engine.of("signal") == [("signal", "t-1", signal.SIGTERM)]


# -- output ---------------------------------------------------------------------------------------


LINE = OutputLine(job="t", worker="t-1", pid=1, stream=Stream.STDOUT, text="x", ts=1.0)


def test_what_is_printed_reaches_the_observer_in_order():
    lines = [OutputLine(job="t", worker="t-1", pid=1, stream=Stream.STDOUT, text=str(n), ts=1.0)
             for n in range(3)]  # fmt: skip
    engine = ScriptedEngine(
        [*up("t-1"), Told(notifications=lines[:2])], [Told(notifications=lines[2:])]
    )
    stage = Performance(engine, job("t")).play()
    assert stage.audience.of(OutputLine) == lines


def test_output_is_held_while_the_observer_is_backed_up_and_read_again():
    def catch_up() -> list[Any]:
        stage.audience.backed_up = False
        return [Told(notifications=[LINE])]

    def fall_behind() -> list[Any]:
        stage.audience.backed_up = True
        return [Told(notifications=[LINE])]

    engine = ScriptedEngine(up("t-1"), fall_behind, catch_up)
    stage = Performance(engine, job("t"))
    stage.play()
    assert engine.of("hold_output") == [("hold_output", True), ("hold_output", False)]


def test_a_descriptor_that_takes_no_more_is_watched_until_it_does():
    def full() -> list[Any]:
        stage.audience.unwritten = (5,)
        return [Told(notifications=[LINE])]

    def written() -> list[Any]:
        stage.audience.unwritten = ()
        return [Readable(token=5)]

    engine = ScriptedEngine(up("t-1"), full, written)
    stage = Performance(engine, job("t"))
    stage.play()
    assert engine.of("watch", "unwatch") == [("watch", 5, 5, True), ("unwatch", 5)]


def test_a_signal_ends_the_wait_for_room_on_the_disk():
    engine = ScriptedEngine(up("t-1"))
    engine.signals_at_pause = True
    stage = Performance(engine, job("t"))

    def flush() -> None:
        raise DiskFullError("no room")

    stage.audience.flush = flush  # type: ignore[method-assign]
    with pytest.raises(DiskFullError):
        stage.play()
    assert engine.of("pause") == [("pause", 1.0)]
    assert stage.audience.of(DiskFull)
    assert engine.names()[-1] != "close", "the guard sweeps"
