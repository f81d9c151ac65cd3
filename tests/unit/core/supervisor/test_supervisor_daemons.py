"""Daemons that read: they come to the end of their input, and only what they leave is a failure."""

from __future__ import annotations

import pytest
from fake_run import FakeRun, job
from restarting import again, stage, starts

from orchestrator.core.protocol import notifications
from orchestrator.core.protocol.commands import StopReason
from orchestrator.core.protocol.events import Received, SourcesClosed, Terminated
from orchestrator.core.protocol.messages import Closing, Worn
from orchestrator.core.supervisor.policy import STOPPING_JOIN_S
from orchestrator.plan.model import AfterCondition, RestartPlan, Shape

READY = AfterCondition.READY


def reader(name="d", **keys):
    """A daemon that is called once with a stream."""
    return job(name, daemon=True, **{"shape": Shape.STREAM, "inputs": ("q",)} | keys)


def test_a_daemon_that_reads_goes_on_to_the_end_of_its_input():
    run = FakeRun(job("a"), reader()).up().succeed("a-1")
    assert run.signalled() == []
    run.wait_until(20).end_input("d").succeed("d-1")
    assert (run.states(), run.exit_code) == (["succeeded", "succeeded"], 0)
    assert run.clean() == {"a": True, "d": True}


@pytest.mark.parametrize("join_s", [None, 2.0])
def test_one_that_leaves_items_after_its_join_fails_its_job(join_s):
    limit = STOPPING_JOIN_S if join_s is None else join_s
    run = FakeRun(job("a"), reader(join_s=join_s)).up().wait_until(5).succeed("a-1")
    run.wait_until(5 + limit - 0.01)
    assert run.signalled() == []
    run.wait_until(5 + limit)
    assert run.signalled() == ["d-1"]
    run.die("d-1", -15)
    assert (run.states("d"), run.exit_code) == (["timed_out"], 1)
    end = "the end of all other jobs, and its input is not empty"
    assert run.reason("d") == f"did not return within {limit:g} s of {end} (join)"
    assert run.clean() == {"a": True, "d": False}, "what it has not read is left"


@pytest.mark.parametrize("join_s", [None, 2.0])
def test_one_that_has_read_all_and_does_not_return_is_not_needed_any_more(join_s):
    limit = STOPPING_JOIN_S if join_s is None else join_s
    run = FakeRun(job("a"), reader(join_s=join_s)).up().succeed("a-1")
    run.wait_until(1).end_input("d").wait_until(1 + limit)
    assert run.blows() == [(1 + limit, "d-1", 15)]
    run.die("d-1", -15)
    assert (run.states("d"), run.exit_code) == (["terminated"], 0)
    assert run.clean() == {"a": True, "d": True}


@pytest.mark.parametrize(("ended_at", "stopped_at"), [(10, 40), (0, 35)])
def test_the_join_counts_from_the_end_of_the_input(ended_at, stopped_at):
    """No job is done before 35 s: who read all long ago is stopped at once."""
    run = FakeRun(job("a"), reader()).up()
    run.wait_until(ended_at).end_input("d").wait_until(35).succeed("a-1").wait_until(41)
    assert run.blows() == [(stopped_at, "d-1", 15)]


def test_daemons_that_feed_others_are_stopped_first_and_the_others_read_the_rest():
    run = FakeRun(
        job("a"),
        job("ticks", daemon=True, shape=Shape.SOURCE, outputs=("q",)),
        reader("relay", outputs=("r",)),
        reader("log", inputs=("r",)),
        job("status", daemon=True),
    ).up()
    run.succeed("a-1")
    assert run.signalled() == ["ticks-1", "status-1"]
    assert run.of(SourcesClosed) == [SourcesClosed(workers=("ticks-1",))]
    run.close("ticks-1", stopped=True).die("ticks-1", -15).die("status-1", -15)
    run.end_input("relay").succeed("relay-1").end_input("log").succeed("log-1")
    states = ["succeeded", "terminated", "succeeded", "succeeded", "terminated"]
    assert (run.states(), run.exit_code) == (states, 0)


def test_one_whose_turn_comes_last_is_started_if_it_reads():
    run = FakeRun(job("a"), reader(after="a")).up().succeed("a-1")
    run.start().ready("d-1").end_input("d").succeed("d-1")
    assert (run.states(), run.exit_code) == (["succeeded", "succeeded"], 0)


def test_the_others_do_not_leave_before_one_that_waits_for_them_to_be_ready():
    run = FakeRun(job("a"), job("serve", daemon=True), reader(after=[("serve", READY)])).begin()
    run.start().ready("a-1").succeed("a-1")
    assert run.signalled() == []
    run.ready("serve-1").start().ready("d-1")
    assert run.signalled() == ["serve-1"]
    run.die("serve-1", -15).end_input("d").succeed("d-1")
    assert (run.states("d"), run.exit_code) == (["succeeded"], 0)


def test_one_that_becomes_ready_late_has_its_join_from_then_on():
    run = FakeRun(job("a"), reader()).begin().start().ready("a-1").succeed("a-1")
    run.wait_until(50).ready("d-1").wait_until(79.9)
    assert run.signalled() == []
    run.wait_until(80)
    assert run.signalled() == ["d-1"]


def test_one_that_gives_its_place_up_gets_another_process_for_the_rest():
    run = FakeRun(stage(daemon=True), job("b")).up().succeed("b-1")
    run.tell(Received(worker="a-1", message=Closing(recycled=Worn.ITEMS)))
    run.die("a-1", 0).wait_until(0.1)
    assert len(starts(run)) == 2
    again(run, "a-1").end_input("a").succeed("a-1")
    assert (run.states(), run.exit_code) == (["succeeded", "succeeded"], 0)


def test_one_that_has_died_is_replaced_and_reads_the_rest():
    run = FakeRun(stage("d", daemon=True, restart=RestartPlan(max=9)), job("b")).up().succeed("b-1")
    again(run.die("d-1", -9).wait_until(0), "d-1").end_input("d").succeed("d-1")
    assert (run.states("d"), run.exit_code) == (["succeeded"], 0)


def test_one_that_is_stopped_with_the_run_leaves_what_it_has_not_read():
    """Else a resumed run would go on without it."""
    run = FakeRun(job("a"), reader()).up().succeed("a-1")
    run.tell(Terminated(signal=15))
    run.die("d-1", -15)
    assert run.clean() == {"a": True, "d": False}
    assert run.reason("d") == f"stopped: {StopReason.TERMINATED.value}"


def test_several_workers_are_told_together():
    run = FakeRun(job("a"), stage("d", daemon=True, workers=2)).up().succeed("a-1")
    run.end_input("d").succeed("d-1").wait_until(30).die("d-2", -15)
    assert run.blows() == [(30, "d-2", 15)]
    assert (run.states("d"), run.clean()["d"], run.exit_code) == (["terminated"], True, 0)
    assert run.facts(notifications.ItemFailed) == []


def test_a_daemon_that_one_that_reads_waits_for_is_started_when_no_other_job_is_left():
    """As in a resumed run whose other jobs had succeeded: what they put is still to be read."""
    run = FakeRun(
        job("a"),
        job("first", daemon=True),
        job("second", daemon=True, after=[("first", READY)]),
        reader(after=[("second", READY)]),
        done=["a"],
    ).begin()
    run.start().ready("first-1").start().ready("second-1").start().ready("d-1")
    assert run.signalled() == ["first-1", "second-1"]
    run.end_input("d").succeed("d-1").die("first-1", -15).die("second-1", -15)
    assert run.states() == ["succeeded", "terminated", "terminated", "succeeded"]
    assert run.exit_code == 0


@pytest.mark.parametrize("condition", [READY, AfterCondition.FINISHED])
def test_what_waits_for_a_daemon_that_is_skipped_at_the_beginning_is_skipped(condition):
    daemons = (job("d", daemon=True), job("e", daemon=True, after=[("d", condition)]))
    run = FakeRun(job("a"), *daemons, done=["a"]).begin()
    assert run.states() == ["succeeded", "skipped", "skipped"]
    assert run.finished()
