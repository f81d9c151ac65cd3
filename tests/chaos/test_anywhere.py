"""The short form of `python -m tests.chaos.anywhere`: the same rounds, but few and short."""

from __future__ import annotations

import pytest

from .anywhere import Plan, play


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.long)])
@pytest.mark.parametrize("children", [False, True], ids=["workers", "children"])
def test_anybody_is_killed_at_any_moment_and_nothing_is_lost_doubled_or_failed(
    tmp_path, seed, children
):
    plan = Plan.of(seed, 12 if children else 40, children=children)
    told = play(plan, tmp_path / "round")
    assert told.problems == (), plan
    if not children:
        assert len(told.hits) > 2, "each way is to be tried"
