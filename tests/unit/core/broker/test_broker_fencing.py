"""Fencing: a worker that was given up changes nothing any more (rule 7)."""

from __future__ import annotations

import pytest
from fake_broker import FakeBroker, job, output

from orchestrator.core.protocol.events import Blame, Phase
from orchestrator.core.protocol.messages import CommitStatus, Committed, End, Leased
from orchestrator.plan.model import WhenFull


@pytest.fixture
def run() -> FakeBroker:
    return FakeBroker(
        {"a": 10, "b": 2},
        job("src", writes="a"),
        job("map", reads="a", writes="b"),
        job("snk", reads="b"),
        workers={"map": 2},
    )


def test_what_a_fenced_worker_held_goes_to_another_and_its_late_commit_is_not_applied(
    run: FakeBroker,
) -> None:
    run.put("src-1", "a", 2)
    lease = run.lease("map-1", "a", 2, least=2)
    run.fence("map-1")
    run.commit("map-1", output("b", 2), done=[(lease, 2)])
    run.lease("map-2", "a", 2, least=2)
    assert run.items("map-2") == [1, 2]
    assert run.queue("b").put == run.queue("a").done == 0


def test_a_fenced_source_puts_nothing_more(run: FakeBroker) -> None:
    run.fence("src-1")
    run.put("src-1", "a")
    assert run.queue("a").put == 0


def test_a_fenced_worker_is_given_neither_items_nor_credit(run: FakeBroker) -> None:
    run.put("src-1", "a")
    run.fence("map-1")
    run.fence("src-1")
    run.pull("map-1", "a")
    run.want("src-1", "a")
    assert not run.sent.get("map-1")
    assert not run.queue("a").outstanding
    assert not run.queue("a").granted


def test_a_parked_commit_of_a_fenced_worker_is_applied_and_brings_it_no_credit(
    run: FakeBroker,
) -> None:
    run.put("src-1", "a", 3)
    lease = run.lease("map-1", "a", 3, least=3)
    run.commit("map-1", output("b", 3), done=[(lease, 3)])
    run.fence("map-1")
    run.lease("snk-1", "b", 2, least=2)
    assert run.queue("b").put == 3
    assert run.queue("b").granted == 0


def test_the_death_of_a_fenced_worker_gives_nothing_back_twice(run: FakeBroker) -> None:
    run.put("src-1", "a", 2)
    lease = run.lease("map-1", "a", 2, least=2)
    run.fence("map-1", lease=lease, running=True)
    run.leave("map-1", lease=lease, running=True)
    assert run.queue("a").queued == 2
    assert run.queue("a").suspects == {1, 2}


def test_a_commit_of_a_lease_the_worker_does_not_hold_is_refused_whole(run: FakeBroker) -> None:
    run.put("src-1", "a", 2)
    lease = run.lease("map-1", "a")
    run.commit("map-2", output("b", 1), done=[(lease, 1)])
    assert run.last("map-2", Committed).status is CommitStatus.REFUSED
    assert run.queue("b").put == 0


def test_finishing_more_of_a_lease_than_is_left_in_two_places_is_refused(run: FakeBroker) -> None:
    run.put("src-1", "a", 2)
    lease = run.lease("map-1", "a", 2, least=2)
    run.commit("map-1", done=[(lease, 2), (lease, 2)])
    assert run.last("map-1", Committed).status is CommitStatus.REFUSED
    assert run.last("map-1", Leased).lease == lease
    assert run.queue("a").outstanding == 2


@pytest.mark.parametrize("end", [End.DONE, End.SKIPPED, End.DEAD, End.FATAL, End.FAILED])
def test_a_suspect_that_another_reader_has_ended_is_none_any_more(end: End) -> None:
    """It is alone no more than others: the numbers of what has ended are kept by nobody."""
    run = FakeBroker(
        {"a": 9},
        job("src", writes="a"),
        job("batches", reads="a", attempts=2),
        job("items", reads="a", attempts=2),
    )
    run.put("src-1", "a", 3)
    lease = run.lease("batches-1", "a", 2, least=2)
    run.leave("batches-1", lease=lease, running=True)
    assert run.queue("a").suspects == {1, 2}
    lease = run.lease("items-1", "a", 3)
    run.commit("items-1", done=[(lease, 1)], ends={} if end is End.DONE else {0: end})
    assert run.queue("a").suspects == {2}
    run.finish("batches", "items")
    assert run.queue("a").suspects == set()


def test_a_suspect_that_is_dropped_is_none_any_more() -> None:
    run = FakeBroker(
        {"a": 2},
        job("src", writes="a"),
        job("batches", reads="a"),
        when_full=WhenFull.DROP_OLDEST,
    )
    run.put("src-1", "a", 2)
    lease = run.lease("batches-1", "a", 2, least=2)
    run.leave("batches-1", lease=lease, running=True)
    run.put("src-1", "a", 2)
    assert run.counts("a")["dropped"] == 2
    assert run.queue("a").suspects == set()


def test_the_first_item_of_a_batch_is_told_with_how_many_it_may_have_been(run: FakeBroker) -> None:
    run.put("src-1", "a", 5)
    lease = run.lease("map-1", "a", 3, least=3)
    alone = run.lease("map-2", "a", 1)
    blame = Blame(lease=lease, index=0, phase=Phase.RUNNING)
    queries = run.broker.queries
    assert (queries.item_at("map-1", blame), queries.among("map-1", blame)) == ("a:1", 3)
    assert queries.doing("map-1", blame) == "in a batch of 3 from item a:1 on"
    last = Blame(lease=lease, index=2, phase=Phase.RUNNING)
    assert queries.doing("map-1", last) == "at item a:3"
    blame = Blame(lease=alone, index=0, phase=Phase.RUNNING)
    assert queries.doing("map-2", blame) == "at item a:4"
