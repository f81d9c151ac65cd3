"""The summary of a run, its bottleneck, and its snapshot, as plain data; durations in seconds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from orchestrator.core.broker.queue import QueueState
from orchestrator.core.limits import Bottleneck
from orchestrator.core.protocol.notifications import Ledger, Survivor, Warned
from orchestrator.core.supervisor.transitions import State
from orchestrator.plan.model import Command, Plan, Selection

__all__ = [
    "JobSnapshot",
    "JobSummary",
    "QueueSnapshot",
    "Snapshot",
    "Summary",
    "warnings_of",
]


class JobSummary(msgspec.Struct, frozen=True, kw_only=True):
    """One job: its final status, its workers' exit codes, its items and where its time went.

    `failed`, `skipped`, `retried` and `dead` count input items, `restarts`, `recycled` and
    `orphaned` processes that took the place of a dead one, of a worn one, and of one that was lost
    with what it depends on: a forkserver, an agent, a machine. `busy_s`, `waiting_input_s`,
    `waiting_output_s` and `waiting_rate_s` (there were items, and its rate held them) add up over
    the job's workers. Of `waiting_input_s`, `waiting_end_s` is what it waited when all who write
    its input had ended: for its own retries, or its other workers. `short_batches` went out because
    `within` was over; `waiting_within_s` is how long they had waited for more.
    """

    status: str
    workers: int
    exit_codes: tuple[int | None, ...] = ()
    items_in: int = 0
    items_out: int = 0
    failed: int = 0
    skipped: int = 0
    retried: int = 0
    dead: int = 0
    restarts: int = 0
    recycled: int = 0
    orphaned: int = 0
    busy_s: float = 0.0
    waiting_input_s: float = 0.0
    waiting_output_s: float = 0.0
    waiting_rate_s: float = 0.0
    waiting_end_s: float = 0.0
    short_batches: int = 0
    waiting_within_s: float = 0.0
    reason: str = ""


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """A whole run: exactly what `summary.json` holds. `started` and `ended` are RFC 3339 UTC.

    Of a run that was resumed they and `duration_s` are those of its last life, `first_started` is
    when it began. `bottlenecks` are the jobs that limited it, in order, `bottleneck` is the first
    of them; None where none did, or the run was too short to tell. `warnings` say what may not have
    been meant; `selection` is what was chosen of the spec, None where that was all. `survivors` are
    processes that could not be killed.
    """

    run: str
    name: str
    status: str
    exit_code: int
    started: str
    ended: str
    duration_s: float
    jobs: Mapping[str, JobSummary]
    queues: Mapping[str, Ledger]
    bottleneck: str | None = None
    bottlenecks: tuple[Bottleneck, ...] = ()
    warnings: tuple[str, ...] = ()
    reason: str = ""
    selection: Selection | None = None
    first_started: str = ""
    survivors: tuple[Survivor, ...] = ()


class JobSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """One job: `state` is a lifecycle state's value, the numbers of workers count those alive.

    `running`, `waiting_input` and `waiting_output` say what they are at; `items_in` and
    `items_out` count committed items.
    """

    name: str
    state: str
    workers: int = 0
    running: int = 0
    waiting_input: int = 0
    waiting_output: int = 0
    items_in: int = 0
    items_out: int = 0


class QueueSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """One queue: `size` of at most `maxsize` items (0: unbounded), `put` and `done` so far."""

    name: str
    size: int
    maxsize: int
    put: int = 0
    done: int = 0


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """All jobs and queues at one moment, in the order of the spec: what the live display draws."""

    jobs: tuple[JobSnapshot, ...]
    queues: tuple[QueueSnapshot, ...] = ()


_BECAME = {
    State.SUCCEEDED.value: "returned early",
    State.FAILED.value: "failed",
    State.TIMED_OUT.value: "timed out",
}


def warnings_of(
    plan: Plan, jobs: Mapping[str, JobSummary], queues: Mapping[str, QueueState]
) -> tuple[Warned, ...]:
    """Return warnings about what was lost without a failure: items dropped, and none emitted."""
    return (*_dropped(plan, jobs, queues), *_silent(plan, jobs, queues))


def _dropped(
    plan: Plan, jobs: Mapping[str, JobSummary], queues: Mapping[str, QueueState]
) -> Iterator[Warned]:
    """Name the readers of a queue that ended before they had taken all of it."""
    for name, queue in queues.items():
        if queue.policy.dropped:
            how = f"it was full (when_full: {queue.policy.when_full.value})"
            yield Warned(
                message=f"queue {name}: {_items(queue.policy.dropped)} dropped: {how}", queue=name
            )
        gone = queue.dropped - queue.policy.dropped
        if not gone:
            continue
        if queue.policy.unread:
            why = "no job that reads it was chosen"
            yield Warned(message=f"queue {name}: {_items(gone)} dropped: {why}", queue=name)
            continue
        ends = [f"{reader} {_became(jobs[reader])}" for reader in plan.queues[name].readers]
        who = "its reader" if len(ends) == 1 else "its readers ended:"
        message = f"queue {name}: {_items(gone)} dropped: {who} {', '.join(ends)}"
        yield Warned(message=message, queue=name)


def _silent(
    plan: Plan, jobs: Mapping[str, JobSummary], queues: Mapping[str, QueueState]
) -> Iterator[Warned]:
    """Name a function that took items and emitted none, though somebody would have taken them.

    A command is not named: a filter may let nothing through.
    """
    for name, job in jobs.items():
        if isinstance(plan.jobs[name].target, Command):
            continue
        outputs = plan.jobs[name].outputs
        emits = plan.jobs[name].inputs and outputs and job.status == State.SUCCEEDED.value
        finished = job.items_in - job.skipped - job.failed - job.dead
        if emits and finished > 0 and not job.items_out:
            if any(queues[output].closed for output in outputs):
                continue  # what it may have emitted found nobody to take it
            took = f"job {name} took {_items(job.items_in)} and emitted none"
            yield Warned(message=f"{took}: is a `return` missing?", job=name)


def _became(job: JobSummary) -> str:
    return _BECAME.get(job.status, f"was {job.status}")


def _items(n: int) -> str:
    return f"{n:,} item{'' if n == 1 else 's'}"
