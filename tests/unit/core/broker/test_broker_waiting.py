"""Tickets: room is given in the order of asking, and taken upstream first (rule 2)."""

from __future__ import annotations

from fake_broker import FakeBroker, job, output

from orchestrator.core.protocol.messages import Grant, Leased, Wait


def lines(*sources: str, maxsize: int = 1) -> FakeBroker:
    """Several sources around one queue."""
    return FakeBroker(
        {"q": maxsize}, *(job(name, writes="q") for name in sources), job("snk", reads="q")
    )


def take(run: FakeBroker, n: int = 1) -> None:
    """The sink takes and finishes n items, one by one."""
    for _ in range(n):
        lease = run.lease("snk-1", "q")
        run.commit("snk-1", done=[(lease, 1)])


def test_room_is_granted_in_the_order_of_asking() -> None:
    run = lines("a", "b", "c")
    run.put("a-1", "q")
    for name in "bca":
        run.want(f"{name}-1", "q")
    take(run)
    assert [len(run.got(f"{name}-1", Grant)) for name in "bca"] == [1, 0, 0]
    run.put("b-1", "q")
    take(run)
    assert [len(run.got(f"{name}-1", Grant)) for name in "bca"] == [1, 1, 0]


def test_who_may_not_wait_is_refused_while_an_older_one_waits() -> None:
    run = lines("a", "b", maxsize=2)
    run.put("a-1", "q", 2)
    run.commit("a-1", output("q", 2, (2,)))
    run.want("b-1", "q", wait=Wait.NO)
    assert run.last("b-1", Grant).n == 0


def test_one_who_gives_up_waiting_makes_way_for_the_next() -> None:
    run = lines("a", "b", "c")
    run.put("a-1", "q")
    first, _ = run.want("b-1", "q", wait=Wait.TIMED), run.want("c-1", "q")
    run.unwant("b-1", first)
    assert run.last("b-1", Grant).n == 0
    take(run)
    assert run.last("c-1", Grant).n == 1


def test_one_who_dies_while_waiting_makes_way_for_the_next() -> None:
    run = lines("a", "b", "c")
    run.put("a-1", "q")
    run.want("b-1", "q")
    run.want("c-1", "q")
    run.leave("b-1")
    take(run)
    assert run.last("c-1", Grant).n == 1


def branches() -> FakeBroker:
    """A copy to `p` and `q`; who reads `p` writes `q`."""
    return FakeBroker(
        {"p": 1, "q": 3},
        job("a", writes="p q"),
        job("b", reads="p", writes="q"),
        job("snk", reads="q"),
    )


def test_one_who_waits_upstream_keeps_nobody_from_room_downstream() -> None:
    run = branches()
    run.put("a-1", "p")
    lease = run.lease("b-1", "p")
    run.put("a-1", "p")
    run.commit("a-1", output("p+q", 1, (1,)))
    assert run.applied("a-1") == [1, 2]
    run.commit("b-1", output("q", 1), done=[(lease, 1)])
    assert run.applied("b-1") == [1]


def test_one_who_waits_downstream_keeps_the_place_it_has_found_upstream() -> None:
    run = branches()
    run.put("a-1", "q", 3)
    run.commit("a-1", output("p+q", 1, (1,)))
    run.join("a-2")
    run.want("a-2", "p")
    assert not run.got("a-2", Grant)
    run.lease("snk-1", "q")
    assert run.applied("a-1") == [1, 2]
    run.lease("b-1", "p")
    assert run.last("a-2", Grant).n == 1


def test_the_prefix_that_fits_is_applied_and_the_rest_follows_in_order() -> None:
    run = FakeBroker(
        {"q": 9, "out": 2},
        job("src", writes="q"),
        job("map", reads="q", writes="out"),
        job("snk", reads="out"),
    )
    run.put("src-1", "q", 4)
    lease = run.lease("map-1", "q", 4)
    run.commit("map-1", output("out", 5, (1, 0, 2, 2)), done=[(lease, 4)])
    assert run.counts("q") == {"put": 4, "done": 2}
    assert run.queue("out").put == 1
    run.lease("snk-1", "out")
    assert run.counts("q") == {"put": 4, "done": 3}
    run.commit("snk-1", done=[(run.last("snk-1", Leased).lease, 1)])
    run.lease("snk-1", "out", 2, least=2)
    assert run.counts("q") == {"put": 4, "done": 4}
    assert run.applied("map-1") == [1]


def test_one_who_is_first_upstream_no_more_makes_way_downstream() -> None:
    run = FakeBroker(
        {"in": 9, "o": 1, "p": 2, "q": 1},
        job("gen", writes="in o p q"),
        job("map", reads="in", writes="o p"),
        job("copy", writes="p q"),
        job("x", reads="o", writes="p"),
        job("y", reads="p", writes="q"),
        job("snk", reads="o q"),
    )
    for queue in ("in", "o", "p", "q"):
        run.put("gen-1", queue)
    lease = run.lease("map-1", "in")
    run.commit("map-1", output("o", 1, (1,)), output("p", 2, (2,)), done=[(lease, 1)])
    run.commit("copy-1", output("p+q", 1, (1,)))
    run.want("y-1", "q")
    run.lease("snk-1", "o")
    run.lease("snk-1", "q")
    assert run.last("y-1", Grant).n == 1
