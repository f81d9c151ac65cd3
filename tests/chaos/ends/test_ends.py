"""The short form of `python -m tests.chaos.ends`: one run for each way in which one can end."""

from __future__ import annotations

import pytest

from .runs import Plan, play
from .ways import WAYS

SEEDS = range(len(WAYS))


@pytest.mark.parametrize(
    "seed",
    [
        pytest.param(seed, id=Plan.of(seed).way, marks=[pytest.mark.long] if seed % 4 else [])
        for seed in SEEDS
    ],
)
def test_two_seconds_after_its_end_nothing_of_a_run_is_left(tmp_path, seed):
    verdict = play(Plan.of(seed), tmp_path)
    assert verdict.problems == ()


def test_no_two_ways_are_left_out_and_both_moments_are_met():
    plans = [Plan.of(seed) for seed in SEEDS]
    assert {plan.way for plan in plans} == set(WAYS)
    assert {plan.early for plan in plans} == {True, False}
