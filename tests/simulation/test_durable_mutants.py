"""The simulation of durable runs is tested: one with a bug does not survive it."""

from __future__ import annotations

import pytest

from . import durable_mutants
from .histories import durable_history
from .mutants import Mutant

BUDGET = 800
"""Histories a mutant may survive; most are caught in the first few."""
FROM = {"pending_unnoted": 680}
"""The first history of the rarest, which survives those before."""
NO_END = "no end after"
"""Long histories come to that without a bug, too: it proves nothing."""


@pytest.mark.pure_only
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
    first = FROM.get(name, 0)
    for seed in range(first, first + BUDGET):
        try:
            durable_history(seed, small=bool(seed % 2)).run(limit=20_000)
        except Exception as error:
            if NO_END not in str(error):
                return
    pytest.fail(f"{name} survives {BUDGET} histories")
