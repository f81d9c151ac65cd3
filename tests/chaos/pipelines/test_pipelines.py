"""The short form of `python -m tests.chaos.pipelines`: fixed seeds, and a new one each time."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from . import model
from .judge import judge
from .model import Job
from .rounds import Plan, Round

pytestmark = pytest.mark.timeout(400)
"""A run that hangs is asked whom it waits for, and its folder is kept."""


def problems(seed, folder, *, durable):
    """What is wrong with a round of fewer kills than in the long form."""
    plan = Plan.of(seed, durable=durable).brief()
    return judge(Round(plan, folder).play()).problems


@pytest.mark.parametrize(("seed", "durable"), [(12, False), (33, True)])
def test_a_random_pipeline_under_kills_is_exact(tmp_path, seed, durable):
    assert problems(seed, tmp_path / "round", durable=durable) == ()


@pytest.mark.parametrize("durable", [False, True])
def test_a_pipeline_that_nobody_has_seen_is_exact(tmp_path, durable):
    seed = random.SystemRandom().randrange(10**6)
    again = f"python -m tests.chaos.pipelines --rounds 1 --seed {seed}" + " --durable" * durable
    print(again)
    assert problems(seed, tmp_path / "round", durable=durable) == (), again


def test_the_seeds_make_pipelines_of_every_kind():
    plans = [Plan.of(seed, durable=bool(seed % 2)) for seed in range(150)]
    jobs = [job for plan in plans for job in plan.pipeline.jobs.values()]
    assert all(4 <= len(plan.pipeline.jobs) <= 16 for plan in plans)
    assert {job.shape for job in jobs} == set(model.SHAPES)
    assert set(_features(plans, jobs)) == set(_FEATURES)
    assert {plan.end for plan in plans} == {"clean", "failed", "drained", "terminated"}


_FEATURES = [
    *("after", "batch", "daemon", "on_error", "on_failure", "ordered", "rate", "recycle"),
    *("restart", "retry", "start_method", "several readers", "several writers", "copies"),
    *("several inputs", "routes", "matrix", "handles both ways", "drop_newest", "drop_oldest"),
    *("max_bytes", "window", "fork", "spawn", "stop", "drain", "continue", "rolled back"),
]


def _features(plans, jobs):
    for plan in plans:
        for queue in plan.pipeline.queues.values():
            yield from ["max_bytes"] * bool(queue.max_bytes)
            yield from [queue.when_full] * queue.drops
            yield from ["several readers"] * (len(plan.pipeline.readers(queue.name)) > 1)
            yield from ["several writers"] * (len(plan.pipeline.writers(queue.name)) > 1)
    for job in jobs:
        yield from job.keys
        yield from _wires(job)
        yield from _values(job)


def _wires(job: Job):
    sizes = Counter(len(queues) for queues in job.ports.values())
    yield from ["copies"] * any(n > 1 for n in sizes)
    yield from ["routes"] * (len(job.ports) > 1)
    yield from ["several inputs"] * (len(job.inputs) > 1)
    yield from ["handles both ways"] * (job.shape == "relay" and bool(job.ports))
    yield from ["matrix"] * bool(job.matrix)
    yield from ["rolled back"] * (job.shape == "transaction")


def _values(job: Job):
    ordered = job.keys.get("ordered")
    yield from ["window"] * isinstance(ordered, dict)
    for key in ("start_method", "on_failure"):
        if key in job.keys:
            yield job.keys[key]
