"""What a broker that is restored from the image of its run does."""

from __future__ import annotations

import pytest
from fake_broker import job, output
from fake_durable import FakeDurable

from orchestrator.core.protocol.events import ItemFatal, JobFinished, WorkerLeft
from orchestrator.core.protocol.messages import End, Leased, Recall, Shut
from orchestrator.core.protocol.notifications import ItemDead
from orchestrator.plan.model import ErrorAction

SOURCE = job("s", writes="q", by_item=False, counted=True)
PUTTER = job("p", writes="p", by_item=False, counted=True)
STREAM = job("r", reads="q", by_item=False)


def test_what_was_leased_is_queued_again_in_order_and_with_its_ids() -> None:
    run = FakeDurable({"q": 9}, SOURCE, job("r", reads="q"))
    run.put("s-1", "q", 5)
    lease = run.lease("r-1", "q", most=3)
    run.commit("r-1", done=[(lease, 1)])
    again = run.resume()
    again.lease("r-1", "q", most=9)
    assert again.items("r-1") == [2, 3, 4, 5]
    assert again.counts("q") == {"put": 5, "done": 1}


def test_a_worker_that_is_called_once_gets_its_own_items_again_before_any_other() -> None:
    run = FakeDurable({"q": 9}, SOURCE, STREAM, workers={"r": 2})
    run.put("s-1", "q", 6)
    lease = run.lease("r-1", "q", most=3)
    run.lease("r-2", "q", most=1)
    run.commit("r-1", done=[(lease, 2)])
    assert run.counts("q")["done"] == 2
    again = run.resume()
    assert again.counts("q") == {"put": 6}
    again.lease("r-2", "q", most=1)
    again.lease("r-2", "q", most=1)
    again.lease("r-1", "q", most=9)
    assert again.items("r-1") == [1, 2, 3]
    assert again.items("r-2") == [4, 5]


def test_own_items_are_cut_as_the_worker_pulls_and_stay_its_own_over_a_second_resume() -> None:
    run = FakeDurable({"q": 9}, SOURCE, STREAM)
    run.put("s-1", "q", 5)
    run.lease("r-1", "q", most=5)
    again = run.resume()
    again.lease("r-1", "q", most=2)
    last = again.resume()
    for _ in range(5):
        last.lease("r-1", "q")
    assert last.items("r-1") == [1, 2, 3, 4, 5]


def test_own_items_that_came_again_are_not_recalled() -> None:
    run = FakeDurable({"q": 9}, SOURCE, STREAM, workers={"r": 2})
    run.put("s-1", "q", 4)
    run.lease("r-1", "q", most=2)
    run.lease("r-1", "q", most=2)
    again = run.resume()
    again.lease("r-1", "q", most=4)
    again.pull("r-2", "q", most=4)
    again.tick(1.0)
    assert not again.got("r-1", Recall)


def test_what_is_delivered_again_is_no_part_of_the_peak() -> None:
    run = FakeDurable({"q": 10}, SOURCE, STREAM)
    for _ in range(5):
        run.put("s-1", "q", 4)
        lease = run.lease("r-1", "q", most=4)
        run.commit("r-1", done=[(lease, 4)])
    again = run.resume()
    again.want("s-1", "q", 10)
    lease = again.lease("r-1", "q", most=20)
    again.put("s-1", "q", 10)
    assert again.queue("q").ledger(final=False).peak == 10
    again.commit("r-1", done=[(lease, 20)])
    assert again.queue("q").own.redelivered == 0


def test_what_a_worker_has_given_back_is_not_its_own() -> None:
    run = FakeDurable({"q": 9}, SOURCE, STREAM, workers={"r": 2})
    run.put("s-1", "q", 4)
    lease = run.lease("r-1", "q", most=4)
    run.release("r-1", lease, kept=1)
    again = run.resume()
    again.lease("r-1", "q", most=1)
    again.lease("r-2", "q", most=3)
    assert again.items("r-1") == [1]
    assert 2 in again.items("r-2")


def test_what_a_worker_gets_again_and_gives_back_stays_its_own() -> None:
    """It was stopped as it was given to it; what it has put may be the outputs of these."""
    run = FakeDurable({"q": 9}, SOURCE, STREAM, workers={"r": 2})
    run.put("s-1", "q", 6)
    run.lease("r-1", "q", most=3)
    stopped = run.resume()
    stopped.release("r-1", stopped.lease("r-1", "q", most=1), kept=0)
    stopped.release("r-1", stopped.lease("r-1", "q", most=3), kept=1)
    stopped.lease("r-2", "q", most=2)
    assert stopped.items("r-2") == [4, 5]
    stopped.lease("r-1", "q", most=3)
    assert stopped.items("r-1") == [1, 1, 2, 3, 2, 3]
    again = stopped.resume()
    again.lease("r-2", "q", most=9)
    again.lease("r-1", "q", most=9)
    assert again.items("r-1") == [1, 2, 3]
    assert again.items("r-2") == [4, 5]


def test_what_a_returned_worker_did_not_take_is_anybodys() -> None:
    run = FakeDurable({"q": 9}, SOURCE, STREAM, workers={"r": 2})
    run.put("s-1", "q", 2)
    run.lease("r-1", "q", most=1)
    run.tell(WorkerLeft(worker="r-1", returned=True))
    run.lease("r-2", "q")
    assert run.items("r-2") == [1]


def test_the_own_items_of_a_failed_job_are_left_for_itself() -> None:
    other = job("o", reads="q")
    run = FakeDurable({"q": 9}, SOURCE, STREAM, other)
    run.put("s-1", "q", 2)
    run.lease("r-1", "q")
    run.leave("r-1")
    run.finish("r", clean=False)
    run.pull("o-1", "q", most=9)
    assert run.items("o-1") == [2]
    assert run.counts("q") == {"put": 2, "left": 1}
    again = run.resume()
    again.lease("r-1", "q", most=1)
    assert again.items("r-1") == [1]


@pytest.mark.parametrize("batch", [False, True])
def test_an_item_of_which_a_part_is_out_is_no_more_tried_after_a_resume(batch: bool) -> None:
    stage = job("m", "q", "t", attempts=3, otherwise=ErrorAction.DEAD_LETTER)
    run = FakeDurable({"q": 9, "t": 9}, SOURCE, stage, job("k", reads="t"))
    run.put("s-1", "q", 3)
    if batch:
        run.lease("m-1", "q", most=2, least=2)
    else:
        run.lease("m-1", "q", most=3)
    run.commit("m-1", output("t", 2, (2,)))
    again = run.resume()
    dead = [fact.item for fact in again.facts(ItemDead)]
    assert dead == (["q:1", "q:2"] if batch else ["q:1"])
    again.lease("m-1", "q", most=3)
    assert again.items("m-1") == ([3] if batch else [2, 3])
    assert again.kept("q").dead == len(dead)
    assert not again.kept("q").partially_emitted


def test_an_item_of_which_a_part_is_out_fails_its_job_again_if_it_is_to_fail() -> None:
    run = FakeDurable({"q": 9, "t": 9}, SOURCE, job("m", "q", "t"), job("k", reads="t"))
    run.put("s-1", "q", 1)
    run.lease("m-1", "q")
    run.commit("m-1", output("t", 2, (2,)))
    for _ in range(2):
        run = run.resume()
        assert [news.item for news in run.news(ItemFatal)] == ["q:1"]
        assert run.counts("q") == {"put": 1, "left": 1}


def test_an_item_whose_last_part_went_with_its_end_is_done() -> None:
    run = FakeDurable({"q": 9, "t": 9}, SOURCE, job("m", "q", "t"), job("k", reads="t"))
    run.put("s-1", "q", 1)
    lease = run.lease("m-1", "q")
    run.commit("m-1", output("t", 2, (2,)))
    run.commit("m-1", output("t", 1, (1,)), done=[(lease, 1)])
    assert not run.kept("q").partially_emitted
    assert run.resume().counts("q") == {"put": 1, "done": 1}


def test_attempts_used_up_before_stay_used_up() -> None:
    run = FakeDurable({"q": 9}, SOURCE, job("m", "q", attempts=3))
    run.put("s-1", "q", 1)
    lease = run.lease("m-1", "q")
    run.commit("m-1", done=[(lease, 1)], ends={0: End.FAILED})
    run.tick(1.0)
    again = run.resume()
    again.lease("m-1", "q")
    assert again.last("m-1", Leased).tried == ((1, 1),)


@pytest.mark.parametrize("clean", [True, False])
def test_a_failed_item_that_waits_when_its_queue_closes_is_dropped_unless_a_reader_failed(
    clean: bool,
) -> None:
    """In the image too: a job that is run again asks for what is left."""
    slow = job("m", "q", attempts=2, retry_delay_s=60.0)
    run = FakeDurable({"q": 9}, SOURCE, slow, STREAM)
    run.put("s-1", "q", 1)
    lease = run.lease("m-1", "q")
    run.commit("m-1", done=[(lease, 1)], ends={0: End.FAILED})
    run.leave("m-1")
    run.finish("m", clean=clean)
    run.tell(WorkerLeft(worker="r-1", returned=True))
    run.finish("r")
    assert run.counts("q") == {"put": 1, "dropped" if clean else "left": 1}
    assert run.kept("q").dropped == clean
    assert len(list(run.kept("q").held)) == (not clean)


def test_a_job_that_was_done_reads_and_writes_no_more() -> None:
    run = FakeDurable({"q": 9, "t": 9}, SOURCE, job("m", "q", "t"), job("k", reads="t"))
    run.put("s-1", "q", 1)
    run.tell(JobFinished(job="s", clean=True, final=True))
    again = run.resume()
    lease = again.lease("m-1", "q")
    again.commit("m-1", done=[(lease, 1)])
    assert again.queue("q").ended


def test_a_queue_whose_readers_were_all_done_is_closed() -> None:
    run = FakeDurable({"q": 9}, SOURCE, STREAM)
    run.put("s-1", "q", 2)
    run.lease("r-1", "q")
    run.tell(WorkerLeft(worker="r-1", returned=True))
    run.tell(JobFinished(job="r", clean=True, final=True))
    again = run.resume()
    assert again.queue("q").closed
    assert again.counts("q") == {"put": 2, "dropped": 2}
    again.want("s-1", "q")
    assert again.got("s-1", Shut)


def test_a_source_knows_how_far_it_came_within_a_chunk() -> None:
    run = FakeDurable({"q": 2}, SOURCE, STREAM)
    run.put("s-1", "q", 3)
    again = run.resume()
    position = again.broker.positions_of("s-1")["q"]
    assert (position.n, position.used, position.total) == (0, 2, 2)
    assert position.tail is not None
    assert len(position.tail.blob) == 3


def test_a_chunk_is_kept_while_its_rest_waits_for_room_though_all_that_was_put_is_done() -> None:
    run = FakeDurable(
        {"p": 9, "q": 1}, job("m", reads="p", writes="q"), job("r", reads="q"), PUTTER
    )
    run.put("p-1", "p", 2)
    lease = run.lease("m-1", "p", most=2)
    run.commit("m-1", output("q", 2, (1, 1)), done=[(lease, 2)])
    first = run.lease("r-1", "q")
    run.keep()
    run.commit("r-1", done=[(first, 1)])
    run.keep()
    again = run.resume()
    again.lease("r-1", "q")
    assert again.items("r-1") == [2]


def test_the_chunk_of_a_commit_that_waited_for_room_at_the_end_is_needed_no_more() -> None:
    run = FakeDurable({"q": 1}, SOURCE, job("r", reads="q"))
    run.put("s-1", "q", 3)
    lease = run.lease("r-1", "q")
    run.commit("r-1", done=[(lease, 1)])
    run.leave("s-1")
    run.keep()
    assert not run.tracking.stored.pending
