"""A worker that gives its place up, being well: a new process, at no cost to anybody."""

from __future__ import annotations

import pytest
from fake_run import ERROR, FakeRun, job

from orchestrator.core.protocol import notifications
from orchestrator.core.protocol.commands import StartWorker, StopReason
from orchestrator.core.protocol.events import (
    Interrupted,
    Received,
    StallDetected,
    Terminated,
    WorkerLeft,
)
from orchestrator.core.protocol.messages import Closing, Worn
from orchestrator.plan.model import RecyclePlan, RestartPlan, Shape


def stage(**keys):
    worn = RecyclePlan(max_items=9)
    return job(
        "a", shape=Shape.ITEM, inputs=("q",), restart=RestartPlan(max=1), recycle=worn, **keys
    )


def recycle(run, worker="a-1", worn=Worn.ITEMS):
    """It says so and exits; what is due then happens."""
    run.tell(Received(worker=worker, message=Closing(recycled=worn)))
    return run.die(worker, 0).wait_until(run.now)


def starts(run):
    return len([order for _, order in run.orders if isinstance(order, StartWorker)])


@pytest.mark.parametrize("worn", Worn)
def test_it_is_told_why_a_worker_was_recycled(worn):
    run = FakeRun(stage()).up()
    recycle(run, worn=worn)
    assert run.facts(notifications.WorkerReplaced)[0].reason == f"was recycled ({worn.value})"


def test_a_recycled_worker_is_replaced_as_often_as_it_likes_and_spends_no_restart():
    run = FakeRun(stage()).up()
    for _ in range(5):
        recycle(run).start("a-1").ready("a-1")
    assert starts(run) == 6
    assert [fact.n for fact in run.facts(notifications.WorkerReplaced)] == [0] * 5
    run.die("a-1", -9).wait_until(run.now + 1)
    assert [fact.n for fact in run.facts(notifications.WorkerReplaced)][-1] == 1


def test_the_broker_hears_that_its_target_has_not_returned_and_that_another_process_comes():
    run = FakeRun(stage()).up()
    recycle(run)
    (left,) = run.of(WorkerLeft)
    assert (left.returned, left.replaced) == (False, True)


def test_its_job_is_at_work_again_with_the_new_process_and_ends_with_the_input():
    run = FakeRun(stage()).up()
    recycle(run).start("a-1").ready("a-1")
    assert run.states("a-1", "a") == ["ready", "ready"]
    run.end_input("a").succeed("a-1")
    assert run.states("a-1", "a") == ["succeeded", "succeeded"]
    assert run.exit_code == 0


@pytest.mark.parametrize("stop", [Terminated(signal=15), Terminated(signal=1)])
def test_nobody_takes_its_place_in_a_run_that_is_being_terminated(stop):
    run = FakeRun(stage()).up()
    run.tell(Received(worker="a-1", message=Closing(recycled=Worn.ITEMS)))
    run.tell(stop)
    run.die("a-1", 0).wait_until(run.now + 1)
    assert starts(run) == 1
    assert run.finished


def test_while_the_run_drains_a_stage_is_still_given_new_processes():
    run = FakeRun(stage(), job("src", shape=Shape.SOURCE, outputs=("q",))).up()
    run.tell(Interrupted())
    recycle(run)
    assert starts(run) == 3


def test_a_stop_while_the_new_process_is_due_ends_it_as_one_that_was_well():
    run = FakeRun(stage()).up()
    run.tell(Received(worker="a-1", message=Closing(recycled=Worn.ITEMS)))
    run.die("a-1", 0)
    run.tell(Terminated(signal=15))
    run.wait_until(run.now)
    assert starts(run) == 1
    assert run.state_of("a-1") == "terminated"
    assert "died" not in run.supervisor.worker_states["a-1"].reason


STOPS = {
    "another job failed": lambda run: run.close("b-1", ERROR),
    "stalled": lambda run: run.tell(StallDetected(waits=())),
    "the run's timeout": lambda run: run.wait_until(50),
    "SIGTERM": lambda run: run.tell(Terminated(signal=15)),
    "SIGHUP": lambda run: run.tell(Terminated(signal=1)),
    "ctrl-c twice": lambda run: [run.tell(Interrupted()) for _ in range(2)],
    "ctrl-c thrice": lambda run: [run.tell(Interrupted()) for _ in range(3)],
    "its own job failed": lambda run: run.fail_item("a-2", "q:9"),
}


@pytest.mark.parametrize("stop", STOPS.values(), ids=STOPS)
@pytest.mark.parametrize("worn", Worn)
def test_who_gives_its_place_up_when_the_run_is_stopped_is_stopped_and_no_success(stop, worn):
    run = FakeRun(stage(workers=2), job("b"), timeout_s=50).up()
    run.tell(Received(worker="a-1", message=Closing(recycled=worn)))
    stop(run)
    for worker, code in (("a-1", 0), ("a-2", -15)):
        if run.state_of(worker) == "draining":  # not given up yet
            run.die(worker, code)
    run.wait_until(run.now + 1)
    assert run.state_of("a-1") in ("terminated", "killed")
    assert run.supervisor.worker_states["a-1"].reason.startswith("stopped: ")
    (left,) = [news for news in run.of(WorkerLeft) if news.worker == "a-1"]
    assert not (left.returned or left.replaced)
    assert run.clean()["a"] is False


def test_who_gives_its_place_up_and_does_not_exit_is_stopped_with_the_run_by_the_same_signal():
    run = FakeRun(stage(), job("b")).up()
    run.tell(Received(worker="a-1", message=Closing(recycled=Worn.ITEMS)))
    run.wait_until(12)
    assert run.signalled() == ["a-1"], "it has lingered"
    run.tell(Terminated(signal=15))
    assert run.signalled() == ["a-1", "b-1"]
    run.die("a-1", -15).die("b-1", -15)
    assert run.states() == ["terminated", "terminated"]
    assert run.supervisor.worker_states["a-1"].reason == f"stopped: {StopReason.TERMINATED.value}"


def test_a_daemon_that_gives_its_place_up_when_the_others_are_done_has_another_process_read_on():
    run = FakeRun(stage(daemon=True), job("b")).up()
    run.tell(Received(worker="a-1", message=Closing(recycled=Worn.ITEMS)))
    run.succeed("b-1").die("a-1", 0).wait_until(9)
    run.start("a-1").ready("a-1").end_input("a").succeed("a-1")
    assert (run.states(), run.exit_code, starts(run)) == (["succeeded", "succeeded"], 0, 3)
