"""Commits: atomic by item, the longest prefix that fits, the rest parked (rules 2 and 3)."""

from __future__ import annotations

import pytest
from fake_broker import FakeBroker, job, output
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.core.broker.reorder import ReorderBuffer
from orchestrator.core.broker.state import ProtocolError
from orchestrator.core.protocol.messages import Commit, Committed, Leased, Pull


def mapping(a: int = 10, b: int = 2, **keys: object) -> FakeBroker:
    """Source, map and sink around queues `a` and `b`."""
    return FakeBroker(
        {"a": a, "b": b},
        job("src", writes="a"),
        job("map", reads="a", writes="b"),
        job("snk", reads="b"),
        **keys,  # type: ignore[arg-type]
    )


def test_a_parked_commit_of_a_dead_worker_keeps_its_items_and_only_the_rest_is_redelivered() -> (
    None
):
    run = mapping(b=1, workers={"map": 2})
    run.put("src-1", "a", 4)
    lease = run.lease("map-1", "a", 4)
    run.commit("map-1", output("b", 2), done=[(lease, 2)])
    assert run.queue("b").put == 1
    run.leave("map-1")
    run.pull("map-2", "a", 4)
    assert 2 not in run.items("map-2")
    run.lease("snk-1", "b")
    assert run.queue("b").put == 2
    assert run.counts("a") == {"put": 4, "done": 2}


def test_the_rest_of_an_open_part_is_put_once_when_room_for_all_of_it_comes_at_once() -> None:
    run = mapping(b=3)
    run.put("src-1", "a", 2)
    lease = run.lease("map-1", "a", 2)
    run.commit("map-1", output("b", 1), done=[(lease, 1)])
    run.commit("map-1", output("b", 3, (3,)))
    assert run.queue("b").put == 3
    run.lease("snk-1", "b", 3, least=3)
    assert run.queue("b").put == 4
    assert run.applied("map-1") == [1, 2]


def test_a_commit_that_is_sent_again_gets_the_same_answer_and_changes_nothing() -> None:
    run = mapping()
    run.put("src-1", "a")
    again = Commit(seq=1, outputs=(output("a", 1, (1,)),))
    run.say("src-1", again, (b"x",))
    assert run.queue("a").put == 1
    first, second = run.got("src-1", Committed)
    assert first == second


def test_a_parked_commit_that_is_sent_again_is_answered_once_it_is_applied() -> None:
    run = mapping(a=1)
    run.put("src-1", "a")
    waits = Commit(seq=2, outputs=(output("a", 1, (1,)),))
    run.say("src-1", waits, (b"x",))
    run.say("src-1", waits, (b"x",))
    assert run.applied("src-1") == [1]
    run.lease("map-1", "a")
    assert run.applied("src-1") == [1, 2]
    assert run.queue("a").put == 2


def test_an_open_part_that_is_all_put_leaves_nothing_behind_when_the_next_one_follows() -> None:
    run = mapping(b=3)
    run.put("src-1", "a")
    run.lease("map-1", "a")
    run.commit("map-1", output("b", 2, (2,)), output("b", 2, (2,)))
    run.lease("snk-1", "b", 3, least=3)
    run.pull("snk-1", "b", 3)
    assert run.items("snk-1") == [1, 2, 3, 4]
    assert [len(lease.ranges) for lease in run.got("snk-1", Leased)] == [2, 1]


def test_outputs_of_one_item_that_no_queue_could_ever_hold_are_a_breach_and_change_nothing() -> (
    None
):
    run = mapping(b=3)
    run.put("src-1", "a")
    lease = run.lease("map-1", "a")
    with pytest.raises(ProtocolError, match="4 outputs of one item for b"):
        run.commit("map-1", output("b", 2, (2,)), output("b", 2, (2,)), done=[(lease, 1)])
    assert run.queue("b").put == run.queue("a").done == 0


def test_a_closed_queue_takes_any_number_of_outputs_and_drops_them() -> None:
    run = mapping(b=3)
    run.put("src-1", "a")
    lease = run.lease("map-1", "a")
    run.leave("snk-1")
    run.finish("snk")
    run.commit("map-1", output("b", 4, (4,)), done=[(lease, 1)])
    assert run.applied("map-1") == [1]
    assert run.counts("b") == {"put": 4, "dropped": 4}


def test_what_a_pull_commits_goes_first_to_those_who_wait_already() -> None:
    run = FakeBroker({"q": 10}, job("a", reads="q", writes="q"), job("b", reads="q", writes="q"))
    run.want("a-1", "q")
    run.pull("b-1", "q", 1)
    commit = Commit(seq=1, outputs=(output("q", 1, (1,)),))
    run.say("a-1", Pull(pull=90, queues=("q",), most=1, commit=commit), (b"x",))
    assert run.items("b-1") == [1]
    assert not run.got("a-1", Leased)


def test_a_pull_and_its_commit_change_nothing_if_either_does_not_fit() -> None:
    run = mapping()
    commit = Commit(seq=1, outputs=(output("a", 1, (1,)),))
    with pytest.raises(ProtocolError):
        run.say("src-1", Pull(pull=1, queues=("b",), most=1, commit=commit), (b"x",))
    assert run.queue("a").put == 0
    wrong = Commit(seq=7)
    with pytest.raises(ProtocolError):
        run.say("map-1", Pull(pull=1, queues=("a",), most=1, commit=wrong))
    run.put("src-1", "a", 1)
    assert not run.got("map-1", Leased)


@pytest.mark.parametrize("in_order", [False, True])
@pytest.mark.parametrize("max_bytes", [None, 40])
def test_items_of_a_commit_that_fit_together_are_put_together(
    in_order: bool, max_bytes: int | None
) -> None:
    """Their readers get one range of a chunk then, not as many as there are items."""
    run = FakeBroker(
        {"a": 10, "b": 4},
        job("src", writes="a"),
        job("map", reads="a", writes="b", **({"reorder": ReorderBuffer(99)} if in_order else {})),
        job("snk", reads="b"),
        max_bytes=max_bytes,
    )
    run.put("src-1", "a", 6)
    lease = run.lease("map-1", "a", 6)
    run.commit("map-1", output("b", 6), done=[(lease, 6)])
    run.lease("snk-1", "b", 4, least=4)
    assert run.items("snk-1") == [1, 2, 3, 4]
    assert [len(lease.ranges) for lease in run.got("snk-1", Leased)] == [1]


ITEMS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=9)


@given(
    ITEMS, st.integers(3, 9), st.integers(3, 9), st.sampled_from([None, 1, 5, 12]), st.booleans()
)
def test_as_many_items_of_a_commit_are_applied_as_there_is_room_for_one_after_the_other(
    items: list[tuple[int, int]], b: int, c: int, max_bytes: int | None, in_order: bool
) -> None:
    """Each of them gives so many outputs of two bytes to `b` and to `c`."""
    run = FakeBroker(
        {"a": 10, "b": b, "c": c},
        job("src", writes="a"),
        job("map", reads="a", writes="b c", **({"reorder": ReorderBuffer(99)} if in_order else {})),
        job("snk", reads="b c"),
        max_bytes={"b": max_bytes} if max_bytes else None,
    )
    run.put("src-1", "a", len(items))
    lease = run.lease("map-1", "a", 10)
    outputs = [
        output(queue, sum(counts), counts, 2 * sum(counts))
        for queue, counts in zip("bc", zip(*items, strict=True), strict=True)
        if sum(counts)
    ]
    run.commit("map-1", *outputs, done=[(lease, len(items))])
    put = {"b": 0, "c": 0}
    applied = 0
    totals = [sum(counts) for counts in zip(*items, strict=True)]
    if not in_order and totals[0] <= b and totals[1] <= c:  # one commit passes, whatever its bytes
        assert run.queue("a").done == len(items)
        return
    for of_b, of_c in items:
        heavy = max_bytes is not None and 2 * put["b"] >= max_bytes
        parts = max_bytes is not None and 2 * of_b > max_bytes  # it leaves in parts (rule 3)
        if parts or put["b"] + of_b > b or put["c"] + of_c > c or (heavy and of_b):
            break
        put["b"] += of_b
        put["c"] += of_c
        applied += 1
    if applied < len(items) and (max_bytes is not None and 2 * items[applied][0] > max_bytes):
        assert run.queue("a").done >= applied
        return
    assert {name: run.queue(name).put for name in "bc"} == put
    assert run.queue("a").done == applied
