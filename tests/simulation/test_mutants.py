"""The simulation is tested: a broker with a bug does not survive it."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from . import mutants
from .histories import history

BUDGET = 150
"""Histories a mutant may survive, and as many in which who is parked dies; most do not get far."""


@pytest.mark.pure_only
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
    for harsh, seed in itertools.product((False, True), range(BUDGET)):
        world = history(seed, small=bool(seed % 2))
        if harsh:
            world.faults = replace(world.faults, steps=2000, massacre=0.03)
        try:
            world.run(limit=20_000)
        except Exception:
            return
    pytest.fail(f"{name} survives {BUDGET} histories")
