"""Puts with limits of time: random pipelines keep the rules, and a broker with a bug does not."""

from __future__ import annotations

from functools import cache

import pytest

from . import limit_mutants
from .durable import DurableWorld
from .histories import durable_history, history
from .runs import RunWorld
from .world import World

# Its watchers stand in the broker's methods; `both_forms` compares what the compiled one does.
pytestmark = pytest.mark.pure_only

REFUSING = (1, 8, 21, 38, 43, 45, 49, 51, 55, 57)
"""Seeds of histories in which a commit is refused; in most it finds room in time."""
DURABLE = (7, 35, 42, 68)
REPEATING = (1, 13, 52, 79, 139)
"""Seeds of durable histories in which somebody waits for room while a reader gets items anew."""
RUNS = (9, 12, 16, 20, 21, 36, 46, 48)
SEEDS = (0, 2, 3, *REFUSING)
NO_END = "no end after"
"""A mutant may lead to that only by its luck."""
BUDGET = 150
"""Histories a mutant may survive; most are caught in the first few."""


@cache
def lived(seed: int) -> World:
    world = history(seed, small=bool(seed % 2), limited=True)
    world.run()
    return world


@cache
def lived_durably(seed: int) -> DurableWorld:
    world = durable_history(seed, small=bool(seed % 2), limited=True)
    world.run()
    return world


@pytest.mark.parametrize("seed", SEEDS)
def test_every_item_is_accounted_for_though_puts_are_refused(seed: int) -> None:
    assert lived(seed).over


@pytest.mark.parametrize("seed", [*DURABLE, *REPEATING])
def test_over_all_lives_nothing_that_was_refused_is_lost_or_doubled(seed: int) -> None:
    assert lived_durably(seed).over


@pytest.mark.parametrize("seed", RUNS)
def test_a_job_whose_puts_are_refused_has_not_succeeded(seed: int) -> None:
    world = RunWorld(seed, small=bool(seed % 2), hasty=seed % 3 == 2, limited=True)
    world.run()
    assert "refused" in world.met


def test_the_histories_meet_what_they_are_to_prove() -> None:
    met: set[str] = set()
    for seed in REFUSING:
        met |= lived(seed).met
    assert met >= {"refused", "refused, gone", "refused with a part out", "asked in vain"}
    assert all("refused" in lived_durably(seed).met for seed in DURABLE)
    assert all("waits for a repetition" in lived_durably(seed).met for seed in REPEATING)


@pytest.mark.pure_only
@pytest.mark.parametrize(
    ("name", "mutant"), [pytest.param(*m, id=m[0]) for m in limit_mutants.every()]
)
def test_a_broker_with_a_bug_is_caught(
    name: str, mutant: limit_mutants.Mutant, monkeypatch: pytest.MonkeyPatch
) -> None:
    mutant(monkeypatch)
    for seed in (*REFUSING, *range(BUDGET)):
        try:
            history(seed, small=bool(seed % 2), limited=True).run(limit=50_000)
        except Exception:
            return
    pytest.fail(f"{name} survives {BUDGET} histories")


@pytest.mark.pure_only
@pytest.mark.parametrize(
    ("name", "mutant"), [pytest.param(*m, id=m[0]) for m in limit_mutants.of_repetitions()]
)
def test_a_broker_that_minds_repetitions_wrongly_is_caught(
    name: str, mutant: limit_mutants.Mutant, monkeypatch: pytest.MonkeyPatch
) -> None:
    mutant(monkeypatch)
    for seed in (*REPEATING, *range(BUDGET)):
        try:
            durable_history(seed, small=bool(seed % 2), limited=True).run(limit=20_000)
        except Exception as error:
            if NO_END not in str(error):
                return
    pytest.fail(f"{name} survives {BUDGET} histories")
