"""A throttle: of any stretch of time no more than a burst and what its length allows (rule 18)."""

from __future__ import annotations

import itertools

from fake_broker import FakeBroker, job
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.core.broker.ratelimit import RateLimiter
from orchestrator.core.protocol.events import SourcesClosed
from orchestrator.core.protocol.messages import Leased
from orchestrator.core.protocol.notifications import HeldByRate

INTERVALS = st.sampled_from([0.001, 0.1, 1.0, 720.0])


@given(INTERVALS, st.integers(1, 5), st.lists(st.floats(0, 5), min_size=2, max_size=40))
def test_no_stretch_of_time_has_more_starts_than_its_length_and_a_burst_allow(
    interval_s: float, burst: int, pauses: list[float]
) -> None:
    rate_limit, now, starts = RateLimiter(interval_s, burst), 100.0, []
    for pause in pauses:
        now = max(now + pause * interval_s, rate_limit.due_at)
        rate_limit.start(now)
        starts.append(now)
    for (i, first), (j, last) in itertools.combinations(enumerate(starts), 2):
        assert j - i + 1 <= burst + (last - first) / interval_s + 1e-6


def rated(burst: int = 1, workers: int = 2) -> FakeBroker:
    run = FakeBroker(
        {"q": 9, "urgent": 9},
        job("src", writes="q urgent"),
        job("snk", reads="urgent q", rate_limit=RateLimiter(1.0, burst)),
        workers={"snk": workers},
    )
    run.put("src-1", "q", 6)
    return run


def test_a_lease_has_the_one_item_that_is_due_and_the_next_has_a_deadline() -> None:
    run = rated()
    run.pull("snk-1", "urgent q", 100)
    run.pull("snk-2", "urgent q", 100)
    assert run.items("snk-1") == [1]
    assert run.items("snk-2") == []
    assert run.broker.next_deadline() == 1.0
    assert run.broker.stall() is None
    run.tick(1.0)
    assert run.items("snk-2") == [2]


def test_a_burst_starts_at_once_after_a_pause_and_a_pause_earns_no_more() -> None:
    run = rated(burst=2, workers=4)
    run.tick(60.0)
    for n in range(4):
        run.pull(f"snk-{n + 1}", "urgent q")
    assert sum(len(run.got(f"snk-{n + 1}", Leased)) for n in range(4)) == 2


def test_what_has_come_for_an_earlier_queue_while_nothing_was_due_goes_first() -> None:
    run = rated(workers=1)
    lease = run.lease("snk-1", "urgent q")
    run.commit("snk-1", done=[(lease, 1)])
    run.pull("snk-1", "urgent q")
    run.put("src-1", "urgent")
    run.tick(1.0)
    assert [lease.queue for lease in run.got("snk-1", Leased)] == ["q", "urgent"]


def test_the_wait_is_booked_to_the_rate_and_not_to_the_input() -> None:
    run = rated(workers=1)
    lease = run.lease("snk-1", "urgent q")
    run.commit("snk-1", done=[(lease, 1)])
    run.pull("snk-1", "urgent q")
    run.tick(1.0)
    snk = run.broker.job_times(run.now)["snk"]
    assert (snk.held, snk.starved) == (1.0, 0.0)


def test_an_item_of_another_queue_starts_when_it_is_due_though_the_first_queue_is_empty_then() -> (
    None
):
    run = FakeBroker(
        {"q": 9, "urgent": 9},
        job("src", writes="q urgent"),
        job("snk", reads="urgent q", rate_limit=RateLimiter(1.0, 1)),
        job("thief", reads="urgent"),
        workers={"snk": 2},
    )
    run.put("src-1", "q", 2)
    run.put("src-1", "urgent", 1)
    run.pull("snk-1", "q")
    run.pull("snk-2", "urgent q")
    run.lease("thief-1", "urgent")
    run.tick(1.0)
    assert [lease.queue for lease in run.got("snk-2", Leased)] == ["q"]


def test_a_drain_that_a_rate_holds_up_says_so_once_a_job() -> None:
    run = rated(workers=3)
    run.pull("snk-1", "urgent q")
    run.pull("snk-2", "urgent q")
    run.tick(0.25)
    assert run.facts(HeldByRate) == [], "a wait of every day is no news"
    run.tell(SourcesClosed(workers=("src-1",)))
    held = [HeldByRate(job="snk", queued=5, next_s=0.75)]
    assert run.facts(HeldByRate) == held
    run.pull("snk-3", "urgent q")
    run.tick(0.75)
    assert run.facts(HeldByRate) == held


def test_a_drain_says_that_a_rate_holds_it_up_once_somebody_asks_for_an_item() -> None:
    run = rated(workers=1)
    run.lease("snk-1", "urgent q")
    run.tell(SourcesClosed(workers=()))
    assert run.facts(HeldByRate) == [], "its worker is at an item"
    run.pull("snk-1", "urgent q")
    assert run.facts(HeldByRate) == [HeldByRate(job="snk", queued=5, next_s=1.0)]
