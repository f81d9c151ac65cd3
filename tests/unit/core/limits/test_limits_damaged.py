"""Damaged samples: whatever they say, what is found is in words, and within the run."""

from __future__ import annotations

import random

import msgspec
import pytest
from hand_made import wired

from orchestrator.core.limits import limits_of
from orchestrator.core.samples import (
    JobSample,
    JobWiring,
    QueueSample,
    QueueWiring,
    Sample,
    Service,
    SlowItem,
    System,
    WorkerSample,
)

HEADER = wired(
    JobWiring(name="a", reads=("gone",), writes=("q", "gone"), workers=0),
    JobWiring(name="b", reads=("q",), writes=("r",), workers=4, shape="nonsense"),
    JobWiring(name="c", reads=("r", "q"), writes=("q",), rate="1/s"),
    JobWiring(name="d", daemon=True),
    processors=0,
    quota=0.5,
)


def anything(chance: random.Random) -> float:
    return chance.choice([0.0, -1.0, 1e308, 1e-9, chance.random(), 1000 * chance.random()])


def job(chance: random.Random) -> JobSample:
    times = ("running_s", "starved_s", "blocked_s", "held_s", "starting_s", "end_s", "within_s")
    slow = SlowItem(seconds=anything(chance), item="q:1", n=chance.randint(0, 2))
    return JobSample(
        state="?",
        retried=chance.randint(0, 9),
        restarts=chance.randint(-9, 9),
        service=Service(items=chance.randint(-1, 99), total_s=anything(chance), slowest=(slow,)),
        **{name: anything(chance) for name in times},
    )


def queue(chance: random.Random) -> QueueSample:
    times = ("area", "full_items_s", "full_bytes_s", "empty_s")
    return QueueSample(
        put=chance.randint(0, 99),
        done=chance.randint(0, 99),
        **{name: anything(chance) for name in times},
    )


def sample(chance: random.Random, t: float) -> Sample:
    times = ("cpu_s", "busy_s", "idle_s", "disk_full_s", "throttled_s")
    worker = WorkerSample(
        name="w", job=chance.randint(0, 3), item="q:1", at_item_s=anything(chance)
    )
    return Sample(
        t=t,
        jobs=tuple(job(chance) for _ in range(chance.randint(0, 4))),
        queues=tuple(queue(chance) for _ in range(chance.randint(0, 3))),
        workers=(worker,),
        system=System(**{name: anything(chance) for name in times}),
    )


@pytest.mark.parametrize("seed", range(20))
def test_whatever_samples_say_the_answer_is_one(seed: int) -> None:
    chance = random.Random(seed)
    t = chance.choice([-5.0, 0.0, 100.0])
    every = []
    for _ in range(100):
        t += chance.choice([0.25, 0.25, 0.0, -0.1, 3.0])
        every.append(sample(chance, t))
    found = limits_of(HEADER, every)
    for each in found:
        assert 0 < each.share <= 1
        assert each.from_s < each.to_s <= t + 1
        assert "nan" not in each.text
        assert len(each.text) < 1000
    assert len({(each.job, each.why, each.from_s) for each in found}) == len(found)


def test_two_queues_of_one_name_are_no_end() -> None:
    header = wired(JobWiring(name="a", writes=("q", "r")), JobWiring(name="b", reads=("q",)))
    twice = msgspec.structs.replace(
        header, queues=(QueueWiring(name="q"), QueueWiring(name="q"), QueueWiring(name="r"))
    )
    chance = random.Random(1)
    samples = [
        Sample(t=t, jobs=(job(chance), job(chance)), queues=(queue(chance),) * 3) for t in (1, 2, 3)
    ]
    assert isinstance(limits_of(twice, samples), tuple)
