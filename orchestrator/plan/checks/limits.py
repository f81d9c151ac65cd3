"""Rules on limits that contradict each other, and on those that this machine cannot keep."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from pydantic import ByteSize

from orchestrator.errors import Problem
from orchestrator.plan.resolved_spec import ResolvedSpec
from orchestrator.spec import rules
from orchestrator.spec.model import JobSettings
from orchestrator.spec.units import written_duration
from orchestrator.spec.yaml.nodes import Path

__all__ = ["RULES"]

_ALWAYS_FINE = 32
_TIMES_THE_PROCESSORS = 4


class _Written(NamedTuple):
    """What was written in one place, of a job or of the defaults, and all that holds there."""

    path: Path
    own: JobSettings
    all: JobSettings


def _written(draft: ResolvedSpec) -> Iterator[_Written]:
    defaults = draft.spec.document.defaults
    yield _Written(("defaults",), defaults, defaults)
    for job in draft.jobs.values():
        if job.name not in draft.broken:
            yield _Written(job.path(), job.own, job.settings)


def outrun_limit(draft: ResolvedSpec) -> Iterator[Problem]:
    """A limit of time can be reached before another one that ends the worker anyway."""
    whole = draft.spec.document.timeout
    for written in _written(draft):
        run = written.all.timeouts.run
        for keys, limit in _limits(written.own):
            if run is not None and limit > run and keys[-1] in ("item", "join"):
                sooner = f"timeouts.run ends the worker after {written_duration(run)}"
            elif whole is not None and limit > whole:
                sooner = f"timeout ends the whole run after {written_duration(whole)}"
            else:
                continue
            message = f"{written_duration(limit)} is never reached: {sooner}"
            place, hint = (*written.path, *keys), "make it shorter, or the other one longer"
            yield draft.spec.problem(rules.OUTRUN_LIMIT, place, message, hint)


def _limits(own: JobSettings) -> Iterator[tuple[tuple[str, ...], float]]:
    """Yield the limits of time that were written there, by their keys."""
    timeouts = own.timeouts
    for name in ("start", "item", "run"):
        limit = getattr(timeouts, name)
        if limit is not None and name in timeouts.model_fields_set:
            yield ("timeouts", name), limit
    if own.join is not None:
        yield ("join",), own.join


def long_grace(draft: ResolvedSpec) -> Iterator[Problem]:
    """A stop takes no longer than the whole run may."""
    whole = draft.spec.document.timeout
    for written in _written(draft):
        terminate = written.own.terminate
        if whole is None or terminate.grace <= whole or "grace" not in terminate.model_fields_set:
            continue
        grace = written_duration(terminate.grace)
        message = f"a stop may take {grace}, and the whole run has {written_duration(whole)}"
        place = (*written.path, "terminate", "grace")
        hint = "write a shorter grace, or a longer timeout at the top"
        yield draft.spec.problem(rules.LONG_GRACE, place, message, hint)


def many_workers(draft: ResolvedSpec) -> Iterator[Problem]:
    """A job has not many times more workers than there are processors."""
    here = draft.machine.processors
    for written in _written(draft):
        workers = written.own.workers
        if isinstance(workers, int) and workers > max(_ALWAYS_FINE, _TIMES_THE_PROCESSORS * here):
            processor = "processor" if here == 1 else "processors"
            message = f"{workers:,} processes would share {here:,} {processor}"
            hint = "write fewer, unless they wait for something most of the time"
            place = (*written.path, "workers")
            yield draft.spec.problem(rules.MANY_WORKERS, place, message, hint)


def more_than_memory(draft: ResolvedSpec) -> Iterator[Problem]:
    """Check that what the queues may hold fits into this machine's memory."""
    queues = draft.spec.document.queues
    bounds = {name: each.max_bytes for name, each in queues.items() if each.max_bytes is not None}
    total, memory = sum(bounds.values()), draft.machine.memory_bytes
    if memory is None or total <= memory:
        return
    largest = max(bounds, key=bounds.__getitem__)
    if bounds[largest] > memory:
        what = f"the queue {largest} may hold {_size(bounds[largest])}"
    else:
        what = f"{len(bounds)} queues may hold {_size(total)} together"
    message = f"{what}, and this machine has {_size(memory)} of memory"
    hint = "write a smaller max_bytes: a full queue makes its writers wait, no more"
    place = ("queues", largest, "max_bytes")
    yield draft.spec.problem(rules.MORE_THAN_MEMORY, place, message, hint)


def _size(n: int) -> str:
    return ByteSize(n).human_readable()


RULES = (outrun_limit, long_grace, many_workers, more_than_memory)
