"""A worker whose process may not be signalled: it has become another user's."""

from __future__ import annotations

import pytest
from fake_run import FakeRun, job

from orchestrator.core.protocol import notifications
from orchestrator.core.protocol.commands import Disconnect
from orchestrator.core.protocol.events import Terminated, Unstoppable, WorkerDied
from orchestrator.errors import ExitCode
from orchestrator.plan.model import TerminatePlan, TimeoutsPlan

SLOW = TerminatePlan(signal=15, grace_s=10)


def test_it_is_given_up_at_once_with_a_warning_and_the_run_ends():
    run = FakeRun(job("a", terminate=SLOW)).up().wait_until(5)
    run.tell(Terminated(signal=15))
    orders = run.tell(Unstoppable(worker="a-1"))
    assert Disconnect(worker="a-1") in orders
    (warning,) = run.facts(notifications.Warned)
    assert "can neither be stopped nor killed" in warning.message
    assert run.state_of("a-1") == "killed"
    assert run.supervisor.outcome.exit_code is ExitCode.TERM
    assert run.supervisor.next_deadline() is None


def test_a_limit_that_it_has_passed_stays_the_reason():
    run = FakeRun(job("a", terminate=SLOW, timeouts=TimeoutsPlan(run_s=5))).up().wait_until(5)
    run.tell(Unstoppable(worker="a-1"))
    assert run.state_of("a-1") == "timed_out"
    assert "ran longer than 5 s" in run.supervisor.worker_states["a-1"].reason


@pytest.mark.parametrize(
    "again", [Unstoppable(worker="a-1"), WorkerDied(worker="a-1", exit_code=0)]
)
def test_what_comes_of_it_later_changes_nothing(again):
    run = FakeRun(job("a"), job("b")).up()
    run.tell(Terminated(signal=15))
    run.tell(Unstoppable(worker="a-1"))
    run.tell(again)
    assert run.state_of("a-1") == "killed"
    assert len(run.facts(notifications.Warned)) == 1
    assert run.supervisor.outcome is None


def test_one_that_is_dead_by_then_has_died():
    run = FakeRun(job("a"), job("b")).up()
    run.tell(Terminated(signal=15))
    run.die("a-1", -15)
    run.tell(Unstoppable(worker="a-1"))
    assert run.state_of("a-1") == "terminated"
    assert not run.facts(notifications.Warned)
