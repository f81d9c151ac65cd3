"""Samples: service times together, the window of the last seconds, the header of a plan."""

from __future__ import annotations

import random

from orchestrator.core.samples import JobSample, Sample, Service, SlowItem, Window, total_service


def sample(t: float) -> Sample:
    return Sample(t=t, jobs=(JobSample(state="ready"),))


def test_service_times_of_workers_add_up() -> None:
    rng = random.Random(5)
    parts, every = [], list[int]()
    for _ in range(4):
        took = [rng.randrange(1, 1 << rng.randrange(2, 40)) for _ in range(50)]
        every += took
        bits = [ns.bit_length() for ns in took]
        first = min(bits)
        counts = tuple(bits.count(b) for b in range(first, max(bits) + 1))
        slow = tuple(SlowItem(ns / 1e9, f"q:{ns}") for ns in sorted(took)[:-6:-1])
        parts.append(Service(50, sum(took) / 1e9, first, counts, slow))
    whole = total_service(parts)
    assert whole.items == 200
    assert abs(whole.total_s - sum(every) / 1e9) < 1e-6
    bits = [ns.bit_length() for ns in every]
    assert whole.first == min(bits)
    assert list(whole.counts) == [bits.count(b) for b in range(min(bits), max(bits) + 1)]
    assert [item.item for item in whole.slowest] == [f"q:{ns}" for ns in sorted(every)[:-6:-1]]


def test_nothing_is_the_service_of_nobody() -> None:
    assert total_service(()) == Service() == total_service((Service(), Service()))


def test_a_window_has_the_last_two_seconds_and_something_before_them() -> None:
    window = Window()
    assert window.pair is None
    for n in range(41):
        window.add(sample(n / 4))
    assert window.pair is not None
    oldest, newest = window.pair
    assert (oldest.t, newest.t) == (8.0, 10.0)


def test_a_window_of_one_sample_is_no_time() -> None:
    window = Window()
    window.add(sample(1.0))
    assert window.pair == (sample(1.0), sample(1.0))
