"""Whole runs, and supervisors with a bug, which do not survive them."""

from __future__ import annotations

from functools import cache

import pytest

from . import run_mutants
from .mutants import Mutant
from .runs import RunWorld

# In 8234 a timer ends the run while a process is still to be made.
SEEDS = (*range(80), 8234)
BUDGET = 2_000
"""Histories a mutant may survive; most do not get far."""


@cache
def lived(seed: int) -> RunWorld:
    world = RunWorld(seed, small=bool(seed % 2))
    world.run()
    return world


@pytest.mark.parametrize("seed", SEEDS)
def test_every_run_ends_and_no_job_has_succeeded_that_did_not_return(seed: int) -> None:
    assert lived(seed).over


def test_the_same_seed_gives_the_same_run() -> None:
    again = RunWorld(7, small=True)
    again.run()
    assert again.trace == lived(7).trace


def test_the_runs_meet_what_they_are_to_prove() -> None:
    met = set().union(*(lived(seed).met for seed in SEEDS))
    assert met >= {
        "replaced",
        "recycled",
        "recycled while the run stops",
        "cut, its readers having failed",
        "charged",
        "not made",
        "killed",
        "lost",
        "given another",
        "told before it was made",
        "stopped before it was made",
        "killed as it came",
        "told to stop by a stranger",
        "stopped with the run",
        "stopped: everything",
        "stopped: SIGTERM",
        "stopped: SIGINT",
        "stopped: SIGINT twice",
        "dropped",
        "succeeded",
        "failed",
        "terminated",
    }


@pytest.mark.pure_only
@pytest.mark.parametrize(
    ("name", "mutant"), [pytest.param(*m, id=m[0]) for m in run_mutants.every()]
)
def test_a_supervisor_with_a_bug_is_caught(
    name: str, mutant: Mutant, monkeypatch: pytest.MonkeyPatch
) -> None:
    mutant(monkeypatch)
    for seed in range(BUDGET):
        try:
            RunWorld(seed, small=bool(seed % 2), hasty=seed % 3 == 2).run(limit=20_000)
        except Exception:
            return
    pytest.fail(f"{name} survives {BUDGET} histories")
