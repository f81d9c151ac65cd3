"""The grammar of random pipelines: a seed makes 5 to 14 jobs, and the queues between them."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Mapping, Sequence
from typing import Any

from .expected import made_by, source_makes
from .fates import fails
from .model import SOURCES, UNNAMED, Job, Pipeline, Queue

MOST_ITEMS = 500
"""What is to come to a queue at most, about: above that no job multiplies its items."""
_MOST_FAILURES = 3
_MOST_PROGRAMS = 120
"""Of programs that are started once an item."""
_ITEM_BYTES = 70
_RETRY = {"attempts": 1000, "backoff": {"initial": "1ms", "max": "20ms"}}
_RESTART = {"max": 10_000, "within": "1s"}
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
        self._chance = random.Random(f"{seed} {durable}")
        self._seed = seed
        self._durable: bool | str = durable
        if durable and self._maybe(0.15):
            self._durable = "full"
        self._jobs: dict[str, Job] = {}
        self._queues: dict[str, Queue] = {}
        self._arrive: dict[str, list[str]] = {}
        self._unread: list[str] = []

    def build(self) -> Pipeline:
        wanted = self._chance.randint(5, 14)
        before = self._task() if self._maybe(0.2) else None
        for _ in range(self._chance.choice([1, 1, 2, 2, 3])):
            self._source(before)
        while len(self._jobs) + len(self._unread) < wanted:
            self._reader(before, sink=False)
        while self._unread:
            self._reader(before, sink=True)
        self._others(wanted)
        self._failing()
        return Pipeline(
            seed=self._seed, durable=self._durable, queues=self._queues, jobs=self._jobs
        )

    # -- chance -----------------------------------------------------------------------------------

    def _maybe(self, likely: float) -> bool:
        return self._chance.random() < likely

    def _name(self, kind: str) -> str:
        return f"{kind}{len(self._jobs)}"

    def _add(self, job: Job) -> None:
        self._jobs[job.name] = job

    def _role(self, name: str, **more: Any) -> dict[str, Any]:
        nothing = {"command": False, "ports": {}, "skip": 0, "dead": 0, "flaky": 0, "block": 0}
        never = {"fails_at": 0, "fails_once": bool(self._durable)}
        return {"name": name, **nothing, **never, "pace_s": 0.0, "pad": 0, "lingers_s": 0, **more}

    def _pad(self) -> int:
        return self._chance.choice([0, 0, 0, 0, 50, 50, 3000, 30_000])

    def _method(self) -> dict[str, str]:
        methods = ["forkserver"] * 8 + ["spawn"] + ([] if self._durable else ["fork"] * 3)
        method = self._chance.choice(methods)
        return {} if method == "forkserver" else {"start_method": method}

    # -- queues and ports -------------------------------------------------------------------------

    def _queue(self) -> str:
        name = f"q{len(self._queues)}"
        when_full = self._chance.choice(["block"] * 6 + ["drop_newest", "drop_oldest"])
        self._queues[name] = Queue(
            name=name,
            maxsize=self._chance.choice(
                [1, 2, 5, 10] if when_full != "block" else [1, 2, 3, 5, 10, 10, 30, 30, 100, 1000]
            ),
            max_bytes=self._chance.choice([None] * 5 + [2_000, 20_000, 100_000]),
            when_full=when_full,
        )
        self._arrive[name] = []
        self._unread.append(name)
        return name

    def _wired(self, *, named: bool, inputs: Sequence[str] = ()) -> dict[str, tuple[str, ...]]:
        """Some ports, each with its queue: a new one, or one that is not read yet."""

        def one(taken: Sequence[str]) -> str:
            known = [name for name in self._unread if name not in taken]
            return self._chance.choice(known) if known and self._maybe(0.15) else self._queue()

        if named:
            found: dict[str, tuple[str, ...]] = {}
            for n in range(self._chance.choice([1, 2, 2, 3])):
                found[f"port{n}"] = (one([*inputs, *(q for (q,) in found.values())]),)
            return found
        queues: list[str] = []
        for _ in range(self._chance.choice([1, 1, 2, 2, 3])):
            queues.append(one([*inputs, *queues]))
        return {UNNAMED: tuple(queues)}

    def _room(self, ports: Mapping[str, Sequence[str]]) -> int:
        """How many outputs of one call are sure to leave as a whole."""
        queues = [self._queues[name] for names in ports.values() for name in names]
        return min((queue.maxsize for queue in queues), default=1000)

    def _fans(self, ports: Mapping[str, Sequence[str]], coming: int, room: int) -> dict[str, Any]:
        kinds = [[1, 1], [1, 1], [1, 1], [0, 1], [0, 2], [1, 2], [0, 3]]
        fitting = [kind for kind in kinds if kind[1] <= room]
        if coming > MOST_ITEMS / 2:
            fitting = [[0, 1]]
        return {port: self._chance.choice(fitting) for port in ports}

    def _fitted_pad(self, ports: Mapping[str, Sequence[str]], at_once: int) -> int:
        """Padding with which what one call gives is below each `max_bytes`."""
        pad = self._pad()
        for queue in (self._queues[name] for names in ports.values() for name in names):
            if queue.max_bytes and at_once > 1:
                pad = min(pad, max(0, queue.max_bytes // at_once - _ITEM_BYTES - 40))
        return pad

    def _arrives(self, ports: Mapping[str, Sequence[str]], made: Mapping[str, list[str]]) -> None:
        for port, queues in ports.items():
            for name in queues:
                self._arrive[name] += made[port]

    # -- sources ----------------------------------------------------------------------------------

    def _source(self, before: str | None) -> None:
        shape = self._chance.choice(["source", "source", "source-handles", "source-command"])
        name = self._name("s")
        ports = self._wired(named=shape == "source-handles")
        room = self._room(ports)
        items = self._chance.choice([20, 60, 120, 250])
        block = 0
        if shape == "source-handles":
            fans = self._fans(ports, items, room)
            most = max(fan[1] for fan in fans.values())
            block = self._chance.choice([0, max(1, min(5, room // max(1, most)))])
        else:
            fans = {UNNAMED: [1, 1]}
        role = self._role(
            name,
            command=shape == "source-command",
            ports=fans,
            items=items,
            block=block,
            pad=self._fitted_pad(ports, max(1, block) * 3),
            pace_s=self._chance.choice([0, 0, 0.001, 0.8 / items]),
        )
        keys: dict[str, Any] = {"restart": {**_RESTART, "replay": "skip"}, **self._method()}
        if before and self._maybe(0.7):
            keys["after"] = self._chance.choice([before, {before: "finished"}])
        self._add(Job(name=name, shape=shape, role=role, ports=ports, keys=keys))
        self._arrives(ports, source_makes(role))

    # -- readers ----------------------------------------------------------------------------------

    def _reader(self, before: str | None, *, sink: bool) -> None:
        inputs = [self._unread.pop(self._chance.randrange(len(self._unread)))]
        crowded = sink and len(self._jobs) + len(self._unread) >= 12
        while (
            self._unread and (crowded or len(inputs) < 3) and self._maybe(0.9 if crowded else 0.3)
        ):
            other = self._chance.choice(self._unread)
            if any(set(self._arrive[other]) & set(self._arrive[name]) for name in inputs):
                break  # copies of one item: nobody could tell the second from a doubled one
            self._unread.remove(other)
            inputs.append(other)
        coming = [ident for name in inputs for ident in self._arrive[name]]
        named = self._maybe(0.35)
        ports = {} if sink else self._wired(named=named, inputs=inputs)
        shape = self._shape(ports, inputs, len(coming), named=named)
        if shape.startswith("command") and not sink:
            ports = {UNNAMED: ports[UNNAMED]}
        name, room = self._name("j"), self._room(ports)
        fans = self._fans(ports, len(coming), room)
        if shape.startswith("command"):
            fans = {UNNAMED: [1, 1]} if ports else {}
        most = max((fan[1] for fan in fans.values()), default=0)
        held = min(self._queues[queue].maxsize for queue in inputs)
        block = max(1, min(self._chance.choice([2, 5, 10]), room // max(1, most), held))
        role = self._role(
            name,
            command=shape.startswith("command"),
            ports=fans,
            block=block,
            pad=self._fitted_pad(ports, max(1, block * most)),
            pace_s=round(min(0.02, self._chance.uniform(0, 1.0) / max(1, len(coming))), 5),
        )
        if shape in _WITH_FATES and self._maybe(0.15):
            role["lingers_s"] = 0.1
        if shape in _WITH_FATES and self._maybe(0.5):
            role |= {key: self._chance.choice([0, 3, 10]) for key in ("skip", "dead", "flaky")}
        job = Job(
            name=name,
            shape=shape,
            role=role,
            inputs=tuple(inputs),
            ports=ports,
            mode=self._mode(shape, inputs),
        )
        self._finish(job, before, len(coming))
        self._arrives(ports, {port: made_by(role, port, coming) for port in ports})

    def _shape(
        self, ports: Mapping[str, Any], inputs: Sequence[str], coming: int, *, named: bool
    ) -> str:
        pads = [w.role["pad"] for w in self._jobs.values() if set(w.outputs) & set(inputs)]
        if (UNNAMED in ports or not ports) and self._maybe(0.2) and max(pads) < 10_000:
            shape = self._chance.choice(_COMMANDS)
            if shape != "command-item" or coming <= _MOST_PROGRAMS:
                return shape
        if UNNAMED in ports or (not ports and not named):
            return self._chance.choice(_UNNAMED_SHAPES)
        shapes = [s for s in _HANDLE_SHAPES if s != "transaction" or len(inputs) == 1]
        return self._chance.choice(shapes)

    def _mode(self, shape: str, inputs: Sequence[str]) -> str:
        if shape != "relay":
            return ""
        mode = self._chance.choice(_MODES)
        if mode in _WAIT_FOR_ALL and len(inputs) > 1:
            for name in inputs:
                held = max(self._queues[name].maxsize, len(self._arrive[name]) + 1)
                self._queues[name] = Queue(name=name, maxsize=held)
        return mode

    def _finish(self, job: Job, before: str | None, coming: int) -> None:
        """Add the job with its other keys, and perhaps a twin that reads the same queues."""
        twin = None
        if len(job.inputs) == 1 and not job.role["command"] and self._twins():
            twin = self._twin_of(job)
        for one in filter(None, (job, twin)):
            keys = self._keys(one, coming, alone=twin is None)
            if before and self._maybe(0.3):
                keys["after"] = before
            workers = self._workers(one, keys)
            self._add(dataclasses.replace(one, keys=keys, workers=workers))
        if twin and twin.shape == job.shape and not before and self._maybe(0.5):
            self._as_matrix(job.name, twin.name)

    def _twins(self) -> bool:
        return len(self._jobs) + len(self._unread) < 12 and self._maybe(0.2)

    def _twin_of(self, job: Job) -> Job:
        role = job.role
        shapes = [job.shape]
        if not (role["skip"] or role["dead"] or role["flaky"]):
            shapes += ["item", "batch", "stream"]
            shapes += ["transaction", "relay"] if UNNAMED not in job.ports else []
        elif job.shape in _WITH_FATES:
            shapes += list(_WITH_FATES)
        shape = self._chance.choice(shapes)
        mode = self._mode(shape, job.inputs)
        return dataclasses.replace(job, name=f"{job.name}b", shape=shape, mode=mode)

    def _as_matrix(self, *names: str) -> None:
        jobs = [self._jobs.pop(name) for name in names]
        family = jobs[0].name
        for n, job in enumerate(jobs):
            self._add(
                dataclasses.replace(
                    jobs[0], name=f"{family}_m{n}", matrix=family, workers=job.workers
                )
            )
        same = self._jobs[f"{family}_m0"].workers
        self._jobs[f"{family}_m1"] = dataclasses.replace(self._jobs[f"{family}_m1"], workers=same)

    def _keys(self, job: Job, coming: int, *, alone: bool) -> dict[str, Any]:
        keys: dict[str, Any] = self._method()
        if not job.replaced:
            return keys
        keys |= {"restart": _RESTART, "retry": _RETRY}
        if job.shape in _WITH_FATES:
            keys["on_error"] = _FATES
        if job.role["lingers_s"] or self._maybe(0.2):
            keys["recycle"] = {"max_items": self._chance.randint(2, 25)}
        if job.shape.endswith("batch"):
            within = self._chance.choice(["1ms", "10ms", "50ms"])
            keys["batch"] = {"size": job.role["block"], "within": within}
        elif self._maybe(0.15):
            limit = max(60, int(coming * self._chance.uniform(0.8, 3)))
            keys["rate"] = {"limit": f"{limit}/s", "burst": self._chance.choice([1, 5, 20])}
        orderly = job.shape == "item" and bool(job.ports) and alone and len(job.inputs) == 1
        if orderly and self._maybe(0.35):
            keys["ordered"] = self._chance.choice([True, {"window": self._chance.randint(3, 40)}])
        return keys

    def _workers(self, job: Job, keys: Mapping[str, Any]) -> int:
        if "ordered" in keys:
            return self._chance.choice([2, 2, 3])
        if job.replaced:
            return self._chance.choice([1, 1, 2, 2, 3])
        return self._chance.choice([1, 1, 1, 2]) if len(job.inputs) == 1 else 1

    # -- tasks, daemons, failures -----------------------------------------------------------------

    def _task(self) -> str:
        name = self._name("t")
        pace_s = self._chance.choice([0, 0.1, 0.3])
        self._add(Job(name=name, shape="task", role=self._role(name, pace_s=pace_s)))
        return name

    def _others(self, wanted: int) -> None:
        """Tasks after others, daemons, standalone queues beside: as far as they fit."""
        kinds = [self._after, self._daemon, self._ticks, self._beside]
        self._chance.shuffle(kinds)
        for kind in kinds:
            if len(self._jobs) < min(14, wanted + 2) and self._maybe(0.3):
                kind()

    def _after(self) -> None:
        """A task after a job that reads: it is to see all that this has done, or never starts."""
        readers = [
            job.name
            for job in self._jobs.values()
            if job.inputs and not job.matrix and "daemon" not in job.keys
        ]
        if readers:
            waits = {
                self._chance.choice(readers): self._chance.choice(
                    ["ready", "succeeded", "succeeded", "finished", "failed"]
                )
            }
            name = self._task()
            self._add(dataclasses.replace(self._jobs[name], keys={"after": waits}))

    def _daemon(self) -> None:
        name = self._name("d")
        self._add(Job(name=name, shape="daemon", role=self._role(name), keys={"daemon": True}))

    def _ticks(self) -> None:
        """A daemon that makes items, and one that reads them."""
        name, queue = self._name("d"), f"q{len(self._queues)}"
        self._queues[queue] = Queue(name=queue, maxsize=10)
        self._arrive[queue] = []
        role = self._role(name, ports={UNNAMED: [1, 1]}, pace_s=0.01)
        keys = {"daemon": True}
        self._add(Job(name=name, shape="ticks", role=role, ports={UNNAMED: (queue,)}, keys=keys))
        reader = self._name("d")
        self._add(
            Job(
                name=reader,
                shape="item",
                role=self._role(reader, pace_s=0.005),
                inputs=(queue,),
                keys={**keys, "restart": _RESTART, "retry": _RETRY},
            )
        )

    def _beside(self) -> None:
        name = self._name("b")
        more = {
            "items": self._chance.choice([50, 300]),
            "kills": self._chance.randint(0, 6),
            "maxsize": self._chance.choice([1, 5, 50]),
            "method": self._chance.choice(["fork", "forkserver"]),
        }
        role = self._role(name, **more) | {"pace_s": 0.002}
        self._add(Job(name=name, shape="beside", role=role))

    def _failing(self) -> None:
        """Now and then a job fails at an item: in a durable run once, elsewhere for good."""
        if not self._maybe(0.3):
            return
        kinds = ("item", "batch", "stream", "relay")
        roles = [job.role["name"] for job in self._jobs.values() if job.shape in kinds]
        groups = [job for job in self._jobs.values() if job.role["name"] in roles and job.inputs]
        if not groups:
            return
        chosen = self._chance.choice(groups)
        coming = [ident for name in chosen.inputs for ident in self._arrive[name]]
        for at in (5, 20, 60, 200):
            role = {**chosen.role, "fails_at": at}
            if 1 <= sum(fails(role, ident) for ident in coming) <= _MOST_FAILURES:
                break
        else:
            return
        on_failure = self._chance.choice(["stop", "stop", "drain", "continue"])
        for name, job in self._jobs.items():
            if job.role["name"] == role["name"]:
                keys = {**job.keys, "on_failure": on_failure}
                self._jobs[name] = dataclasses.replace(job, role=role, keys=keys)


__all__ = ["MOST_ITEMS", "SOURCES", "pipeline"]
