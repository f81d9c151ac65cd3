"""Sizes, `task_done` and `join`."""

from __future__ import annotations

import pytest
from fake_broker import FakeBroker, job

from orchestrator.core.broker.state import ProtocolError
from orchestrator.core.protocol.messages import Answer, Ask, JoinQueue, TaskDone, Wait


@pytest.fixture
def run() -> FakeBroker:
    made = FakeBroker({"q": 5}, job("src", writes="q"), job("snk", reads="q"))
    made.put("src-1", "q", 3)
    return made


def join(run: FakeBroker, worker: str, ask: int, wait: Wait = Wait.FOREVER) -> None:
    run.say(worker, JoinQueue(ask=ask, queue="q", wait=wait))


def done(run: FakeBroker, n: int = 1) -> Answer:
    run.say("snk-1", TaskDone(ask=100, queue="q", n=n))
    return run.last("snk-1", Answer)


def test_a_size_counts_what_no_consumer_has_in_hand(run: FakeBroker) -> None:
    run.lease("snk-1", "q", 2)
    run.say("snk-1", Ask(ask=1, queue="q"))
    answer = run.last("snk-1", Answer)
    assert (answer.qsize, answer.maxsize) == (2, 5)


def test_a_join_is_answered_with_the_last_task_done_and_not_before(run: FakeBroker) -> None:
    join(run, "src-1", 7)
    done(run, 2)
    assert not run.got("src-1", Answer)
    done(run)
    assert [answer.ask for answer in run.got("src-1", Answer)] == [7]


def test_a_join_of_a_queue_on_which_nothing_is_unfinished_is_answered_at_once(
    run: FakeBroker,
) -> None:
    done(run, 3)
    join(run, "src-1", 7)
    assert run.last("src-1", Answer).ask == 7


def test_a_join_that_may_not_wait_is_told_what_is_unfinished(run: FakeBroker) -> None:
    join(run, "src-1", 7, Wait.NO)
    assert run.last("src-1", Answer).unfinished == 3
    done(run, 3)
    assert len(run.got("src-1", Answer)) == 1


def test_more_tasks_done_than_put_is_an_error_that_counts_nothing(run: FakeBroker) -> None:
    assert "too many times" in done(run, 4).error
    assert done(run, 3).unfinished == 0


def test_a_worker_that_dies_while_joining_is_forgotten(run: FakeBroker) -> None:
    join(run, "src-1", 7)
    run.leave("src-1")
    done(run, 3)
    assert not run.got("src-1", Answer)
    assert not run.at("q").joiners


def test_one_who_joins_for_ever_and_nobody_to_finish_the_tasks_is_a_stall(run: FakeBroker) -> None:
    run.lease("snk-1", "q", 3)
    run.pull("snk-1", "q")
    join(run, "src-1", 7)
    stall = run.broker.stall()
    assert stall is not None
    assert ("src-1", "the last task_done of q") in stall.waits


def test_no_tasks_done_and_a_queue_that_is_not_there_are_breaches(run: FakeBroker) -> None:
    with pytest.raises(ProtocolError, match="0 tasks done"):
        done(run, 0)
    with pytest.raises(ProtocolError, match="no queue 'x'"):
        run.say("snk-1", Ask(ask=1, queue="x"))
