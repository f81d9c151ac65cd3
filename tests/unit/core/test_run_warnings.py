"""What a run that has ended says of losses that were no failure."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.core.broker.queue import QueueState
from orchestrator.core.reporting import JobSummary, warnings_of
from orchestrator.plan.model import Command, JobPlan, Plan, QueuePlan, Shape, Target


def job(name: str, shape: Shape = Shape.ITEM, **keys: Any) -> JobPlan:
    keys = {"target": Target(module="m", qualname=name), **keys}
    return JobPlan(name=name, shape=shape, **keys)


def ended(status: str = "succeeded", **counts: int) -> JobSummary:
    return JobSummary(status=status, workers=1, **counts)


def said(
    *jobs: tuple[JobPlan, JobSummary], dropped: int = 0, closed: bool = False
) -> list[tuple[str, str | None, str | None]]:
    """The remarks on a run of jobs around the queues a and b; what is lost is lost of b."""
    plans = {plan.name: plan for plan, _ in jobs}
    queues = {}
    for name in "ab":
        readers = tuple(plan.name for plan, _ in jobs if name in plan.reads)
        queues[name] = QueuePlan(name=name, readers=readers)
    states = {name: QueueState(name, 9, (), ()) for name in queues}
    states["b"].dropped, states["b"].closed = dropped, closed
    plan = Plan(name="p", spec_path="/p", project_dir="/p", queues=queues, jobs=plans)
    found = warnings_of(plan, {plan.name: summary for plan, summary in jobs}, states)
    return [(each.message, each.queue, each.job) for each in found]


def test_a_reader_that_returned_early_is_named_with_what_it_left() -> None:
    take = job("take", Shape.STREAM, inputs=("b",))
    assert said((take, ended(items_in=3)), dropped=12) == [
        ("queue b: 12 items dropped: its reader take returned early", "b", None)
    ]


def test_of_several_readers_each_is_told_with_its_end() -> None:
    one = (job("one", inputs=("b",)), ended())
    two = (job("two", Shape.HANDLES, read_handles=(("q", "b"),)), ended("timed_out"))
    third = (job("third", inputs=("b",)), ended("skipped"))
    ((message, _, _),) = said(one, two, third, dropped=1)
    assert message == (
        "queue b: 1 item dropped: its readers ended: "
        "one returned early, two timed out, third was skipped"
    )


def test_a_run_that_lost_nothing_gets_no_remark() -> None:
    double = job("double", inputs=("a",), outputs=("b",))
    sink = job("sink", inputs=("b",))
    assert said((double, ended(items_in=9, items_out=1)), (sink, ended(items_in=1))) == []


@pytest.mark.parametrize("shape", [Shape.ITEM, Shape.BATCH, Shape.STREAM])
def test_a_job_that_took_items_and_emitted_none_is_asked_for_its_return(shape: Shape) -> None:
    double = job("double", shape, inputs=("a",), outputs=("b",))
    assert said((double, ended(items_in=1050))) == [
        ("job double took 1,050 items and emitted none: is a `return` missing?", None, "double")
    ]


ROUTE = job("route", inputs=("a",), write_handles=(("good", "b"),))
DOUBLE = job("double", inputs=("a",), outputs=("b",))
GREP = job(
    "grep", inputs=("a",), outputs=("b",), target=Command(line=("grep", "{item}", "f"), text="grep")
)


@pytest.mark.parametrize(
    ("plan", "summary"),
    [
        (ROUTE, ended(items_in=9)),
        (job("sink", inputs=("a",)), ended(items_in=9)),
        (DOUBLE, ended(items_in=0)),
        (DOUBLE, ended(items_in=9, skipped=9)),
        (DOUBLE, ended("failed", items_in=9)),
        (DOUBLE, ended("terminated", items_in=9)),
        (job("source", Shape.SOURCE, outputs=("b",)), ended()),
        (GREP, ended(items_in=9)),
    ],
    ids=[
        "handles",
        "no output",
        "no item",
        "all skipped",
        "failed",
        "stopped",
        "no input",
        "command",
    ],
)
def test_a_job_that_need_not_emit_is_not_asked(plan: JobPlan, summary: JobSummary) -> None:
    assert said((plan, summary)) == []


def test_a_job_whose_reader_had_gone_is_not_asked() -> None:
    assert said((DOUBLE, ended(items_in=9)), closed=True) == []
