"""A seed is a history: a pipeline, its faults, and the order in which everything happens."""

from __future__ import annotations

import random
from dataclasses import replace

from orchestrator.core.broker import Broker

from .cast import Faults
from .durable import DurableWorld
from .topology import make
from .world import BrokerMaker, World


def history(
    seed: int,
    make_broker: BrokerMaker = Broker,
    *,
    small: bool = False,
    held: bool | None = None,
) -> World:
    """The world of that seed, before its first step; see `topology.make`.

    Unless said, items are held back in one of four, and batches are large in another.
    """
    rng = random.Random(seed)
    topology = make(
        rng,
        small=small,
        held=seed % 4 == 3 if held is None else held,
        patient=seed % 4 == 2 and held is None,
    )
    return World(topology, rng, Faults.any(rng), make_broker)


def durable_history(seed: int, *, small: bool = False) -> DurableWorld:
    """The world of a durable run of that seed; every third has a merge in it, and lives on."""
    rng = random.Random(f"durable {seed}")
    merging = seed % 3 == 1
    topology = make(rng, small=small, durable=True, merging=merging)
    faults, lives = Faults.of_durable(rng), rng.choice((1, 1, 2, 3, 5))
    if merging:
        faults, lives = replace(faults, crash=rng.choice((0.003, 0.01))), 6
    return DurableWorld(topology, rng, faults, lives=lives)
