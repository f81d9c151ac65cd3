"""A worker that dies is replaced: when, how often, and what ends its rest without a process."""

from __future__ import annotations

import pytest
from fake_run import FakeRun, job
from restarting import again, blames, orphan, stage, starts

from orchestrator.core.protocol import notifications
from orchestrator.core.protocol.events import Blame, Interrupted
from orchestrator.plan.model import FailurePolicy, RestartPlan, Shape

# -- when -----------------------------------------------------------------------------------------


def test_a_worker_that_has_worked_is_replaced_at_once_and_its_job_goes_on():
    run = FakeRun(stage()).up().wait_until(3)
    run.die("a-1", -9, fruitful=True).wait_until(3)
    assert starts(run) == [0, 3]
    assert run.states("a", "a-1") == ["ready", "starting"]
    again(run, "a-1").succeed("a-1")
    assert run.exit_code == 0
    assert run.supervisor.job_states["a"].exit_codes == (0,)


def test_a_replacement_is_told_with_the_death_it_follows():
    run = FakeRun(stage()).up()
    run.die("a-1", -11, "q:7").wait_until(0)
    assert run.facts(notifications.WorkerReplaced) == [
        notifications.WorkerReplaced(
            job="a",
            worker="a-1",
            pid=101,
            exit_code=-11,
            reason="killed by SIGSEGV in stages:a at item q:7",
            n=1,
            item="q:7",
        )
    ]
    assert run.facts(notifications.WorkerEnded) == []
    again(run, "a-1").succeed("a-1")
    (ended,) = run.facts(notifications.WorkerEnded)
    assert (ended.state, ended.pid, ended.item) == ("succeeded", 102, "")


@pytest.mark.parametrize(
    ("fruitful", "waits"),
    [
        ([False] * 8, [0, 0.05, 0.1, 0.2, 0.4, 0.8, 1, 1]),
        ([True] * 3, [0, 0, 0]),
        ([False, False, False, True, False], [0, 0.05, 0.1, 0, 0.05]),
    ],
    ids=["never worked", "always worked", "worked once"],
)
def test_the_wait_doubles_to_a_second_until_a_process_has_finished_an_item(fruitful, waits):
    run = FakeRun(stage(restart=RestartPlan(max=99))).up()
    seen = []
    for worked in fruitful:
        run.wait_until(run.now + 10)
        run.die("a-1", -9, fruitful=worked)
        seen.append(run.supervisor.next_deadline() - run.now)
        again(run.wait_until(run.now + 2), "a-1")
    assert seen == pytest.approx(waits)


def test_the_waits_of_two_workers_are_their_own():
    run = FakeRun(stage(workers=2, restart=RestartPlan(max=9))).up()
    for _ in range(3):
        run.die("a-1", -9).wait_until(run.now + 1)
        again(run, "a-1")
    run.die("a-2", -9)
    assert run.supervisor.next_deadline() == run.now


def test_a_worker_that_drains_is_replaced_too():
    """Its input has ended, but what it leaves behind may come back."""
    run = FakeRun(stage()).up().end_input("a")
    assert run.states("a", "a-1") == ["draining", "draining"]
    again(run.die("a-1", -9).wait_until(0), "a-1")
    assert run.states("a", "a-1") == ["draining", "draining"]
    assert run.succeed("a-1").exit_code == 0


def test_a_draining_run_replaces_its_stages():
    run = FakeRun(stage(), job("src", shape=Shape.SOURCE, outputs=("q",))).up()
    run.tell(Interrupted())
    again(run.die("a-1", -9).wait_until(0), "a-1")
    run.succeed("a-1").die("src-1", -15)
    assert run.states() == ["succeeded", "terminated"]


def test_a_death_while_it_drains_takes_no_time_from_the_join_of_the_next():
    run = FakeRun(stage(join_s=0.5, restart=RestartPlan(max=9))).up()
    run.die("a-1", -9).wait_until(0)
    again(run, "a-1").die("a-1", -9).wait_until(0.01)
    run.end_input("a").wait_until(10)
    assert run.states("a-1") == ["starting"]
    again(run, "a-1").wait_until(10.4)
    assert run.blows() == []
    run.wait_until(10.5)
    assert run.states("a") == ["draining"]
    assert run.die("a-1", -15).states("a") == ["timed_out"]


# -- how often ------------------------------------------------------------------------------------


def test_one_death_too_many_within_the_window_fails_the_job_and_says_so():
    run = FakeRun(stage(restart=RestartPlan(max=2, within_s=60))).up()
    for when in (1, 30):
        again(run.wait_until(when).die("a-1", -9, fruitful=True).wait_until(when), "a-1")
    run.wait_until(60.9).die("a-1", -9, "q:3")
    assert run.states("a", "a-1") == ["failed", "failed"]
    assert run.reason("a") == (
        "killed by SIGKILL in stages:a at item q:3, not by mporch (the system out of memory?);"
        " the job has used up its restarts (2 within 60 s)"
    )
    assert run.exit_code == 1


def test_the_window_slides():
    run = FakeRun(stage(restart=RestartPlan(max=2, within_s=60))).up()
    for when in (1, 30, 61, 90, 121):
        again(run.wait_until(when).die("a-1", -9, fruitful=True).wait_until(when), "a-1")
    assert [fact.n for fact in run.facts(notifications.WorkerReplaced)] == [1, 2, 2, 2, 2]
    assert run.states("a") == ["ready"]


def test_the_workers_of_a_job_share_its_restarts_and_other_jobs_have_their_own():
    run = FakeRun(
        stage(workers=3, restart=RestartPlan(max=2), on_failure=FailurePolicy.CONTINUE),
        stage("b", restart=RestartPlan(max=1)),
    ).up()
    run.die("a-1", -9).die("a-2", -9).die("b-1", -9).wait_until(0)
    assert run.states("a", "b") == ["ready", "ready"]
    run.die("a-3", -9)
    assert run.state_of("a-3") == "failed"
    assert run.states("a-1", "a-2") == ["draining", "draining"], "they were being started"
    assert run.state_of("b") == "ready"


@pytest.mark.parametrize("restart", [RestartPlan(), RestartPlan(max=0)])
def test_without_restarts_a_death_fails_its_job_at_once(restart):
    run = FakeRun(stage(restart=restart)).up().die("a-1", -9, "q:3")
    assert run.exit_code == 1
    assert run.reason("a") == (
        "killed by SIGKILL in stages:a at item q:3, not by mporch (the system out of memory?)"
    )


@pytest.mark.parametrize("replaced", [0, 1])
def test_a_death_before_ready_is_a_death_like_any_other(replaced):
    """It is charged to no item, waits longer each time and ends with the restarts: no hang."""
    run = FakeRun(stage(restart=RestartPlan(max=3))).begin().start()
    if replaced:
        run.ready("a-1").die("a-1", -9).wait_until(run.now).start("a-1")
    for _ in range(3 - replaced):
        assert run.states("a-1") == ["starting"]
        run.die("a-1", -9).wait_until(run.now + 1).start("a-1")
    run.die("a-1", -9)
    assert run.states("a", "a-1") == ["failed", "failed"]
    assert run.reason("a").endswith("the job has used up its restarts (3 within 60 s)")


def test_a_job_is_ready_once_all_its_workers_have_been_though_one_was_replaced_before():
    run = FakeRun(stage(workers=2)).begin().start()
    run.ready("a-1").die("a-1", -9).die("a-2", -9).wait_until(0)
    again(run, "a-1")
    assert run.state_of("a") == "starting"
    again(run, "a-2")
    assert run.state_of("a") == "ready"


def test_workers_that_die_with_their_forkserver_are_replaced_and_nobody_is_charged():
    run = FakeRun(stage(), job("task", on_failure=FailurePolicy.CONTINUE)).up()
    for worker in ("a-1", "task-1"):
        run.tell(orphan(worker))
    run.wait_until(0)
    assert blames(run) == [Blame(), Blame()]
    (replaced,) = run.facts(notifications.WorkerReplaced)
    assert replaced.reason.startswith("died with the forkserver")
    assert run.state_of("task") == "failed", "it is called once"
    again(run, "a-1").die("a-1", -9, "q:2").wait_until(0.05)
    assert run.facts(notifications.WorkerReplaced)[1].reason.startswith(
        "killed by SIGKILL in stages:a"
    )
