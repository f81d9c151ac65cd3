"""A worker that is told to stop by a stranger: a death, unless the run itself is told to, too."""

from __future__ import annotations

import pytest
from fake_run import ERROR, FakeRun, job
from restarting import AGAIN, IN_ITEM, blames, stage, starts

from orchestrator.core.protocol import notifications
from orchestrator.core.protocol.events import (
    Blame,
    Interrupted,
    Received,
    StartFailed,
    Terminated,
    WorkerDied,
)
from orchestrator.core.protocol.messages import Closing
from orchestrator.plan.model import FailurePolicy, RestartPlan, Shape, TerminatePlan

BOTH = RestartPlan(before_call=2)


def told(run, worker="a-1", *, how="closes", item="q:7", signal=15):
    """A stop signal that mporch did not send ends it at an item."""
    if how == "closes":
        run.tell(Received(worker=worker, message=Closing(stopped=True)))
    run.tell(WorkerDied(worker=worker, exit_code=-signal, blame=IN_ITEM, item=item))
    return run


@pytest.mark.parametrize(
    ("how", "signal"), [("closes", 15), ("dies", 15), ("dies", 1), ("dies", 2)]
)
def test_it_is_a_death_like_any_other_after_a_second(how, signal):
    run = told(FakeRun(stage(retry=AGAIN)).up(), how=how, signal=signal).wait_until(0.9)
    assert (starts(run), blames(run)) == ([0], [])
    run.wait_until(1)
    assert (starts(run), blames(run)) == ([0, 1], [IN_ITEM])
    (replaced,) = run.facts(notifications.WorkerReplaced)
    assert "at item q:7, a signal that mporch did not send" in replaced.reason


@pytest.mark.parametrize("how", ["closes", "dies"])
@pytest.mark.parametrize("stop", [Terminated(signal=15), Terminated(signal=1), "a failure"])
def test_if_the_run_is_stopped_within_that_second_it_is_stopped_too_and_costs_nothing(how, stop):
    run = told(FakeRun(stage(retry=AGAIN), job("b")).up(), how=how).wait_until(0.9)
    if stop == "a failure":
        run.close("b-1", ERROR).die("b-1", 1)
    else:
        run.tell(stop)
    run.wait_until(5)
    assert (starts(run), blames(run)[-1]) == ([0], Blame())
    assert run.state_of("a-1") == "terminated"
    assert run.facts(notifications.WorkerReplaced) == []
    assert run.signalled() in ([], ["b-1"]), "there is nobody to be signalled"


def test_a_drain_stops_sources_and_goes_on_with_stages():
    source = job("src", shape=Shape.SOURCE, outputs=("q",))
    run = FakeRun(stage(retry=AGAIN), source).up()
    told(told(run), "src-1", item="").tell(Interrupted())
    run.wait_until(2)
    assert run.states("src-1", "a-1") == ["terminated", "starting"]


def test_a_job_that_is_called_once_fails_by_it_when_the_second_is_over():
    run = told(FakeRun(job("a", restart=BOTH)).up(), item="").wait_until(0.9)
    assert run.exit_code is None
    run.wait_until(1)
    assert run.reason("a") == "stopped by SIGTERM, a signal that mporch did not send"
    assert run.exit_code == 1


def test_its_own_failure_on_the_way_is_what_is_told():
    run = FakeRun(job("a")).up()
    run.tell(Received(worker="a-1", message=Closing(failure=ERROR, stopped=True)))
    run.die("a-1", 1).wait_until(1)
    assert run.reason("a") == "ValueError: bad (stages.py:12)"


@pytest.mark.parametrize("with_the_run", [False, True])
def test_a_target_that_returns_when_it_is_told_has_succeeded_unless_the_run_is_told_too(
    with_the_run,
):
    run = FakeRun(job("a")).up()
    run.tell(Received(worker="a-1", message=Closing(signalled=True)))
    run.die("a-1", 0)
    if with_the_run:
        run.tell(Terminated(signal=15))
    run.wait_until(1)
    assert run.states("a") == ["terminated" if with_the_run else "succeeded"]
    assert run.clean() == {"a": not with_the_run}


def test_a_job_s_own_stop_signal_is_one():
    run = FakeRun(stage(terminate=TerminatePlan(signal=10, grace_s=1)), job("b")).up()
    told(run, how="dies", signal=10).tell(Terminated(signal=15))
    assert run.wait_until(1).state_of("a-1") == "terminated"


def test_a_crash_is_not_held_back():
    run = told(FakeRun(stage(retry=AGAIN)).up(), how="dies", signal=11).wait_until(0)
    assert starts(run) == [0, 0]


def test_two_requests_within_a_second_are_one():
    """The guard passes on what it is sent, and the orchestrator was sent it, too."""
    run = FakeRun(job("a")).up()
    run.tell(Terminated(signal=15))
    run.wait_until(0.5).tell(Terminated(signal=15))
    assert run.signalled(9) == []
    run.wait_until(1.5).tell(Terminated(signal=15))
    assert run.signalled(9) == ["a-1"]


def test_the_limit_of_the_join_does_not_run_for_who_is_gone():
    run = told(FakeRun(stage(join_s=0.1, retry=AGAIN)).up()).end_input("a").wait_until(1)
    assert run.states("a-1") == ["starting"]


# -- a process that dies while it is made, or before its target is called --------------------------


def test_a_process_that_cannot_be_made_is_tried_again_after_longer_and_longer_waits():
    run = FakeRun(stage(restart=RestartPlan(max=3))).begin()
    for _ in range(4):
        run.tell(StartFailed(worker="a-1", failure=ERROR))
        run.wait_until(run.now + 1)
    assert starts(run) == [0, 0, 1.05, 2.1]
    assert run.exit_code == 1


@pytest.mark.parametrize("how", ["cannot be made", "dies"])
def test_what_is_called_once_and_was_not_yet_is_started_again(how):
    run = FakeRun(job("a", restart=BOTH), job("b", on_failure=FailurePolicy.CONTINUE)).begin()
    for _ in range(2):
        if how == "dies":
            run.start("a-1").die("a-1", -9)
        else:
            run.tell(StartFailed(worker="a-1", failure=ERROR))
        run.wait_until(run.now + 1)
    assert len(starts(run)) == 3
    run.start("a-1").ready("a-1").succeed("a-1")
    assert run.states("a") == ["succeeded"]


def test_what_may_have_been_called_is_not_called_again():
    run = FakeRun(job("a", restart=BOTH)).up().die("a-1", -9)
    assert run.exit_code == 1
    run = FakeRun(job("a", restart=BOTH)).begin().start()
    run.tell(WorkerDied(worker="a-1", exit_code=-9, committed=True))  # by its constructor
    assert run.exit_code == 1


def test_a_stopped_run_starts_nobody_again():
    run = FakeRun(stage(), job("b")).begin()
    run.tell(Terminated(signal=15))
    run.tell(StartFailed(worker="a-1", failure=ERROR))
    assert run.states("a") == ["terminated"]


def test_two_items_that_fail_with_a_worker_that_rests_end_it_once():
    """A batch of which a part had left ends with its worker, all of it."""
    run = FakeRun(stage(), job("b")).up().die("a-1", -9, "q:1")
    run.fail_item("a-1", "q:1").fail_item("a-1", "q:2")
    assert run.states("a-1") == ["failed"]
