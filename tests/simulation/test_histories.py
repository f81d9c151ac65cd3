"""Random pipelines on the broker: every rule after every event, and always an end."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from orchestrator.core.protocol.messages import End

from .histories import history
from .world import World

# Its watchers stand in the broker's methods; `both_forms` compares what the compiled one does.
pytestmark = pytest.mark.pure_only

# In 3336 a commit is refused in the event in which the next item of its input is leased.
SEEDS = (*range(60), 3336)
HELD_BACK = (109, 112)
"""Seeds: a window is full; a job fails with items held back. Both are rare."""
ROOT = Path(__file__).parents[2]


@cache
def lived(seed: int) -> World:
    world = history(seed)
    world.run()
    return world


@pytest.mark.parametrize("seed", SEEDS)
def test_every_history_keeps_the_rules_and_ends_with_every_item_accounted_for(seed: int) -> None:
    assert lived(seed).over


def test_the_same_seed_gives_the_same_history() -> None:
    again = history(7)
    again.run()
    assert again.trace == lived(7).trace


def test_no_history_depends_on_how_python_orders_sets_in_this_process() -> None:
    command = [sys.executable, "-m", "tests.simulation", "--histories", "10"]
    traces = {
        subprocess.run(
            command,
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.splitlines()[-1]
        for hash_seed in ("1", "2")
    }
    assert len(traces) == 1


def test_the_histories_meet_what_they_are_to_prove() -> None:
    """A model that never parks, recalls, retries or kills would prove nothing."""
    met: set[str] = set()
    held = [history(seed, held=True) for seed in HELD_BACK]
    for world in held:
        world.run()
    for world in (*map(lived, SEEDS), *held):
        met |= world.met
        met |= {f"ends {end.name}" for (_, end), n in world.books.ends.items() if n}
    assert met >= {f"ends {end.name}" for end in End} | {
        "parked",
        "parked and dead",
        "open part",
        "several tickets",
        "recall",
        "released",
        "retry",
        "redelivered",
        "killed",
        "fenced",
        "repeated",
        "refused credit",
        "shut",
        "withdrawn",
        "early batch",
        "failed job",
        "held back",
        "window full",
        "forgotten",
        "held by its rate",
        "full in bytes",
        "in line for bytes",
    }
