"""The short form of `python -m tests.chaos`: the same rounds, but few and short."""

from __future__ import annotations

import pytest

from .checker import judge
from .rounds import Plan, play

KILLS = 40


@pytest.mark.parametrize(
    "seed", [0, 1, pytest.param(2, marks=pytest.mark.long), pytest.param(3, marks=pytest.mark.long)]
)
def test_workers_are_killed_at_random_and_nothing_is_lost_doubled_or_invented(tmp_path, seed):
    plan = Plan.of(seed, KILLS)
    assert judge(play(plan, tmp_path / "round")).problems == (), plan
