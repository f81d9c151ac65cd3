"""The summary of a run, and what may not have been meant in it; durations in seconds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from orchestrator.core.broker.queue import QueueState
from orchestrator.core.limits import Bottleneck
from orchestrator.core.protocol.notifications import Ledger, Survivor, Warned
from orchestrator.core.samples import (
    Header,
    JobSample,
    JobWiring,
    QueueSample,
    QueueWiring,
    Sample,
    Service,
)
from orchestrator.core.supervisor.transitions import ENDED, State
from orchestrator.errors import ExitCode
from orchestrator.plan.model import Command, Plan, Selection

__all__ = [
    "JobSummary",
    "SlowestItem",
    "Summary",
    "slowest_item",
    "summary_of_killed",
    "warnings_of",
]


class SlowestItem(msgspec.Struct, frozen=True, kw_only=True):
    """The item of a job that took longest, and what the others took on average, in seconds.

    `name` is what it is called, if that is known.
    """

    item: str
    seconds: float
    others_s: float
    name: str = ""


class JobSummary(msgspec.Struct, frozen=True, kw_only=True):
    """One job: its final status, its workers' exit codes, its items and where its time went.

    `failed`, `skipped`, `retried` and `dead` count input items, `restarts`, `recycled` and
    `orphaned` processes that took the place of a dead one, of a worn one, and of one that was lost
    with what it depends on: a forkserver, an agent, a machine. `busy_s`, `waiting_input_s`,
    `waiting_output_s` and `waiting_rate_s` (there were items, and its rate held them) add up over
    the job's workers. Of `waiting_input_s`, `waiting_end_s` is what it waited when all who write
    its input had ended: for its own retries, or its other workers. `short_batches` went out because
    `within` was over; `waiting_within_s` is how long they had waited for more. `slowest` took
    longest of its items, None of a job that is called once.
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
    slowest: SlowestItem | None = None
    reason: str = ""


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """A whole run: exactly what `summary.json` holds. `started` and `ended` are RFC 3339 UTC.

    Of a run that was resumed they and `duration_s` are those of its last life, `first_started` is
    when it began. `bottlenecks` are the jobs that limited it, in order, `bottleneck` is the first
    of them; None where none did, or the run was too short to tell. `warnings` say what may not have
    been meant; `selection` is what was chosen of the spec, None where that was all. `survivors` are
    processes that could not be killed. Of a run that was killed `exit_code` is None, and the
    figures are those of its last sample.
    """

    run: str
    name: str
    status: str
    exit_code: int | None
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

    @property
    def code(self) -> int:
        """Return the exit code; that of a failure for a run that was killed."""
        return int(ExitCode.FAILED) if self.exit_code is None else self.exit_code


_BECAME = {
    State.SUCCEEDED.value: "returned early",
    State.FAILED.value: "failed",
    State.TIMED_OUT.value: "timed out",
}


def summary_of_killed(
    header: Header, last: Sample, found: tuple[Bottleneck, ...], *, ended: str
) -> Summary:
    """Return the summary of a run that was killed, as its last sample has it; `ended` is its time.

    `found` limited it until then.
    """
    return Summary(
        run=header.run,
        name=header.name,
        status=State.KILLED.value,
        exit_code=None,
        started=header.started,
        ended=ended,
        duration_s=last.t,
        jobs={
            wiring.name: _summary_of_job(wiring, job)
            for wiring, job in zip(header.jobs, last.jobs, strict=True)
        },
        queues={
            wiring.name: _ledger_of(wiring, queue)
            for wiring, queue in zip(header.queues, last.queues, strict=True)
        },
        bottleneck=found[0].job if found else None,
        bottlenecks=found,
        reason=f"its orchestrator is gone; the figures are those of {_in_words(ended)}",
    )


def _in_words(timestamp: str) -> str:
    return f"{timestamp[:10]} {timestamp[11:19]} UTC"


def _summary_of_job(wiring: JobWiring, job: JobSample) -> JobSummary:
    over = job.state in {state.value for state in ENDED}
    return JobSummary(
        status=job.state if over else State.KILLED.value,
        workers=wiring.workers,
        items_in=job.items_in,
        items_out=job.items_out,
        failed=job.failed,
        skipped=job.skipped,
        retried=job.retried,
        dead=job.dead,
        restarts=job.restarts,
        busy_s=job.running_s,
        waiting_input_s=job.starved_s,
        waiting_output_s=job.blocked_s,
        waiting_rate_s=job.held_s,
        waiting_end_s=job.end_s,
        short_batches=job.short_batches,
        waiting_within_s=job.within_s,
        slowest=slowest_item(job.service),
    )


def slowest_item(service: Service) -> SlowestItem | None:
    """Return the slowest of a job's items; None if none was measured by itself."""
    slow = next((each for each in service.slowest if each.n == 1), None)
    if slow is None:
        return None
    others_s = (service.total_s - slow.seconds) / max(1, service.items - 1)
    return SlowestItem(
        item=slow.item,
        seconds=round(slow.seconds, 6),
        others_s=round(max(0.0, others_s), 6),
        name=slow.name,
    )


def _ledger_of(wiring: QueueWiring, queue: QueueSample) -> Ledger:
    ended = queue.done + queue.skipped + queue.dropped + queue.dead
    return Ledger(
        maxsize=wiring.maxsize,
        put=queue.put,
        done=queue.done,
        skipped=queue.skipped,
        dropped=queue.dropped,
        dead=queue.dead,
        left=max(0, queue.put - ended),
        peak=queue.peak,
    )


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
