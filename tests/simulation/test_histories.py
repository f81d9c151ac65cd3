"""Random pipelines on the broker: every rule after every event, and always an end."""

from __future__ import annotations

import pytest

from orchestrator.core.messages import End

from .histories import history

SEEDS = range(60)


@pytest.mark.parametrize("seed", SEEDS)
def test_every_history_keeps_the_rules_and_ends_with_every_item_accounted_for(seed: int) -> None:
    history(seed).run()


def test_the_same_seed_gives_the_same_history() -> None:
    first, second = history(7), history(7)
    first.run()
    second.run()
    assert first.trace == second.trace


def test_the_histories_meet_what_they_are_to_prove() -> None:
    """A model that never parks, recalls, retries or kills would prove nothing."""
    met: set[str] = set()
    for seed in SEEDS:
        world = history(seed)
        world.run()
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
        "failed job",
    }
