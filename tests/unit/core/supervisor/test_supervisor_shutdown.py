"""How workers and runs are stopped: signal, grace, SIGKILL; drain, terminate, kill; time limits."""

from __future__ import annotations

import pytest
from fake_run import ERROR, FakeRun, job

from orchestrator.core.protocol import notifications
from orchestrator.core.protocol.commands import KillWorker, SignalWorker, StopReason
from orchestrator.core.protocol.events import (
    Interrupted,
    ItemOverdue,
    Malformed,
    ProcessStarted,
    SourcesClosed,
    StopAsked,
    StopHow,
    Terminated,
)
from orchestrator.plan.model import (
    AfterCondition,
    FailurePolicy,
    Shape,
    TerminatePlan,
    TimeoutsPlan,
)

TERM, KILL = 15, 9
FINISHED = AfterCondition.FINISHED


def stage(name, **keys):
    return job(name, shape=Shape.ITEM, inputs=("q",), **keys)


def source(name, **keys):
    return job(name, shape=Shape.SOURCE, outputs=("q",), **keys)


@pytest.mark.parametrize("why", ["terminated", "interrupted twice", "failure", "run timeout"])
@pytest.mark.parametrize(
    ("dies_after_s", "blows", "state"),
    [
        (0.1, [(5, "a-1", TERM)], "terminated"),
        (2.9, [(5, "a-1", TERM)], "terminated"),
        (3.0, [(5, "a-1", TERM), (8, "a-1", KILL)], "killed"),
    ],
    ids=["polite", "slow", "stubborn"],
)
def test_a_polite_and_a_stubborn_worker(why, dies_after_s, blows, state):
    """SIGKILL comes with the end of the grace, no sooner, and only to who still lives."""
    limit = TimeoutsPlan(run_s=5 if why == "run timeout" else None)
    run = FakeRun(
        job("a", terminate=TerminatePlan(signal=TERM, grace_s=3), timeouts=limit), job("b")
    )
    run.up().wait_until(5)
    if why == "terminated":
        run.tell(Terminated(signal=15))
    elif why == "interrupted twice":
        run.tell(Interrupted())
        run.tell(Interrupted())
    elif why == "failure":
        run.die("b-1", 1)
    run.wait_until(5 + dies_after_s).die("a-1", -blows[-1][2])
    assert [blow for blow in run.blows() if blow[1] == "a-1"] == blows
    assert run.state_of("a-1") == ("timed_out" if why == "run timeout" else state)


def test_each_worker_has_its_own_signal_and_grace_all_from_the_same_moment():
    run = FakeRun(
        job("a", terminate=TerminatePlan(signal=2, grace_s=1)),
        job("b", terminate=TerminatePlan(signal=TERM, grace_s=10)),
    ).up()
    run.wait_until(3).tell(Terminated(signal=15))
    run.wait_until(30)
    assert run.blows() == [(3, "a-1", 2), (3, "b-1", TERM), (4, "a-1", KILL), (13, "b-1", KILL)]


def test_each_step_is_told_with_who_is_waited_for():
    run = FakeRun(job("a"), job("b", terminate=TerminatePlan(signal=2, grace_s=4))).up()
    run.tell(Terminated(signal=15))
    run.die("b-1", -2).wait_until(10)
    assert run.facts(notifications.RunStopping) == [
        notifications.RunStopping(how="terminate", reason="SIGTERM")
    ]
    assert [(f.worker, f.signal, f.reason) for f in run.facts(notifications.SignalSent)] == [
        ("a-1", "SIGTERM", "terminated"),
        ("b-1", "SIGINT", "terminated"),
        ("a-1", "SIGKILL", "grace is over"),
    ]
    assert run.facts(notifications.WaitingFor) == [
        notifications.WaitingFor(workers=("a-1", "b-1"), timeout_s=10, step="grace"),
        notifications.WaitingFor(workers=("a-1",), timeout_s=5, step="kill"),
    ]


def feeding(*conditions, **keys):
    """A task; a source after it; who reads that, after it too; and whatever else there is."""
    given, read = conditions
    return FakeRun(
        job("x", shape=Shape.TASK, **keys),
        source("give", after=[("x", given)]),
        stage("read", after=[("x", read)]),
    )


@pytest.mark.parametrize("how", ["drain", "failure"])
def test_who_gives_what_only_a_skipped_job_was_to_read_is_skipped_with_it(how):
    run = feeding(FINISHED, AfterCondition.SUCCEEDED, on_failure=FailurePolicy.DRAIN).up()
    if how == "drain":
        run.tell(Interrupted())
    else:
        run.close("x-1", ERROR)  # whose conditions are open until its process is gone
    assert run.states("give", "read") == ["skipped", "skipped"]
    why = "the run is stopping, and nobody will read what it gives: read was skipped"
    assert run.reason("give") == why
    run.die("x-1", -15)
    assert run.ordered_starts() == ["x-1"]
    assert run.finished()


def test_who_reads_and_was_not_skipped_is_read_for():
    run = feeding(FINISHED, FINISHED).up()
    run.tell(Interrupted())
    run.die("x-1", -15)
    assert run.ordered_starts() == ["x-1", "give-1", "read-1"]


def test_a_whole_pipeline_is_skipped_with_its_end_also_when_that_is_decided_late():
    """Its middle and its end ask for a failure; only the end's does not come."""
    failed, either = AfterCondition.FAILED, [("x", FINISHED), ("y", FINISHED)]
    run = FakeRun(
        job("x"),
        job("y"),
        job("give", shape=Shape.SOURCE, outputs=("q",), after=either),
        job("pass", shape=Shape.ITEM, inputs=("q",), outputs=("r",), after=either),
        job("read", shape=Shape.ITEM, inputs=("r",), after=[("x", failed)]),
        job("last", after=[("give", FINISHED)]),
    ).up()
    run.tell(Interrupted())
    assert run.states("give", "pass", "read") == ["pending"] * 3
    run.die("x-1", -15)
    assert run.states("give", "pass", "read") == ["skipped"] * 3
    assert run.reason("read") == "waits for x: failed, but it was terminated"
    assert run.reason("give").endswith("nobody will read what it gives: pass was skipped")
    run.die("y-1", -15)
    assert "give-1" not in run.ordered_starts()


def test_a_repeated_stop_never_starts_a_grace_anew():
    run = FakeRun(job("a", timeouts=TimeoutsPlan(run_s=12))).up()
    run.wait_until(1).tell(Terminated(signal=15))
    for when in (5, 9):
        run.wait_until(when).tell(Interrupted())
    run.wait_until(13)
    assert run.blows() == [(1, "a-1", TERM), (11, "a-1", KILL)]
    assert len(run.facts(notifications.RunStopping)) == 1


def test_a_worker_that_cannot_be_killed_is_fenced_and_counts_as_killed():
    run = FakeRun(job("a")).up()
    run.tell(Terminated(signal=15))
    run.wait_until(14.9)
    assert run.cut_off() == []
    run.wait_until(15)
    assert run.cut_off() == ["a-1"]
    assert "state D" in run.facts(notifications.Warned)[0].hint
    assert run.states() == ["killed"]
    assert run.exit_code == 143
    assert run.tell(Malformed(worker="a-1", detail="")) == []


def test_the_late_death_of_a_worker_that_was_given_up_is_harmless():
    run = FakeRun(
        job("a", on_failure=FailurePolicy.CONTINUE, timeouts=TimeoutsPlan(run_s=1)), job("b")
    )
    run.up().wait_until(16).close("a-1").die("a-1", -9)
    assert run.states("a", "b") == ["timed_out", "ready"]
    assert run.supervisor.job_states["a"].exit_codes == (-9,)


def test_a_worker_that_is_not_ready_yet_gets_the_same_signal():
    run = FakeRun(job("a", timeouts=TimeoutsPlan(run_s=1))).begin().start()
    run.tell(Terminated(signal=15))
    assert run.signalled() == ["a-1"]
    run.ready("a-1").wait_until(5).die("a-1", -15)
    assert run.states() == ["terminated"], "no time limit counts for a worker that is stopped"


@pytest.mark.parametrize("signals", [1, 2], ids=["stopped", "killed"])
def test_a_worker_that_has_no_process_ends_at_once(signals):
    """Nothing runs there; whoever hangs in the making is not waited for."""
    run = FakeRun(job("a", workers=2)).begin().start("a-2")
    for _ in range(signals):
        run.tell(Terminated(signal=15))
        run.now += 3 * (signals - 1)
    assert run.signalled() == ["a-2"]
    run.wait_until(run.now)
    assert run.states("a-1") == ["terminated" if signals == 1 else "killed"]
    assert run.states("a-2") == ["draining"]
    assert not run.facts(notifications.Warned)
    run.die("a-2", -15)
    assert run.finished()


def test_a_process_that_appears_when_its_worker_was_stopped_is_killed():
    run = FakeRun(job("a"), job("b")).begin().start("b-1")
    run.tell(Terminated(signal=15))
    run.wait_until(0.0)
    assert run.cut_off() == ["a-1"]
    run.wait_until(2.0).start("a-1")
    assert run.blows() == [(0, "b-1", TERM), (2, "a-1", KILL)]
    run.die("a-1", -9)
    assert (run.states("a"), run.finished()) == (["terminated"], False)


def test_a_process_that_appears_in_the_moment_of_the_stop_has_its_whole_grace():
    run = FakeRun(job("a", timeouts=TimeoutsPlan(start_s=5))).begin()
    run.tell(Terminated(signal=15))
    run.start("a-1").wait_until(10)
    assert run.blows() == [(0, "a-1", TERM), (10, "a-1", KILL)]
    run.die("a-1", -9)
    assert run.states() == ["killed"]


def test_a_process_that_is_not_there_in_time_is_told_of():
    run = FakeRun(job("a", timeouts=TimeoutsPlan(start_s=5)), job("b")).begin().start("b-1")
    run.wait_until(5)
    assert run.states("a") == ["failed"]
    assert run.reason("a") == "was not ready within 5 s (timeouts.start)"
    (warning,) = run.facts(notifications.Warned)
    assert warning.message == "a-1 is not to be, and its process is still being made"


def test_a_process_that_appears_after_it_was_given_up_is_killed():
    run = FakeRun(job("a", on_failure=FailurePolicy.CONTINUE), job("b")).begin()
    run.start("b-1").ready("b-1")
    run.wait_until(65)
    assert run.states("a") == ["failed"]
    orders = run.tell(ProcessStarted(worker="a-1", pid=7))
    assert [type(order) for order in orders] == [KillWorker]


def test_the_start_timeout_kills_and_counts_from_the_process():
    run = FakeRun(job("a", timeouts=TimeoutsPlan(start_s=5))).begin().wait_until(4).start()
    run.wait_until(9)
    assert run.of(KillWorker) == [KillWorker(worker="a-1", reason=StopReason.START_TIMEOUT)]
    run.die("a-1", -9)
    assert run.states() == ["failed"]
    assert run.reason("a") == "was not ready within 5 s (timeouts.start)"


def test_the_run_timeout_counts_from_ready_and_each_worker_has_its_own():
    run = FakeRun(job("a", workers=2, timeouts=TimeoutsPlan(run_s=5))).begin().start()
    run.wait_until(2).ready("a-1").wait_until(3).ready("a-2").wait_until(6.9)
    assert run.blows() == []
    run.wait_until(7)
    reasons = [(c.worker, c.reason) for c in run.of(SignalWorker)]
    assert reasons == [("a-1", StopReason.RUN_TIMEOUT), ("a-2", StopReason.FAILURE)]


@pytest.mark.parametrize("last_words", ["none", "failure", "success"])
def test_a_worker_past_its_time_is_timed_out_whatever_it_says_then(last_words):
    run = FakeRun(job("a", timeouts=TimeoutsPlan(run_s=1)))
    run.up().wait_until(1)
    if last_words != "none":
        run.close("a-1", ERROR if last_words == "failure" else None)
    run.die("a-1", 0)
    assert run.states("a-1", "a") == ["timed_out", "timed_out"]
    assert run.reason("a") == "ran longer than 1 s (timeouts.run)"
    assert run.exit_code == 1


def test_a_worker_that_has_said_its_last_message_in_time_is_not_timed_out():
    run = (
        FakeRun(job("a", timeouts=TimeoutsPlan(run_s=1))).up().close("a-1").wait_until(2).die("a-1")
    )
    assert run.states() == ["succeeded"]


def test_an_overdue_item_ends_its_worker_and_is_named():
    run = FakeRun(stage("a", workers=2, timeouts=TimeoutsPlan(item_s=10))).up()
    run.tell(ItemOverdue(worker="a-2", item="q:3"))
    run.tell(ItemOverdue(worker="a-2", item="q:3"))
    run.fail_item("a-2", "q:3").die("a-2", -15).die("a-1", -15)
    assert run.states("a-1", "a-2", "a") == ["terminated", "timed_out", "timed_out"]
    assert run.reason("a") == "a-2: item q:3 took longer than 10 s (timeouts.item)"
    assert run.signalled() == ["a-2", "a-1"]


def test_what_becomes_of_the_item_of_a_worker_that_is_being_stopped_does_not_fail_it():
    run = FakeRun(stage("a"), stage("b")).up()
    run.tell(Terminated(signal=15))
    run.tell(ItemOverdue(worker="a-1", item="q:3"))
    run.fail_item("b-1", "q:4")
    run.die("a-1", -15).die("b-1", -15)
    assert run.states() == ["terminated", "terminated"]
    assert [fact.item for fact in run.facts(notifications.ItemFailed)] == ["q:4"]


def test_an_item_cannot_be_overdue_after_the_last_message():
    run = FakeRun(stage("a")).up().close("a-1")
    run.tell(ItemOverdue(worker="a-1", item="q:3"))
    assert run.die("a-1").states() == ["succeeded"]


def test_the_plans_timeout_ends_everything_with_124_and_starts_nothing_more():
    run = FakeRun(job("a"), job("b", after=[("a", FINISHED)]), timeout_s=30).up()
    run.wait_until(30).die("a-1", -15)
    assert run.states() == ["terminated", "skipped"]
    assert run.exit_code == 124
    assert run.supervisor.outcome.status == "timed_out"


def test_join_limits_the_time_after_the_end_of_the_input():
    run = FakeRun(stage("a", join_s=7)).up().wait_until(10).end_input("a")
    assert run.states("a-1", "a") == ["draining", "draining"]
    run.wait_until(17)
    assert run.blows() == [(17, "a-1", TERM)]
    run.die("a-1", -15)
    assert run.states() == ["timed_out"]
    assert run.reason("a") == "did not return within 7 s of the end of its input (join)"


def test_join_of_a_late_worker_counts_from_its_ready():
    run = FakeRun(stage("a", join_s=7)).begin().start().end_input("a").end_input("a")
    run.wait_until(10).ready("a-1").wait_until(16.9)
    assert run.blows() == []
    run.wait_until(17)
    assert run.signalled() == ["a-1"]


@pytest.mark.parametrize("input_ends", ["before", "after"])
def test_without_join_there_is_no_limit_unless_the_run_drains(input_ends):
    run = FakeRun(stage("a"), source("b")).up()
    if input_ends == "before":
        run.end_input("a")
    run.wait_until(1000)
    assert run.blows() == []
    run.tell(Interrupted())
    run.die("b-1", -15)
    if input_ends == "after":
        run.end_input("a")
    run.wait_until(1029.9)
    assert run.signalled() == ["b-1"]
    run.wait_until(1030)
    assert run.signalled() == ["b-1", "a-1"]
    waiting = notifications.WaitingFor(workers=("a-1",), timeout_s=30, step="join")
    assert waiting in run.facts(notifications.WaitingFor)


def test_the_first_interrupt_drains():
    """Heads get their signal, sources are closed, stages go on, what waits is skipped."""
    run = FakeRun(
        source("source", workers=2),
        stage("stage"),
        job("writer", write_handles=(("q", "q"),)),
        job("task"),
        job("status", daemon=True),
        job("ticks", daemon=True, shape=Shape.SOURCE, outputs=("q",)),
        job("next", after="task"),
        job("clean", after=[("task", FINISHED)]),
    ).up()
    run.tell(Interrupted())
    assert run.of(SourcesClosed) == [SourcesClosed(workers=("source-1", "source-2", "ticks-1"))]
    heads = ["source-1", "source-2", "writer-1", "task-1", "ticks-1"]
    assert run.signalled() == heads
    assert run.states("stage", "status", "next", "clean") == [
        "ready",
        "ready",
        "skipped",
        "pending",
    ]
    for worker in heads:
        run.close(worker, stopped=True).die(worker)
    run.start().ready("clean-1").succeed("clean-1")
    assert run.signalled() == heads
    run.end_input("stage").succeed("stage-1")
    assert run.signalled() == [*heads, "status-1"]
    run.die("status-1", -15)
    assert run.states("source", "stage", "status", "clean") == [
        "terminated",
        "succeeded",
        "terminated",
        "succeeded",
    ]
    assert run.exit_code == 130


def test_the_second_interrupt_terminates_and_the_third_kills():
    run = FakeRun(source("source"), stage("stage"), job("clean", after=[("stage", FINISHED)])).up()
    run.wait_until(1).tell(Interrupted())
    run.wait_until(2).tell(Interrupted())
    assert run.state_of("clean") == "skipped"
    run.wait_until(3).tell(Interrupted())
    run.tell(Interrupted())
    assert run.blows() == [
        (1, "source-1", TERM),
        (2, "stage-1", TERM),
        (3, "source-1", KILL),
        (3, "stage-1", KILL),
    ]
    run.die("source-1", -9).die("stage-1", -9)
    assert run.states("source", "stage") == ["killed", "killed"]
    assert [fact.how for fact in run.facts(notifications.RunStopping)] == [
        "drain",
        "terminate",
        "kill",
    ]
    assert run.exit_code == 130


@pytest.mark.parametrize("again", [15, 1])
def test_a_second_termination_kills(again):
    run = FakeRun(job("a"), stage("b")).up()
    run.wait_until(1).tell(Terminated(signal=15))
    run.wait_until(4).tell(Terminated(signal=again))
    run.die("a-1", -9).die("b-1", -9)
    assert run.blows() == [(1, "a-1", TERM), (1, "b-1", TERM), (4, "a-1", KILL), (4, "b-1", KILL)]
    assert [fact.how for fact in run.facts(notifications.RunStopping)] == ["terminate", "kill"]
    assert run.states() == ["killed", "killed"]
    assert run.exit_code == 143


def test_nothing_starts_any_more_when_a_run_is_terminated():
    """Not even a clean-up job that waits for the end of a job which is thereby skipped."""
    after = [("b", FINISHED)]
    run = FakeRun(job("a"), job("b", after="a"), job("c", after=after)).up()
    run.tell(Terminated(signal=15))
    assert run.states() == ["draining", "skipped", "skipped"]
    assert run.ordered_starts() == ["a-1"]


def test_an_interrupt_does_not_take_back_a_termination():
    run = FakeRun(job("a"), stage("b")).up()
    run.tell(Terminated(signal=15))
    run.tell(Interrupted())
    run.wait_until(10)
    assert run.blows() == [(0, "a-1", TERM), (0, "b-1", TERM), (10, "a-1", KILL), (10, "b-1", KILL)]


def test_a_failure_in_a_draining_run_stops_it():
    run = FakeRun(stage("a"), stage("b"), source("c")).up()
    run.tell(Interrupted())
    run.die("a-1", 1)
    assert run.signalled() == ["c-1", "b-1"]
    run.die("b-1", -15).die("c-1", -15)
    assert run.exit_code == 130


def test_a_termination_also_ends_what_on_failure_had_left_running():
    run = FakeRun(job("a"), job("clean", after=[("a", FINISHED)])).up().die("a-1", 1).start()
    run.tell(Terminated(signal=15))
    assert run.signalled() == ["clean-1"]


def test_a_worker_that_is_exiting_is_left_alone_by_a_failure_but_not_by_a_termination():
    run = FakeRun(job("a"), job("b")).up().close("a-1", ERROR)
    assert run.signalled() == ["b-1"]
    run.tell(Terminated(signal=15))
    assert run.signalled() == ["b-1", "a-1"]
    run.die("a-1", -15).die("b-1", -15)
    assert run.states() == ["failed", "terminated"]


@pytest.mark.parametrize(
    ("events", "code"),
    [
        ([Interrupted()], 130),
        ([Terminated(signal=15)], 143),
        ([Terminated(signal=1)], 129),
        ([Terminated(signal=15), Interrupted()], 130),
        ([Terminated(signal=1), Terminated(signal=15)], 143),
    ],
    ids=repr,
)
def test_an_interrupted_run_has_the_code_of_its_signal_even_if_a_job_failed(events, code):
    run = FakeRun(job("a", on_failure=FailurePolicy.CONTINUE), job("b"), timeout_s=2).up()
    run.die("a-1", 1)
    for event in events:
        run.tell(event)
    run.wait_until(3).die("b-1", -15)
    assert run.exit_code == code
    assert run.supervisor.outcome.status == "interrupted"


@pytest.mark.parametrize("times", [1, 3])
def test_an_asked_stop_goes_as_far_as_it_says_however_often(times):
    run = FakeRun(source("s"), stage("a")).up()
    for _ in range(times):
        run.tell(StopAsked(how=StopHow.DRAIN))
    assert [blow[1:] for blow in run.blows()] == [("s-1", TERM)]
    run.tell(StopAsked(how=StopHow.TERMINATE))
    run.tell(StopAsked(how=StopHow.DRAIN))
    assert [blow[1:] for blow in run.blows()] == [("s-1", TERM), ("a-1", TERM)]
    run.tell(StopAsked(how=StopHow.KILL))
    assert {blow[1:] for blow in run.blows()} >= {("s-1", KILL), ("a-1", KILL)}


@pytest.mark.parametrize(
    ("how", "code"), [(StopHow.DRAIN, 130), (StopHow.TERMINATE, 143), (StopHow.KILL, 143)]
)
def test_the_outcome_of_an_asked_stop(how, code):
    run = FakeRun(job("a")).up()
    run.tell(StopAsked(how=how))
    run.die("a-1", -KILL if how is StopHow.KILL else -TERM)
    outcome = run.supervisor.outcome
    assert outcome is not None
    assert (outcome.status, int(outcome.exit_code)) == ("interrupted", code)


def test_ctrl_c_after_an_asked_drain_terminates():
    run = FakeRun(source("s"), stage("a")).up()
    run.tell(StopAsked(how=StopHow.DRAIN))
    run.tell(Interrupted())
    assert ("a-1", TERM) in [blow[1:] for blow in run.blows()]
