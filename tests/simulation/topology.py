"""Random pipelines without a cycle, in which no honest worker can wait for ever."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from orchestrator.core.protocol.messages import Wait
from orchestrator.plan.model import ErrorAction, WhenFull

from . import shapes

MAX_BYTES = (1, 10, 25, 60, 200, 1000)
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
    otherwise: ErrorAction = ErrorAction.FAIL
    most: tuple[int, ...] = (1,)
    batch: int = 1
    within_s: float = 0.1
    waits: tuple[Wait, ...] = (Wait.FOREVER,)
    fan: tuple[int, ...] = (3, 8, 2, 1)
    p_skip: float = 0.0
    p_fail: float = 0.0
    p_return: float = 0.0
    items: int = 0
    window: int | None = None
    interval_s: float | None = None
    burst: int = 1
    recycle: int | None = None

    @property
    def by_item(self) -> bool:
        """Whether an item can be called for again."""
        return self.shape in ITEM_SHAPES

    @property
    def writes(self) -> tuple[str, ...]:
        return tuple(queue for box in self.boxes for queue in box)


@dataclass(kw_only=True)
class Topology:
    """Queues with their bounds, in items and some in bytes too, exact or soft, and jobs.

    Of those that drop, `when_full` says which items. `patience` is how long a put may wait for room
    in a queue, where that has an end.
    """

    queues: dict[str, int]
    jobs: list[Job]
    max_bytes: dict[str, int]
    soft_bytes: dict[str, int] = field(default_factory=dict)
    when_full: dict[str, WhenFull] = field(default_factory=dict)
    patience: dict[str, float] = field(default_factory=dict)

    def batch(self, queue: str) -> int:
        """The largest batch that is taken from a queue."""
        readers = (job for job in self.jobs if queue in job.reads)
        return max((job.batch for job in readers if job.shape is shapes.batches), default=1)


def make(
    rng: random.Random,
    *,
    small: bool = False,
    durable: bool = False,
    held: bool = False,
    merging: bool = False,
    patient: bool = False,
    limited: bool = False,
) -> Topology:
    """A pipeline of one to four queues, three in ten crowded: see `_Maker`.

    In one for durable runs there are more jobs that are called once, and queues that drop; where
    items are to be `held` back, every job that can be is ordered. In a `merging` one a job polls
    the first two queues; in a `patient` one many batches are as large as their queue, and wait for
    long. In a `limited` one many queues let nobody wait for ever.
    """
    crowded = rng.random() < 0.3
    maker = _Maker(rng, small=small, crowded=crowded, durable=durable, merging=merging)
    topology = maker.topology(p_ordered=1.0 if held else 0.5)
    if patient:
        _enlarge_batches(topology, rng)
    if limited:
        _limit_waits(topology, random.Random(hash(rng.getstate()[1]) + 3))
    return topology


class _Maker:
    """Draws a pipeline.

    In a crowded one narrow queues get copies of everything that is read upstream of them, so that
    commits wait for room in several queues at once.
    """

    def __init__(
        self, rng: random.Random, *, small: bool, crowded: bool, durable: bool, merging: bool
    ) -> None:
        self._rng = rng
        self._merging = merging
        self._once = ONCE_SHAPES * 3 if durable else ONCE_SHAPES
        self._p_return = (0.0, 0.0, 0.0, 0.05) if durable else (0.0,) * 9 + (0.02,)
        self._crowded = crowded
        self._p_drop = 0.3 if durable else 0.0
        fewest, most = (3, 4) if crowded or merging else (1, 2 if small else 4)
        sizes = (1, 2, 3) if crowded else MAXSIZES[:8] if small else MAXSIZES
        self._names = [f"q{at}" for at in range(rng.randint(fewest, most))]
        self._queues = {name: rng.choice(sizes) for name in self._names}
        self._jobs: list[Job] = []

    def topology(self, *, p_ordered: float) -> Topology:
        rng = self._rng
        if self._merging:
            self._add_merge()
        for at in range(2 if self._merging else 0, len(self._names)):
            for _ in range(rng.choice((1, 1, 1, 2))):
                self._add_reader(at)
        written = {queue for job in self._jobs for queue in job.writes}
        for name in self._names:
            if name not in written or rng.random() < 0.2:
                self._add_source(name)
        self._hold_some(p_ordered)
        return Topology(
            queues=self._queues,
            jobs=self._jobs,
            max_bytes=self._max_bytes(),
            soft_bytes=self._soft_bytes(),
            when_full=self._when_full(),
        )

    def _hold_some(self, p_ordered: float) -> None:
        """Some jobs keep the order of their input, and some have a rate; drawn apart."""
        rng = random.Random(hash(self._rng.getstate()[1]) + 1)
        for job in self._jobs:
            alone = len(job.reads) == 1 and not any(
                job.reads[0] in other.reads for other in self._jobs if other is not job
            )
            if job.shape is shapes.items and alone and job.boxes and rng.random() < p_ordered:
                job.window = rng.choice((1, 2, 3, 5, 20, 1000))
            if job.shape is shapes.items and rng.random() < 0.25:
                job.interval_s = rng.choice((0.001, 0.03, 0.5))
                job.burst = rng.choice((1, 1, 2, 5))

    def _max_bytes(self) -> dict[str, int]:
        """Of three pipelines in ten some queues bound bytes; an item has up to forty of them.

        Drawn apart: the other pipelines are what they would be without.
        """
        rng = random.Random(hash(self._rng.getstate()[1]))
        if rng.random() < 0.7:
            return {}
        return {name: rng.choice(MAX_BYTES) for name in self._names if rng.random() < 0.7}

    def _soft_bytes(self) -> dict[str, int]:
        """Of half of the others some queues do so softly; drawn apart."""
        rng = random.Random(hash(self._rng.getstate()[1]) + 4)
        if self._max_bytes() or rng.random() < 0.5:
            return {}
        return {name: rng.choice(MAX_BYTES) for name in self._names if rng.random() < 0.7}

    def _when_full(self) -> dict[str, WhenFull]:
        """Of three durable pipelines in ten some queues drop what is too much; drawn apart."""
        rng = random.Random(hash(self._rng.getstate()[1]) + 2)
        if rng.random() >= self._p_drop:
            return {}
        kinds = [each for each in WhenFull if each.drops]
        return {name: rng.choice(kinds) for name in self._names if rng.random() < 0.5}

    def _add_reader(self, at: int) -> None:
        rng, names = self._rng, self._names
        others = [other for other in names[:at] if rng.random() < 0.15]
        shape = rng.choice(ITEM_SHAPES if self._crowded else ITEM_SHAPES + self._once)
        retries = rng.random() < 0.3
        self._jobs.append(
            Job(
                name=f"j{len(self._jobs)}",
                shape=shape,
                reads=(names[at], *others),
                boxes=self._boxes(names[at + 1 :]),
                workers=rng.choice((2, 3) if self._crowded else (1, 1, 2, 3)),
                attempts=rng.choice((2, 3)) if retries else 1,
                retry_delay_s=rng.choice((0.0, 0.05, 1.0)),
                otherwise=rng.choice(tuple(ErrorAction)),
                most=rng.choice(((1,), (4,), (1, 2, 8), (250,))),
                batch=rng.randint(2, 4),
                within_s=rng.choice((0.0, 0.05, 0.2)),
                waits=self._waits(),
                fan=rng.choice(((3, 8, 2, 1), (3, 8, 2, 1), (3, 8, 2, 1), (4, 1, 2, 4))),
                p_skip=rng.choice((0.0, 0.1)),
                p_fail=rng.choice((0.1, 0.3)) if retries else rng.choice((0.0, 0.0, 0.03)),
                p_return=rng.choice(self._p_return) if shape in ONCE_SHAPES else 0.0,
            )
        )

    def _add_merge(self) -> None:
        """One worker gets from either of two queues, and gives all of it in one order."""
        rng, names = self._rng, self._names
        self._jobs.append(
            Job(
                name="j0",
                shape=shapes.handles,
                reads=tuple(names[:2]),
                boxes=(tuple(names[2:]),),
                most=rng.choice(((1,), (4,), (1, 2, 8), (250,))),
                waits=self._waits(),
            )
        )

    def _add_source(self, writes: str) -> None:
        rng = self._rng
        others = [other for other in self._names if other != writes]
        rng.shuffle(others)
        more = tuple(others[: rng.choice((0, 0, 0, 1, 2))])
        boxes = ((writes, *more),) if rng.random() < 0.5 else ((writes,), *((m,) for m in more))
        self._jobs.append(
            Job(
                name=f"j{len(self._jobs)}",
                shape=shapes.source,
                boxes=boxes,
                workers=rng.choice((1, 1, 2)),
                waits=self._waits(),
                items=rng.choice((1, 3, 10, 30))
                if self._merging
                else rng.randint(5, 30 if self._crowded else 100),
            )
        )

    def _waits(self) -> tuple[Wait, ...]:
        return self._rng.choice(((Wait.FOREVER,), (Wait.FOREVER, Wait.TIMED, Wait.NO)))

    def _boxes(self, names: list[str]) -> tuple[tuple[str, ...], ...]:
        """Copies to some queues, or routes: a box for each."""
        rng = self._rng
        chosen = [name for name in names if self._crowded or rng.random() < 0.6]
        if not chosen:
            return ()
        if rng.random() < (0.8 if self._crowded else 0.4):
            return (tuple(chosen),)
        return tuple((name,) for name in chosen)


def _limit_waits(topology: Topology, rng: random.Random) -> None:
    """Most queues that may be full get a limit, but those that an ordered job writes.

    Who is called once tries again what found no room, so there has to be a time for it.
    """
    called_once = {queue for job in topology.jobs if not job.by_item for queue in job.writes}
    ordered = {queue for job in topology.jobs if job.window is not None for queue in job.writes}
    for name, maxsize in topology.queues.items():
        bounded = (maxsize or name in topology.max_bytes) and name not in topology.when_full
        if bounded and name not in ordered and rng.random() < 0.8:
            patience_s = rng.choice((0.0, 0.003, 0.02, 0.1, 0.5))
            topology.patience[name] = patience_s or (0.003 if name in called_once else 0.0)


def _enlarge_batches(topology: Topology, rng: random.Random) -> None:
    """Most item jobs become batch jobs, whose batches are about as large as their queue.

    What they give at once often fits only where others have taken all there is.
    """
    queues = topology.queues
    for queue, size in queues.items():
        if not 2 < size <= 10:
            queues[queue] = rng.choice((3, 4, 5, 8))
    for job in topology.jobs:
        if job.shape is shapes.items and job.window is None and rng.random() < 0.6:
            job.shape, job.interval_s = shapes.batches, None
        if job.shape is shapes.batches:
            job.batch = max(2, min(queues[queue] for queue in job.reads) - rng.choice((0, 0, 1)))
            job.within_s = rng.choice((0.2, 9.0, 9.0))
        job.fan = rng.choice((job.fan, (1, 1, 4, 8)))
