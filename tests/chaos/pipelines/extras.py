"""What stands beside the flow of items: tasks, daemons, standalone queues; and jobs that fail."""

from __future__ import annotations

import dataclasses

from .draft import RESTART, RETRY, Draft
from .fates import fails
from .model import UNNAMED, Job, Queue

_MOST_FAILURES = 3


def task(draft: Draft) -> str:
    name = draft.name("t")
    pace_s = draft.chance.choice([0, 0.1, 0.3])
    draft.add(Job(name=name, shape="task", role=draft.role(name, pace_s=pace_s)))
    return name


def others(draft: Draft, wanted: int) -> None:
    """Tasks after others, daemons, standalone queues beside: as far as they fit."""
    kinds = [_after, _daemon, _ticks, _beside]
    draft.chance.shuffle(kinds)
    for kind in kinds:
        if len(draft.jobs) < min(14, wanted + 2) and draft.maybe(0.3):
            kind(draft)


def _after(draft: Draft) -> None:
    """A task after a job that reads: it is to see all that this has done, or never starts."""
    readers = [
        job.name
        for job in draft.jobs.values()
        if job.inputs and not job.matrix and "daemon" not in job.keys
    ]
    if readers:
        waits = {
            draft.chance.choice(readers): draft.chance.choice(
                ["ready", "succeeded", "succeeded", "finished", "failed"]
            )
        }
        name = task(draft)
        draft.add(dataclasses.replace(draft.jobs[name], keys={"after": waits}))


def _daemon(draft: Draft) -> None:
    name = draft.name("d")
    draft.add(Job(name=name, shape="daemon", role=draft.role(name), keys={"daemon": True}))


def _ticks(draft: Draft) -> None:
    """A daemon that makes items, and one that reads them."""
    name, queue = draft.name("d"), f"q{len(draft.queues)}"
    draft.queues[queue] = Queue(name=queue, maxsize=10)
    draft.arrive[queue] = []
    role = draft.role(name, ports={UNNAMED: [1, 1]}, pace_s=0.01)
    keys = {"daemon": True}
    draft.add(Job(name=name, shape="ticks", role=role, ports={UNNAMED: (queue,)}, keys=keys))
    reader = draft.name("d")
    draft.add(
        Job(
            name=reader,
            shape="item",
            role=draft.role(reader, pace_s=0.005),
            inputs=(queue,),
            keys={**keys, "restart": RESTART, "retry": RETRY},
        )
    )


def _beside(draft: Draft) -> None:
    name = draft.name("b")
    more = {
        "items": draft.chance.choice([50, 300]),
        "kills": draft.chance.randint(0, 6),
        "maxsize": draft.chance.choice([1, 5, 50]),
        "method": draft.chance.choice(["fork", "forkserver"]),
    }
    role = draft.role(name, **more) | {"pace_s": 0.002}
    draft.add(Job(name=name, shape="beside", role=role))


def failing(draft: Draft) -> None:
    """Now and then a job fails at an item: in a durable run once, elsewhere for good."""
    if not draft.maybe(0.3):
        return
    kinds = ("item", "batch", "stream", "relay")
    roles = [job.role["name"] for job in draft.jobs.values() if job.shape in kinds]
    groups = [job for job in draft.jobs.values() if job.role["name"] in roles and job.inputs]
    if not groups:
        return
    chosen = draft.chance.choice(groups)
    coming = [ident for name in chosen.inputs for ident in draft.arrive[name]]
    for at in (5, 20, 60, 200):
        role = {**chosen.role, "fails_at": at}
        if 1 <= sum(fails(role, ident) for ident in coming) <= _MOST_FAILURES:
            break
    else:
        return
    on_failure = draft.chance.choice(["stop", "stop", "drain", "continue"])
    for name, job in draft.jobs.items():
        if job.role["name"] == role["name"]:
            keys = {**job.keys, "on_failure": on_failure}
            draft.jobs[name] = dataclasses.replace(job, role=role, keys=keys)
