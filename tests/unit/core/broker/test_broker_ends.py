"""Ends: end-of-stream, queues that nobody reads any more, and the ledger (rules 12, 13, 15)."""

from __future__ import annotations

import pytest
from fake_broker import FakeBroker, job, output

from orchestrator.core.protocol.events import InputEnded, SourcesClosed
from orchestrator.core.protocol.messages import End, Ended, Grant, Leased, Pull, Shut, Stop
from orchestrator.core.protocol.notifications import QueueClosed, QueueEnded


def pipe(maxsize: int = 9, *, sinks: int = 1, **keys: object) -> FakeBroker:
    jobs = job("src", writes="q"), job("snk", reads="q", **keys)
    return FakeBroker({"q": maxsize}, *jobs, workers={"snk": sinks})


def end(run: FakeBroker, *names: str) -> None:
    """The jobs' workers leave, and the jobs have succeeded."""
    for name in names:
        for worker in list(run.broker.clients):
            if worker.startswith(f"{name}-"):
                run.leave(worker)
        run.finish(name)


# -- end-of-stream --------------------------------------------------------------------------------


def test_a_stream_ends_when_all_writers_have_finished_and_the_last_item_is_committed() -> None:
    run = FakeBroker({"q": 9}, job("a", writes="q"), job("b", writes="q"), job("snk", reads="q"))
    run.put("a-1", "q")
    end(run, "a")
    lease = run.lease("snk-1", "q")
    run.pull("snk-1", "q")
    end(run, "b")
    assert not run.got("snk-1", Ended)
    run.commit("snk-1", done=[(lease, 1)])
    assert run.got("snk-1", Ended)
    assert [fact.queue for fact in run.facts(QueueEnded)] == ["q"]
    assert [news.job for news in run.news(InputEnded)] == ["snk"]


def test_who_asks_after_the_end_is_told_at_once() -> None:
    run = pipe()
    end(run, "src")
    run.pull("snk-1", "q")
    run.pull("snk-1", "q")
    assert len(run.got("snk-1", Ended)) == 2


def test_an_item_that_comes_back_from_a_dead_worker_puts_off_the_end() -> None:
    run = pipe(sinks=2)
    run.put("src-1", "q")
    run.lease("snk-1", "q")
    end(run, "src")
    run.pull("snk-2", "q")
    run.leave("snk-1")
    assert run.items("snk-2") == [1]
    assert not run.got("snk-2", Ended)


def test_an_item_that_is_to_be_tried_again_puts_off_the_end() -> None:
    run = pipe(attempts=2, retry_delay_s=1.0)
    run.put("src-1", "q")
    end(run, "src")
    lease = run.lease("snk-1", "q")
    run.commit("snk-1", done=[(lease, 1)], ends={0: End.FAILED})
    run.pull("snk-1", "q")
    assert not run.got("snk-1", Ended)
    run.tick(1.0)
    assert run.items("snk-1") == [1, 1]


def test_a_commit_that_outlives_its_job_puts_off_the_end_until_it_is_applied() -> None:
    run = FakeBroker(
        {"a": 9, "b": 1},
        job("src", writes="a"),
        job("map", reads="a", writes="b"),
        job("snk", reads="b"),
    )
    run.put("src-1", "a", 2)
    lease = run.lease("map-1", "a", 2)
    run.commit("map-1", output("b", 2), done=[(lease, 2)])
    run.leave("map-1")
    run.finish("map", clean=False)
    for _ in range(2):
        lease = run.lease("snk-1", "b")
        run.commit("snk-1", done=[(lease, 1)])
    run.pull("snk-1", "b")
    assert run.items("snk-1") == [1, 2]
    assert run.got("snk-1", Ended)
    assert run.counts("a") == {"put": 2, "done": 2}


def test_a_pull_of_several_queues_ends_with_the_last_of_them() -> None:
    run = FakeBroker(
        {"a": 9, "b": 9}, job("x", writes="a"), job("y", writes="b"), job("snk", reads="a b")
    )
    run.pull("snk-1", "a b")
    end(run, "x")
    assert not run.got("snk-1", Ended)
    end(run, "y")
    assert run.got("snk-1", Ended)


# -- nobody reads ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("clean", "becomes"), [(True, "dropped"), (False, "left")])
def test_with_its_last_reader_a_queue_closes_and_what_is_there_and_comes_later_is_booked(
    clean: bool, becomes: str
) -> None:
    run = pipe()
    run.put("src-1", "q", 2)
    run.leave("snk-1")
    run.finish("snk", clean=clean)
    run.put("src-1", "q", 3)
    assert run.counts("q") == {"put": 5, becomes: 5}
    (closed,) = run.facts(QueueClosed)
    assert (closed.dropped, closed.left) == ((2, 0) if clean else (0, 2))


def test_a_queue_with_another_reader_stays_open() -> None:
    run = FakeBroker({"q": 9}, job("src", writes="q"), job("a", reads="q"), job("b", reads="q"))
    run.put("src-1", "q", 2)
    end(run, "a")
    assert not run.got("src-1", Shut)
    run.lease("b-1", "q", 2)
    assert run.items("b-1") == [1, 2]


def test_credits_are_void_and_producers_told_when_nobody_reads_any_more() -> None:
    run = FakeBroker({"q": 2}, job("a", writes="q"), job("b", writes="q"), job("snk", reads="q"))
    run.want("a-1", "q", 2)
    run.want("b-1", "q", 1)
    end(run, "snk")
    assert run.queue("q").granted == 0
    assert run.got("a-1", Shut)
    assert run.got("b-1", Shut)
    assert run.last("b-1", Grant).n == 0


def test_who_asks_for_room_where_nobody_reads_is_told_so() -> None:
    run = pipe()
    end(run, "snk")
    run.join("src-2")
    run.want("src-2", "q")
    assert run.got("src-2", Shut)
    assert run.last("src-2", Grant).n == 0


def test_credit_of_a_closed_queue_that_was_on_its_way_back_is_no_breach() -> None:
    run = pipe()
    run.want("src-1", "q", 2)
    end(run, "snk")
    run.commit("src-1", returned=[("q", 2)])
    assert run.queue("q").granted == 0


def test_a_parked_commit_goes_on_when_its_queue_closes() -> None:
    run = FakeBroker(
        {"a": 9, "b": 1},
        job("src", writes="a"),
        job("map", reads="a", writes="b"),
        job("snk", reads="b"),
    )
    run.put("src-1", "a", 3)
    lease = run.lease("map-1", "a", 3)
    run.commit("map-1", output("b", 3), done=[(lease, 3)])
    end(run, "snk")
    assert run.applied("map-1") == [1]
    assert run.counts("b") == {"put": 3, "dropped": 3}


def test_one_closed_queue_of_a_copy_does_not_stop_the_other() -> None:
    jobs = job("src", writes="a b"), job("x", reads="a"), job("y", reads="b")
    run = FakeBroker({"a": 1, "b": 1}, *jobs)
    run.put("src-1", "a+b")
    run.commit("src-1", output("a+b", 1, (1,)))
    end(run, "x")
    assert run.applied("src-1") == [1]
    run.lease("y-1", "b")
    assert run.applied("src-1") == [1, 2]


@pytest.mark.parametrize(("clean", "becomes"), [(True, "dropped"), (False, "left")])
def test_an_item_to_be_tried_again_is_booked_at_once_when_nobody_will_read_it(
    clean: bool, becomes: str
) -> None:
    run = pipe(attempts=2, retry_delay_s=1.0)
    run.put("src-1", "q")
    end(run, "src")
    lease = run.lease("snk-1", "q")
    run.commit("snk-1", done=[(lease, 1)], ends={0: End.FAILED})
    run.leave("snk-1")
    run.finish("snk", clean=clean)
    assert run.counts("q") == {"put": 1, becomes: 1}
    assert run.queue("q").ended
    run.tick(1.0)
    assert run.counts("q") == {"put": 1, becomes: 1}


def test_the_final_ledger_books_what_nobody_took_as_left() -> None:
    run = pipe()
    run.put("src-1", "q", 5)
    lease = run.lease("snk-1", "q", 2)
    run.commit("snk-1", done=[(lease, 1)])
    ledger = run.queue("q").ledger(final=True)
    assert (ledger.put, ledger.done, ledger.left, ledger.peak) == (5, 1, 4, 5)
    assert run.queue("q").ledger(final=False).left == 0


# -- the life of workers --------------------------------------------------------------------------


def test_sources_are_told_to_stop_when_the_run_drains() -> None:
    run = pipe()
    run.tell(SourcesClosed(workers=("src-1", "gone-1")))
    assert run.got("src-1", Stop)


def test_what_a_worker_says_that_has_left_or_never_came_is_ignored() -> None:
    run = pipe()
    run.leave("src-1")
    run.put("src-1", "q")
    run.say("nobody", Pull(pull=1, queues=("q",), most=1))
    assert run.queue("q").put == 0


def test_a_job_is_billed_for_the_time_its_workers_waited_and_worked() -> None:
    run = pipe(1)
    run.pull("snk-1", "q")
    run.now += 2.0
    run.put("src-1", "q")
    run.now += 3.0
    run.put("src-1", "q")
    run.want("src-1", "q")
    run.now += 4.0
    lease = run.last("snk-1", Leased).lease
    run.commit("snk-1", done=[(lease, 1)])
    run.lease("snk-1", "q")
    run.leave("src-1")
    times = run.broker.job_times(run.now)
    assert times["snk"].starved == 2.0
    assert (times["src"].blocked, times["src"].life, times["src"].running) == (4.0, 9.0, 5.0)


def test_what_a_job_waits_after_the_end_of_its_writers_is_told_apart() -> None:
    """It waits for its own item, which is tried again later."""
    run = pipe(attempts=2, retry_delay_s=4.0)
    run.pull("snk-1", "q")
    run.now += 2.0
    run.put("src-1", "q")
    snk = run.broker.job_times(run.now)["snk"]
    assert (snk.starved, snk.at_end) == (2.0, 0.0)
    lease = run.last("snk-1", Leased).lease
    run.commit("snk-1", done=[(lease, 1)], ends={0: End.FAILED})
    run.pull("snk-1", "q")
    run.now += 1.0
    run.finish("src")
    run.leave("src-1")
    run.tick(3.0)
    assert run.items("snk-1")
    snk = run.broker.job_times(run.now)["snk"]
    assert (snk.starved, snk.at_end) == (6.0, 3.0)


@pytest.mark.parametrize("clean", [True, False])
def test_who_returns_since_its_reader_has_failed_leaves_what_it_did_not_read(clean: bool) -> None:
    """A stream ends when nobody takes what it gives: a resumed run is to go on with the rest."""
    run = FakeBroker(
        {"a": 9, "b": 9},
        job("src", writes="a"),
        job("map", reads="a", writes="b"),
        job("snk", reads="b"),
    )
    run.put("src-1", "a", 3)
    run.finish("snk", clean=clean)
    run.finish("map")
    counts = run.counts("a")
    assert (counts.get("dropped", 0), counts.get("left", 0)) == ((3, 0) if clean else (0, 3))
