"""A queue that nobody reads before its run is resumed takes what was finished for it."""

from __future__ import annotations

import pytest
from fake_broker import job, output
from fake_durable import FakeDurable

from orchestrator.core.protocol.events import JobFinished
from orchestrator.core.protocol.messages import Grant, Wait


def stopped(run: FakeDurable, *jobs: str) -> None:
    for name in jobs:
        run.tell(JobFinished(job=name, clean=False, final=False, awaited=True))


def parked(**settings: object) -> FakeDurable:
    """A commit of four items waits for room: two of what it gives fit."""
    run = FakeDurable(
        {"a": 9, "b": 2},
        job("src", writes="a", by_item=False, counted=True),
        job("map", reads="a", writes="b"),
        job("more", writes="b"),
        job("snk", reads="b"),
        job("too", reads="b"),
        **settings,
    )
    run.put("src-1", "a", 5)
    lease = run.lease("map-1", "a", 4)
    run.commit("map-1", output("b", 4), done=[(lease, 4)])
    assert run.port("map-1").parked is not None
    return run


@pytest.mark.parametrize("settings", [{}, {"max_bytes": {"b": 2}}])
def test_a_commit_that_waits_for_room_is_applied_when_all_readers_were_stopped(
    settings: dict[str, object],
) -> None:
    run = parked(**settings)
    stopped(run, "snk")
    assert run.applied("map-1") == []
    stopped(run, "too")
    assert run.applied("map-1") == [1]
    assert run.counts("a") == {"put": 5, "done": 4}
    again = run.resume()
    again.lease("map-1", "a", 9)
    assert again.items("map-1") == [5]
    for _ in range(4):
        again.lease("snk-1", "b", 1)
    assert again.items("snk-1") == [1, 2, 3, 4]


def test_nobody_is_given_credit_beyond_the_bound_there() -> None:
    run = parked()
    stopped(run, "snk", "too")
    run.want("more-1", "b", 5, wait=Wait.NO)
    assert [grant.n for grant in run.got("more-1", Grant)] == [0]


def test_a_reader_that_has_had_enough_is_not_waited_for() -> None:
    run = parked()
    run.finish("too")
    stopped(run, "snk")
    assert run.applied("map-1") == [1]
    assert not run.queue("b").closed
