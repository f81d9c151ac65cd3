"""Recall: the untouched rest of a lease goes to who waits for it, once it is released (rule 5)."""

from __future__ import annotations

import pytest
from fake_broker import FakeBroker, job

from orchestrator.core.broker.state import ProtocolError
from orchestrator.core.protocol.messages import Recall


@pytest.fixture
def run() -> FakeBroker:
    """A worker has a lease of six items, another one waits."""
    made = FakeBroker({"q": 9}, job("src", writes="q"), job("snk", reads="q"))
    made.put("src-1", "q", 6)
    made.lease("snk-1", "q", 6)
    made.join("snk-2")
    made.pull("snk-2", "q", 9)
    return made


def number(run: FakeBroker) -> int:
    (lease,) = run.port("snk-1").leases
    return lease


def test_the_rest_is_asked_back_while_somebody_waits_and_given_only_when_released(
    run: FakeBroker,
) -> None:
    assert not run.got("snk-1", Recall)
    run.tick(0.02)
    assert run.last("snk-1", Recall).lease == number(run)
    assert not run.items("snk-2")
    run.release("snk-1", number(run), 2)
    assert run.items("snk-2") == [3, 4]


def test_nothing_is_asked_back_when_nobody_waits_any_more(run: FakeBroker) -> None:
    run.put("src-1", "q")
    run.tick(0.02)
    assert run.items("snk-2") == [7]
    assert not run.got("snk-1", Recall)


def test_a_recall_is_not_repeated_while_it_is_not_answered_nor_after(run: FakeBroker) -> None:
    run.tick(0.02)
    assert run.broker.next_deadline() is None
    run.release("snk-1", number(run), 6)
    run.tick(1.0)
    run.tick(1.0)
    assert len(run.got("snk-1", Recall)) == 1
    assert run.broker.next_deadline() is None


def test_what_was_released_is_not_given_back_again_by_a_death(run: FakeBroker) -> None:
    run.tick(0.02)
    run.release("snk-1", number(run), 2)
    run.leave("snk-1")
    assert run.queue("q").queued == 4
    assert run.queue("q").put == run.queue("q").queued + run.queue("q").outstanding


def test_a_release_that_comes_when_the_lease_is_finished_is_no_error(run: FakeBroker) -> None:
    run.tick(0.02)
    lease = number(run)
    run.commit("snk-1", done=[(lease, 6)])
    run.release("snk-1", lease, 6)
    assert run.counts("q") == {"put": 6, "done": 6}


def test_a_release_of_what_is_already_committed_is_a_breach(run: FakeBroker) -> None:
    lease = number(run)
    run.commit("snk-1", done=[(lease, 3)])
    with pytest.raises(ProtocolError, match="keeps 2 items of a lease of 6"):
        run.release("snk-1", lease, 2)
    assert run.queue("q").outstanding == 3


def test_the_largest_rest_is_asked_for_first_and_the_next_one_if_that_was_not_enough() -> None:
    run = FakeBroker({"q": 9}, job("src", writes="q"), job("snk", reads="q"))
    run.put("src-1", "q", 9)
    small, large = run.lease("snk-1", "q", 3), run.lease("snk-1", "q", 6)
    run.join("snk-2")
    run.pull("snk-2", "q")
    run.tick(0.02)
    assert [recall.lease for recall in run.got("snk-1", Recall)] == [large]
    run.release("snk-1", large, 6)
    run.tick(0.02)
    assert [recall.lease for recall in run.got("snk-1", Recall)] == [large, small]


def test_an_item_that_is_the_only_one_of_its_lease_is_not_asked_back() -> None:
    run = FakeBroker({"q": 9}, job("src", writes="q"), job("snk", reads="q"), workers={"snk": 2})
    run.put("src-1", "q")
    run.lease("snk-1", "q")
    run.pull("snk-2", "q")
    run.tick(0.02)
    assert not run.got("snk-1", Recall)


def test_as_many_rests_are_asked_for_as_it_takes_to_serve_all_who_wait() -> None:
    run = FakeBroker({"q": 9}, job("src", writes="q"), job("snk", reads="q"))
    run.put("src-1", "q", 6)
    leases = [run.lease("snk-1", "q", 2) for _ in range(3)]
    for worker in ("snk-2", "snk-3"):
        run.join(worker)
        run.pull(worker, "q")
    run.tick(0.02)
    assert [recall.lease for recall in run.got("snk-1", Recall)] == leases[:2]
