"""Who is cut off, since the readers of what it gives have failed, was stopped by that."""

from __future__ import annotations

import pytest
from fake_run import ERROR, FakeRun, job

from orchestrator.core.protocol.events import JobFinished, Received
from orchestrator.core.protocol.messages import Closing
from orchestrator.plan.model import FailurePolicy, Shape


def cut_off(run: FakeRun, worker: str, **how: bool) -> None:
    run.tell(Received(worker=worker, message=Closing(failure=ERROR, readers_failed=True, **how)))
    run.die(worker)


@pytest.mark.parametrize("policy", [FailurePolicy.DRAIN, FailurePolicy.CONTINUE])
def test_the_policy_that_holds_is_that_of_the_reader(policy: FailurePolicy) -> None:
    """The run goes on as far as that says: what the job reads is closed, not kept for later."""
    run = FakeRun(
        job("mid", shape=Shape.STREAM, inputs=("q",), workers=2),
        job("end", on_failure=policy),
        job("other", shape=Shape.STREAM, inputs=("p",)),
        job("last", after="mid"),
    ).up()
    run.close("end-1", ERROR).die("end-1")
    cut_off(run, "mid-1")
    run.succeed("mid-2")
    assert run.states("mid", "end", "last") == ["terminated", "failed", "skipped"]
    assert run.signalled() == []
    assert run.reason("mid").startswith("stopped: ")
    [news] = [told for told in run.of(JobFinished) if told.job == "mid"]
    assert (news.clean, news.final, news.awaited) == (False, False, False)
    run.succeed("other-1")
    assert run.states("other") == ["succeeded"]
    assert run.exit_code == 1


def test_a_run_is_no_success_whatever_a_worker_says_of_its_readers() -> None:
    run = FakeRun(job("a")).up()
    cut_off(run, "a-1")
    assert (run.states(), run.exit_code) == (["terminated"], 1)


def test_one_that_was_told_to_stop_as_well_is_cut_off_once_that_is_settled() -> None:
    run = FakeRun(job("a"), job("b")).up()
    cut_off(run, "a-1", signalled=True)
    assert run.states("a") == ["draining"]
    run.wait_until(1.5)
    assert run.states("a") == ["terminated"]
    assert run.reason("a").startswith("stopped: ")
