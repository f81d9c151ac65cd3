"""The simulation is tested: a broker with a bug does not survive it."""

from __future__ import annotations

import pytest

from . import mutants
from .histories import history

BUDGET = 150
"""Histories a mutant may survive; most are caught in the first few."""


@pytest.mark.parametrize(
    ("name", "mutant"),
    [
        pytest.param(*mutant, id=mutant[0], marks=[pytest.mark.long] if at % 3 else [])
        for at, mutant in enumerate(mutants.every())
    ],
)
def test_a_broker_with_a_bug_is_caught(
    name: str, mutant: mutants.Mutant, monkeypatch: pytest.MonkeyPatch
) -> None:
    mutant(monkeypatch)
    for seed in range(BUDGET):
        try:
            history(seed, small=bool(seed % 2)).run(limit=20_000)
        except Exception:
            return
    pytest.fail(f"{name} survives {BUDGET} histories")
