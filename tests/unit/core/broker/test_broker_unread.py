"""A queue of which no reader was chosen: what is put there is dropped, and keeps nobody waiting."""

from __future__ import annotations

from orchestrator.core.broker.broker import Broker
from orchestrator.core.durable.records import Spilt
from orchestrator.core.protocol.events import JobFinished, Received, WorkerJoined
from orchestrator.core.protocol.messages import (
    Answer,
    Commit,
    Grant,
    JoinQueue,
    Output,
    Ready,
    Shut,
    Wait,
    Want,
)
from orchestrator.plan.model import Durability, JobPlan, Plan, QueuePlan, Shape, Target

BLOB = b"x" * 64


def broker(durability: Durability = Durability.OFF) -> Broker:
    job = JobPlan(
        name="src",
        target=Target(module="m", qualname="f"),
        shape=Shape.TASK,
        write_handles=(("q", "odd"),),
    )
    queue = QueuePlan(name="odd", maxsize=2, max_bytes=100, writers=("src",))
    plan = Plan(
        name="p",
        spec_path="/p",
        project_dir="/p",
        queues={"odd": queue},
        jobs={"src": job},
        durability=durability,
    )
    made = Broker.of_plan(plan)
    made.handle(WorkerJoined(worker="src-1", job="src"), 0.0)
    say(made, Ready())
    return made


def say(made: Broker, message, *blobs):
    orders = made.handle(Received(worker="src-1", message=message, blobs=blobs), 1.0)
    return [order.message for order in orders if hasattr(order, "message")]


def put(made: Broker, n: int, seq: int = 1):
    output = Output(queues=("odd",), n=n, size=len(BLOB), packed=False, counts=(n,))
    return say(made, Commit(seq=seq, outputs=(output,), awaited=True), BLOB)


def test_more_than_it_holds_is_granted_put_and_dropped_at_once() -> None:
    made = broker()
    (grant,) = say(made, Want(want=1, queue="odd", n=50, least=50, unsent=0, wait=Wait.FOREVER))
    assert isinstance(grant, Grant)
    assert grant.n >= 50
    put(made, 50)
    queue = made.queues["odd"]
    assert (queue.put, queue.dropped, queue.size, queue.peak) == (50, 50, 0, 0)


def test_nobody_is_told_that_it_is_closed_and_it_ends_with_its_writer() -> None:
    made = broker()
    assert not any(isinstance(message, Shut) for message in put(made, 9))
    assert not made.queues["odd"].ended
    made.handle(JobFinished(job="src", clean=True, final=True, awaited=False), 2.0)
    assert made.queues["odd"].ended
    ledger = made.queues["odd"].ledger(final=True)
    assert (ledger.put, ledger.dropped, ledger.left) == (9, 9, 0)


def test_a_join_does_not_wait_for_tasks_that_nobody_will_do() -> None:
    made = broker()
    put(made, 3)
    (answer,) = say(made, JoinQueue(ask=4, queue="odd", wait=Wait.FOREVER))
    assert isinstance(answer, Answer)
    assert answer.ask == 4


def test_what_is_dropped_is_not_kept_on_disk_but_its_number_is() -> None:
    made = broker(Durability.ON)
    put(made, 7)
    entry = made.take_entry()
    assert entry is not None
    assert entry.chunks == ()
    assert [step.n for step in entry.records if isinstance(step, Spilt)] == [7]
