"""A stall: every worker waits for ever and nothing will free one of them (rule 14)."""

from __future__ import annotations

from typing import Any

import pytest
from fake_broker import FakeBroker, job, output

from orchestrator.core.broker.broker import Broker
from orchestrator.core.broker.reorder import ReorderBuffer
from orchestrator.core.protocol.events import Blame
from orchestrator.core.protocol.messages import End, Grant, Recall, Wait
from orchestrator.plan.model import JobPlan, Plan, QueuePlan, Shape, Target


def pipe(maxsize: int = 1, **keys: Any) -> FakeBroker:
    return FakeBroker({"q": maxsize}, job("src", writes="q"), job("snk", reads="q"), **keys)


def test_the_diamond_of_size_one_whose_reader_wants_the_other_branch_stalls_and_is_told_once() -> (
    None
):
    run = FakeBroker({"a": 1, "b": 1}, job("src", writes="a b"), job("join", reads="a b"))
    run.put("src-1", "a")
    run.want("src-1", "a")
    run.pull("join-1", "b")
    stall = run.broker.stall()
    assert stall is not None
    assert stall.waits == (("src-1", "room in a"), ("join-1", "items of b"))
    assert run.broker.stall() is None


@pytest.mark.parametrize("more", [0, 1], ids=["the input is empty", "the input is full"])
def test_a_stall_names_the_queue_that_what_an_ordered_job_holds_back_waits_for(more: int) -> None:
    run = FakeBroker(
        {"a": 1, "b": 9, "c": 1},
        job("src", writes="a"),
        job("map", reads="a", writes="b c", reorder=ReorderBuffer(1)),
        job("join", reads="b c"),
        workers={"map": 2},
    )
    for _ in range(2):
        run.put("src-1", "a")
        lease = run.lease("map-1", "a")
        run.commit("map-1", output("b+c", 1), done=[(lease, 1)])
    run.pull("map-1", "a")
    run.pull("map-2", "a")
    run.lease("join-1", "b")
    run.pull("join-1", "b")
    run.pull("join-1", "b")
    if more:
        run.want("src-1", "a")
    else:
        run.finish("src")
        run.leave("src-1")
    stall = run.broker.stall()
    assert stall is not None
    held = "room in c for what map holds back to keep the order"
    waits = {"map": held, "join-1": "items of b"} | ({"src-1": "room in a"} if more else {})
    assert dict(stall.waits) == waits
    assert run.broker.queries.doing("map-2", Blame()) == f"waits for {held}"


def test_a_wait_with_a_time_limit_is_no_stall() -> None:
    run = pipe()
    run.put("src-1", "q")
    run.want("src-1", "q", wait=Wait.TIMED)
    assert run.broker.stall() is None


def test_a_worker_that_does_not_wait_can_free_the_others() -> None:
    run = pipe()
    run.pull("snk-1", "q")
    assert run.broker.stall() is None


def test_an_item_that_is_to_be_tried_again_is_no_stall() -> None:
    run = FakeBroker(
        {"q": 1},
        job("src", writes="q"),
        job("snk", reads="q", attempts=2, retry_delay_s=5.0),
    )
    run.put("src-1", "q")
    lease = run.lease("snk-1", "q")
    run.commit("snk-1", done=[(lease, 1)], ends={0: End.FAILED})
    run.want("src-1", "q")
    run.pull("snk-1", "q")
    assert run.broker.stall() is None
    run.tick(5.0)
    assert run.items("snk-1") == [1, 1]


def test_a_batch_that_will_run_out_of_patience_is_no_stall() -> None:
    run = FakeBroker(
        {"in": 9, "q": 9},
        job("gen", writes="in"),
        job("map", reads="in", writes="q"),
        job("snk", reads="q"),
        workers={"gen": 0},
    )
    run.put("map-1", "q")
    run.pull("snk-1", "q", 3, least=3, within_s=5.0)
    run.pull("map-1", "in")
    assert run.broker.stall() is None
    run.tick(5.0)
    run.pull("snk-1", "q", 3, least=3, within_s=5.0)
    assert run.broker.stall() is not None


def test_credits_that_an_idle_worker_will_return_are_no_stall_and_none_are_one() -> None:
    run = FakeBroker(
        {"in": 9, "out": 1},
        job("idle", reads="in", writes="out"),
        job("busy", writes="in out"),
        job("snk", reads="out"),
        workers={"snk": 0},
    )
    run.want("idle-1", "out")
    run.pull("idle-1", "in")
    run.want("busy-1", "out")
    assert run.broker.stall() is None
    run.commit("idle-1", returned=[("out", 1)])
    assert run.last("busy-1", Grant).n == 1
    run.put("busy-1", "out")
    run.want("busy-1", "out")
    assert run.broker.stall() is not None


@pytest.mark.parametrize(("kept", "stalls"), [(1, False), (3, True)])
def test_a_rest_that_a_recall_may_bring_back_is_no_stall_until_its_worker_keeps_it(
    kept: int, stalls: bool
) -> None:
    run = FakeBroker(
        {"a": 9, "b": 9},
        job("src", writes="a b"),
        job("both", reads="a b"),
        job("snk", reads="a"),
        workers={"both": 1},
    )
    run.put("src-1", "a", 6)
    lease = run.lease("both-1", "a", 3)
    run.lease("snk-1", "a", 9, least=3)
    run.leave("src-1")
    run.pull("both-1", "b")
    run.pull("snk-1", "a")
    assert run.broker.stall() is None
    run.tick(0.02)
    assert run.last("both-1", Recall).lease == lease
    assert run.broker.stall() is None
    run.release("both-1", lease, kept)
    assert (run.broker.stall() is not None) is stalls


def test_a_daemon_at_work_on_an_item_will_make_room() -> None:
    target = Target(module="m", qualname="f")
    jobs = [
        JobPlan(name="src", target=target, shape=Shape.SOURCE, outputs=("q",)),
        JobPlan(name="snk", target=target, shape=Shape.ITEM, inputs=("q",), daemon=True),
    ]
    run = pipe()
    run.broker = Broker.of_plan(
        Plan(
            name="test",
            spec_path="/p/jobs.yaml",
            project_dir="/p",
            queues={"q": QueuePlan(name="q", maxsize=1, writers=("src",), readers=("snk",))},
            jobs={made.name: made for made in jobs},
        )
    )
    run.join("src-1")
    run.join("snk-1")
    run.put("src-1", "q")
    run.lease("snk-1", "q")
    run.put("src-1", "q")
    run.want("src-1", "q")
    assert run.broker.stall() is None
