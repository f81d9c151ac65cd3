"""A run: broker and supervisor as one machine, and the news between them."""

from __future__ import annotations

from typing import Any

import pytest
from fake_run import ERROR

from orchestrator.core.protocol import notifications
from orchestrator.core.protocol.commands import (
    Command,
    Disconnect,
    Finish,
    KillWorker,
    Notify,
    Send,
    SignalWorker,
    StartWorker,
    StopReason,
)
from orchestrator.core.protocol.events import (
    Began,
    Blame,
    Event,
    Interrupted,
    Phase,
    ProcessStarted,
    Received,
    Ticked,
    WorkerDied,
)
from orchestrator.core.protocol.messages import (
    Closing,
    Commit,
    End,
    Ended,
    FromWorker,
    Grant,
    Leased,
    Mark,
    Output,
    Pull,
    Ready,
    Recall,
    Released,
    Shut,
    SourceTotal,
    Stop,
    ToWorker,
    Want,
)
from orchestrator.core.run import Run
from orchestrator.errors import ExitCode
from orchestrator.plan.model import (
    ErrorAction,
    ErrorPolicy,
    FailurePolicy,
    JobPlan,
    Plan,
    QueuePlan,
    RestartPlan,
    RetryPlan,
    Shape,
    Target,
    TimeoutsPlan,
)


def stage(name: str, reads: str = "", writes: str = "", **keys: Any) -> JobPlan:
    """A job around the queues named: a source, or called for each item."""
    shape = Shape.ITEM if reads else Shape.SOURCE if writes else Shape.TASK
    return JobPlan(
        name=name,
        target=Target(module="stages", qualname=name),
        shape=keys.pop("shape", shape),
        inputs=tuple(reads.split()),
        outputs=tuple(writes.split()),
        **keys,
    )


class Story:
    """Tells a run what happens; a pid and a place in the pipeline is all a worker has."""

    def __init__(self, *jobs: JobPlan, maxsize: int = 9) -> None:
        names = dict.fromkeys(name for job in jobs for name in (*job.reads, *job.writes))
        queues = {
            name: QueuePlan(
                name=name,
                maxsize=maxsize,
                writers=tuple(job.name for job in jobs if name in job.writes),
                readers=tuple(job.name for job in jobs if name in job.reads),
            )
            for name in names
        }
        self.run = Run(
            Plan(
                name="test",
                spec_path="/p/jobs.yaml",
                project_dir="/p",
                queues=queues,
                jobs={job.name: job for job in jobs},
            )
        )
        self.now = 0.0
        self.commands: list[Command] = []
        self._seqs: dict[str, int] = {}
        self.tell(Began())

    def tell(self, event: Event) -> list[Command]:
        commands = self.run.handle(event, self.now)
        self.commands += commands
        return commands

    def say(self, worker: str, message: FromWorker, *blobs: bytes) -> list[Command]:
        return self.tell(Received(worker=worker, message=message, blobs=blobs))

    def ready(self, *workers: str) -> None:
        for worker in workers:
            self.tell(ProcessStarted(worker=worker, pid=100))
            self.say(worker, Ready())

    def put(self, worker: str, queue: str, n: int = 1) -> None:
        self.commit(
            worker, outputs=(Output(queues=(queue,), n=n, size=1, packed=False, counts=(n,)),)
        )

    def commit(self, worker: str, **keys: Any) -> None:
        self._seqs[worker] = self._seqs.get(worker, 0) + 1
        blobs = [bytes(output.n) for output in keys.get("outputs", ())]
        self.say(worker, Commit(seq=self._seqs[worker], **keys), *blobs)

    def pull(self, worker: str, queue: str, most: int = 9) -> int:
        """The lease got; 0 if the worker has to wait."""
        got = len(self.sent(worker, Leased))
        self.say(worker, Pull(pull=len(self.commands), queues=(queue,), most=most))
        leases = self.sent(worker, Leased)[got:]
        return leases[0].lease if leases else 0

    def close(self, worker: str, **keys: Any) -> None:
        self.say(worker, Closing(**keys))
        self.die(worker, 0)

    def die(self, worker: str, exit_code: int = -9, **keys: Any) -> None:
        self._seqs.pop(worker, None)
        self.tell(WorkerDied(worker=worker, exit_code=exit_code, **keys))

    def sent(self, worker: str, kind: type[ToWorker]) -> list[Any]:
        return [
            command.message
            for command in self.commands
            if isinstance(command, Send)
            and command.worker == worker
            and isinstance(command.message, kind)
        ]

    def of(self, kind: type[Command]) -> list[Any]:
        return [command for command in self.commands if isinstance(command, kind)]

    def facts(self, kind: type[notifications.Notification]) -> list[Any]:
        return [
            report.notification
            for report in self.of(Notify)
            if isinstance(report.notification, kind)
        ]


@pytest.fixture
def pipe() -> Story:
    """Source, map and sink, all ready."""
    story = Story(stage("src", writes="a"), stage("map", "a", "b"), stage("snk", "b"))
    story.ready("src-1", "map-1", "snk-1")
    return story


def test_a_pipeline_runs_from_its_first_item_to_its_finish(pipe: Story) -> None:
    pipe.put("src-1", "a", 2)
    pipe.close("src-1")
    lease = pipe.pull("map-1", "a")
    done = Output(queues=("b",), n=2, size=1, packed=False)
    pipe.commit("map-1", finished=((lease, 2),), outputs=(done,))
    pipe.pull("map-1", "a")
    assert pipe.sent("map-1", Ended)
    pipe.close("map-1")
    lease = pipe.pull("snk-1", "b")
    pipe.commit("snk-1", finished=((lease, 2),))
    pipe.pull("snk-1", "b")
    pipe.close("snk-1")
    assert pipe.of(Finish)
    assert pipe.run.outcome is not None
    assert pipe.run.outcome.exit_code is ExitCode.OK
    assert {name: (x.put, x.done, x.left) for name, x in pipe.run.ledgers().items()} == {
        "a": (2, 2, 0),
        "b": (2, 2, 0),
    }


def test_the_broker_knows_a_worker_before_its_process_exists() -> None:
    story = Story(stage("src", writes="a"), stage("snk", "a"))
    assert [command.worker for command in story.of(StartWorker)] == ["src-1", "snk-1"]
    story.tell(ProcessStarted(worker="src-1", pid=1))
    story.say("src-1", Ready())
    story.say("src-1", Want(want=1, queue="a", n=99))
    assert story.sent("src-1", Grant)
    story.put("src-1", "a", 9)
    story.say("src-1", Want(want=2, queue="a"))
    assert not story.facts(notifications.Stalled)


def test_the_end_of_a_source_reaches_who_waits_for_its_items(pipe: Story) -> None:
    pipe.pull("map-1", "a")
    pipe.close("src-1")
    assert pipe.sent("map-1", Ended)
    assert [fact.queue for fact in pipe.facts(notifications.QueueEnded)] == ["a"]


def test_an_item_that_fails_fails_its_job_and_stops_the_run(pipe: Story) -> None:
    pipe.put("src-1", "a")
    lease = pipe.pull("map-1", "a")
    mark = Mark(at=0, end=End.FAILED, failure=ERROR)
    pipe.commit("map-1", finished=((lease, 1),), marks=(mark,))
    (failed,) = pipe.facts(notifications.ItemFailed)
    assert (failed.job, failed.item) == ("map", "a:1")
    assert {command.worker for command in pipe.of(SignalWorker)} >= {"src-1", "map-1"}
    assert pipe.run.ledgers()["a"].left == 1


def test_a_death_names_its_item_and_brings_the_items_back(pipe: Story) -> None:
    pipe.put("src-1", "a", 2)
    lease = pipe.pull("map-1", "a")
    blame = Blame(lease=lease, index=1, phase=Phase.RUNNING)
    item = pipe.run.item_at("map-1", blame)
    assert item == "a:2"
    pipe.die("map-1", blame=blame, item=item)
    (ended,) = [fact for fact in pipe.facts(notifications.WorkerEnded) if fact.worker == "map-1"]
    assert ended.item == "a:2"
    assert pipe.run.ledgers()["a"].left == 2


def test_with_its_last_reader_failed_a_queue_is_shut_for_its_writers(pipe: Story) -> None:
    pipe.die("snk-1")
    assert pipe.sent("map-1", Shut)
    (closed,) = pipe.facts(notifications.QueueClosed)
    assert closed.queue == "b"


def test_what_breaks_the_protocol_is_cut_off_and_killed_and_changes_nothing(pipe: Story) -> None:
    pipe.say("map-1", Pull(pull=1, queues=("b",), most=1))
    assert [command.worker for command in pipe.of(Disconnect)] == ["map-1"]
    (kill,) = [command for command in pipe.of(KillWorker) if command.worker == "map-1"]
    assert kill.reason is StopReason.PROTOCOL
    assert not pipe.sent("map-1", Leased)


def test_an_interrupt_tells_sources_to_stop_and_lets_the_others_go_on(pipe: Story) -> None:
    pipe.tell(Interrupted())
    assert pipe.sent("src-1", Stop)
    assert not pipe.sent("map-1", Stop)
    pipe.put("src-1", "a")
    assert pipe.pull("map-1", "a")


def test_a_stall_ends_the_run_at_once_and_is_told_once() -> None:
    story = Story(
        stage("src", writes="a b", shape=Shape.HANDLES),
        stage("join", "a b", shape=Shape.HANDLES),
        maxsize=1,
    )
    story.ready("src-1", "join-1")
    story.put("src-1", "a")
    story.say("src-1", Want(want=1, queue="a"))
    assert not story.facts(notifications.Stalled)
    story.pull("join-1", "b")
    (stalled,) = story.facts(notifications.Stalled)
    assert stalled.waits == (("src-1", "room in a"), ("join-1", "items of b"))
    assert {command.worker for command in story.of(SignalWorker)} == {"src-1", "join-1"}


def test_a_job_that_has_yet_to_start_or_to_be_ready_is_no_stall() -> None:
    story = Story(stage("src", writes="a"), stage("snk", "a"))
    story.ready("snk-1")
    story.pull("snk-1", "a")
    assert not story.facts(notifications.Stalled)


def test_the_next_deadline_is_the_earlier_of_the_two_machines() -> None:
    story = Story(
        stage("src", writes="a"), stage("snk", "a", workers=2, timeouts=TimeoutsPlan(run_s=5.0))
    )
    story.ready("src-1", "snk-1", "snk-2")
    assert story.run.next_deadline() == 5.0
    story.put("src-1", "a", 4)
    lease = story.pull("snk-1", "a")
    while story.pull("snk-2", "a"):
        pass
    recall_at = story.run.next_deadline()
    assert recall_at is not None
    assert recall_at < 5.0
    story.now = recall_at
    story.tell(Ticked())
    assert [recall.lease for recall in story.sent("snk-1", Recall)] == [lease]
    story.say("snk-1", Released(lease=lease, kept=1))
    assert story.run.next_deadline() == 5.0


def test_samples_say_who_works_and_who_waits_for_what(pipe: Story) -> None:
    pipe.put("src-1", "a", 9)
    pipe.say("src-1", Want(want=1, queue="a"))
    lease = pipe.pull("map-1", "a", 4)
    pipe.pull("snk-1", "b")
    before, after = (pipe.run.sample(pipe.now + t, t) for t in (0.0, 1.0))
    assert [
        (b.running_s - a.running_s, b.starved_s - a.starved_s, b.blocked_s - a.blocked_s)
        for a, b in zip(before.jobs, after.jobs, strict=True)
    ] == [(1, 0, 0), (1, 0, 0), (0, 1, 0)]
    assert lease
    assert [(queue.size, queue.put) for queue in after.queues] == [(8, 9), (0, 0)]


def test_a_source_may_say_how_many_items_it_has_and_nobody_else(pipe: Story) -> None:
    assert [job.total for job in pipe.run.sample(pipe.now, 0.0).jobs] == [None, None, None]
    pipe.say("src-1", SourceTotal(total=12))
    pipe.say("map-1", SourceTotal(total=7))
    assert [job.total for job in pipe.run.sample(pipe.now, 0.0).jobs] == [12, None, None]
    pipe.say("src-1", SourceTotal(total=(1 << 62) - 1))
    assert pipe.run.sample(pipe.now, 0.0).jobs[0].total == 1 << 53


def test_an_item_that_failed_in_a_commit_that_outlived_its_worker_is_told_and_nothing_breaks() -> (
    None
):
    story = Story(
        stage("src", writes="a"),
        stage("map", "a", "b", workers=2, on_failure=FailurePolicy.CONTINUE),
        stage("snk", "b"),
        maxsize=1,
    )
    story.ready("src-1", "map-1", "map-2", "snk-1")
    story.put("src-1", "a")
    first = story.pull("map-1", "a")
    story.put("src-1", "a")
    second = story.pull("map-1", "a")
    done = Output(queues=("b",), n=2, size=1, packed=False, counts=(1, 1))
    mark = Mark(at=1, end=End.FAILED, failure=ERROR)
    story.commit("map-1", finished=((first, 1), (second, 1)), marks=(mark,), outputs=(done,))
    story.die("map-1")
    assert not story.facts(notifications.ItemFailed)
    story.pull("snk-1", "b")
    (failed,) = story.facts(notifications.ItemFailed)
    assert (failed.worker, failed.item) == ("map-1", "a:2")
    assert (story.run.ledgers()["a"].done, story.run.ledgers()["a"].left) == (1, 1)


def again(story: Story, worker: str) -> None:
    """Its rest is over and its next process is there."""
    due = story.run.next_deadline()
    assert due is not None
    story.now = due
    story.tell(Ticked())
    story.ready(worker)


def test_a_death_in_an_item_is_told_as_a_retry_until_the_item_is_a_dead_letter() -> None:
    story = Story(
        stage("src", writes="a"),
        stage(
            "snk",
            "a",
            retry=RetryPlan(attempts=3),
            on_error=ErrorPolicy(otherwise=ErrorAction.DEAD_LETTER),
            restart=RestartPlan(max=9),
        ),
    )
    story.ready("src-1", "snk-1")
    story.put("src-1", "a", 2)
    for _ in range(3):
        lease = story.pull("snk-1", "a")
        story.die("snk-1", blame=Blame(lease=lease, phase=Phase.RUNNING), item="a:1")
        again(story, "snk-1")
    retried = [
        (fact.item, fact.attempts, fact.delay_s) for fact in story.facts(notifications.ItemRetried)
    ]
    assert retried == [("a:1", 1, 0.0), ("a:1", 2, 0.0)]
    (dead,) = story.facts(notifications.ItemDead)
    assert (dead.item, dead.attempts) == ("a:1", 3)
    assert "killed by SIGKILL" in dead.failure.message
    assert (story.run.job_summaries()["snk"].retried, story.run.ledgers()["a"].dead) == (2, 1)
    lease = story.pull("snk-1", "a")
    story.commit("snk-1", finished=((lease, 1),))
    assert story.run.ledgers()["a"].done == 1


def test_a_process_that_has_finished_an_item_is_followed_by_the_next_at_once() -> None:
    story = Story(stage("src", writes="a"), stage("snk", "a", restart=RestartPlan(max=9)))
    story.ready("src-1", "snk-1")
    waits = []
    for works in (False, False, True, False):
        story.put("src-1", "a")
        lease = story.pull("snk-1", "a")
        if works:
            story.commit("snk-1", finished=((lease, 1),))
        story.die("snk-1")
        waits.append(round((story.run.next_deadline() or 0.0) - story.now, 3))
        again(story, "snk-1")
    assert waits == [0.0, 0.05, 0.0, 0.05]
