"""Queues whose spec names no bound: full with so many bytes, where that stops nobody for good."""

from __future__ import annotations

from typing import Any

import pytest
from fake_broker import FakeBroker, job, output

from orchestrator.core.broker.bounds import SOFT_ITEMS
from orchestrator.core.protocol.messages import Answer, Ask, Grant, Leased, Wait
from orchestrator.plan.model import BatchPlan, WhenFull


def pipe(soft_bytes: int, *sources: str, maxsize: int = 10_000, **keys: Any) -> FakeBroker:
    names = sources or ("src",)
    return FakeBroker(
        {"q": maxsize},
        *(job(name, writes="q") for name in names),
        job("snk", reads="q"),
        soft_bytes=soft_bytes,
        **keys,
    )


def test_nobody_is_given_room_while_the_bytes_are_there() -> None:
    run = pipe(160)
    run.want("src-1", "q")
    run.put("src-1", "q", 1, size=160)
    run.want("src-1", "q", wait=Wait.NO)
    held = run.port("src-1").credits["q"]
    run.commit("src-1", output("q", held, (held,)), returned=[("q", 0)])
    run.put("src-1", "q", 1, size=10)
    assert run.port("src-1").parked is not None
    run.say("snk-1", Ask(ask=1, queue="q"))
    assert run.last("snk-1", Answer).full
    run.lease("snk-1", "q")
    assert run.port("src-1").parked is None, "what is in hand does not count"


def test_credit_is_good_for_many_commits() -> None:
    run = pipe(1600)
    run.want("src-1", "q", 10)
    given = run.port("src-1").credits["q"]
    for n in range(1, 4):
        run.put("src-1", "q", 1, size=1)
        assert run.port("src-1").credits["q"] >= given - n
    assert run.applied("src-1") == [1, 2, 3]


def test_little_is_given_before_the_first_item_is_there_and_much_once_it_is_known_to_be_light() -> (
    None
):
    run = pipe(1 << 20)
    run.want("src-1", "q", 4096, least=2048)
    first = run.last("src-1", Grant).n
    assert type(first) is int
    assert 1 <= first <= 16
    run.put("src-1", "q", first, size=10 * first)
    assert run.queue("q").granted == 4096


@pytest.mark.parametrize("sources", [1, 2, 4])
def test_no_more_is_given_than_the_rest_of_the_bytes_has_room_for(sources: int) -> None:
    names = [f"s{n}" for n in range(sources)]
    run = pipe(1600, *names)
    for _ in range(30):
        for name in names:
            run.want(f"{name}-1", "q", 4096, least=1, wait=Wait.NO)
            held = run.port(f"{name}-1").credits.get("q", 0)
            if held:
                run.put(f"{name}-1", "q", 1, size=100)
            weight = run.weight("q")
            left = max(0, weight.bound - weight.size) // weight.each
            assert run.queue("q").granted <= max(left, 1, held)
    assert 1600 <= run.weight("q").size < 1600 + 100 * sources


def test_credit_that_is_given_is_used_though_the_items_are_heavier_than_those_before() -> None:
    run = pipe(1000)
    run.want("src-1", "q", 10)
    run.put("src-1", "q", 1, size=1)
    held = run.port("src-1").credits["q"]
    run.put("src-1", "q", held, size=5000)
    assert run.applied("src-1") == [1, 2]
    assert run.queue("q").granted == 0


def test_what_one_item_gives_leaves_as_a_whole() -> None:
    run = FakeBroker(
        {"a": 9, "q": 10_000},
        job("src", writes="a"),
        job("map", reads="a", writes="q"),
        job("snk", reads="q"),
        soft_bytes={"q": 100},
    )
    for _ in range(2):
        run.put("src-1", "a")
        lease = run.lease("map-1", "a")
        run.commit("map-1", output("q", 50, (50,), size=5000), done=[(lease, 1)])
    assert run.counts("q") == {"put": 50}
    run.lease("snk-1", "q", 50)
    assert run.counts("q") == {"put": 50}, "forty-nine are hidden"
    run.commit("snk-1", done=[(run.last("snk-1", Leased).lease, 50)])
    assert run.counts("q") == {"put": 100, "done": 50}


def test_no_batch_gets_smaller() -> None:
    run = FakeBroker(
        {"q": 10_000},
        job("src", writes="q"),
        job("snk", reads="q", batch=BatchPlan(size=30, within_s=3600.0)),
        soft_bytes=100,
    )
    run.pull("snk-1", "q", 30, least=30, within_s=3600.0)
    for _ in range(30):
        if not run.port("src-1").credits.get("q"):
            run.want("src-1", "q")
        run.put("src-1", "q", 1, size=60)
    assert len(run.items("snk-1")) == 30
    for _ in range(40):
        run.put("src-1", "q", 1, size=60)
        if run.port("src-1").parked is not None:
            break
    assert run.queue("q").queued == 30, "and there is no more than the next"


def test_until_a_reader_has_started_a_thousand_items_are_held() -> None:
    run = FakeBroker(
        {"q": 10_000},
        job("src", writes="q"),
        job("snk", reads="q"),
        soft_bytes=100,
        workers={"snk": 0},
    )
    for _ in range(SOFT_ITEMS + 9):
        run.put("src-1", "q", 1, size=60)
        if run.port("src-1").parked is not None:
            break
    assert run.queue("q").queued == SOFT_ITEMS
    run.join("snk-1")
    run.lease("snk-1", "q", 1)
    assert run.port("src-1").parked is not None, "it holds as of now"


def diamond(**keys: Any) -> FakeBroker:
    """One job puts on two queues, and another reads the first to its end."""
    return FakeBroker(
        {"a": 10_000, "b": 10_000, "c": 5},
        job("src", writes="a b"),
        job("join", reads="a b"),
        job("other", writes="c"),
        **keys,
    )


def test_where_no_room_could_come_a_thousand_items_are_held() -> None:
    run = diamond(soft_bytes=100)
    for _ in range(100):
        run.pull("join-1", "a")
        run.put("src-1", "b", 1, size=60)
        run.put("src-1", "a", 1)
        run.commit("join-1", done=[(run.last("join-1", Leased).lease, 1)])
        assert run.port("src-1").parked is None
    assert run.queue("b").queued == 100
    assert run.broker.stall() is None


def test_a_soft_bound_that_gives_way_does_so_up_to_a_thousand_items() -> None:
    run = diamond(soft_bytes=100)
    run.pull("join-1", "a")
    for _ in range(SOFT_ITEMS + 9):
        run.put("src-1", "b", 1, size=60)
        if run.port("src-1").parked is not None:
            break
    assert run.queue("b").queued == SOFT_ITEMS
    run.finish("other")
    run.leave("other-1")
    stall = run.broker.stall()
    assert stall is not None
    assert stall.waits == (("src-1", "room in b"), ("join-1", "items of a"))


def test_it_does_not_give_way_while_a_reader_works() -> None:
    run = diamond(soft_bytes=100)
    for _ in range(3):
        run.put("src-1", "b", 1, size=60)
        if run.port("src-1").parked is not None:
            break
    assert run.queue("b").queued == 2, "join may come to read b"


@pytest.mark.parametrize("which", [WhenFull.DROP_NEWEST, WhenFull.DROP_OLDEST])
def test_a_queue_that_drops_is_full_with_its_bytes(which: WhenFull) -> None:
    run = pipe(100, when_full=which)
    for n in range(1, 9):
        run.put("src-1", "q", 1, size=30)
        assert run.queue("q").queued == min(n, 4)
    run = pipe(100, when_full=which, maxsize=2)
    for _ in range(3):
        run.put("src-1", "q", 1, size=1)
    assert run.queue("q").queued == 2


def test_the_bytes_it_held_are_told() -> None:
    run = pipe(100)
    run.put("src-1", "q", 1, size=70)
    run.put("src-1", "q", 1, size=70)
    assert run.queue("q").ledger(final=False).peak_bytes == 140


def whole(run: FakeBroker, unsent: int, n: int = 1, **keys: Any) -> int:
    """Return what a transaction is granted that holds so many items for the queue."""
    want = run.want("src-1", "q", n, unsent=unsent, wait=Wait.NO, whole=True, **keys)
    grant = run.last("src-1", Grant)
    assert grant.want == want
    return grant.n


def test_a_transaction_that_has_begun_to_put_is_not_stopped_by_bytes() -> None:
    run = pipe(1600)
    held = whole(run, 0)
    assert 1 <= held <= 16
    while held < SOFT_ITEMS:
        more = whole(run, held)
        assert more == 1
        held += more
    run.commit("src-1", output("q", held, (held,), size=held * 100), returned=[("q", 0)])
    assert run.applied("src-1") == [1]
    assert whole(run, 0) == 0, "it is full when the next begins"
    for _ in range(held):
        run.lease("snk-1", "q")
    assert whole(run, 0) > 0


def test_a_transaction_goes_before_who_waits_for_bytes_and_not_for_items() -> None:
    run = pipe(160, "src", "other", maxsize=40)
    held = whole(run, 0)
    run.want("other-1", "q", 10)
    assert run.port("other-1").wants or run.port("other-1").credits["q"]
    while (more := whole(run, held, n=7)) > 0:
        held += more
    assert run.queue("q").granted + run.queue("q").size == 40


def test_what_is_no_transaction_is_not_granted_more() -> None:
    run = pipe(160)
    run.want("src-1", "q")
    run.put("src-1", "q", 1, size=160)
    run.want("src-1", "q", wait=Wait.NO)
    held = run.port("src-1").credits["q"]
    run.want("src-1", "q", unsent=held, wait=Wait.NO)
    assert run.last("src-1", Grant).n == 0


def test_a_written_bound_stops_a_transaction() -> None:
    run, held = pipe(1 << 20, maxsize=40), 0
    while (more := whole(run, held)) > 0:
        held += more
    assert held == 40


def test_each_of_several_transactions_finds_room_in_a_queue_that_has_some() -> None:
    run = pipe(1600, "src", "other")
    held = whole(run, 0)
    while held < 100:
        held += whole(run, held)
    want = run.want("other-1", "q", unsent=0, wait=Wait.NO, whole=True)
    assert run.last("other-1", Grant) == Grant(want=want, queue="q", n=1)
    assert whole(run, held) > 0
