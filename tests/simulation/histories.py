"""A seed is a history: a pipeline, its faults, and the order in which everything happens."""

from __future__ import annotations

import random
from dataclasses import replace

from orchestrator.core.broker.broker import Broker

from .cast import Faults
from .durable import DurableWorld
from .topology import make
from .world import BrokerMaker, World

LIMITED_FROM = 1000
"""The seed from which on some histories have limits; those before are what they were without."""


def is_limited(seed: int, one_of: int) -> bool:
    """Whether the history of that seed has limits of time, as so many of them have."""
    return seed >= LIMITED_FROM and seed % one_of == 0


def history(
    seed: int,
    make_broker: BrokerMaker = Broker,
    *,
    small: bool = False,
    held: bool | None = None,
    limited: bool | None = None,
) -> World:
    """The world of that seed, before its first step; see `topology.make`.

    Unless said, items are held back in one of four, batches are large in another, and puts have
    limits of time in one of eight of those from `LIMITED_FROM` on.
    """
    rng = random.Random(seed)
    topology = make(
        rng,
        small=small,
        held=seed % 4 == 3 if held is None else held,
        patient=seed % 4 == 2 and held is None,
        limited=is_limited(seed, 8) if limited is None else limited,
    )
    return World(topology, rng, Faults.any(rng), make_broker)


def durable_history(seed: int, *, small: bool = False, limited: bool | None = None) -> DurableWorld:
    """The world of a durable run of that seed; every third has a merge in it, and lives on.

    Unless said, puts have limits of time in one of five of those from `LIMITED_FROM` on.
    """
    rng = random.Random(f"durable {seed}")
    merging = seed % 3 == 1
    limited = is_limited(seed, 5) if limited is None else limited
    topology = make(rng, small=small, durable=True, merging=merging, limited=limited)
    faults, lives = Faults.of_durable(rng), rng.choice((1, 1, 2, 3, 5))
    if merging:
        faults, lives = replace(faults, crash=rng.choice((0.003, 0.01))), 6
    return DurableWorld(topology, rng, faults, lives=lives)
