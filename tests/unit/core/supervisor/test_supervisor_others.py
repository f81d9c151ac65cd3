"""What a failure does to the other jobs, clean-up jobs, daemons, and what ends a stall."""

from __future__ import annotations

import pytest
from fake_run import ERROR, FakeRun, job

from orchestrator.core.protocol import notifications
from orchestrator.core.protocol.events import Interrupted, JobFinished, StallDetected, Terminated
from orchestrator.plan.model import AfterCondition, FailurePolicy, TerminatePlan, TimeoutsPlan

READY, SUCCEEDED, FAILED, FINISHED = AfterCondition


@pytest.mark.parametrize(
    ("policy", "signalled", "states"),
    [
        (
            FailurePolicy.STOP,
            ["task-1", "stage-1"],
            "failed terminated terminated starting skipped",
        ),
        (FailurePolicy.DRAIN, ["task-1"], "failed terminated ready starting skipped"),
        (FailurePolicy.CONTINUE, [], "failed ready ready starting pending"),
    ],
)
def test_on_failure_decides_about_the_others_but_clean_up_runs(policy, signalled, states):
    run = FakeRun(
        job("bad", on_failure=policy),
        job("task"),
        job("stage", inputs=("q",)),
        job("clean", after=[("bad", FAILED)]),
        job("next", after="stage"),
    ).up()
    run.die("bad-1", 1)
    assert run.signalled() == signalled
    for worker in signalled:
        run.die(worker, -15)
    assert run.states() == states.split()
    run.start().ready("clean-1").succeed("clean-1")
    assert run.state_of("clean") == "succeeded"
    for worker in [w for w in ("task-1", "stage-1") if w not in signalled]:
        run.succeed(worker)
    if policy is FailurePolicy.CONTINUE:
        run.start().ready("next-1").succeed("next-1")
    assert run.exit_code == 1


def test_a_clean_up_job_waits_for_what_is_being_stopped():
    run = FakeRun(
        job("bad"),
        job("other"),
        job("clean", after=[("other", FINISHED), ("bad", FINISHED)]),
        job("report", after=[("clean", SUCCEEDED)]),
    ).up()
    run.die("bad-1", 1)
    assert run.states("clean", "report") == ["pending", "skipped"]
    run.die("other-1", -15).start().ready("clean-1").succeed("clean-1")
    assert run.state_of("clean") == "succeeded"
    assert run.exit_code == 1


def test_a_failure_of_a_clean_up_job_leaves_the_other_clean_up_jobs_alone():
    run = FakeRun(job("bad"), job("x", after=[("bad", FAILED)]), job("y", after=[("bad", FAILED)]))
    run.up().die("bad-1", 1).start().ready("x-1", "y-1").die("x-1", 1)
    assert run.states() == ["failed", "failed", "ready"]


def test_the_gravest_end_of_a_worker_is_that_of_its_job():
    timeouts = TimeoutsPlan(run_s=5)
    run = FakeRun(job("a", workers=3, timeouts=timeouts)).begin().start().ready("a-1", "a-2")
    run.succeed("a-1").wait_until(5).die("a-2", -15).wait_until(15).die("a-3", -9)
    assert run.states("a-1", "a-2", "a-3", "a") == ["succeeded", "timed_out", "killed", "timed_out"]
    assert run.reason("a") == "a-2: ran longer than 5 s (timeouts.run)"


@pytest.mark.parametrize(
    ("event", "code", "reason"),
    [
        (None, 124, "the run took longer than 9 s (timeout)"),
        (Terminated(signal=15), 143, "SIGTERM"),
        (Terminated(signal=1), 129, "SIGHUP"),
        (Interrupted(), 130, "interrupted"),
    ],
)
def test_the_reason_is_that_of_the_exit_code(event, code, reason):
    """A job has failed before, which changes nothing for the others."""
    failing = job("a", on_failure=FailurePolicy.CONTINUE)
    run = FakeRun(failing, job("b"), timeout_s=9).up().close("a-1", ERROR).die("a-1", 1)
    run.wait_until(2)
    if event is not None:
        run.tell(event)
    run.wait_until(9).die("b-1", -15)
    outcome = run.supervisor.outcome
    assert (int(outcome.exit_code), outcome.reason) == (code, reason)
    assert run.reason("a").startswith("ValueError: bad")


def test_daemons_are_ended_with_the_others_and_that_is_no_failure():
    run = FakeRun(job("a"), job("polite", daemon=True), job("stubborn", daemon=True)).up()
    run.succeed("a-1")
    assert run.signalled() == ["polite-1", "stubborn-1"]
    run.die("polite-1", -15).wait_until(10).die("stubborn-1", -9)
    assert run.states() == ["succeeded", "terminated", "killed"]
    assert run.clean() == {"a": True, "polite": True, "stubborn": True}
    assert run.exit_code == 0


def test_a_daemon_that_was_stopped_with_the_run_has_not_ended_cleanly():
    run = FakeRun(job("a"), job("d", daemon=True)).up()
    run.tell(Terminated(signal=15))
    run.die("a-1", -15).die("d-1", -15)
    assert run.clean() == {"a": False, "d": False}


def test_a_daemon_that_dies_of_itself_has_failed():
    assert FakeRun(job("a"), job("d", daemon=True)).up().die("d-1", 1).states("d") == ["failed"]


def test_a_daemon_whose_turn_comes_last_is_not_started():
    run = FakeRun(job("a"), job("d", daemon=True, after="a")).up().succeed("a-1")
    assert run.states() == ["succeeded", "skipped"]
    assert run.exit_code == 0


def test_a_job_that_waits_for_a_daemon_to_be_ready_is_waited_for():
    run = FakeRun(job("d", daemon=True), job("b", after=[("d", READY)])).begin().start()
    assert run.signalled() == []
    run.ready("d-1").start().ready("b-1").succeed("b-1")
    assert run.signalled() == ["d-1"]


def test_a_job_that_waits_for_the_end_of_a_daemon_does_not_hang():
    run = FakeRun(job("d", daemon=True), job("b", after=[("d", FINISHED)])).up()
    assert run.signalled() == ["d-1"]
    run.die("d-1", -15).start().ready("b-1").succeed("b-1")
    assert run.exit_code == 0


def test_a_process_that_does_not_exit_after_its_last_message_is_stopped_and_still_a_success():
    run = FakeRun(job("a", terminate=TerminatePlan(signal=2, grace_s=4))).up().close("a-1")
    run.wait_until(100)
    assert run.blows() == [(4, "a-1", 2), (8, "a-1", 9)]
    assert "did not exit within 4 s" in run.facts(notifications.Warned)[0].message
    assert run.exit_code == 0, "after 5 s more it is given up"
    assert run.states("a-1") == ["succeeded"]


def test_a_stall_fails_the_run_and_ends_everybody():
    run = FakeRun(job("a"), job("b")).up()
    run.tell(StallDetected(waits=(("a-1", "room in q"), ("b-1", "items of r"))))
    assert run.signalled() == ["a-1", "b-1"]
    run.die("a-1", -15).die("b-1", -15)
    assert run.exit_code == 1
    assert run.supervisor.outcome.reason == (
        "the run stalled: a-1 waits for room in q, b-1 waits for items of r"
    )
    assert len(run.facts(notifications.Stalled)) == 1


def test_clean_up_jobs_that_stall_in_a_stopped_run_are_ended_too():
    run = FakeRun(job("a"), job("b", after=[("a", FAILED)]), job("c")).up().die("a-1", 1)
    run.start().ready("b-1")
    assert run.supervisor.is_stopping, "c-1 is being stopped"
    run.die("c-1", -15)
    assert not run.supervisor.is_stopping
    run.tell(StallDetected(waits=(("b-1", "items of r"),)))
    assert run.signalled() == ["c-1", "b-1"]


def final(run):
    return [news.job for news in run.of(JobFinished) if news.final]


def test_a_success_is_final():
    run = FakeRun(job("source", outputs=("q",)), job("sink", inputs=("q",))).up()
    run.succeed("source-1", "sink-1")
    assert final(run) == ["source", "sink"]


def test_a_success_is_not_final_if_a_job_at_the_same_queues_will_be_run_again():
    run = FakeRun(
        job("source", outputs=("a",)),
        job("bad", inputs=("a",), outputs=("b",), on_failure=FailurePolicy.CONTINUE),
        job("stage", inputs=("b",), outputs=("c",)),
        job("sink", inputs=("c",)),
        job("other", outputs=("d",)),
    ).up()
    run.die("bad-1", 1).succeed("source-1", "stage-1", "sink-1", "other-1")
    assert final(run) == ["other"]


def test_a_success_before_the_failure_of_another_job_stays_final():
    run = FakeRun(
        job("source", outputs=("a",)),
        job("bad", inputs=("a",), on_failure=FailurePolicy.CONTINUE),
    ).up()
    run.succeed("source-1").die("bad-1", 1)
    assert final(run) == ["source"]


def test_no_success_is_final_while_the_run_is_stopped():
    run = FakeRun(job("source", outputs=("a",)), job("sink", inputs=("a",))).up()
    run.tell(Terminated(signal=15))
    run.succeed("source-1", "sink-1")
    assert final(run) == []
