"""Ordered jobs: what they give leaves in the order of their input (rule 17)."""

from __future__ import annotations

import pytest
from fake_broker import FakeBroker, job, output

from orchestrator.core.broker.reorder import ReorderBuffer
from orchestrator.core.broker.state import ProtocolError
from orchestrator.core.protocol.messages import End, Leased
from orchestrator.plan.model import ErrorAction


def ordered(window: int = 9, room: int = 9, put: int = 6, **keys: object) -> FakeBroker:
    run = FakeBroker(
        {"q": 9, "out": room},
        job("src", writes="q"),
        job("map", reads="q", writes="out", reorder=ReorderBuffer(window), **keys),
        job("snk", reads="out"),
        workers={"map": 2},
    )
    run.put("src-1", "q", put)
    return run


def test_what_is_finished_ahead_is_put_when_its_turn_has_come() -> None:
    run = ordered()
    first, second = run.lease("map-1", "q"), run.lease("map-2", "q")
    run.commit("map-2", output("out", 1), done=[(second, 1)])
    assert run.applied("map-2") == [1], "its worker goes on"
    assert run.queue("out").put == 0
    run.commit("map-1", output("out", 1), done=[(first, 1)])
    assert run.queue("out").put == 2
    assert run.counts("q") == {"put": 6, "done": 2}


def test_nobody_is_further_ahead_than_the_window_and_what_came_back_may_always_go() -> None:
    run = ordered(window=3)
    first = run.lease("map-1", "q")
    second = run.lease("map-2", "q", 9)
    assert run.items("map-2") == [2], "half of what there is place for"
    run.commit("map-2", done=[(second, 1)])
    run.pull("map-2", "q", 9)
    run.leave("map-1", lease=first, index=0)
    run.join("map-1")
    run.pull("map-1", "q", 9)
    assert run.items("map-2") == [2, 3]
    assert run.items("map-1") == [1, 1], "it came back to its place"


def test_what_is_held_back_counts_into_the_bound_of_the_input() -> None:
    run = ordered(put=6)
    run.lease("map-1", "q")
    second = run.lease("map-2", "q")
    before = run.queue("q").size
    run.commit("map-2", output("out", 1), done=[(second, 1)])
    assert run.queue("q").size == before + 1


def test_what_was_in_hand_may_take_the_input_above_its_bound_and_then_nothing_is_admitted() -> None:
    run = FakeBroker(
        {"q": 2, "out": 9},
        job("src", writes="q"),
        job("map", reads="q", writes="out", reorder=ReorderBuffer(9)),
        job("snk", reads="out"),
        workers={"map": 3},
    )
    leases = []
    for number in (1, 2, 3):
        run.put("src-1", "q")
        leases.append(run.lease(f"map-{number}", "q"))
    run.put("src-1", "q", 2)
    queue, full = run.queue("q"), 5
    assert (queue.put, queue.size) == (full, 2), "three in hand do not count"
    for number in (2, 3):
        run.commit(f"map-{number}", output("out", 1), done=[(leases[number - 1], 1)])
    assert (queue.size, queue.room) == (4, -2)
    run.put("src-1", "q")
    run.lease("map-2", "q")
    assert (queue.put, queue.size) == (full, 3), "it waits though the queue has come down"
    run.commit("map-1", output("out", 1), done=[(leases[0], 1)])
    assert (queue.put, queue.size) == (full + 1, 2), "below its bound it takes one more"


def test_a_retried_item_is_waited_for_and_a_dead_one_is_not() -> None:
    run = ordered(attempts=2, retry_delay_s=1.0, otherwise=ErrorAction.DEAD_LETTER)
    lease = run.lease("map-1", "q", 3)
    run.commit("map-1", output("out", 1, (0, 1)), done=[(lease, 2)], ends={0: End.FAILED})
    assert run.queue("out").put == 0
    run.tick(2.0)
    again = run.lease("map-2", "q")
    assert run.items("map-2") == [1]
    run.commit("map-2", done=[(again, 1)], ends={0: End.FAILED})
    assert run.queue("out").put == 1
    assert run.counts("q") == {"put": 6, "done": 1, "dead": 1}


def test_an_item_that_gives_more_than_a_queue_holds_goes_in_parts_at_its_turn() -> None:
    run = ordered(room=2, put=2)
    lease = run.lease("map-1", "q")
    run.commit("map-1", output("out", 5, (5,)), done=[(lease, 1)])
    taken = []
    for _ in range(5):
        got = run.lease("snk-1", "out")
        run.commit("snk-1", done=[(got, 1)])
        taken.append(run.queue("q").done)
    assert run.counts("out") == {"put": 5, "done": 5}
    assert taken[0] == 0, "it is done when all it gives is put"
    assert taken[-1] == 1


def test_an_item_that_fails_its_job_lets_nothing_behind_it_pass() -> None:
    run = ordered(put=3)
    first, second = run.lease("map-1", "q"), run.lease("map-2", "q")
    run.commit("map-2", output("out", 1), done=[(second, 1)])
    run.commit("map-1", done=[(first, 1)], ends={0: End.FATAL})
    run.leave("map-1")
    run.leave("map-2")
    run.finish("src", "map", clean=False)
    assert run.queue("out").put == 0
    assert run.queue("q").ledger(final=True).left == 3
    assert run.queue("out").ended, "nothing is held back any more"


@pytest.mark.parametrize("counts", [(1, 1), (0, 1)])
def test_outputs_of_an_open_item_break_the_protocol(counts: tuple[int, int]) -> None:
    run = ordered()
    lease = run.lease("map-1", "q", 3)
    with pytest.raises(ProtocolError, match="open item"):
        run.commit("map-1", output("out", sum(counts), counts), done=[(lease, 1)])
    assert len(run.got("map-1", Leased)) == 1
