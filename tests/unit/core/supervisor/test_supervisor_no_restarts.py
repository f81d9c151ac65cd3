"""A dead worker that is not replaced, and the items that it died at."""

from __future__ import annotations

import pytest
from fake_run import ERROR, FakeRun, job
from restarting import AGAIN, IN_ITEM, again, blames, stage, starts

from orchestrator.core.protocol import notifications
from orchestrator.core.protocol.commands import KillWorker, StopReason
from orchestrator.core.protocol.events import (
    Blame,
    Interrupted,
    ItemOverdue,
    Malformed,
    Received,
    StallDetected,
    StartFailed,
    Terminated,
    WorkerDied,
    WorkerLeft,
)
from orchestrator.core.protocol.messages import STOPPED, Closing, Failure, Worn
from orchestrator.plan.model import (
    ErrorAction,
    ErrorPolicy,
    RestartPlan,
    RetryPlan,
    TerminatePlan,
    TimeoutsPlan,
)

HUNG = Failure(
    kind=STOPPED,
    message="stopped here",
    traceback='  File "stages.py", line 7, in stage\n',
    where="stages.py:7",
)

# -- not ------------------------------------------------------------------------------------------


def _interrupt(times):
    def tell(run):
        for _ in range(times):
            run.tell(Interrupted())

    return tell


STOPS = {
    "ctrl-c twice": _interrupt(2),
    "ctrl-c thrice": _interrupt(3),
    "terminated": lambda run: run.tell(Terminated(signal=15)),
    "killed": lambda run: [run.tell(Terminated(signal=15)) for _ in range(2)],
    "stalled": lambda run: run.tell(StallDetected(waits=())),
    "another job failed": lambda run: run.die("b-1", 1),
    "its own job failed": lambda run: run.fail_item("a-2", "q:9"),
    "the run's timeout": lambda run: run.wait_until(50),
}


def resting(**keys):
    """A run in which a-1 rests for a second from 42 on; a-2 and b-1 work, a-1 waits 0.05 s."""
    run = FakeRun(
        stage(workers=2, restart=RestartPlan(max=9), **keys),
        job("b"),
        timeout_s=42.04,
    ).up()
    run.wait_until(41).die("a-1", -9).wait_until(41)
    again(run, "a-1").wait_until(42).die("a-1", -9)
    assert run.state_of("a-1") == "starting"
    return run


@pytest.mark.parametrize("stop", STOPS.values(), ids=STOPS)
def test_a_worker_that_is_stopped_while_it_rests_ends_without_a_process(stop):
    run = resting()
    stop(run)
    run.wait_until(60)
    assert starts(run) == [0, 41]
    assert run.states("a-1") == ["terminated"]
    assert "a-1" not in [worker for _, worker, _ in run.blows()]
    assert "its process had died before: killed by SIGKILL" in (
        run.supervisor.worker_states["a-1"].reason
    )
    assert len([n for n in run.of(WorkerLeft) if n.worker == "a-1"]) == 2, "once each death"


def test_a_drain_lets_a_worker_that_rests_come_back():
    run = FakeRun(stage(restart=RestartPlan(max=9)), job("b")).up()
    again(run.die("a-1", -9).wait_until(0), "a-1").die("a-1", -9)
    run.tell(Interrupted())
    run.wait_until(1)
    assert starts(run) == [0, 0, 0.05]


def test_a_rest_after_an_item_timeout_is_ended_by_a_stop_too():
    run = FakeRun(stage(retry=AGAIN, timeouts=TimeoutsPlan(item_s=1))).up()
    run.tell(ItemOverdue(worker="a-1", item="q:1"))
    run.die("a-1", -9, "q:1")
    run.tell(Terminated(signal=15))
    run.wait_until(9)
    assert starts(run) == [0]
    assert run.states("a-1") == ["terminated"]
    assert run.finished()


@pytest.mark.parametrize("how", ["stopped", "its item failed", "grace over"])
def test_a_death_that_is_mporchs_doing_is_not_made_good(how):
    run = FakeRun(stage(terminate=TerminatePlan(signal=15, grace_s=2)), job("b")).up()
    if how == "its item failed":
        run.fail_item("a-1")
    else:
        run.tell(Terminated(signal=15))
    if how == "grace over":
        run.wait_until(2)
    run.tell(WorkerDied(worker="a-1", exit_code=-9, blame=IN_ITEM, item="q:1"))
    run.wait_until(50)
    assert starts(run) == [0]
    assert blames(run)[0] == Blame(), "an item that was stopped has done nothing"


def test_a_breach_of_the_protocol_is_made_good_like_a_death_and_charged_to_its_item():
    run = FakeRun(stage(), job("b")).up()
    run.tell(Malformed(worker="a-1", detail="CRC differs"))
    run.tell(WorkerDied(worker="a-1", exit_code=-9, blame=IN_ITEM, item="q:1"))
    run.wait_until(50)
    assert len(starts(run)) == 2
    assert blames(run)[0] == IN_ITEM
    (replaced,) = run.facts(notifications.WorkerReplaced)
    assert replaced.reason == "broke the protocol at item q:1: CRC differs"


@pytest.mark.parametrize("before", ["its last message", "the stop signal"])
def test_a_breach_of_a_worker_that_was_ending_fails_it(before):
    run = FakeRun(stage(), job("b")).up()
    if before == "its last message":
        run.close("a-1")
    else:
        run.tell(Terminated(signal=15))
    run.tell(Malformed(worker="a-1", detail="CRC differs"))
    run.die("a-1", -9).wait_until(50)
    assert (starts(run), run.states("a-1")) == ([0], ["failed"])


def test_who_asks_to_be_recycled_though_its_job_is_not_breaks_the_protocol():
    run = FakeRun(stage()).up()
    run.tell(Received(worker="a-1", message=Closing(recycled=Worn.ITEMS)))
    assert run.signalled(9) == ["a-1"]


def test_what_said_its_last_message_is_not_replaced_whatever_its_exit():
    run = FakeRun(stage()).up().close("a-1").die("a-1", -9)
    assert (run.exit_code, starts(run)) == (0, [0])


def test_a_process_that_cannot_be_made_fails_the_job_when_the_restarts_are_used_up():
    run = FakeRun(stage(restart=RestartPlan(max=1))).up().die("a-1", -9).wait_until(0)
    run.tell(StartFailed(worker="a-1", failure=ERROR))
    assert run.reason("a") == (
        "its process could not be made: ValueError: bad (stages.py:12);"
        " the job has used up its restarts (1 within 60 s)"
    )
    assert run.exit_code == 1


def test_a_replacement_has_a_start_timeout_of_its_own():
    run = FakeRun(stage(timeouts=TimeoutsPlan(start_s=5))).up().wait_until(100)
    run.die("a-1", -9).wait_until(100).start("a-1").wait_until(104.9)
    assert run.blows() == []
    run.wait_until(105).die("a-1", -9)
    assert run.reason("a") == "was not ready within 5 s (timeouts.start)"
    assert (run.exit_code, starts(run)) == (1, [0, 100])


def test_a_replacement_has_a_run_timeout_of_its_own():
    run = FakeRun(stage(timeouts=TimeoutsPlan(run_s=5))).up().wait_until(4)
    again(run.die("a-1", -9).wait_until(4), "a-1").wait_until(8.9)
    assert run.blows() == []
    assert run.wait_until(9).signalled() == ["a-1"]


def test_a_target_that_raises_while_it_is_constructed_is_not_tried_again():
    run = FakeRun(stage()).begin().start()
    run.tell(Received(worker="a-1", message=Closing(failure=ERROR)))
    run.die("a-1", 1)
    assert (run.exit_code, starts(run)) == (1, [0])


def test_a_daemon_that_rests_when_the_others_are_done_has_another_process_read_on():
    run = FakeRun(stage("d", daemon=True, restart=RestartPlan(max=9)), job("b")).up()
    again(run.die("d-1", -9).wait_until(0), "d-1").die("d-1", -9)
    run.succeed("b-1").wait_until(1)
    again(run, "d-1").end_input("d").succeed("d-1")
    assert run.clean() == {"b": True, "d": True}
    assert run.exit_code == 0


def test_a_daemon_that_rests_before_its_call_is_dismissed_and_that_is_no_failure():
    run = (
        FakeRun(job("d", daemon=True, restart=RestartPlan(before_call=9)), job("b")).begin().start()
    )
    run.ready("b-1").die("d-1", -9).wait_until(0)
    run.start("d-1").die("d-1", -9)
    run.succeed("b-1").wait_until(0.01)
    assert run.clean() == {"b": True, "d": True}
    assert run.exit_code == 0


# -- items ----------------------------------------------------------------------------------------


def test_an_item_that_fails_its_job_while_its_worker_rests_ends_both_by_its_name():
    run = FakeRun(stage(), job("b")).up().die("a-1", -11, "q:1").fail_item("a-1", "q:1")
    assert run.states("a", "a-1") == ["failed", "failed"]
    assert run.reason("a") == "killed by SIGSEGV in stages:a at item q:1"
    assert run.signalled() == ["b-1"]
    assert run.facts(notifications.ItemFailed) == [], "its worker's end tells it"
    run.die("b-1", -15).wait_until(9)
    assert (run.exit_code, starts(run)) == (1, [0])


def test_an_item_of_a_parked_commit_that_fails_while_its_worker_rests_is_the_reason():
    """It is not the item the worker died at."""
    run = FakeRun(stage()).up().die("a-1", -11, "q:2").fail_item("a-1", "q:1")
    assert run.reason("a") == "ValueError: bad (stages.py:12) at item q:1"
    assert [fact.item for fact in run.facts(notifications.ItemFailed)] == ["q:1"]
    assert (run.exit_code, starts(run)) == (1, [0])


def test_a_put_that_is_refused_while_its_worker_rests_ends_both():
    """The commit of a dead worker waits for room on its behalf."""
    run = FakeRun(stage(), job("b")).up().die("a-1", -11, "q:2").refuse_put("a-1")
    assert run.states("a", "a-1") == ["failed", "failed"]
    assert run.reason("a") == "ValueError: bad (stages.py:12)"
    run.die("b-1", -15).wait_until(9)
    assert (run.exit_code, starts(run)) == (1, [0])


def late(**keys):
    """A run in which the first item takes too long."""
    keys = {"retry": AGAIN, "timeouts": TimeoutsPlan(item_s=2)} | keys
    run = FakeRun(stage(**keys), job("b")).up().wait_until(3)
    run.tell(ItemOverdue(worker="a-1", item="q:1"))
    return run


@pytest.mark.parametrize(
    "keys",
    [
        {"retry": AGAIN},
        {"retry": RetryPlan(), "on_error": ErrorPolicy(otherwise=ErrorAction.SKIP)},
        {"retry": RetryPlan(), "on_error": ErrorPolicy(otherwise=ErrorAction.DEAD_LETTER)},
    ],
    ids=["retry", "skip", "dead letter"],
)
def test_an_item_timeout_that_the_job_outlives_kills_charges_and_replaces(keys):
    run = late(**keys)
    assert run.blows() == [(3, "a-1", 9)], "there is nothing to be polite for"
    assert run.of(KillWorker)[0].reason is StopReason.ITEM_TIMEOUT
    assert run.states("a", "a-1") == ["ready", "ready"]
    run.tell(WorkerDied(worker="a-1", exit_code=-9, blame=IN_ITEM, item="q:1"))
    run.wait_until(3)
    assert blames(run) == [IN_ITEM]
    assert starts(run) == [0, 3]
    (replaced,) = run.facts(notifications.WorkerReplaced)
    assert replaced.reason == "killed: item q:1 took longer than 2 s (timeouts.item)"
    again(run, "a-1").succeed("a-1", "b-1")
    assert run.exit_code == 0


def test_where_an_item_hung_goes_with_its_failure_and_with_its_worker():
    run = late(retry=RetryPlan(), on_error=ErrorPolicy(otherwise=ErrorAction.SKIP))
    died = WorkerDied(worker="a-1", exit_code=-9, blame=IN_ITEM, item="q:1", failure=HUNG)
    run.tell(died)
    (left,) = run.of(WorkerLeft)
    assert left.failure.where == "stages.py:7"
    assert left.failure.traceback == (
        "Traceback (most recent call last):\n"
        f"{HUNG.traceback}"
        "killed: item q:1 took longer than 2 s (timeouts.item)\n"
    )


def test_an_item_timeout_under_fail_and_one_attempt_is_polite_and_fails_the_job():
    run = late(retry=RetryPlan())
    assert run.blows()[0] == (3, "a-1", 15)
    run.die("a-1", -15).die("b-1", -15)
    assert run.states("a") == ["timed_out"]
    assert run.reason("a") == "item q:1 took longer than 2 s (timeouts.item)"


def test_the_last_attempt_that_takes_too_long_makes_its_job_timed_out():
    run = late().die("a-1", -9, "q:1").fail_item("a-1", "q:1")
    assert run.states("a", "a-1") == ["timed_out", "timed_out"]
    assert run.reason("a") == "killed: item q:1 took longer than 2 s (timeouts.item)"
    assert run.die("b-1", -15).exit_code == 1


def test_an_item_timeout_with_no_restart_left_fails_the_job_and_says_so():
    run = late(restart=RestartPlan(max=1), workers=2)
    run.die("a-1", -9, "q:1").wait_until(4)
    run.tell(ItemOverdue(worker="a-2", item="q:2"))
    assert run.signalled() == ["a-2", "b-1"]
    assert run.reason("a") == (
        "a-2: item q:2 took longer than 2 s (timeouts.item);"
        " the job has used up its restarts (1 within 60 s)"
    )


def test_a_restart_that_is_used_up_between_kill_and_death_fails_the_job():
    """Two workers, one restart: the one that was killed for its item dies second."""
    run = late(restart=RestartPlan(max=1), workers=2).die("a-2", -9).die("a-1", -9, "q:1")
    assert run.states("a-1") == ["timed_out"]
    assert run.reason("a").startswith("a-1: killed: item q:1 took longer than 2 s")
    run.die("b-1", -15).wait_until(9)
    assert run.exit_code == 1


def test_a_run_that_is_stopped_between_kill_and_death_ends():
    run = late()
    run.tell(Terminated(signal=15))
    run.die("a-1", -9, "q:1").die("b-1", -15).wait_until(9)
    assert run.states("a", "a-1") == ["timed_out", "timed_out"]
    assert (run.exit_code, starts(run)) == (143, [0])


def test_a_last_message_just_before_the_kill_is_still_a_success():
    """The item was late, but it and all others are done: there is nothing to repeat."""
    run = late().close("a-1").die("a-1", -9, "q:1").succeed("b-1")
    assert (run.exit_code, starts(run)) == (0, [0])


def test_what_not_even_sigkill_ends_is_cut_off_and_fails_its_job():
    run = late().wait_until(8)
    assert run.cut_off() == ["a-1"]
    assert run.states("a-1") == ["timed_out"]
    assert blames(run) == [Blame()]
    assert run.die("b-1", -15).exit_code == 1
