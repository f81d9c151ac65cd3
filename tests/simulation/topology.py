"""Random pipelines without a cycle, in which no honest worker can wait for ever."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from orchestrator.core.messages import Wait

from . import shapes

MAXSIZES = (1, 1, 2, 3, 4, 5, 7, 10, 40, 1000, 0)
ITEM_SHAPES = (shapes.items, shapes.items, shapes.items, shapes.batches)
ONCE_SHAPES = (shapes.stream, shapes.handles)


@dataclass(kw_only=True)
class Job:
    """A job of the model; `boxes` are the groups of queues that get the same items."""

    name: str
    shape: Callable[..., Any]
    reads: tuple[str, ...] = ()
    boxes: tuple[tuple[str, ...], ...] = ()
    workers: int = 1
    attempts: int = 1
    retry_delay_s: float = 0.0
    most: tuple[int, ...] = (1,)
    batch: int = 1
    within_s: float = 0.1
    waits: tuple[Wait, ...] = (Wait.FOREVER,)
    p_skip: float = 0.0
    p_fail: float = 0.0
    p_return: float = 0.0
    items: int = 0

    @property
    def writes(self) -> tuple[str, ...]:
        return tuple(queue for box in self.boxes for queue in box)


@dataclass(kw_only=True)
class Topology:
    """Queues with their bounds, and jobs."""

    queues: dict[str, int]
    jobs: list[Job]


def make(rng: random.Random, *, small: bool = False) -> Topology:
    """A pipeline of one to four queues."""
    names = [f"q{i}" for i in range(rng.randint(1, 2 if small else 4))]
    queues = {name: rng.choice(MAXSIZES[:8] if small else MAXSIZES) for name in names}
    jobs: list[Job] = []
    for at, name in enumerate(names):
        for _ in range(rng.choice((1, 1, 1, 2))):
            jobs.append(_reader(rng, f"j{len(jobs)}", names, at, queues, name))
    written = {queue for job in jobs for queue in job.writes}
    for name in names:
        if name not in written or rng.random() < 0.2:
            jobs.append(_source(rng, f"j{len(jobs)}", names, queues, name))
    return Topology(queues=queues, jobs=jobs)


def _reader(
    rng: random.Random, name: str, names: list[str], at: int, queues: dict[str, int], reads: str
) -> Job:
    others = [other for other in names[:at] if rng.random() < 0.15]
    shape = rng.choice(ITEM_SHAPES + ONCE_SHAPES)
    size = rng.randint(2, 4)
    retries = rng.random() < 0.3
    return Job(
        name=name,
        shape=shape,
        reads=(reads, *others),
        boxes=_boxes(rng, names[at + 1 :]),
        workers=rng.choice((1, 1, 2, 3)),
        attempts=rng.choice((2, 3)) if retries else 1,
        retry_delay_s=rng.choice((0.0, 0.05)),
        most=rng.choice(((1,), (4,), (1, 2, 8), (250,))),
        batch=size,
        within_s=rng.choice((0.0, 0.05, 0.2)),
        waits=rng.choice(((Wait.FOREVER,), (Wait.FOREVER, Wait.TIMED, Wait.NO))),
        p_skip=rng.choice((0.0, 0.1)),
        p_fail=rng.choice((0.0, 0.1)) if retries else rng.choice((0.0, 0.0, 0.03)),
        p_return=rng.choice((0.0,) * 9 + (0.02,)) if shape in ONCE_SHAPES else 0.0,
    )


def _source(
    rng: random.Random, name: str, names: list[str], queues: dict[str, int], writes: str
) -> Job:
    others = [other for other in names if other != writes]
    rng.shuffle(others)
    more = tuple(others[: rng.choice((0, 0, 0, 1, 2))])
    boxes = ((writes, *more),) if rng.random() < 0.5 else ((writes,), *((m,) for m in more))
    return Job(
        name=name,
        shape=shapes.source,
        boxes=boxes,
        workers=rng.choice((1, 1, 2)),
        waits=rng.choice(((Wait.FOREVER,), (Wait.FOREVER, Wait.TIMED, Wait.NO))),
        items=rng.randint(3, 40),
    )


def _boxes(rng: random.Random, names: list[str]) -> tuple[tuple[str, ...], ...]:
    """Copies to some queues, or routes: a box for each."""
    chosen = [name for name in names if rng.random() < 0.6]
    if not chosen:
        return ()
    return (tuple(chosen),) if rng.random() < 0.4 else tuple((name,) for name in chosen)
