"""The simulation is tested: a broker that breaks the order or the rate does not survive it."""

from __future__ import annotations

import pytest

from . import row_mutants
from .histories import history

BUDGET = 150
"""Histories a mutant may survive; most are caught in the first few."""


@pytest.mark.pure_only
@pytest.mark.parametrize(
    ("name", "mutant"), [pytest.param(*m, id=m[0]) for m in row_mutants.every()]
)
def test_a_broker_with_a_bug_is_caught(
    name: str, mutant: row_mutants.Mutant, monkeypatch: pytest.MonkeyPatch
) -> None:
    mutant(monkeypatch)
    for seed in range(BUDGET):
        try:
            history(seed, small=True, held=True).run(limit=20_000)
        except Exception:
            return
    pytest.fail(f"{name} survives {BUDGET} histories")
