"""Rules on queues and how jobs are wired to them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from orchestrator.errors import Problem
from orchestrator.plan.graph import readers_of, writers_of
from orchestrator.plan.model import WhenFull
from orchestrator.plan.resolved_spec import ResolvedJob, ResolvedSpec, Wire
from orchestrator.spec import rules
from orchestrator.spec.wording import Guesses, listed

__all__ = ["RULES"]

_LARGEST = 1 << 20
"""Items; what is put on a larger queue is taken to fill a batch."""


def unknown_queue(draft: ResolvedSpec) -> Iterator[Problem]:
    """Every queue that a job names is declared, as far as declarations made sense."""
    known = Guesses(draft.spec.names("queues"))
    for job in draft.jobs.values():
        for wire in (*job.reads, *job.writes):
            if wire.queue not in known and not draft.unclear.may_declare(wire.queue):
                hint = known.hint(wire.queue) or f"add {wire.queue}: under queues:"
                message = f"there is no queue {wire.queue}"
                yield draft.spec.problem(rules.UNKNOWN_QUEUE, wire.path, message, hint)


def one_sided_queue(draft: ResolvedSpec) -> Iterator[Problem]:
    """Every queue has a job that writes to it and one that reads from it."""
    known = Guesses(draft.spec.names("queues"))
    ends = [
        (_meant(writers_of(draft.jobs), known), "writes to", "output", draft.unclear.writes),
        (_meant(readers_of(draft.jobs), known), "reads from", "input", draft.unclear.reads),
    ]
    off = draft.used_by_disabled()
    for queue in draft.spec.names("queues"):
        if queue in draft.unclear.queues:
            continue
        absent = [
            (what, key) for used, what, key, unclear in ends if not unclear and queue not in used
        ]
        if not absent or (len(absent) == 2 and queue in off):
            continue
        message = f"no job {listed((what for what, _ in absent))} the queue {queue}"
        hint = draft.meant_below("queues", queue) if len(absent) == 2 else ""
        hint = hint or f"name it under {listed((key for _, key in absent), last='and')} of a job"
        if queue in off:
            hint = f"{listed(off[queue], last='and')} would, but enabled is false"
        path = ("queues", queue)
        yield draft.spec.problem(rules.ONE_SIDED_QUEUE, path, message, hint, key=True)


def _meant(names: Iterable[str], known: Guesses) -> set[str]:
    """Return the queues of these names; of one that is not known, those it may be meant for."""
    return {queue for name in names for queue in ([name] if name in known else known.near(name))}


def repeated_queue(draft: ResolvedSpec) -> Iterator[Problem]:
    """A job names a queue once on each side."""
    for job in draft.jobs.values():
        for wires in (job.reads, job.writes):
            seen: set[str] = set()
            for wire in wires:
                if wire.queue in seen:
                    message = f"the queue {wire.queue} is given twice"
                    yield draft.spec.problem(rules.QUEUE_TWICE, wire.path, message, "name it once")
                seen.add(wire.queue)


def empty_wiring(draft: ResolvedSpec) -> Iterator[Problem]:
    """An input or output that is written names a queue."""
    for job in draft.jobs.values():
        for key, wires in (("input", job.reads), ("output", job.writes)):
            if key in job.own.model_fields_set and not wires and job.name not in draft.broken:
                yield draft.spec.problem(
                    rules.EMPTY_WIRING,
                    job.path(key),
                    f"{key} names no queue",
                    "name one, or remove the key",
                )


def parameter_clash(draft: ResolvedSpec) -> Iterator[Problem]:
    """A parameter gets one value: from one handle or from kwargs."""
    for job in draft.jobs.values():
        taken = dict.fromkeys(job.own.kwargs, "kwargs")
        for key, wires in (("input", job.reads), ("output", job.writes)):
            for wire in wires:
                if wire.parameter is None:
                    continue
                if wire.parameter in taken:
                    message = f"the parameter {wire.parameter} is given twice"
                    hint = f"it is under {taken[wire.parameter]} too: rename one"
                    yield draft.spec.problem(
                        rules.PARAMETER_TWICE, wire.path, message, hint, key=True
                    )
                taken.setdefault(wire.parameter, key)


def large_batch(draft: ResolvedSpec) -> Iterator[Problem]:
    """A batch fits into each queue it is taken from."""
    queues = draft.spec.document.queues
    for job, wire in _batch_inputs(draft):
        maxsize = queues[wire.queue].maxsize if wire.queue in queues else 0
        size = job.settings.batch.size
        if 0 < maxsize < size and "size" in job.settings.batch.model_fields_set:
            message = f"a batch of {size} never fits into {wire.queue}, which holds {maxsize}"
            hint = f"write size: {maxsize} or less, or raise maxsize"
            path = job.path("batch", "size")
            yield draft.spec.problem(rules.LARGE_BATCH, path, message, hint)


def unfilled_batch(draft: ResolvedSpec) -> Iterator[Problem]:
    """Point out where no batches of the writers add up to one of the reader."""
    queues, writers = draft.spec.document.queues, writers_of(draft.jobs)
    for job, wire in _batch_inputs(draft):
        names, queue = writers.get(wire.queue, []), queues.get(wire.queue)
        jobs = [draft.jobs[name] for name in names]
        if not jobs or queue is None or not 0 < queue.maxsize <= _LARGEST:
            continue
        if queue.when_full is not WhenFull.BLOCK or draft.is_unclear(wire.queue):
            continue
        if any(writer.shape.value != "batch" or writer.name in draft.broken for writer in jobs):
            continue
        size, most = job.settings.batch.size, queue.maxsize
        held = _most_held(most, [writer.settings.batch.size for writer in jobs])
        if held < size <= most and "size" in job.settings.batch.model_fields_set:
            fewer = f"{wire.queue} never holds more than {held:,} of {most:,} items"
            message = f"no batch of {job.name} reaches {size:,} items: {fewer}"
            hint = (
                f"{listed(names, last='and')} put whole batches: write size: {held} or less here,"
                " or raise maxsize; ignore this if a batch there gives more or fewer than it takes"
            )
            path = job.path("batch", "size")
            yield draft.spec.problem(rules.UNFILLED_BATCH, path, message, hint)


def _most_held(maxsize: int, sizes: Iterable[int]) -> int:
    """The largest sum of whole batches of these sizes that fits."""
    sums, mask = 1, (1 << maxsize + 1) - 1  # bit n: n is such a sum
    for size in {*sizes}:
        times = size
        while times <= maxsize:
            sums |= sums << times & mask
            times *= 2
    return sums.bit_length() - 1


def _batch_inputs(draft: ResolvedSpec) -> Iterator[tuple[ResolvedJob, Wire]]:
    for job in draft.jobs.values():
        if job.shape.value == "batch" and job.name not in draft.broken:
            for wire in job.reads:
                yield job, wire


def unbounded_queue(draft: ResolvedSpec) -> Iterator[Problem]:
    """A queue without bound is allowed, and pointed out."""
    for name, queue in draft.spec.document.queues.items():
        if queue.maxsize == 0 and queue.max_bytes is None:
            yield draft.spec.problem(
                rules.UNBOUNDED_QUEUE,
                ("queues", name, "maxsize"),
                f"the queue {name} is unbounded: a fast writer can fill the memory",
                "give it a maxsize or max_bytes",
            )


def pointless_when_full(draft: ResolvedSpec) -> Iterator[Problem]:
    """A queue that is never full, or makes nobody wait, has no use for a policy or a limit."""
    for name, queue in draft.spec.document.queues.items():
        path, rule = ("queues", name), rules.POINTLESS_POLICY
        unbounded = queue.maxsize == 0 and queue.max_bytes is None
        if unbounded and queue.when_full is not WhenFull.BLOCK:
            message = f"the queue {name} is unbounded, so it is never full"
            hint = "give it a maxsize or max_bytes, or remove when_full"
            yield draft.spec.problem(rule, (*path, "when_full"), message, hint, key=True)
        if unbounded and queue.put_timeout is not None and queue.when_full is WhenFull.BLOCK:
            message = f"the queue {name} is unbounded, so nobody waits for room in it"
            hint = "give it a maxsize or max_bytes, or remove put_timeout"
            yield draft.spec.problem(rule, (*path, "put_timeout"), message, hint, key=True)
        if queue.put_timeout is not None and queue.when_full is not WhenFull.BLOCK:
            message = (
                f"nobody waits for room in the queue {name} (when_full: {queue.when_full.value})"
            )
            hint = "remove put_timeout, or write when_full: block"
            yield draft.spec.problem(rule, (*path, "put_timeout"), message, hint, key=True)


RULES = (
    unknown_queue,
    one_sided_queue,
    repeated_queue,
    empty_wiring,
    parameter_clash,
    large_batch,
    unfilled_batch,
    unbounded_queue,
    pointless_when_full,
)
