"""The grammar of random pipelines: a seed makes 5 to 14 jobs, and the queues between them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from .draft import RESTART, RETRY, Draft
from .expected import made_by, source_makes
from .extras import failing, others, task
from .model import UNNAMED, Job, Pipeline, Queue

_MOST_PROGRAMS = 120
"""Of programs that are started once an item."""
_FATES = {
    "pipeline_targets.Skipped": "skip",
    "pipeline_targets.Dead": "dead_letter",
    "pipeline_targets.Broken": "fail",
    "else": "fail",
}
_WITH_FATES = ("item", "batch")
_UNNAMED_SHAPES = ("item", "item", "item", "batch", "batch", "stream")
_COMMANDS = ("command-item", "command-batch", "command-stream")
_HANDLE_SHAPES = ("item", "batch", "stream", "relay", "relay", "transaction", "transaction")
_MODES = ("one after another", "in turn", "polling", "with timeouts")
_WAIT_FOR_ALL = frozenset({"one after another", "in turn"})
"""Modes in which a job waits at one input while another fills: it must hold all."""


def pipeline(seed: int, *, durable: bool) -> Pipeline:
    """Return the pipeline of this seed."""
    return _Builder(seed, durable=durable).build()


class _Builder:
    def __init__(self, seed: int, *, durable: bool) -> None:
        self._seed = seed
        self._draft = Draft(seed, durable=durable)

    def build(self) -> Pipeline:
        draft = self._draft
        wanted = draft.chance.randint(5, 14)
        before = task(draft) if draft.maybe(0.2) else None
        for _ in range(draft.chance.choice([1, 1, 2, 2, 3])):
            self._source(before)
        while len(draft.jobs) + len(draft.unread) < wanted:
            self._reader(before, sink=False)
        while draft.unread:
            self._reader(before, sink=True)
        others(draft, wanted)
        failing(draft)
        return Pipeline(
            seed=self._seed,
            durable=draft.durable,
            queues=draft.queues,
            jobs=draft.jobs,
        )

    # -- sources ----------------------------------------------------------------------------------

    def _source(self, before: str | None) -> None:
        draft = self._draft
        shape = draft.chance.choice(["source", "source", "source-handles", "source-command"])
        name = draft.name("s")
        ports = draft.wired(named=shape == "source-handles")
        room = draft.room(ports)
        items = draft.chance.choice([20, 60, 120, 250])
        block = 0
        if shape == "source-handles":
            fans = draft.fans(ports, items, room)
            most = max(fan[1] for fan in fans.values())
            block = draft.chance.choice([0, max(1, min(5, room // max(1, most)))])
        else:
            fans = {UNNAMED: [1, 1]}
        role = draft.role(
            name,
            command=shape == "source-command",
            ports=fans,
            items=items,
            block=block,
            pad=draft.fitted_pad(ports, max(1, block) * 3),
            pace_s=draft.chance.choice([0, 0, 0.001, 0.8 / items]),
        )
        keys: dict[str, Any] = {"restart": {**RESTART, "replay": "skip"}, **draft.method()}
        if before and draft.maybe(0.7):
            keys["after"] = draft.chance.choice([before, {before: "finished"}])
        draft.add(Job(name=name, shape=shape, role=role, ports=ports, keys=keys))
        draft.arrives(ports, source_makes(role))

    # -- readers ----------------------------------------------------------------------------------

    def _reader(self, before: str | None, *, sink: bool) -> None:
        draft = self._draft
        inputs = [draft.unread.pop(draft.chance.randrange(len(draft.unread)))]
        crowded = sink and len(draft.jobs) + len(draft.unread) >= 12
        while (
            draft.unread and (crowded or len(inputs) < 3) and draft.maybe(0.9 if crowded else 0.3)
        ):
            other = draft.chance.choice(draft.unread)
            if any(set(draft.arrive[other]) & set(draft.arrive[name]) for name in inputs):
                break  # copies of one item: nobody could tell the second from a doubled one
            draft.unread.remove(other)
            inputs.append(other)
        coming = [ident for name in inputs for ident in draft.arrive[name]]
        named = draft.maybe(0.35)
        ports = {} if sink else draft.wired(named=named, inputs=inputs)
        shape = self._shape(ports, inputs, len(coming), named=named)
        role = self._role(shape, ports, inputs, len(coming))
        job = Job(
            name=role["name"],
            shape=shape,
            role=role,
            inputs=tuple(inputs),
            ports=ports,
            mode=self._mode(shape, inputs),
        )
        self._finish(job, before, len(coming))
        draft.arrives(ports, {port: made_by(role, port, coming) for port in ports})

    def _role(
        self,
        shape: str,
        ports: Mapping[str, Sequence[str]],
        inputs: Sequence[str],
        coming: int,
    ) -> dict[str, Any]:
        """What the job does; one call of it gives no more than any of its queues holds."""
        draft = self._draft
        name, room = draft.name("j"), draft.room(ports)
        fans = draft.fans(ports, coming, room)
        if shape.startswith("command"):
            fans = {UNNAMED: [1, 1]} if ports else {}
        most = max((fan[1] for fan in fans.values()), default=0)
        held = min(draft.queues[queue].maxsize for queue in inputs)
        block = max(1, min(draft.chance.choice([2, 5, 10]), room // max(1, most), held))
        role = draft.role(
            name,
            command=shape.startswith("command"),
            ports=fans,
            block=block,
            pad=draft.fitted_pad(ports, max(1, block * most)),
            pace_s=round(min(0.02, draft.chance.uniform(0, 1.0) / max(1, coming)), 5),
        )
        if shape in _WITH_FATES and draft.maybe(0.25):
            role["lingers_s"] = 0.1
        if shape in _WITH_FATES and draft.maybe(0.5):
            role |= {key: draft.chance.choice([0, 3, 10]) for key in ("skip", "dead", "flaky")}
        return role

    def _shape(
        self, ports: Mapping[str, Any], inputs: Sequence[str], coming: int, *, named: bool
    ) -> str:
        draft = self._draft
        pads = [w.role["pad"] for w in draft.jobs.values() if set(w.outputs) & set(inputs)]
        if (UNNAMED in ports or not ports) and draft.maybe(0.2) and max(pads) < 10_000:
            shape = draft.chance.choice(_COMMANDS)
            if shape != "command-item" or coming <= _MOST_PROGRAMS:
                return shape
        if UNNAMED in ports or (not ports and not named):
            return draft.chance.choice(_UNNAMED_SHAPES)
        shapes = [s for s in _HANDLE_SHAPES if s != "transaction" or len(inputs) == 1]
        return draft.chance.choice(shapes)

    def _mode(self, shape: str, inputs: Sequence[str]) -> str:
        draft = self._draft
        if shape != "relay":
            return ""
        mode = draft.chance.choice(_MODES)
        if mode in _WAIT_FOR_ALL and len(inputs) > 1:
            for name in inputs:
                held = max(draft.queues[name].maxsize, len(draft.arrive[name]) + 1)
                draft.queues[name] = Queue(name=name, maxsize=held)
        return mode

    def _finish(self, job: Job, before: str | None, coming: int) -> None:
        """Add the job with its other keys, and perhaps a twin that reads the same queues."""
        draft = self._draft
        twin = None
        if len(job.inputs) == 1 and not job.role["command"] and self._twins():
            twin = self._twin_of(job)
        for one in filter(None, (job, twin)):
            keys = self._keys(one, coming, alone=twin is None)
            if before and draft.maybe(0.3):
                keys["after"] = before
            workers = self._workers(one, keys)
            draft.add(dataclasses.replace(one, keys=keys, workers=workers))
        if twin and twin.shape == job.shape and not before and draft.maybe(0.5):
            self._as_matrix(job.name, twin.name)

    def _twins(self) -> bool:
        draft = self._draft
        return len(draft.jobs) + len(draft.unread) < 12 and draft.maybe(0.2)

    def _twin_of(self, job: Job) -> Job:
        draft = self._draft
        role = job.role
        shapes = [job.shape]
        if not (role["skip"] or role["dead"] or role["flaky"]):
            shapes += ["item", "batch", "stream"]
            shapes += ["transaction", "relay"] if UNNAMED not in job.ports else []
        elif job.shape in _WITH_FATES:
            shapes += list(_WITH_FATES)
        shape = draft.chance.choice(shapes)
        mode = self._mode(shape, job.inputs)
        return dataclasses.replace(job, name=f"{job.name}b", shape=shape, mode=mode)

    def _as_matrix(self, *names: str) -> None:
        draft = self._draft
        jobs = [draft.jobs.pop(name) for name in names]
        family = jobs[0].name
        for n, job in enumerate(jobs):
            draft.add(
                dataclasses.replace(
                    jobs[0], name=f"{family}_m{n}", matrix=family, workers=job.workers
                )
            )
        same = draft.jobs[f"{family}_m0"].workers
        draft.jobs[f"{family}_m1"] = dataclasses.replace(draft.jobs[f"{family}_m1"], workers=same)

    def _keys(self, job: Job, coming: int, *, alone: bool) -> dict[str, Any]:
        draft = self._draft
        keys: dict[str, Any] = draft.method()
        if not job.replaced:
            return keys
        keys |= {"restart": RESTART, "retry": RETRY}
        if job.shape in _WITH_FATES:
            keys["on_error"] = _FATES
        if job.role["lingers_s"] or draft.maybe(0.2):
            most = 5 if job.role["lingers_s"] else 25
            keys["recycle"] = {"max_items": draft.chance.randint(2, most)}
        if job.shape.endswith("batch"):
            within = draft.chance.choice(["1ms", "10ms", "50ms"])
            keys["batch"] = {"size": job.role["block"], "within": within}
        elif draft.maybe(0.15):
            limit = max(60, int(coming * draft.chance.uniform(0.8, 3)))
            keys["rate"] = {"limit": f"{limit}/s", "burst": draft.chance.choice([1, 5, 20])}
        orderly = job.shape == "item" and bool(job.ports) and alone and len(job.inputs) == 1
        if orderly and draft.maybe(0.35):
            keys["ordered"] = draft.chance.choice([True, {"window": draft.chance.randint(3, 40)}])
        return keys

    def _workers(self, job: Job, keys: Mapping[str, Any]) -> int:
        draft = self._draft
        if "ordered" in keys:
            return draft.chance.choice([2, 2, 3])
        if job.role["lingers_s"]:
            return 1
        if job.replaced:
            return draft.chance.choice([1, 1, 2, 2, 3])
        return draft.chance.choice([1, 1, 1, 2]) if len(job.inputs) == 1 else 1
