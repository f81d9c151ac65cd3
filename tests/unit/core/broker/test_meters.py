"""Meters: where time went, read while it is still going on."""

from __future__ import annotations

import pytest
from fake_broker import FakeBroker, job

from orchestrator.core.broker.meters import QueueMeter, Times
from orchestrator.core.protocol.events import WorkerJoined

Note = tuple[float, int, bool, bool]


def pipe() -> FakeBroker:
    return FakeBroker({"q": 1}, job("src", writes="q"), job("snk", reads="q"))


@pytest.mark.parametrize(
    ("notes", "wanted"),
    [
        ([], (0.0, 0.0, 0.0, 0.0, 0.0)),
        ([(5.0, 3, False, False)], (0.0, 0.0, 0.0, 0.0, 0.0)),
        (
            [(5.0, 0, False, False), (7.0, 4, False, False), (8.5, 0, False, False)],
            (6.0, 2.0, 0, 0, 0),
        ),
        (
            [(0.0, 9, True, False), (2.0, 9, True, False), (3.0, 8, False, False)],
            (27.0, 0, 3.0, 0, 3.0),
        ),
        (
            [
                (0.0, 9, True, True),
                (2.0, 1, False, False),
                (4.0, 9, True, False),
                (5.0, 9, True, False),
            ],
            (29.0, 0, 1.0, 2.0, 2.0),
        ),
        (
            [(4.0, 2, False, False), (3.0, 5, False, False), (5.0, 5, False, False)],
            (5.0, 0, 0, 0, 0),
        ),
    ],
    ids=["nothing", "once", "empty", "full of items", "full of bytes, then items", "back in time"],
)
def test_a_queue_adds_up_its_size_and_how_long_it_was_full_or_empty(
    notes: list[Note], wanted: tuple[float, ...]
) -> None:
    meter = QueueMeter()
    for now, size, is_full, is_heavy in notes:
        meter.note(now, size, is_full=is_full, is_heavy=is_heavy)
    found = (meter.area, meter.empty, meter.full_items, meter.full_bytes, meter.longest_full)
    assert found == wanted


def test_the_longest_stretch_is_that_of_all_that_it_was_full() -> None:
    meter = QueueMeter()
    for now, is_full in [(0.0, True), (3.0, False), (4.0, True), (5.0, False), (6.0, True)]:
        meter.note(now, 1, is_full=is_full, is_heavy=False)
    assert meter.longest_full == 3.0
    meter.note(10.0, 1, is_full=True, is_heavy=False)
    assert meter.longest_full == 4.0


def test_the_rest_of_a_life_was_running_and_never_less_than_nothing() -> None:
    times = Times()
    times.life, times.starting, times.starved = 10.0, 1.0, 2.5
    assert times.running == 6.5
    times.held = 7.0
    assert times.running == 0.0


def test_a_wait_counts_while_it_goes_on_and_once() -> None:
    run = pipe()
    run.pull("snk-1", "q")
    client = run.broker.clients["snk-1"]
    assert run.broker.times_of(client, run.now + 2.0).starved == 2.0
    run.now += 3.0
    run.put("src-1", "q")
    run.now += 4.0
    times = run.broker.times_of(client, run.now)
    assert (times.starved, times.life, times.running) == (3.0, 7.0, 4.0)


def test_a_worker_that_is_not_ready_is_starting() -> None:
    run = pipe()
    run.tell(WorkerJoined(worker="src-2", job="src"))
    run.now += 2.0
    times = run.broker.times_of(run.broker.clients["src-2"], run.now)
    assert (times.starting, times.life, times.running) == (2.0, 2.0, 0.0)
