"""Leases: who gets what, what counts as in hand, and what a death brings back (rules 1, 6, 16)."""

from __future__ import annotations

import pytest
from fake_broker import FakeBroker, job, output

from orchestrator.core.broker.state import ProtocolError
from orchestrator.core.protocol.events import Blame, ItemFatal, WorkerLeft
from orchestrator.core.protocol.messages import End, Leased, NoLease, Wait
from orchestrator.core.protocol.notifications import ItemSkipped


def pipe(maxsize: int = 9, *, sinks: int = 1, **keys: object) -> FakeBroker:
    return FakeBroker(
        {"q": maxsize},
        job("src", writes="q"),
        job("snk", reads="q", **keys),
        workers={"snk": sinks},
    )


def test_items_come_in_the_order_of_their_puts_whatever_chunks_they_were_put_in() -> None:
    run = pipe()
    for n in (1, 3, 2):
        run.put("src-1", "q", n)
    run.lease("snk-1", "q", 5)
    run.lease("snk-1", "q", 5)
    assert run.items("snk-1") == [1, 2, 3, 4, 5, 6]
    assert [len(lease.ranges) for lease in run.got("snk-1", Leased)] == [3, 1]


def test_what_is_there_is_shared_among_the_workers_that_may_come_for_it() -> None:
    run = pipe(sinks=3)
    run.put("src-1", "q", 7)
    for worker in ("snk-1", "snk-2", "snk-3"):
        run.pull(worker, "q", 100)
    assert [len(run.items(f"snk-{n}")) for n in (1, 2, 3)] == [3, 2, 1]


def test_one_item_of_a_lease_is_in_hand_and_the_others_count_as_on_the_queue() -> None:
    run = pipe(4)
    run.put("src-1", "q", 4)
    lease = run.lease("snk-1", "q", 4)
    assert (run.queue("q").size, run.queue("q").room) == (3, 1)
    run.commit("snk-1", done=[(lease, 1)])
    assert (run.queue("q").size, run.queue("q").room) == (2, 2)


def test_who_has_waited_longest_is_served_first() -> None:
    run = pipe(sinks=2)
    run.pull("snk-2", "q")
    run.pull("snk-1", "q")
    run.put("src-1", "q", 1)
    run.put("src-1", "q", 1)
    assert (run.items("snk-2"), run.items("snk-1")) == ([1], [2])


def test_the_first_of_several_queues_that_has_items_gives_them() -> None:
    run = FakeBroker({"a": 9, "b": 9}, job("src", writes="a b"), job("snk", reads="a b"))
    run.put("src-1", "b", 1)
    run.put("src-1", "a", 1)
    assert [run.lease("snk-1", "a b") and run.last("snk-1", Leased).queue for _ in "ab"] == [
        "a",
        "b",
    ]


def test_a_pull_of_several_queues_that_one_has_answered_leaves_the_lines_of_the_others() -> None:
    run = FakeBroker({"a": 9, "b": 9}, job("src", writes="a b"), job("snk", reads="a b"))
    for _ in range(5):
        run.pull("snk-1", "a b")
        run.put("src-1", "a")
    assert not run.at("b").pulls
    run.put("src-1", "b")
    assert run.queue("b").queued == 1


def test_a_pull_that_may_not_wait_gets_nothing_when_nothing_is_there() -> None:
    run = pipe()
    run.pull("snk-1", "q", wait=Wait.NO)
    assert run.got("snk-1", NoLease)
    run.put("src-1", "q")
    assert run.queue("q").queued == 1


def test_a_withdrawn_pull_is_answered_once_and_gets_nothing_afterwards() -> None:
    run = pipe()
    pull = run.pull("snk-1", "q", wait=Wait.TIMED)
    run.unpull("snk-1", pull)
    run.unpull("snk-1", pull)
    run.put("src-1", "q")
    assert [answer.pull for answer in run.got("snk-1", NoLease)] == [pull]
    assert not run.items("snk-1")


def test_a_pull_that_is_withdrawn_when_it_was_answered_keeps_its_lease() -> None:
    run = pipe()
    run.put("src-1", "q")
    pull = run.pull("snk-1", "q")
    run.unpull("snk-1", pull)
    assert not run.got("snk-1", NoLease)
    assert run.queue("q").outstanding == 1


def test_a_pull_of_a_dead_worker_gets_nothing() -> None:
    run = pipe(sinks=2)
    run.pull("snk-1", "q")
    run.leave("snk-1")
    run.put("src-1", "q")
    assert run.queue("q").queued == 1


@pytest.mark.parametrize(
    ("queues", "keys"), [("", {}), ("q", {"least": 0}), ("q", {"least": 2}), ("p", {}), ("x", {})]
)
def test_a_pull_of_nothing_or_of_what_one_may_not_read_is_a_breach(
    queues: str, keys: dict[str, int]
) -> None:
    run = FakeBroker(
        {"q": 9, "p": 9}, job("src", writes="q p"), job("snk", reads="q"), job("x", reads="p")
    )
    with pytest.raises(ProtocolError):
        run.pull("snk-1", queues, 1, **keys)
    assert not run.port("snk-1").pulls


# -- deaths ---------------------------------------------------------------------------------------


def test_what_a_dead_worker_had_not_finished_comes_back_to_the_head_in_its_order() -> None:
    run = pipe()
    run.put("src-1", "q", 3)
    run.put("src-1", "q", 3)
    first = run.lease("snk-1", "q", 2)
    run.lease("snk-1", "q", 3)
    run.commit("snk-1", done=[(first, 1)])
    run.leave("snk-1")
    run.join("snk-2")
    run.lease("snk-2", "q", 9)
    assert run.items("snk-2") == [2, 3, 4, 5, 6]


def test_what_comes_back_may_exceed_the_bound_and_then_nobody_is_admitted() -> None:
    run = pipe(2)
    run.put("src-1", "q", 2)
    run.lease("snk-1", "q")
    run.put("src-1", "q")
    run.leave("snk-1")
    assert run.queue("q").size == 3
    run.want("src-1", "q")
    run.join("snk-2")
    run.lease("snk-2", "q")
    assert run.queue("q").granted == 0
    run.lease("snk-2", "q")
    assert run.queue("q").granted == 1


@pytest.mark.parametrize(
    ("index", "running", "charged"),
    [(1, True, {2: 1}), (1, False, {}), (0, True, {}), (9, True, {})],
    ids=["at an item", "between items", "at a finished one", "nowhere"],
)
def test_a_death_charges_the_item_it_happened_in_and_no_other(
    index: int, running: bool, charged: dict[int, int]
) -> None:
    run = pipe(attempts=2)
    run.put("src-1", "q", 3)
    lease = run.lease("snk-1", "q", 3)
    run.commit("snk-1", done=[(lease, 1)])
    run.leave("snk-1", lease=lease, index=index, running=running)
    assert run.queue("q").attempts == charged


def test_the_item_of_a_progress_cell_is_named_by_its_queue_and_number() -> None:
    run = pipe()
    run.put("src-1", "q", 3)
    lease = run.lease("snk-1", "q", 3)
    assert run.broker.queries.item_at("snk-1", Blame(lease=lease, index=2)) == "q:3"
    assert run.broker.queries.item_at("snk-1", Blame(lease=lease, index=3)) == ""
    assert run.broker.queries.item_at("nobody", Blame(lease=lease, index=0)) == ""


# -- ends -----------------------------------------------------------------------------------------


def test_a_failed_item_is_tried_again_after_its_delay_before_what_was_never_out() -> None:
    run = pipe(attempts=2, retry_delay_s=1.0)
    run.put("src-1", "q", 3)
    lease = run.lease("snk-1", "q", 2)
    run.commit("snk-1", done=[(lease, 2)], ends={0: End.FAILED})
    assert run.queue("q").delayed == 1
    run.tick(1.0)
    run.lease("snk-1", "q", 9)
    assert run.items("snk-1") == [1, 2, 1, 3]


def test_an_item_that_has_used_up_its_attempts_is_left_and_fails_its_job() -> None:
    run = pipe(attempts=2)
    run.put("src-1", "q")
    for _ in range(2):
        lease = run.lease("snk-1", "q")
        run.commit("snk-1", done=[(lease, 1)], ends={0: End.FAILED})
        run.tick()
    assert run.counts("q") == {"put": 1, "left": 1}
    assert [(news.worker, news.item) for news in run.news(ItemFatal)] == [("snk-1", "q:1")]


def test_a_death_and_a_failure_spend_attempts_of_one_account() -> None:
    run = pipe(attempts=2)
    run.put("src-1", "q")
    lease = run.lease("snk-1", "q")
    run.leave("snk-1", lease=lease, running=True)
    run.join("snk-2")
    lease = run.lease("snk-2", "q")
    run.commit("snk-2", done=[(lease, 1)], ends={0: End.FAILED})
    assert run.counts("q") == {"put": 1, "left": 1}


def test_skipped_items_are_counted_and_told_by_name() -> None:
    run = pipe()
    run.put("src-1", "q", 3)
    lease = run.lease("snk-1", "q", 3)
    run.commit("snk-1", done=[(lease, 3)], ends={1: End.SKIPPED})
    assert run.counts("q") == {"put": 3, "done": 2, "skipped": 1}
    assert [fact.item for fact in run.facts(ItemSkipped)] == ["q:2"]


@pytest.mark.parametrize("ends", [{3: End.SKIPPED}, {-1: End.SKIPPED}, {0: End.DONE}])
def test_a_mark_of_no_finished_item_or_of_no_bad_end_is_a_breach(ends: dict[int, End]) -> None:
    run = pipe()
    run.put("src-1", "q", 3)
    lease = run.lease("snk-1", "q", 3)
    with pytest.raises(ProtocolError, match="marks"):
        run.commit("snk-1", done=[(lease, 3)], ends=ends)
    assert run.queue("q").outstanding == 3


def test_where_get_is_the_ack_what_a_dead_process_has_taken_is_done() -> None:
    run = FakeBroker({"q": 9}, job("all", "q", "q"), ack_on_get=True)
    run.commit("all-1", output("q", 5, (5,)))
    lease = run.lease("all-1", "q", 4)
    run.commit("all-1", done=[(lease, 1)])
    run.tell(WorkerLeft(worker="all-1", returned=False, taken=((lease, 3),)))
    assert run.counts("q") == {"put": 5, "done": 3}
    assert run.queue("q").queued == 2


def test_where_get_is_the_ack_nothing_is_in_hand_once_what_was_taken_is_committed() -> None:
    run = FakeBroker({"q": 9}, job("all", "q", "q"), ack_on_get=True)
    run.commit("all-1", output("q", 5, (5,)))
    lease = run.lease("all-1", "q", 4)
    run.commit("all-1", done=[(lease, 3)])
    run.broker.note_taken("all-1", [(lease, 3)])
    assert run.queue("q").size == 2
