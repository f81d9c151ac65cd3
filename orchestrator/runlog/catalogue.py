"""Every event of the log, once: its name, its level and its message in words.

A record has the fact's own fields beside them. `schema.py` says which those are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import msgspec

from orchestrator.core import facts
from orchestrator.core.messages import STOPPED, Failure
from orchestrator.core.wording import names_of
from orchestrator.errors import ExitCode
from orchestrator.runlog.levels import Level
from orchestrator.runlog.schema import FORMAT

__all__ = ["CATALOGUE", "Entry", "context", "describe"]

F = TypeVar("F")

_FAILED = frozenset({"failed", "timed_out"})
_ASKED_FOR = frozenset({"succeeded", "skipped", "terminated"})


@dataclass(frozen=True, kw_only=True)
class Entry(Generic[F]):
    """How facts of one class are logged.

    `spoken` are the fields that `msg` says in full, `unlogged` those that are no text.
    """

    fact: type[F]
    event: str
    level: Callable[[F], Level]
    msg: Callable[[F], str]
    spoken: frozenset[str] = frozenset()
    unlogged: frozenset[str] = frozenset()


def describe(fact: facts.Fact) -> tuple[str, Level, str]:
    """Return the event's name, its level and its message for `fact`."""
    entry = CATALOGUE[type(fact)]
    return entry.event, entry.level(fact), entry.msg(fact)


def context(fact: facts.Fact) -> dict[str, Any]:
    """Return the record's other fields: those of `fact` that say something, a failure unfolded."""
    entry = CATALOGUE[type(fact)]
    left_out = entry.spoken | entry.unlogged
    fields: dict[str, Any] = {}
    for name, value in msgspec.structs.asdict(fact).items():
        if value is None or value in ("", ()) or name in left_out:
            continue
        if isinstance(value, Failure):
            fields.update(_unfold(value))
        elif isinstance(value, facts.Ledger):
            fields[name] = msgspec.structs.asdict(value)
        elif isinstance(fact, facts.ProcessesSurvived):
            fields[name] = msgspec.to_builtins(value)
        else:
            fields[name] = value
    if "item" in fields and "queue" not in fields:
        fields["queue"] = fields["item"].rpartition(":")[0]
    if isinstance(fact, facts.RunStarted | facts.RunResumed):
        fields["format"] = FORMAT
    return fields


def _unfold(failure: Failure) -> dict[str, str]:
    if failure.kind == STOPPED:  # no failure, but where the stop signal met the target
        return {"stack": failure.traceback} if failure.traceback else {}
    fields = {
        "error_type": failure.kind,
        "error": failure.message,
        "where": failure.where,
        "traceback": failure.traceback,
    }
    return {name: value for name, value in fields.items() if value}


def _always(level: Level) -> Callable[[Any], Level]:
    return lambda _: level


def _by_state(fact: facts.WorkerEnded | facts.JobEnded) -> Level:
    """Grade an end: what nobody asked for is an error, a kill at least a warning."""
    if fact.state in _FAILED:
        return Level.ERROR
    return Level.INFO if fact.state in _ASKED_FOR else Level.WARNING


def _by_loss(fact: facts.QueueClosed) -> Level:
    if fact.left:
        return Level.ERROR
    return Level.WARNING if fact.dropped else Level.INFO


def _by_exit_code(fact: facts.RunEnded) -> Level:
    """Grade a run's end: one that succeeded but for dead letters is no failure."""
    if not fact.exit_code:
        return Level.INFO
    return Level.WARNING if fact.exit_code == ExitCode.DEAD_LETTERS else Level.ERROR


def _because(reason: str) -> str:
    return f": {reason}" if reason else ""


def _failure(failure: Failure | None) -> str:
    if failure is None or failure.kind == STOPPED:
        return ""
    where = f" ({failure.where})" if failure.where else ""
    text = f"{failure.kind}: {failure.message}" if failure.message else failure.kind
    return f": {text}{where}"


def _places(fact: facts.WaitingFor) -> str:
    doing = fact.doing or ("",) * len(fact.workers)
    pairs = zip(fact.workers, doing, strict=True)
    return ", ".join(f"{worker} ({what})" if what else worker for worker, what in pairs)


def _times(attempts: int) -> str:
    return "one attempt" if attempts == 1 else f"{attempts} attempts"


def _worker_ended(fact: facts.WorkerEnded) -> str:
    code = "" if fact.exit_code is None else f" with exit code {fact.exit_code}"
    return f"{fact.worker} {fact.state}{code}{_because(fact.reason) or _failure(fact.failure)}"


def _queue_ended(fact: facts.QueueEnded) -> str:
    ledger = fact.ledger
    ends = ("done", "skipped", "dropped", "dead", "left")
    told = [f"{n} {end}" for end in ends if (n := getattr(ledger, end))]
    return f"queue {fact.queue} ended: {ledger.put} put, {', '.join(told) or 'none taken'}"


def _run_ended(fact: facts.RunEnded) -> str:
    return f"run {fact.status} after {fact.duration_s:.1f} s, exit code {fact.exit_code}"


def _resumed(fact: facts.RunResumed) -> str:
    """Say what there is to go on with, and what a damaged store has lost."""
    told = [f"{fact.queued} items are queued"]
    if fact.again:
        told.append(f"{fact.again} are delivered again to jobs that are called once")
    if fact.jobs_done:
        told.append(f"done: {', '.join(fact.jobs_done)}")
    if fact.lost:
        told.append(f"LOST: {'; '.join(fact.lost)}")
    return f"run of {fact.name} resumed on Python {fact.python}: {'; '.join(told)}"


_ENTRIES: tuple[Entry[Any], ...] = (
    Entry(
        fact=facts.RunStarted,
        event="run.started",
        level=_always(Level.INFO),
        msg=lambda f: f"run of {f.name} started on Python {f.python}",
    ),
    Entry(
        fact=facts.RunResumed,
        event="run.resumed",
        level=lambda f: Level.ERROR if f.lost else Level.INFO,
        msg=_resumed,
    ),
    Entry(
        fact=facts.DiskFull,
        event="disk.full",
        level=_always(Level.ERROR),
        msg=lambda f: f"{f.reason}; everything waits for room, {f.timeout_s:g} s at most",
    ),
    Entry(
        fact=facts.DiskHasRoom,
        event="disk.freed",
        level=_always(Level.INFO),
        msg=lambda f: f"there is room on the disk again after {f.waited_s:.1f} s; the run goes on",
    ),
    Entry(
        fact=facts.JobStarted,
        event="job.started",
        level=_always(Level.INFO),
        msg=lambda f: f"{f.job}: {f.target}, workers: {f.workers}",
    ),
    Entry(
        fact=facts.WorkerStarted,
        event="worker.started",
        level=_always(Level.INFO),
        msg=lambda f: f"{f.worker} is pid {f.pid} ({f.start_method})",
    ),
    Entry(
        fact=facts.WorkerReady,
        event="worker.ready",
        level=_always(Level.INFO),
        msg=lambda f: f"{f.worker} ready after {f.start_s:.3f} s",
    ),
    Entry(
        fact=facts.ItemSkipped,
        event="item.skipped",
        level=_always(Level.WARNING),
        msg=lambda f: f"{f.worker} skipped {f.item}{_failure(f.failure)}",
    ),
    Entry(
        fact=facts.ItemRetried,
        event="item.retried",
        level=_always(Level.WARNING),
        msg=lambda f: (
            f"{f.item} will be tried again {f'in {f.delay_s:.2f} s' if f.delay_s else 'at once'}"
            f" (attempt {f.attempts} failed){_failure(f.failure)}"
        ),
    ),
    Entry(
        fact=facts.ItemDead,
        event="item.dead",
        level=_always(Level.ERROR),
        msg=lambda f: (
            f"{f.item} is a dead letter after {_times(f.attempts)} by"
            f" {f.worker}{_failure(f.failure)}"
        ),
        unlogged=frozenset({"chunk", "index", "packed"}),
    ),
    Entry(
        fact=facts.ItemFailed,
        event="item.failed",
        level=_always(Level.ERROR),
        msg=lambda f: f"{f.worker} failed at {f.item}{_failure(f.failure)}",
    ),
    Entry(
        fact=facts.WorkerReplaced,
        event="worker.replaced",
        level=lambda f: Level.WARNING if f.n else Level.INFO,
        msg=lambda f: f"{f.worker} {f.reason}; a new process takes its place",
    ),
    Entry(fact=facts.WorkerEnded, event="worker.ended", level=_by_state, msg=_worker_ended),
    Entry(
        fact=facts.JobEnded,
        event="job.ended",
        level=_by_state,
        msg=lambda f: f"{f.job} {f.state}{_because(f.reason)}",
    ),
    Entry(
        fact=facts.QueueEnded,
        event="queue.ended",
        level=lambda f: Level.ERROR if f.ledger.left else Level.INFO,
        msg=_queue_ended,
    ),
    Entry(
        fact=facts.QueueClosed,
        event="queue.closed",
        level=_by_loss,
        msg=lambda f: f"nobody reads {f.queue} any more: {f.dropped} dropped, {f.left} left",
    ),
    Entry(
        fact=facts.StopRequested,
        event="run.stopping",
        level=_always(Level.WARNING),
        msg=lambda f: f"stopping ({f.how}){_because(f.reason)}",
    ),
    Entry(
        fact=facts.SignalSent,
        event="signal.sent",
        level=lambda f: Level.WARNING if f.signal == "SIGKILL" else Level.INFO,
        msg=lambda f: f"{f.signal} to {f.worker}, pid {f.pid}{_because(f.reason)}",
    ),
    Entry(
        fact=facts.WaitingFor,
        event="run.waiting",
        level=_always(Level.INFO),
        msg=lambda f: f"waiting for {_places(f)}, {f.timeout_s:g} s at most ({f.step})",
    ),
    Entry(
        fact=facts.HeldByRate,
        event="job.held",
        level=_always(Level.INFO),
        msg=lambda f: (
            f"waiting for {f.job}, held by its rate: {f.queued} queued,"
            f" the next may start in {f.next_s:.1f} s"
        ),
    ),
    Entry(
        fact=facts.Stalled,
        event="run.stalled",
        level=_always(Level.ERROR),
        msg=lambda f: (
            "nothing can go on: " + "; ".join(f"{who} waits for {what}" for who, what in f.waits)
        ),
    ),
    Entry(
        fact=facts.Warned,
        event="warning",
        level=_always(Level.WARNING),
        msg=lambda f: f.message,
        spoken=frozenset({"message"}),
    ),
    Entry(
        fact=facts.Output,
        event="output",
        level=_always(Level.INFO),
        msg=lambda f: f.text,
        spoken=frozenset({"text", "ts"}),
    ),
    Entry(
        fact=facts.Logged,
        event="log",
        level=lambda f: Level.parse(f.level),
        msg=lambda f: f.msg,
        spoken=frozenset({"ts", "level", "msg", "text"}),
    ),
    Entry(
        fact=facts.ProcessesSurvived,
        event="run.survived",
        level=_always(Level.ERROR),
        msg=lambda f: f"could not be killed, and outlive the run: {names_of(f.processes)}",
    ),
    Entry(
        fact=facts.RunEnded,
        event="run.ended",
        level=_by_exit_code,
        msg=_run_ended,
    ),
)

CATALOGUE: Mapping[type, Entry[Any]] = {entry.fact: entry for entry in _ENTRIES}
