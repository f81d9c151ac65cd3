"""Credits: leave to put, given in advance while there is plenty, else asked for (rule 4)."""

from __future__ import annotations

import pytest
from fake_broker import FakeBroker, job, output

from orchestrator.core.broker.credits import COLLECT_S
from orchestrator.core.broker.queue import chunk_items
from orchestrator.core.broker.state import ProtocolError
from orchestrator.core.protocol.messages import Committed, Grant, Leased, Wait


def test_a_worker_whose_commit_is_parked_holds_no_credit_that_others_wait_for() -> None:
    run = FakeBroker(
        {"a": 10, "b": 1, "c": 4},
        job("src", writes="a"),
        job("map", reads="a", writes="b c"),
        job("other", writes="c"),
        job("snk", reads="b c"),
    )
    run.put("src-1", "a", 3)
    lease = run.lease("map-1", "a", 3)
    run.want("map-1", "c", 4)
    run.want("other-1", "c", 1)
    assert not run.got("other-1", Grant)
    run.commit("map-1", output("b", 2), done=[(lease, 2)])
    assert run.last("other-1", Grant).n == 1
    run.lease("snk-1", "b", 1)
    assert dict(run.last("map-1", Committed).credits) == {"b": 0, "c": 0}


def pipe(maxsize: int, *sources: str) -> FakeBroker:
    return FakeBroker(
        {"q": maxsize}, *(job(name, writes="q") for name in sources), job("snk", reads="q")
    )


def test_a_request_gets_what_it_asks_for_but_never_more_than_there_is_room() -> None:
    run = pipe(3, "a", "b")
    run.want("a-1", "q", 2)
    run.want("b-1", "q", 2)
    assert [run.last(f"{name}-1", Grant).n for name in "ab"] == [2, 1]


def test_while_there_is_plenty_of_room_a_chunk_is_granted_to_who_asks_for_one() -> None:
    run = pipe(1000, "a")
    run.want("a-1", "q", 1)
    assert run.last("a-1", Grant).n == run.broker._credits.chunk_items(run.queue("q")) > 1


def test_credit_is_given_in_advance_once_a_quarter_of_a_chunk_is_used_while_there_is_plenty() -> (
    None
):
    run = pipe(0, "a", "b")
    run.want("a-1", "q", 1)
    chunk = run.last("a-1", Grant).n
    run.put("a-1", "q", chunk // 4 - 1)
    assert len(run.got("a-1", Grant)) == 1
    run.put("a-1", "q", 1)
    assert (run.last("a-1", Grant).want, run.last("a-1", Grant).n) == (0, chunk // 4)


def test_no_credit_is_given_in_advance_when_room_is_short_for_several_producers() -> None:
    run = pipe(16, "a", "b")
    run.want("a-1", "q", 4)
    run.put("a-1", "q", 4)
    assert not run.may_advance("q")
    assert len(run.got("a-1", Grant)) == 1


def test_of_several_producers_each_is_granted_its_share_of_half_of_the_room() -> None:
    run = pipe(1000, "a", "b")
    run.put("a-1", "q", 200)
    run.want("a-1", "q", 1, wait=Wait.NO)
    run.want("b-1", "q", 1, wait=Wait.NO)
    assert [run.last(f"{name}-1", Grant).n for name in "ab"] == [800 // 4, 600 // 4]


def test_where_room_is_short_who_asks_for_one_place_gets_one() -> None:
    run = pipe(1000, "a", "b")
    run.put("a-1", "q", 997)
    for name in "abab":
        run.want(f"{name}-1", "q", 1, wait=Wait.NO)
    assert [[grant.n for grant in run.got(f"{name}-1", Grant)] for name in "ab"] == [[1, 1], [1, 0]]


def test_the_only_producer_is_given_what_room_there_is() -> None:
    run = pipe(8, "a")
    run.want("a-1", "q", 4)
    run.put("a-1", "q", 4)
    assert (run.last("a-1", Grant).want, run.last("a-1", Grant).n) == (0, 4)
    run.put("a-1", "q", 4)
    assert len(run.got("a-1", Grant)) == 2


def test_nothing_is_given_in_advance_while_somebody_waits() -> None:
    run = FakeBroker(
        {"q": 1000, "p": 1}, job("a", writes="q p"), job("b", writes="q"), job("snk", reads="q p")
    )
    run.put("a-1", "q", 900)
    run.commit("b-1", output("q", 200, (200,)))
    lease = run.lease("snk-1", "q", 90)
    run.commit("snk-1", done=[(lease, 90)])
    assert run.waiters("q")
    run.put("a-1", "p")
    assert not run.got("a-1", Grant)


def test_returned_credit_goes_to_who_waits() -> None:
    run = pipe(2, "a", "b")
    run.want("a-1", "q", 2)
    run.want("b-1", "q", 1)
    run.commit("a-1", returned=[("q", 1)])
    assert run.last("b-1", Grant).n == 1


def test_more_credit_returned_than_held_is_a_breach_and_changes_nothing() -> None:
    run = pipe(2, "a")
    run.want("a-1", "q", 1)
    with pytest.raises(ProtocolError, match="returns 2 credits of q and holds 1"):
        run.commit("a-1", returned=[("q", 1), ("q", 1)])
    assert run.queue("q").granted == 1


def test_the_credit_of_a_dead_worker_goes_to_who_waits() -> None:
    run = pipe(2, "a", "b")
    run.want("a-1", "q", 2)
    run.want("b-1", "q", 1)
    run.leave("a-1")
    assert run.last("b-1", Grant).n == 1


def test_credit_granted_to_one_who_gave_up_waiting_meanwhile_stays_granted() -> None:
    run = pipe(1, "a")
    want = run.want("a-1", "q", 1)
    run.unwant("a-1", want)
    assert run.queue("q").granted == 1
    assert len(run.got("a-1", Grant)) == 1


@pytest.mark.parametrize(
    ("maxsize", "producers", "items"),
    [(0, 1, 4096), (1000, 1, 500), (1000, 4, 125), (3, 1, 1), (1, 9, 1), (10**6, 1, 4096)],
)
def test_a_chunk_is_half_of_a_producers_share_of_the_bound(
    maxsize: int, producers: int, items: int
) -> None:
    assert chunk_items(maxsize, producers) == items


def test_an_unbounded_queue_never_makes_anybody_wait() -> None:
    run = pipe(0, "a")
    run.put("a-1", "q", 10**6)
    for _ in range(100):
        run.want("a-1", "q", 4096)
    assert run.port("a-1").credits["q"] >= 100 * 4096


def test_room_is_collected_for_a_moment_for_who_asks_for_much() -> None:
    run = pipe(8, "a")
    run.put("a-1", "q", 8)
    run.want("a-1", "q", 8, least=4)
    lease = run.lease("snk-1", "q", 3)
    run.commit("snk-1", done=[(lease, 3)])
    assert not run.got("a-1", Grant)
    run.tick(COLLECT_S)
    assert run.last("a-1", Grant).n == 3


def test_as_soon_as_enough_room_is_collected_it_is_granted() -> None:
    run = pipe(8, "a")
    run.put("a-1", "q", 8)
    run.want("a-1", "q", 8, least=4)
    lease = run.lease("snk-1", "q", 4)
    run.commit("snk-1", done=[(lease, 4)])
    assert run.last("a-1", Grant).n == 4


def test_whose_time_is_up_gets_the_room_that_was_collected_for_it() -> None:
    run = pipe(8, "a")
    run.put("a-1", "q", 8)
    want = run.want("a-1", "q", 8, least=4, wait=Wait.TIMED)
    lease = run.lease("snk-1", "q", 3)
    run.commit("snk-1", done=[(lease, 3)])
    assert not run.got("a-1", Grant)
    run.unwant("a-1", want)
    assert [grant.n for grant in run.got("a-1", Grant)] == [3]
    assert not run.waiters("q")


def test_whose_time_is_up_while_an_older_one_waits_gets_nothing() -> None:
    run = pipe(8, "a", "b")
    run.put("a-1", "q", 8)
    run.want("a-1", "q", 8, least=4)
    want = run.want("b-1", "q", 8, least=4, wait=Wait.TIMED)
    lease = run.lease("snk-1", "q", 3)
    run.commit("snk-1", done=[(lease, 3)])
    run.unwant("b-1", want)
    assert [grant.n for grant in run.got("b-1", Grant)] == [0]


def test_who_has_no_time_gets_the_first_free_place_at_once() -> None:
    run = pipe(8, "a", "b")
    run.put("a-1", "q", 7)
    run.want("a-1", "q", 8, least=4, wait=Wait.NO)
    assert run.last("a-1", Grant).n == 1


def three(maxsize: int = 100) -> FakeBroker:
    return FakeBroker(
        {"q": 100, "r": maxsize},
        job("src", writes="q"),
        job("map", reads="q", writes="r"),
        job("other", writes="r"),
    )


def test_credit_goes_with_the_first_lease_after_an_idle_spell() -> None:
    run = three()
    run.want("map-1", "r", 1)
    held = run.port("map-1").credits["r"]
    run.commit("map-1", returned=[("r", held)])
    before = len(run.sent["map-1"])
    run.put("src-1", "q", 1)
    run.pull("map-1", "q")
    grant, lease = (order.message for order in run.sent["map-1"][before:])
    assert isinstance(grant, Grant)
    assert isinstance(lease, Leased)
    assert (grant.want, grant.queue, grant.n) == (0, "r", run.port("map-1").credits["r"])
    assert grant.n > 0


def test_no_credit_goes_with_a_lease_to_who_has_some_or_never_asked_for_any() -> None:
    run = three()
    run.put("src-1", "q", 3)
    run.lease("map-1", "q")
    assert not run.got("map-1", Grant)
    run.want("map-1", "r", 1)
    run.lease("map-1", "q")
    assert len(run.got("map-1", Grant)) == 1


def test_no_credit_goes_with_a_lease_past_those_who_wait_for_room() -> None:
    run = three(maxsize=2)
    run.want("map-1", "r", 1)
    run.commit("map-1", returned=[("r", 1)])
    run.commit("other-1", output("r", 3, (3,)))
    run.put("src-1", "q", 1)
    run.lease("map-1", "q")
    assert len(run.got("map-1", Grant)) == 1
