"""Random durable runs: whatever crashes, and however often, the run that is resumed is exact."""

from __future__ import annotations

from functools import cache

import pytest

from .durable import DurableWorld
from .histories import durable_history

# Its watchers stand in the broker's methods; `both_forms` compares what the compiled one does.
pytestmark = pytest.mark.pure_only

# In 523 a short batch goes out of a queue that drops what its bytes have no room for.
SEEDS = (*range(75), 523)


@cache
def lived(seed: int) -> DurableWorld:
    world = durable_history(seed)
    world.run()
    return world


@pytest.mark.parametrize("seed", SEEDS)
def test_over_all_lives_of_a_run_every_item_has_exactly_one_end(seed: int) -> None:
    assert lived(seed).over


def test_the_same_seed_gives_the_same_lives() -> None:
    again = durable_history(3)
    again.run()
    assert again.trace == lived(3).trace


def test_the_histories_meet_what_they_are_to_prove() -> None:
    """Runs that never crash with work under way would prove nothing."""
    met: set[str] = set()
    for seed in SEEDS:
        met |= lived(seed).met
    assert met >= {
        "crash, written",
        "crash, unwritten",
        "items again",
        "resumed within a chunk",
        "resumed after a job was done",
        "stopped",
        "drained",
        "failed job",
        "enough",
        "killed",
        "fenced",
        "parked",
        "parked and dead",
        "open part",
        "recall",
        "released",
        "retry",
        "shut",
        "dropped",
        "rolled back",
        "given back again",
        "waits for its turn",
    }
