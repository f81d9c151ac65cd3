"""The simulation of durable runs is tested: one with a bug does not survive it."""

from __future__ import annotations

import pytest

from . import durable_mutants
from .histories import durable_history
from .mutants import Mutant

BUDGET = 150
"""Histories a mutant may survive; most are caught in the first few."""


@pytest.mark.parametrize(
    ("name", "mutant"),
    [
        pytest.param(*mutant, id=mutant[0], marks=[pytest.mark.long] if at % 4 else [])
        for at, mutant in enumerate(durable_mutants.every())
    ],
)
def test_a_durable_run_with_a_bug_is_caught(
    name: str, mutant: Mutant, monkeypatch: pytest.MonkeyPatch
) -> None:
    mutant(monkeypatch)
    for seed in range(BUDGET):
        try:
            durable_history(seed, small=bool(seed % 2)).run(limit=20_000)
        except Exception:
            return
    pytest.fail(f"{name} survives {BUDGET} histories")
