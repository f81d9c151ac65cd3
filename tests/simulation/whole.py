"""At the end of a durable run: every item put has one end, and what has made it was done once."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from orchestrator.core.durable.records import Fate

from . import replay, shapes
from .boxes import NO_LIMIT, Box
from .ledger import check
from .parts import part_of
from .topology import Job

if TYPE_CHECKING:
    from .durable import DurableWorld


def check_whole(world: DurableWorld) -> None:
    """Nothing is lost and nothing is doubled, over all lives."""
    check(not world.disk.chunks, "no chunk is kept once all is done")
    for name in world.topology.queues:
        _queue_is_whole(world, name)
    for job in world.topology.jobs:
        if job.shape is shapes.source:
            _source_is_whole(world, job)
    _executions_are_whole(world)


def _queue_is_whole(world: DurableWorld, name: str) -> None:
    queue, record = world.broker.queues[name], world.record
    check(queue.ended, f"{name} has ended")
    check(queue.put == record.put[name], f"{name}: {queue.put} put, not {record.put[name]}")
    fates = Counter(fate for (where, _), fate in record.ends.items() if where == name)
    fates[Fate.DROPPED] += record.spilt[name]
    check(queue.put == fates.total(), f"{name}: {queue.put} put, and ends {fates}")
    fates[Fate.DROPPED] += fates[Fate.DROPPED_FULL]
    booked = queue.done, queue.skipped, queue.dropped, queue.dead, queue.policy.dropped
    for fate, n in zip(Fate, booked, strict=True):
        check(n == fates[fate], f"{name}: {n} {fate.name}, not {fates[fate]}")
    check(not queue.left, f"{name}: {queue.left} left")
    unwanted = queue.dropped - queue.policy.dropped
    check(not unwanted or name in world.enough, f"{name}: dropped, though all is wanted")


def _source_is_whole(world: DurableWorld, job: Job) -> None:
    target = replay.Steady(job, world.makers, lambda *_: 0, calm=True)
    for index in range(job.workers):
        worker = f"{job.name}-{index + 1}"
        for at in range(job.items):
            queues = job.boxes[replay.route(job, worker, at)]
            identity = target.source_item(worker, at, Box(queues, NO_LIMIT, 1))
            for queue in queues:
                there = identity in world.record.placed(queue)
                check(there or queue in world.enough, f"{queue} lacks item {at} of {worker}")


def _executions_are_whole(world: DurableWorld) -> None:
    """What an item gives is put by one of its executions, and as a whole if it is done."""
    record = world.record
    found: dict[tuple[str, int, str], Counter[int]] = {}
    for queue in world.topology.queues:
        for identity in record.placed(queue):
            made = world.makers.made[identity]
            given = found.setdefault((made.queue, made.number, queue), Counter())
            given[made.execution] += 1
    for (source, number, queue), given in found.items():
        check(len(given) == 1, f"{queue}: {source}:{number} was done {len(given)} times")
    for job in world.topology.jobs:
        alone = [name for name in job.reads if len(_readers(world, name)) == 1]
        if job.shape is shapes.batches:
            continue
        for (name, number), fate in record.ends.items():
            if name in alone and fate is Fate.DONE:
                _item_is_whole(world, job, name, number, found)


def _item_is_whole(
    world: DurableWorld,
    job: Job,
    name: str,
    number: int,
    found: dict[tuple[str, int, str], Counter[int]],
) -> None:
    target = replay.Steady(job, world.makers, lambda *_: 0, calm=True)
    for queues in job.boxes:
        box = Box(queues, part_of(queues, world.topology.queues), 1)
        expected = target.outputs(name, number, box)
        for queue in queues:
            given = found.get((name, number, queue), Counter()).total()
            whole = given == expected or queue in world.enough
            check(whole, f"{queue}: {name}:{number} has given {given} of {expected}")


def _readers(world: DurableWorld, queue: str) -> list[Job]:
    return [job for job in world.topology.jobs if queue in job.reads]
