"""The short form of `python -m tests.chaos.arrays`: the same rounds, but few and short."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from .arrays import POINTS, Arenas, Plan, play
from .points import Score


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.long)])
def test_workers_die_around_shared_memory_and_nothing_is_lost_doubled_damaged_or_left(
    tmp_path, seed
):
    plan = Plan.of(seed, 40)
    score = Score(1, random.Random(seed))
    told = play(plan, tmp_path / "round", score)
    assert told.problems == (), plan
    missed = score.missing(POINTS)
    assert len(missed) <= sum(map(len, POINTS.values())) / 2, f"it proves too little: {missed}"


GOOD = Arenas(
    open=Counter({(1, 70): 1, (2, 70): 2, (1, 71): 1}),
    mapped=Counter({70: 2}),
    written=frozenset({70}),
    size={70: 8 << 20, 71: 0},
)


def test_arenas_of_the_living_are_no_problem_though_one_of_them_has_put_nothing():
    assert GOOD.problems(2) == []


@pytest.mark.parametrize(
    ("changed", "writers", "problem"),
    [
        ({}, 1, "2 arenas of 1 workers"),
        ({"mapped": Counter({70: 2, 72: 1})}, 3, "1 arenas of the dead are mapped"),
        ({"open": Counter({(1, 70): 3})}, 2, "3 descriptors of one arena"),
        ({"size": {70: 200 << 20}}, 2, "an arena with nothing in it has 209,715,200 bytes"),
    ],
)
def test_what_is_left_is_a_problem(changed, writers, problem):
    fields = {name: getattr(GOOD, name) for name in ("open", "mapped", "written", "size")}
    assert Arenas(**{**fields, **changed}).problems(writers) == [problem]
