"""The supervisor starts, follows and ends workers; recorded histories, no process, no sleep."""

from __future__ import annotations

import pytest
from fake_run import ERROR, FakeRun, job

from orchestrator.core.protocol import notifications
from orchestrator.core.protocol.commands import Finish, Notify, StartWorker
from orchestrator.core.protocol.events import (
    Began,
    Blame,
    Event,
    Fenced,
    InputEnded,
    Interrupted,
    Malformed,
    Orphaned,
    Phase,
    ProcessStarted,
    Received,
    StallDetected,
    StartFailed,
    Terminated,
    Ticked,
    WorkerDied,
    WorkerJoined,
)
from orchestrator.core.protocol.messages import Closing, Hello, Ready
from orchestrator.core.supervisor.transitions import IllegalEvent
from orchestrator.plan.model import AfterCondition, FailurePolicy, TimeoutsPlan

READY, SUCCEEDED, FAILED, FINISHED = AfterCondition


def test_a_run_that_goes_well_ends_with_code_0():
    run = FakeRun(job("a", workers=2), job("b", after="a"))
    run.up().succeed("a-1", "a-2").start().ready("b-1").succeed("b-1")
    assert run.states() == ["succeeded", "succeeded"]
    assert run.exit_code == 0
    assert run.supervisor.job_states["a"].exit_codes == (0, 0)
    assert isinstance(run.orders[-1][1], Finish)
    assert run.supervisor.next_deadline() is None


def test_a_plan_without_jobs_ends_at_once():
    assert FakeRun().begin().exit_code == 0


def test_a_worker_joins_the_broker_before_its_process_can_speak():
    run = FakeRun(job("a", workers=2))
    orders = [o for o in run.tell(Began()) if not isinstance(o, Notify)]
    assert orders == [
        WorkerJoined(worker="a-1", job="a"),
        StartWorker(worker="a-1", job="a", index=1),
        WorkerJoined(worker="a-2", job="a"),
        StartWorker(worker="a-2", job="a", index=2),
    ]


def test_the_facts_of_a_life_come_in_order():
    run = FakeRun(job("a"))
    run.begin()
    run.now = 1.0
    run.start()
    run.now = 1.5
    run.ready("a-1").succeed("a-1")
    assert run.facts(notifications.JobStarted) == [
        notifications.JobStarted(job="a", workers=1, target="stages:a")
    ]
    assert run.facts(notifications.WorkerReady)[0].start_s == 0.5
    assert [type(fact).__name__ for fact in (r.notification for r in run.of(Notify))] == [
        "JobStarted",
        "WorkerStarted",
        "WorkerReady",
        "WorkerEnded",
        "JobEnded",
    ]


def test_the_broker_hears_of_a_death_with_its_blame_before_the_end_of_the_job():
    run = FakeRun(job("a")).up()
    blame = Blame(lease=3, index=7, phase=Phase.RUNNING)
    orders = run.tell(WorkerDied(worker="a-1", exit_code=-11, blame=blame))
    news = [o for o in orders if not isinstance(o, Notify)]
    assert (news[0].worker, news[0].returned, news[0].blame) == ("a-1", False, blame)
    assert news[0].failure.message == "killed by SIGSEGV in stages:a"
    assert [type(o).__name__ for o in news] == ["WorkerLeft", "JobFinished", "Finish"]


@pytest.mark.parametrize(
    ("condition", "end", "expected"),
    [
        (READY, "succeeded", "starting"),
        (READY, "failed", "skipped"),
        (SUCCEEDED, "succeeded", "starting"),
        (SUCCEEDED, "failed", "skipped"),
        (SUCCEEDED, "timed_out", "skipped"),
        (FAILED, "succeeded", "skipped"),
        (FAILED, "failed", "starting"),
        (FAILED, "timed_out", "starting"),
        (FAILED, "killed", "starting"),
        (FAILED, "terminated", "skipped"),
        (FINISHED, "succeeded", "starting"),
        (FINISHED, "failed", "starting"),
        (FINISHED, "timed_out", "starting"),
        (FINISHED, "killed", "starting"),
        (FINISHED, "terminated", "starting"),
        (FINISHED, "skipped", "starting"),
    ],
)
def test_a_job_starts_or_is_skipped_by_how_the_other_ended(condition, end, expected):
    a = job("a", timeouts=TimeoutsPlan(run_s=5), after="z" if end == "skipped" else ())
    run = FakeRun(job("z"), a, job("b", after=[("a", condition)])).begin().start()
    if end == "succeeded":
        run.close("a-1").die("a-1")
    elif end == "failed":
        run.die("a-1", 1)
    elif end == "timed_out":
        run.ready("a-1").wait_until(5).die("a-1", -15)
    elif end == "skipped":
        run.die("z-1", 1)
    else:
        run.tell(Interrupted())
        if end == "killed":
            run.wait_until(10)
        run.die("a-1", -9 if end == "killed" else -15)
    assert run.states("a", "b") == [end, expected]


def test_ready_means_every_worker_is_ready_or_has_ended_well():
    run = FakeRun(job("a", workers=3), job("b", after=[("a", READY)])).begin().start()
    run.ready("a-1").succeed("a-2")
    assert run.states("a", "b") == ["starting", "pending"]
    run.ready("a-3")
    assert run.states("a", "b") == ["ready", "starting"]


def test_a_failing_job_is_not_ready_though_the_rest_of_its_workers_are():
    run = FakeRun(
        job("a", workers=2, on_failure=FailurePolicy.CONTINUE), job("b", after=[("a", READY)])
    )
    run.begin().start().ready("a-1").die("a-1", 1).ready("a-2")
    assert run.state_of("b") == "pending"
    run.die("a-2", -15)
    assert run.state_of("b") == "skipped"


def test_a_job_that_waits_for_two_starts_with_the_later():
    after = [("a", READY), ("b", SUCCEEDED)]
    run = FakeRun(job("a"), job("b"), job("c", after=after)).up()
    assert run.state_of("c") == "pending"
    run.succeed("b-1")
    assert run.state_of("c") == "starting"


def test_a_long_chain_is_skipped_at_once_and_in_order():
    n = 3000
    jobs = [job("j0", on_failure=FailurePolicy.CONTINUE)]
    jobs += [job(f"j{i}", after=f"j{i - 1}") for i in range(1, n)]
    run = FakeRun(*jobs).up().die("j0-1", 1)
    assert set(run.states()[1:]) == {"skipped"}
    assert run.exit_code == 1
    assert [fact.job for fact in run.facts(notifications.JobEnded)] == [f"j{i}" for i in range(n)]
    assert run.reason("j1") == "waits for j0: succeeded, but it failed"
    assert run.reason("j2") == "waits for j1: succeeded, but it was skipped"


@pytest.mark.parametrize(("code", "condition", "clean"), [(0, FAILED, True), (1, SUCCEEDED, False)])
def test_a_skipped_job_is_clean_unless_a_failure_is_the_cause(code, condition, clean):
    run = FakeRun(
        job("a", on_failure=FailurePolicy.CONTINUE),
        job("b", after=[("a", condition)]),
        job("c", after="b"),
    ).up()
    run.succeed("a-1") if code == 0 else run.die("a-1", code)
    assert run.clean() == {"a": clean, "b": clean, "c": clean}


@pytest.mark.parametrize(
    ("exit_code", "item", "reason"),
    [
        (0, "", "exited with code 0 before its work was done in stages:a (by os._exit?)"),
        (
            3,
            "files:17",
            "exited with code 3 before its work was done in stages:a"
            " at item files:17 (by os._exit?)",
        ),
        (-11, "files:17", "killed by SIGSEGV in stages:a at item files:17"),
        (-40, "", "killed by signal 40 in stages:a"),
        (-9, "", "killed by SIGKILL in stages:a, not by mporch (the system out of memory?)"),
        (None, "", "ended before its work was done in stages:a; its exit code is not known"),
    ],
)
def test_a_death_without_a_closing_message_is_a_failure_that_says_how(exit_code, item, reason):
    run = FakeRun(job("a")).up().die("a-1", exit_code, item)
    assert run.states("a", "a-1") == ["failed", "failed"]
    assert run.reason("a") == reason
    assert run.facts(notifications.WorkerEnded)[0].item == item
    assert run.exit_code == 1


def test_a_worker_that_died_with_its_forkserver_has_failed_and_no_item_is_blamed():
    run = FakeRun(job("a")).up()
    died = WorkerDied(
        worker="a-1",
        exit_code=-9,
        blame=Blame(lease=1, phase=Phase.RUNNING),
        item="q:1",
        orphaned=Orphaned.FORKSERVER,
    )
    run.tell(died)
    assert run.states("a", "a-1") == ["failed", "failed"]
    assert run.reason("a").startswith("died with the forkserver that had made it")
    assert run.facts(notifications.WorkerEnded)[0].item == ""


def test_a_closing_message_makes_a_success_whatever_the_exit_code_then_is():
    assert FakeRun(job("a")).up().close("a-1").die("a-1", 3).exit_code == 0


def test_a_target_that_raised_fails_its_job_before_its_process_is_gone():
    run = FakeRun(job("a"), job("b")).up().close("a-1", ERROR)
    assert run.signalled() == ["b-1"]
    run.die("a-1", 1).die("b-1", -15)
    assert run.states() == ["failed", "terminated"]
    assert run.reason("a") == "ValueError: bad (stages.py:12)"
    assert run.supervisor.outcome.reason == "job a failed: ValueError: bad (stages.py:12)"
    assert run.facts(notifications.WorkerEnded)[0].failure == ERROR


def test_a_constructor_may_raise_before_the_worker_is_ready():
    run = FakeRun(job("a")).begin().start().close("a-1", ERROR).die("a-1", 1)
    assert run.states() == ["failed"]


def test_a_process_that_cannot_be_made_fails_its_job():
    run = FakeRun(job("a", workers=2)).begin()
    run.tell(StartFailed(worker="a-1", failure=ERROR))
    run.start("a-2")
    assert run.signalled() == ["a-2"], "a worker that starts too late is stopped at once"
    run.die("a-2", -15)
    assert run.reason("a") == ("a-1: its process could not be made: ValueError: bad (stages.py:12)")
    assert run.states("a-1", "a-2", "a") == ["failed", "terminated", "failed"]


def test_a_failed_item_fails_its_job_and_is_named():
    run = FakeRun(job("a", workers=2)).up().fail_item("a-2")
    assert run.signalled() == ["a-1", "a-2"]
    run.die("a-1", -15).die("a-2", -15)
    assert run.states("a-1", "a-2", "a") == ["terminated", "failed", "failed"]
    assert run.reason("a") == "a-2: ValueError: bad (stages.py:12) at item files:17"
    assert run.facts(notifications.ItemFailed)[0].item == "files:17"


def test_a_put_that_found_no_room_in_time_fails_its_job():
    run = FakeRun(job("a", workers=2), job("b")).up().refuse_put("a-2")
    assert run.signalled() == ["a-1", "a-2", "b-1"]
    run.close("a-2", ERROR).die("a-2", 1).die("a-1", -15).die("b-1", -15)
    assert run.states("a-1", "a-2", "a") == ["terminated", "failed", "failed"]
    assert run.reason("a") == "a-2: ValueError: bad (stages.py:12)"


def test_a_put_of_a_worker_that_is_being_stopped_fails_nothing():
    run = FakeRun(job("a", on_failure=FailurePolicy.CONTINUE), job("b")).up().fail_item("b-1")
    before = run.reason("a")
    run.refuse_put("a-1")
    assert run.reason("a") == before
    run.die("a-1", -15).die("b-1", -15)
    assert run.states("a", "b") == ["terminated", "failed"]


def test_an_item_that_failed_with_its_worker_dead_still_fails_the_job():
    run = FakeRun(job("a", workers=2)).up().succeed("a-1").fail_item("a-1")
    run.die("a-2", -15)
    assert run.states("a-1", "a-2", "a") == ["succeeded", "terminated", "failed"]
    assert run.supervisor.worker_states["a-1"].reason == ""


def test_the_first_failure_of_a_job_is_the_one_to_tell():
    run = FakeRun(job("a", workers=2)).up().close("a-1", ERROR).fail_item("a-1")
    assert run.reason("a") == "a-1: ValueError: bad (stages.py:12)"


def test_what_breaks_the_protocol_is_cut_off_and_killed():
    run = FakeRun(job("a")).up()
    run.tell(Malformed(worker="a-1", detail="CRC differs"))
    run.tell(Malformed(worker="a-1", detail="again"))
    run.ready("a-1").close("a-1")
    assert (run.cut_off(), run.signalled(9)) == (["a-1"], ["a-1"])
    run.die("a-1", -9)
    assert run.states() == ["failed"]
    assert run.reason("a") == "broke the protocol: CRC differs"


@pytest.mark.parametrize("message", [Ready(), Closing()])
def test_a_message_out_of_turn_breaks_the_protocol(message):
    run = FakeRun(job("a"), job("b", on_failure=FailurePolicy.CONTINUE)).up().close("b-1")
    run.tell(Received(worker="b-1", message=message))
    assert run.signalled(9) == ["b-1"]
    assert run.reason("b") == f"broke the protocol: {type(message).__name__} out of turn"


def test_messages_that_are_the_brokers_and_its_own_events_do_nothing():
    run = FakeRun(job("a")).up()
    assert run.tell(Received(worker="a-1", message=Hello(pid=1))) == []
    assert run.tell(Fenced(worker="a-1")) == []


@pytest.mark.parametrize(
    "event",
    [
        Began(),
        ProcessStarted(worker="a-1", pid=9),
        ProcessStarted(worker="b-1", pid=9),
        ProcessStarted(worker="z-1", pid=9),
        WorkerDied(worker="b-1", exit_code=0),
        WorkerDied(worker="c-1", exit_code=0),
        Received(worker="b-1", message=Ready()),
        Received(worker="c-1", message=Closing()),
        Received(worker="d-1", message=Ready()),
        StartFailed(worker="b-1", failure=ERROR),
        Malformed(worker="z-1", detail=""),
        InputEnded(job="z"),
    ],
    ids=repr,
)
def test_an_event_that_cannot_happen_now_is_an_error_and_changes_nothing(event: Event):
    """a is ready, b pending, c has ended, d is being started, z does not exist."""
    run = FakeRun(job("a"), job("b", after="a"), job("c"), job("d"))
    run.begin().start("a-1", "c-1").ready("a-1", "c-1").succeed("c-1")

    def everything():
        supervisor = run.supervisor
        return supervisor.job_states, supervisor.worker_states, supervisor.next_deadline()

    before = everything()
    with pytest.raises(IllegalEvent):
        run.tell(event)
    assert everything() == before


def test_nothing_may_come_before_the_beginning():
    with pytest.raises(IllegalEvent):
        FakeRun(job("a")).tell(Interrupted())


@pytest.mark.parametrize(
    "event",
    [
        Ticked(),
        Interrupted(),
        Terminated(signal=15),
        WorkerDied(worker="a-1", exit_code=0),
        Received(worker="a-1", message=Ready()),
        Malformed(worker="a-1", detail=""),
        StallDetected(waits=()),
        InputEnded(job="a"),
    ],
    ids=repr,
)
def test_after_the_end_nothing_has_an_effect(event: Event):
    run = FakeRun(job("a")).up().succeed("a-1")
    assert run.tell(event) == []
    assert run.exit_code == 0
