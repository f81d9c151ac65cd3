"""The bottleneck: the job that waited least of those whose neighbours waited for them."""

from __future__ import annotations

import pytest

from orchestrator.core.reporting import JobSummary, bottleneck
from orchestrator.plan.model import Plan, QueuePlan


def wired(*wires: str) -> Plan:
    """A plan of queues only, each written as `writers>readers`."""
    queues = {}
    for wire in wires:
        writers, readers = wire.split(">")
        queues[wire] = QueuePlan(name=wire, writers=tuple(writers), readers=tuple(readers))
    return Plan(name="p", spec_path="/p", project_dir="/p", queues=queues, jobs={})


def waits(
    waited: float = 0.0, blocked: float = 0.0, workers: int = 1, at_end: float = 0.0
) -> JobSummary:
    """A job that waited so many seconds for input, and to get rid of its output.

    `at_end`: so many of the first when all its writers had ended.
    """
    return JobSummary(
        status="succeeded",
        workers=workers,
        waiting_input_s=waited,
        waiting_output_s=blocked,
        waiting_end_s=at_end,
    )


CHAIN = ("a>b", "b>c")


@pytest.mark.parametrize(
    ("wires", "jobs", "duration_s", "expected"),
    [
        ((), {}, 10, None),
        ((), {"a": waits()}, 10, None),
        ((), {"a": waits(), "b": waits(9)}, 10, None),
        (CHAIN, {"a": waits(0, 9), "b": waits(), "c": waits(9)}, 10, "b"),
        (CHAIN, {"a": waits(), "b": waits(9), "c": waits(9)}, 10, "a"),
        (CHAIN, {"a": waits(0, 9), "b": waits(0, 9), "c": waits()}, 10, "c"),
        (CHAIN, {"a": waits(), "b": waits(), "c": waits(9)}, 10, "b"),
        (CHAIN, {"a": waits(0, 0.9), "b": waits(), "c": waits(0.9)}, 10, None),
        (CHAIN, {"a": waits(0, 1.0), "b": waits(), "c": waits()}, 10, "b"),
        (CHAIN, {"a": waits(0, 0.19), "b": waits(), "c": waits(0.19)}, 0.3, None),
        (CHAIN, {"a": waits(0, 0.2), "b": waits(), "c": waits()}, 0.3, "b"),
        (("a>b", "b>a"), {"a": waits(5), "b": waits(5)}, 10, None),
        (("a>b",), {"a": waits(0, 4, workers=8), "b": waits()}, 10, None),
        (("a>b",), {"a": waits(0, 16, workers=8), "b": waits()}, 10, "b"),
        (("a>b",), {"a": waits(0, 9), "b": waits(), "alone": waits()}, 10, "b"),
        (("a>b",), {"a": waits(), "b": waits(9, at_end=9)}, 10, None),
        (("a>b",), {"a": waits(), "b": waits(9, at_end=7.5)}, 10, "a"),
        (CHAIN, {"a": waits(), "b": waits(9, at_end=9), "c": waits(9)}, 10, "b"),
        (CHAIN, {"a": waits(), "b": waits(1, at_end=1), "c": waits(9)}, 10, "b"),
    ],
    ids=[
        "nothing ran",
        "one job",
        "no queue connects them",
        "both neighbours wait",
        "the source is slow",
        "the sink is slow",
        "readers alone may wait",
        "less than a tenth of the run",
        "a tenth of the run",
        "a tenth of a run too short to tell",
        "two tenths of a second",
        "each waits for the other",
        "eight workers waited little each",
        "eight workers waited much each",
        "a job beside the pipeline",
        "a reader waited for its own retries",
        "a reader waited for its writer, and for its own retries",
        "a reader waited for its own retries, and another one for it",
        "a reader was slow, and waited for a retry of its own",
    ],
)
def test_the_bottleneck_is_who_the_neighbours_waited_for(
    wires: tuple[str, ...], jobs: dict[str, JobSummary], duration_s: float, expected: str | None
) -> None:
    assert bottleneck(wired(*wires), jobs, duration_s) == expected
