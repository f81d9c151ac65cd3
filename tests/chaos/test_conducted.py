"""The short form of `python -m tests.chaos`: a conducted round of each kind, but short."""

from __future__ import annotations

import dataclasses
import random

import pytest

from .conducted import Plan, play
from .conducted_checker import judge
from .points import Score


@pytest.mark.parametrize(
    ("seed", "kills"),
    [(3, 150), (2, 20), (0, 8)],
    ids=["stages", "sources", "in a recall"],
)
def test_workers_die_at_their_points_and_nothing_is_lost_doubled_or_unexpected(
    tmp_path, seed, kills
):
    plan = dataclasses.replace(Plan.of(seed, items=500, kills=kills), recycled_after=60)
    score = Score(1, random.Random(seed))
    assert judge(play(plan, tmp_path / "round", score)).problems == (), plan
    missed, asked = score.missing(plan.points), sum(map(len, plan.points.values()))
    assert len(missed) <= asked / 2, f"it proves too little: nobody has died at {missed}"
