"""Limits of time of puts: a commit that finds no room in time is undone, and fails its job."""

from __future__ import annotations

from typing import Any

import pytest
from fake_broker import FakeBroker, job, output
from fake_durable import FakeDurable

from orchestrator.core.broker.broker import ProtocolError
from orchestrator.core.protocol.events import ItemFatal, PutRefused, WorkerLeft
from orchestrator.core.protocol.messages import Commit, CommitStatus, Committed, Grant, Leased, Wait
from orchestrator.core.protocol.notifications import ItemSkipped
from orchestrator.plan.model import ErrorAction

PATIENCE_S = 0.5
FULL = (
    "job 'map' found the queue out full (hint: see its when_full and put_timeout; raise maxsize,"
    " or workers of its readers)"
)


def pipeline(
    patience_s: float | None = PATIENCE_S,
    *,
    maxsize: int = 2,
    workers: int = 1,
    kind: type[FakeBroker] = FakeBroker,
    **keys: Any,
) -> FakeBroker:
    """Six items wait for `map`, which writes `out`, whose reader takes nothing by itself."""
    run = kind(
        {"in": 10, "out": maxsize},
        job("src", writes="in"),
        job("map", reads="in", writes="out", **keys),
        job("snk", reads="out"),
        workers={"map": workers},
        patience_s={} if patience_s is None else {"out": patience_s},
    )
    run.put("src-1", "in", 6)
    return run


def park(run: FakeBroker, worker: str = "map-1", n: int = 3) -> int:
    """The worker is done with n items, each of which gives one; returns the commit's number."""
    lease = run.lease(worker, "in", most=n)
    return run.commit(worker, output("out", n), done=[(lease, n)])


def refused(run: FakeBroker) -> list[str]:
    """Whose commits were refused, in order."""
    return [told.worker for told in run.news(PutRefused)]


def test_what_finds_no_room_in_time_is_undone_and_fails_the_job() -> None:
    run = pipeline()
    seq = park(run)
    run.tick(PATIENCE_S - 0.1)
    assert refused(run) == []
    run.tick(0.1)
    (told,) = run.news(PutRefused)
    assert (told.worker, told.failure.message) == ("map-1", FULL)
    assert told.failure.kind == "orchestrator.QueueFullError"
    answer = run.last("map-1", Committed)
    assert (answer.seq, answer.status, answer.full) == (seq, CommitStatus.FULL, "out")
    assert run.counts("in") == {"put": 6, "done": 2}
    assert run.counts("out") == {"put": 2}
    assert run.queue("in").queued == 4
    assert not run.waiters("out")


def test_what_comes_back_is_the_head_of_its_queue() -> None:
    run = pipeline(workers=2)
    park(run)
    run.tick(PATIENCE_S)
    run.lease("map-2", "in", most=4)
    assert run.items("map-2") == [3, 4]


def test_the_worker_has_no_say_any_more() -> None:
    run = pipeline()
    seq = park(run)
    run.tick(PATIENCE_S)
    run.say("map-1", Commit(seq=seq + 1, finished=((1, 1),)))
    run.pull("map-1", "in", 1)
    assert run.counts("in")["done"] == 2
    assert run.items("map-1") == [1, 2, 3]
    run.leave("map-1")
    run.finish("src", "map", clean=False)
    assert run.queue("in").ledger(final=True).left == 4


def test_room_in_time_is_room() -> None:
    run = pipeline()
    park(run)
    run.tick(PATIENCE_S - 0.1)
    lease = run.lease("snk-1", "out")
    run.tick(1.0)
    run.commit("snk-1", done=[(lease, 1)])
    assert run.applied("map-1") == [1]
    assert (refused(run), run.counts("out")["put"]) == ([], 3)


def test_the_time_counts_from_the_last_item_that_found_room() -> None:
    run = pipeline()
    park(run, n=5)
    for _ in range(2):
        run.tick(PATIENCE_S - 0.1)
        run.lease("snk-1", "out")
    run.tick(PATIENCE_S - 0.1)
    assert refused(run) == []
    run.tick(0.1)
    assert (refused(run), run.counts("in")["done"]) == (["map-1"], 4)


def test_a_queue_without_a_limit_lets_wait_for_ever() -> None:
    run = pipeline(None)
    park(run)
    run.tick(1e6)
    assert (refused(run), run.broker.next_deadline()) == ([], None)


def test_where_nobody_waits_it_fails_at_once() -> None:
    run = pipeline(0.0)
    park(run)
    assert (refused(run), run.counts("in")["done"]) == (["map-1"], 2)


def test_only_the_queue_that_lacks_room_counts() -> None:
    run = FakeBroker(
        {"in": 10, "a": 1, "b": 1},
        job("src", writes="in"),
        job("map", reads="in", writes="a b"),
        job("snk", reads="a b"),
        patience_s={"b": PATIENCE_S},
    )
    run.put("src-1", "in", 4)
    lease = run.lease("map-1", "in", most=2)
    run.commit("map-1", output("a+b", 2), done=[(lease, 2)])
    run.lease("snk-1", "b")
    run.tick(1e6)
    assert refused(run) == [], "it waits for room in a, as long as that takes"
    assert run.port("map-1").parked


def test_from_when_on_it_waits_for_another_queue_counts_that_queue() -> None:
    run = FakeBroker(
        {"in": 10, "a": 1, "b": 1},
        job("src", writes="in"),
        job("map", reads="in", writes="a b"),
        job("snk", reads="a b"),
        patience_s={"b": PATIENCE_S},
    )
    run.put("src-1", "in", 4)
    lease = run.lease("map-1", "in", most=2)
    run.commit("map-1", output("a+b", 2), done=[(lease, 2)])
    run.tick(1e3)
    run.lease("snk-1", "a")
    run.tick(PATIENCE_S - 0.1)
    assert refused(run) == []
    run.tick(0.1)
    assert refused(run) == ["map-1"]


def test_the_parked_commit_of_the_dead_has_the_same_limit() -> None:
    run = pipeline(workers=2)
    park(run)
    run.leave("map-1")
    run.tick(PATIENCE_S)
    assert refused(run) == ["map-1"]
    run.lease("map-2", "in", most=4)
    assert run.items("map-2") == [3, 4, 5, 6]
    assert not run.broker.jobs["map"].parked


def test_an_item_of_which_a_part_is_out_is_not_tried_again() -> None:
    run = pipeline(otherwise=ErrorAction.SKIP, attempts=3)
    lease = run.lease("map-1", "in", most=2)
    run.commit("map-1", output("out", 2, (2,)))
    run.commit("map-1", output("out", 2, (2,)), done=[(lease, 1)])
    run.tick(PATIENCE_S)
    assert refused(run) == ["map-1"]
    assert run.counts("in") == {"put": 6, "skipped": 1}
    (fact,) = run.facts(ItemSkipped)
    why = "not tried again: a part of what it gives is on its queues already"
    assert (fact.item, fact.failure.message) == ("in:1", f"{FULL} ({why})")
    assert run.counts("out") == {"put": 2}


def test_an_open_item_of_which_a_part_is_out_fails_as_it_is_said() -> None:
    run = pipeline()
    run.lease("map-1", "in", most=2)
    run.commit("map-1", output("out", 2, (2,)))
    run.commit("map-1", output("out", 1, (1,)))
    run.tick(PATIENCE_S)
    (failed,) = run.news(ItemFatal)
    assert (failed.item, refused(run)) == ("in:1", ["map-1"])
    assert run.counts("in") == {"put": 6, "left": 1}
    assert run.queue("in").queued == 5


def test_an_open_item_of_which_nothing_is_out_comes_back() -> None:
    run = pipeline()
    park(run, n=2)
    lease = run.lease("map-1", "in", most=2)
    run.commit("map-1", output("out", 1, (0, 1)), done=[(lease, 1)])
    run.tick(PATIENCE_S)
    assert (run.counts("in"), run.queue("in").queued) == ({"put": 6, "done": 3}, 3)


def test_who_is_behind_it_in_line_goes_on() -> None:
    run = FakeBroker(
        {"in": 10, "out": 2, "other": 1},
        job("src", writes="in"),
        job("map", reads="in", writes="out other"),
        job("snk", reads="out other"),
        workers={"map": 2},
        patience_s={"other": PATIENCE_S},
    )
    run.put("src-1", "in", 6)
    run.put("map-1", "other")
    first, second = run.lease("map-1", "in"), run.lease("map-2", "in")
    run.commit("map-1", output("out", 1), output("other", 1), done=[(first, 1)])
    run.tick(0.1)
    run.commit("map-2", output("out", 2, (2,)), done=[(second, 1)])
    assert run.applied("map-2") == [], "who was there first waits for room further down"
    run.tick(PATIENCE_S)
    assert (refused(run), run.applied("map-2")) == (["map-1"], [1])


def test_each_of_several_that_wait_has_its_own_time() -> None:
    run = pipeline(workers=2)
    park(run)
    run.tick(0.3)
    park(run, "map-2", n=1)
    run.tick(0.2)
    assert refused(run) == ["map-1"]
    assert run.broker.next_deadline() == pytest.approx(0.8)
    run.tick(0.3)
    assert refused(run) == ["map-1", "map-2"]
    assert run.broker.next_deadline() is None


def test_it_is_no_stall_as_long_as_the_limit_will_end_it() -> None:
    run = pipeline()
    park(run)
    run.finish("src")
    assert not run.port("map-1").stuck
    run.leave("snk-1")
    assert run.broker.stall() is None


def test_who_is_called_once_keeps_the_time_himself() -> None:
    run = pipeline(by_item=False)
    park(run)
    run.tick(1e6)
    assert refused(run) == []


def test_a_resumed_run_does_again_what_found_no_room() -> None:
    run = pipeline(kind=FakeDurable)
    assert isinstance(run, FakeDurable)
    park(run)
    run.tick(PATIENCE_S)
    run.leave("map-1")
    run.finish("src", "map", clean=False)
    again = run.resume()
    again.lease("map-1", "in", most=6)
    assert again.items("map-1") == [3, 4, 5, 6]
    assert again.counts("out")["put"] == 2


def test_a_malformed_commit_changes_nothing_of_a_wait() -> None:
    run = pipeline()
    seq = park(run)
    with pytest.raises(ProtocolError):
        run.say("map-1", Commit(seq=seq + 1))
    run.tick(PATIENCE_S)
    assert refused(run) == ["map-1"]


def overtaken(**patience_s: float) -> FakeBroker:
    """`map-2` waits for b, and has room in a, where `map-1` comes in front of it.

    It is older, and needs more room in a than there is.
    """
    run = FakeBroker(
        {"in": 10, "a": 10, "b": 1, "c": 1},
        job("src", writes="in"),
        job("map", reads="in", writes="a b c"),
        *(job(f"of_{queue}", reads=queue) for queue in "abc"),
        workers={"map": 3},
        patience_s=patience_s,
    )
    run.put("src-1", "in", 10)
    full = output("a", 10, (10,)), output("b", 1), output("c", 1)
    run.commit("map-3", *full, done=[(run.lease("map-3", "in"), 1)])
    taken = {queue: run.lease(f"of_{queue}-1", queue, most=10) for queue in "ac"}
    run.put("map-3", "c")
    older, younger = run.lease("map-1", "in", most=2), run.lease("map-2", "in")
    parts = output("c", 1, (1, 0)), output("a", 5, (0, 5))
    run.commit("map-1", *parts, done=[(older, 2)])
    run.commit("map-2", output("a", 1), output("b", 1), done=[(younger, 1)])
    assert [waiter.client.worker for waiter in run.waiters("b")] == ["map-2"]
    run.commit("of_c-1", done=[(taken["c"], 1)])
    run.lease("of_c-1", "c")
    assert [waiter.client.worker for waiter in run.waiters("a")] == ["map-1", "map-2"]
    assert not run.waiters("b")
    return run


def test_who_was_overtaken_has_its_time_once_it_waits_further_down_again() -> None:
    run = overtaken(b=PATIENCE_S)
    run.tick(1e3)
    assert refused(run) == [], "it waits for its turn in a, as long as that takes"
    lease = run.last("of_a-1", Leased).lease
    run.commit("of_a-1", done=[(lease, 10)])
    assert [waiter.client.worker for waiter in run.waiters("b")] == ["map-2"]
    run.tick(PATIENCE_S - 0.1)
    assert refused(run) == []
    run.tick(0.1)
    assert refused(run) == ["map-2"]


def test_who_was_overtaken_waits_for_its_turn_no_longer_than_that_queue_lets_it() -> None:
    run = overtaken(a=PATIENCE_S)
    run.tick(PATIENCE_S)
    assert refused(run) == ["map-1", "map-2"]


def test_who_was_overtaken_where_there_is_no_limit_may_be_part_of_a_stall() -> None:
    run = overtaken(b=PATIENCE_S)
    assert run.port("map-1").stuck
    assert run.port("map-2").stuck


# -- who asks for room before he puts ------------------------------------------------------------


def asking(patience_s: float, **keys: Any) -> FakeBroker:
    """The source has filled the queue and asks for more room."""
    run = FakeBroker(
        {"out": 2},
        job("src", writes="out", by_item=False),
        job("snk", reads="out"),
        patience_s={"out": patience_s},
    )
    run.put("src-1", "out", 2)
    run.want("src-1", "out", 2, wait=Wait.FOREVER, **keys)
    return run


def grants(run: FakeBroker, worker: str = "src-1") -> list[int]:
    """What the worker was given of what it had asked for."""
    return [grant.n for grant in run.got(worker, Grant) if grant.want]


def test_who_asks_for_room_waits_for_as_long_as_the_queue_lets_him() -> None:
    run = asking(PATIENCE_S)
    assert run.broker.next_deadline() == PATIENCE_S
    run.tick(PATIENCE_S - 0.1)
    assert grants(run) == []
    run.tick(0.1)
    assert (grants(run), refused(run)) == ([0], [])
    assert not run.waiters("out")
    assert run.broker.next_deadline() is None


def test_who_asks_for_room_gets_what_comes_in_time() -> None:
    run = asking(PATIENCE_S)
    run.tick(PATIENCE_S - 0.1)
    run.lease("snk-1", "out", most=2)
    run.tick(PATIENCE_S)
    assert grants(run) == [1]


@pytest.mark.parametrize("least", [1, 2])
def test_where_nobody_waits_who_asks_gets_what_there_is_at_once(least: int) -> None:
    assert grants(asking(0.0, least=least)) == [0]
    run = asking(0.0)
    run.lease("snk-1", "out", most=2)
    run.want("src-1", "out", 2, wait=Wait.FOREVER, least=least)
    assert grants(run) == [0, 1]


def test_who_sets_himself_a_time_keeps_it_himself() -> None:
    run = asking(PATIENCE_S)
    run.tick(PATIENCE_S)
    run.want("src-1", "out", wait=Wait.TIMED)
    run.tick(1e6)
    assert grants(run) == [0]


def test_who_waits_for_as_long_as_a_queue_lets_him_is_part_of_no_stall() -> None:
    run = asking(PATIENCE_S)
    assert not run.port("src-1").stuck


# -- a resumed run -------------------------------------------------------------------------------


def resumed(patience_s: float) -> FakeBroker:
    """`out` is full, and its reader is to get anew three items that it had before."""
    run = FakeDurable(
        {"in": 10, "out": 3},
        job("src", writes="in", by_item=False),
        job("map", reads="in", writes="out"),
        job("ask", writes="out", by_item=False),
        job("snk", reads="out", by_item=False, counted=True),
        patience_s={"out": patience_s},
    )
    run.put("src-1", "in", 4)
    run.put("ask-1", "out", 3)
    run.lease("snk-1", "out", most=3)
    run.put("ask-1", "out", 1)
    run.commit("snk-1", done=[(run.last("snk-1", Leased).lease, 2)])
    run.put("ask-1", "out", 2)
    return run.resume()


@pytest.mark.parametrize("patience_s", [0.0, 0.1, PATIENCE_S])
def test_nobody_runs_out_of_time_while_a_reader_gets_anew_what_it_had(patience_s: float) -> None:
    """It makes no room before that: the run could never go on. Nobody looks again meanwhile."""
    run = resumed(patience_s)
    assert run.queue("out").queued == 3
    lease = run.lease("map-1", "in")
    run.commit("map-1", output("out", 1), done=[(lease, 1)])
    run.want("ask-1", "out", wait=Wait.FOREVER)
    assert run.port("map-1").stuck
    assert run.port("ask-1").stuck
    run.lease("snk-1", "out", most=2)
    run.tick(1e3)
    assert (refused(run), grants(run, "ask-1"), run.broker.next_deadline()) == ([], [], None)
    run.commit("snk-1", done=[(run.last("snk-1", Leased).lease, 2)])
    run.lease("snk-1", "out")
    assert not run.port("map-1").stuck
    moment = max(patience_s, 0.25)
    run.tick(moment - 0.01)
    assert (refused(run), grants(run, "ask-1")) == ([], []), "it has a moment for its next pull"
    run.tick(0.01)
    assert (refused(run), grants(run, "ask-1")) == (["map-1"], [0])


def test_what_a_reader_had_and_nobody_gets_anew_lets_nobody_wait() -> None:
    run = resumed(PATIENCE_S)
    run.want("ask-1", "out", wait=Wait.FOREVER)
    run.tell(WorkerLeft(worker="snk-1", returned=True))
    run.tick(PATIENCE_S)
    assert grants(run, "ask-1") == [0]


def test_a_reader_that_dies_in_it_begins_it_once_more() -> None:
    run = resumed(PATIENCE_S)
    run.want("ask-1", "out", wait=Wait.FOREVER)
    run.lease("snk-1", "out", most=2)
    run.lease("snk-1", "out")
    run.leave("snk-1")
    run.tick(1e3)
    assert grants(run, "ask-1") == []
    assert run.port("ask-1").stuck
