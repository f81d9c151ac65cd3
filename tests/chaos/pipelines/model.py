"""Random pipelines as data: jobs, queues and how they are written as a spec."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.spec.parts import QueueSpec

HERE = Path(__file__).parent
UNNAMED = "out"
"""The port of what a target gives back; all others are handles."""

REPLACED = frozenset({"item", "batch", "command-item", "command-batch"})
"""The shapes whose workers are replaced when they die."""
SOURCES = frozenset({"source", "source-handles", "source-command"})
TASKS = frozenset({"task", "beside"})
DAEMONS = frozenset({"daemon", "ticks"})

_TARGETS = {
    "source": "pipeline_targets:source",
    "source-handles": "pipeline_targets:source_by_handles",
    "item": "pipeline_targets:Item",
    "batch": "pipeline_targets:Batch",
    "stream": "pipeline_targets:stream",
    "relay": "pipeline_targets:relay",
    "transaction": "pipeline_targets:transact",
    "task": "pipeline_targets:task",
    "beside": "beside:beside",
    "daemon": "pipeline_targets:daemon",
    "ticks": "pipeline_targets:ticks",
}
_CALLS = {
    "batch": "batch",
    "command-batch": "batch",
    "stream": "stream",
    "command-stream": "stream",
}

_LOOP = 'while read -r i t r; do echo "b $i $t 0 " >> $F; {work} echo "e $i $t 0 " >> $F; done'
_FILE = "F=notes/$WORKER.$MPORCH_TEST_LIFE.$PPID; "
_SCRIPTS = {
    "source-command": 'i=0; while [ $i -lt {items} ]; do echo "{name}.$i {name} ";'
    " i=$((i+1)); done",
    "command-item": _FILE + 'set -- {{item}}; set -- $1; echo "b $1 $2 0 " >> $F; {work}'
    ' echo "e $1 $2 0 " >> $F',
    "command-batch": _FILE + _LOOP,
    "command-stream": _FILE + _LOOP,
}

SHAPES = (*_TARGETS, *_SCRIPTS)


UNWRITTEN = QueueSpec().maxsize
"""The bound of a queue whose spec gives none; its large items have a soft one too."""


@dataclass(frozen=True, kw_only=True)
class Queue:
    """A queue, as the spec has it."""

    name: str
    maxsize: int
    max_bytes: int | None = None
    when_full: str = "block"

    @property
    def drops(self) -> bool:
        return self.when_full.startswith("drop")

    def spec(self) -> object:
        found: dict[str, object] = {}
        if self.maxsize != UNWRITTEN:
            found["maxsize"] = self.maxsize
        if self.max_bytes:
            found["max_bytes"] = f"{self.max_bytes // 1000}kB"
        if self.when_full != "block":
            found["when_full"] = self.when_full
        return self.maxsize if found.keys() == {"maxsize"} else found or None


@dataclass(frozen=True, kw_only=True)
class Job:
    """A job: its shape, its wires, the role that says what it does, and all other keys.

    `ports` are the queues behind each port: several, a copy each, behind the unnamed one. Jobs
    with the same `role["name"]` read the same queues and do the same. `matrix` is the name of the
    job of which the spec makes this one, with others.
    """

    name: str
    shape: str
    role: Mapping[str, Any]
    inputs: tuple[str, ...] = ()
    ports: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    workers: int = 1
    keys: Mapping[str, Any] = field(default_factory=dict)
    mode: str = ""
    matrix: str = ""

    @property
    def outputs(self) -> Iterator[str]:
        """The queues that it writes to."""
        for queues in self.ports.values():
            yield from queues

    @property
    def replaced(self) -> bool:
        """Whether a worker of it that dies is replaced, and nothing else comes of it."""
        return self.shape in REPLACED or (
            self.shape in SOURCES and "replay" in self.keys.get("restart", {})
        )

    @property
    def once(self) -> bool:
        """Whether it is called once, and reads."""
        return bool(self.inputs) and self.shape not in REPLACED

    def spec(self) -> dict[str, object]:
        """The job as the spec has it, but for a matrix."""
        found: dict[str, object] = {}
        if self.shape in _SCRIPTS:
            found["command"] = self._script()
            found["env"] = {"WORKER": "${worker.name}"}
        else:
            found["target"] = _TARGETS[self.shape]
            found["kwargs"] = {"role": dict(self.role)}
            if self.mode:
                found["kwargs"]["mode"] = self.mode
        found |= self._wires()
        if self.shape in _CALLS:
            found["call"] = _CALLS[self.shape]
        if self.workers > 1:
            found["workers"] = self.workers
        return found | dict(self.keys)

    def _script(self) -> str:
        name = self.role["name"]
        ident, token = ("$1", name) if self.shape == "command-item" else ("$i", name)
        work = f'echo "{ident}.{name} {token} ";' if self.ports else ""
        text = _SCRIPTS[self.shape].replace("{work}", work).replace("{{item}}", "{item}")
        return text.replace("{items}", str(self.role.get("items"))).replace("{name}", name)

    def _wires(self) -> dict[str, object]:
        found: dict[str, object] = {}
        if self.shape in ("relay", "transaction"):
            found["input"] = {f"in{n}": name for n, name in enumerate(self.inputs)}
        elif self.inputs:
            found["input"] = self.inputs[0] if len(self.inputs) == 1 else list(self.inputs)
        if UNNAMED in self.ports:
            queues = self.ports[UNNAMED]
            found["output"] = queues[0] if len(queues) == 1 else list(queues)
        elif self.ports:
            found["output"] = {port: queues[0] for port, queues in self.ports.items()}
        return found


@dataclass(frozen=True, kw_only=True)
class Pipeline:
    """All that a seed makes: the jobs in the order of their dependence, and the queues."""

    seed: int
    durable: bool | str
    queues: Mapping[str, Queue]
    jobs: Mapping[str, Job]

    def spec(self) -> dict[str, object]:
        """The spec of it."""
        jobs: dict[str, object] = {}
        for job in self.jobs.values():
            if not job.matrix:
                jobs[job.name] = job.spec()
            elif job.matrix not in jobs:
                jobs[job.matrix] = self._family(job)
        found: dict[str, object] = {
            "version": 1,
            "pythonpath": [str(HERE)],
            "queues": {queue.name: queue.spec() for queue in self.queues.values()},
            "jobs": jobs,
        }
        return found | ({"durable": self.durable} if self.durable else {})

    def _family(self, first: Job) -> dict[str, object]:
        """One job with a matrix for all that differ in nothing but their names."""
        members = [job for job in self.jobs.values() if job.matrix == first.matrix]
        endings = [job.name.removeprefix(f"{first.matrix}_") for job in members]
        return {"matrix": {"member": endings}, **first.spec()}

    def writers(self, queue: str) -> list[Job]:
        return [job for job in self.jobs.values() if queue in job.outputs]

    def readers(self, queue: str) -> list[Job]:
        return [job for job in self.jobs.values() if queue in job.inputs]

    def groups(self) -> Iterator[list[Job]]:
        """The jobs that share a role, in the order of their dependence; those that read."""
        names = dict.fromkeys(job.role["name"] for job in self.jobs.values() if job.inputs)
        for name in names:
            yield [job for job in self.jobs.values() if job.role["name"] == name]
