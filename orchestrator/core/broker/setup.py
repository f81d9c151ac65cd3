"""The broker of a plan when the run begins, or as a stored run says that it was."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping

import msgspec

from orchestrator.core.broker.bounds import patience_s
from orchestrator.core.broker.chunks import Chunk, Segment, without
from orchestrator.core.broker.clients import JobState
from orchestrator.core.broker.observers import Journal
from orchestrator.core.broker.outputs import OutputProgress
from orchestrator.core.broker.queue import QueueState
from orchestrator.core.broker.ratelimit import RateLimiter
from orchestrator.core.broker.redelivery import Redelivery
from orchestrator.core.broker.reorder import ReorderBuffer
from orchestrator.core.broker.state import BrokerState
from orchestrator.core.durable.records import NewChunk
from orchestrator.core.durable.snapshot import ItemRange, StoredQueue, StoredRun, StoredWorker
from orchestrator.plan.model import Durability, JobPlan, Plan, QueuePlan

__all__ = ["Resumption", "journal_of", "restore", "states_of"]

_OPEN = 16
"""Pulls, wants and leases at a time of a worker whose items mporch moves: more than it has."""
_OPEN_TO_THREADS = 1024
"""Those of a target with handles, which may use them from as many threads."""


class Resumption(msgspec.Struct, frozen=True, kw_only=True):
    """What a run goes on from: its stored run, rewound, and how the chunks it names are read.

    `load` reads a chunk by its number, `packed` are the numbers of those that hold pickles.
    """

    stored: StoredRun
    load: Callable[[int], NewChunk]
    packed: frozenset[int] = frozenset()


def journal_of(plan: Plan, resumption: Resumption | None) -> Journal | None:
    """The journal of a planned run, or of one that is resumed; None of one that forgets."""
    if not plan.durability.keeps:
        return None
    return Journal(resumption.stored.last_chunk + 1 if resumption else 1)


def states_of(plan: Plan) -> tuple[list[QueueState], list[JobState]]:
    """Return the plan's queues, empty, and its jobs, in its order."""
    queues = {queue.name: _queue_of(queue, plan.jobs) for queue in plan.queues.values()}
    jobs = [_job_of(job, queues, plan.durability) for job in plan.jobs.values()]
    return list(queues.values()), jobs


def _queue_of(plan: QueuePlan, jobs: Mapping[str, JobPlan]) -> QueueState:
    """A queue's state at the start."""
    producers = sum(jobs[job].workers for job in plan.writers)
    batches = (jobs[job].batch for job in plan.readers)
    return QueueState(
        plan.name,
        plan.maxsize,
        plan.writers,
        plan.readers,
        producers=producers,
        when_full=plan.when_full,
        max_bytes=plan.max_bytes,
        soft_bytes=plan.soft_bytes,
        batch=max((batch.size for batch in batches if batch is not None), default=1),
        patience_s=patience_s(plan, producers),
        unread=not plan.readers,
    )


def _job_of(plan: JobPlan, queues: dict[str, QueueState], durability: Durability) -> JobState:
    return JobState(
        plan.name,
        [queues[name] for name in plan.reads],
        [queues[name] for name in plan.writes],
        retry=plan.retry,
        otherwise=plan.on_error.otherwise,
        by_item=not plan.shape.called_once,
        counted=plan.is_counted(durability),
        can_unblock=bool(plan.reads or plan.writes) or not plan.daemon,
        batch=plan.batch,
        most_open=_OPEN_TO_THREADS if plan.read_handles or plan.write_handles else _OPEN,
        reorder=ReorderBuffer(plan.ordered.window) if plan.ordered is not None else None,
        rate_limit=RateLimiter(plan.rate.interval_s, plan.rate.burst)
        if plan.rate is not None
        else None,
    )


# -- a run that is resumed ------------------------------------------------------------------------


def restore(state: BrokerState, resumption: Resumption) -> None:
    """Fill a new state; what is stored and the plan has no more is an error (KeyError)."""
    stored = resumption.stored
    chunks = _Chunks(resumption)
    for name, held in stored.queues.items():
        _fill(state.queues[name], held, chunks)
        state.dirty[state.queues[name]] = None
    for name, done in stored.jobs.items():
        job = state.jobs[name]
        job.items_in, job.items_out = done.items_in, done.items_out
        job.skipped, job.retried, job.dead = done.skipped, done.retried, done.dead
    for name, worker in stored.workers.items():
        for queue_name, again in worker.redelivered.items():
            if again:
                state.queues[queue_name].own.reserved[name] = deque(chunks.segments(again))
        if worker.got:
            state.redeliveries[name] = Redelivery(_turns(state, worker))
        state.positions[name] = {
            outbox: OutputProgress(
                at.n, at.digest, chunks.get(at.tail) if at.tail else None, at.used
            )
            for outbox, at in worker.progress.items()
        }
    for name in stored.jobs_done:
        _finish(state, name)
    for job in state.jobs.values():
        job.note_writers(0.0)


def _fill(queue: QueueState, held: StoredQueue, chunks: _Chunks) -> None:
    queue.put, queue.done, queue.skipped = held.put, held.done, held.skipped
    queue.dropped, queue.dead, queue.tasks_done = held.dropped, held.dead, held.tasks_done
    queue.policy.dropped, queue.left = held.dropped_full, held.lost
    queue.attempts = dict(held.attempts)
    items = chunks.segments(sorted(held.held, key=lambda part: part.first))
    for number, job in held.partially_emitted.items():
        if (partially_emitted := _one(items, number)) is not None:
            queue.own.partially_emitted.setdefault(job, []).append(partially_emitted)
            items = without(items, number)
    queue.segments = deque(items)
    queue.queued = queue.peak = sum(map(len, items))
    queue.weigh(queue.segments)
    if queue.weight is not None:
        queue.weight.note_peak()


def _one(segments: Iterable[Segment], number: int) -> Segment | None:
    """The item with this id, alone."""
    for segment in segments:
        if 0 <= (at := number - segment.first) < len(segment):
            return segment.split(at)[1].split(1)[0]
    return None


def _turns(state: BrokerState, worker: StoredWorker) -> Iterator[tuple[QueueState, int]]:
    """The queues of what the worker is to get again, in order, each with how many items.

    What went with a damaged store comes no more.
    """
    there = {name: sum(map(len, parts)) for name, parts in worker.redelivered.items()}
    for name, n in worker.got:
        left = min(n, there.get(name, 0))
        if left or not n:
            yield state.queues[name], left
        there[name] = there.get(name, 0) - left


def _finish(state: BrokerState, name: str) -> None:
    """The job had succeeded before: it reads and writes no more."""
    job = state.jobs[name]
    job.finished = job.input_ended = job.final = True
    for queue in job.writes:
        queue.open_writers.discard(name)
        state.dirty[queue] = None
    for queue in job.reads:
        queue.open_readers.discard(name)
        queue.closed = not queue.open_readers


def _ranges(stored: StoredRun) -> Iterator[ItemRange]:
    for queue in stored.queues.values():
        yield from queue.held
    for worker in stored.workers.values():
        for again in worker.redelivered.values():
            yield from again


class _Chunks:
    """The chunks of a store, each once."""

    def __init__(self, resumption: Resumption) -> None:
        self._resumption = resumption
        self._made: dict[int, Chunk] = {}
        self._items: dict[int, int] = {}
        for part in _ranges(resumption.stored):
            self._items[part.chunk] = max(part.stop, self._items.get(part.chunk, 1))

    def get(self, number: int) -> Chunk:
        if number not in self._made:
            load, packed = self._resumption.load, self._resumption.packed
            self._made[number] = Chunk(
                lambda: load(number),
                packed=number in packed,
                items=self._items.get(number, 1),  # as far as any is left, which is near enough
                number=number,
            )
        return self._made[number]

    def segments(self, parts: Iterable[ItemRange]) -> list[Segment]:
        return [Segment(self.get(part.chunk), part.start, part.stop, part.first) for part in parts]
