"""A worker that dies with what it depends on: its words, and a budget of its own."""

from __future__ import annotations

import pytest
from fake_run import FakeRun, job
from restarting import again, blames, orphan, stage

from orchestrator.core.protocol import notifications
from orchestrator.core.protocol.events import Blame, Interrupted, Orphaned, StartFailed
from orchestrator.core.protocol.messages import Failure
from orchestrator.core.supervisor.policy import LOSSES_MAX, LOSSES_WITHIN_S, ONE_LOSS_S
from orchestrator.plan.model import ReplayMode, RestartPlan, Shape

REFUSED = Failure(kind="OSError", message="no processes")
FORKSERVER = "died with the forkserver that had made it, which"
GONE = Failure(kind="TimeoutError", message="silent for 20 s")


def rested(run, event):
    """How long the worker waits for another process."""
    before, ordered = run.now, len(run.ordered_starts())
    run.tell(event)
    while len(run.ordered_starts()) == ordered:
        run.wait_until(max(run.now, run.supervisor.next_deadline()))
    return round(run.now - before, 3)


def lose(run, times, apart_s=ONE_LOSS_S * 2, worker="a-1"):
    """The worker is lost so often, and comes up again each time."""
    for _ in range(times):
        run.wait_until(run.now + apart_s)
        rested(run, orphan(worker, Orphaned.MACHINE))
        again(run, worker)


@pytest.mark.parametrize(
    ("lost", "failure", "words"),
    [
        (Orphaned.FORKSERVER, None, f"{FORKSERVER} was killed from outside"),
        (Orphaned.FORKSERVER, REFUSED, f"{FORKSERVER} could make no other process: no processes"),
        (Orphaned.AGENT, None, "was lost with its agent"),
        (Orphaned.AGENT, GONE, "was lost with its agent: silent for 20 s"),
        (Orphaned.MACHINE, None, "was lost with its machine"),
    ],
)
def test_it_says_what_it_has_died_with(lost, failure, words):
    run = FakeRun(stage()).up()
    run.tell(orphan("a-1", lost, failure))
    run.wait_until(0)
    (replaced,) = run.facts(notifications.WorkerReplaced)
    assert (replaced.reason, replaced.n, replaced.item) == (words, 1, "")


def test_it_costs_no_item_and_nothing_of_the_jobs_restarts():
    run = FakeRun(stage(restart=RestartPlan(max=1))).up()
    lose(run, 3)
    assert set(blames(run)) == {Blame()}
    run.die("a-1", -11, "q:1").wait_until(run.now + 1)
    assert run.states("a", "a-1") == ["ready", "starting"]
    view = run.supervisor.job_states["a"]
    assert (view.orphaned, view.restarts) == (3, 1)


def test_a_job_that_may_lose_none_of_itself_is_given_another_all_the_same():
    run = FakeRun(stage(restart=RestartPlan(max=0))).up()
    lose(run, 1)
    assert run.state_of("a-1") == "ready"


def test_its_own_budget_ends():
    run = FakeRun(stage(restart=RestartPlan(max=99))).up()
    lose(run, LOSSES_MAX)
    assert run.state_of("a-1") == "ready"
    run.wait_until(run.now + 2)
    run.tell(orphan("a-1", Orphaned.MACHINE))
    assert run.state_of("a") == "failed"
    assert run.reason("a") == (
        "was lost with its machine; the job has lost workers in this way as often as it may"
        " (20 times within 10 min)"
    )


def test_and_its_window_slides():
    run = FakeRun(stage()).up()
    lose(run, LOSSES_MAX + 5, apart_s=LOSSES_WITHIN_S / (LOSSES_MAX - 1))
    assert run.state_of("a-1") == "ready"


def test_workers_that_were_lost_together_are_one_loss():
    """A machine has many workers of a job, and so has a forkserver."""
    run = FakeRun(stage(workers=50)).up()
    for n in range(1, 51):
        run.tell(orphan(f"a-{n}", Orphaned.MACHINE))
    run.wait_until(0)
    assert {fact.n for fact in run.facts(notifications.WorkerReplaced)} == {1}
    assert len(run.facts(notifications.WorkerReplaced)) == 50
    lose(run, LOSSES_MAX - 1)
    assert run.state_of("a") in ("starting", "ready")


def test_one_that_is_lost_again_and_again_waits_longer_each_time():
    run, waits = FakeRun(stage()).up(), []
    for _ in range(5):
        waits.append(rested(run, orphan()))
        run.start("a-1")
    assert waits == [0, 0.05, 0.1, 0.2, 0.4]


def test_what_is_called_once_and_was_called_is_not_called_again():
    run = FakeRun(job("t", restart=RestartPlan(max=0, before_call=3))).up()
    run.tell(orphan("t-1", Orphaned.AGENT))
    assert run.state_of("t") == "failed"
    assert run.reason("t") == "was lost with its agent"


def test_but_it_is_if_it_was_not_called_or_may_be_called_again():
    early = FakeRun(job("t", restart=RestartPlan(max=0))).begin().start()
    early.tell(orphan("t-1", Orphaned.AGENT))
    assert early.state_of("t") == "starting"
    source = job("s", shape=Shape.SOURCE, restart=RestartPlan(max=1, replay=ReplayMode.SKIP))
    again_ = FakeRun(source).up()
    again_.tell(orphan("s-1", Orphaned.AGENT))
    assert again_.states("s", "s-1") == ["ready", "starting"]


def test_a_run_that_is_stopped_replaces_nobody():
    run = FakeRun(stage()).up()
    run.tell(Interrupted())
    run.tell(Interrupted())
    run.tell(orphan())
    assert run.state_of("a-1") == "terminated"


def test_a_process_that_could_not_be_made_still_costs_a_restart():
    run = FakeRun(stage(restart=RestartPlan(max=1))).begin()
    run.tell(StartFailed(worker="a-1", failure=REFUSED))
    run.wait_until(1)
    run.tell(StartFailed(worker="a-1", failure=REFUSED))
    assert run.state_of("a") == "failed"


def test_who_loses_what_was_to_make_it_costs_no_restart():
    """Forkserver and agent die while they start a worker, too."""
    run = FakeRun(stage(restart=RestartPlan(max=0))).begin()
    lost = StartFailed(worker="a-1", failure=REFUSED, orphaned=Orphaned.AGENT)
    for n in range(LOSSES_MAX):
        run.wait_until(2 * n + 1)
        run.tell(lost)
        assert run.state_of("a-1") == "starting"
    run.wait_until(2 * LOSSES_MAX + 1)
    run.tell(lost)
    assert run.state_of("a") == "failed"
