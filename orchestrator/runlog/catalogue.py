"""Every event of the log, once: its name, its level and its message in words.

A record has the fact's own fields beside them. `schema.py` says which those are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import msgspec

from orchestrator.core.protocol import notifications
from orchestrator.core.protocol.messages import STOPPED, Failure
from orchestrator.core.reasons import called, names_of
from orchestrator.errors import ExitCode
from orchestrator.runlog.schema import FORMAT, Level

__all__ = ["CATALOGUE", "EventEntry", "context", "describe"]

F = TypeVar("F")

_FAILED = frozenset({"failed", "timed_out"})
_ASKED_FOR = frozenset({"succeeded", "skipped", "terminated"})


@dataclass(frozen=True, kw_only=True)
class EventEntry(Generic[F]):
    """How facts of one class are logged.

    `spoken` are the fields that `msg` says in full, `unlogged` those that are no text.
    """

    notification: type[F]
    event: str
    level: Callable[[F], Level]
    msg: Callable[[F], str]
    spoken: frozenset[str] = frozenset()
    unlogged: frozenset[str] = frozenset()


def describe(notification: notifications.Notification) -> tuple[str, Level, str]:
    """Return the event's name, its level and its message for `notification`."""
    entry = CATALOGUE[type(notification)]
    return entry.event, entry.level(notification), entry.msg(notification)


def context(notification: notifications.Notification) -> dict[str, Any]:
    """Return the record's other fields: those of the notification that say something."""
    entry = CATALOGUE[type(notification)]
    left_out = entry.spoken | entry.unlogged
    fields: dict[str, Any] = {}
    for name, value in msgspec.structs.asdict(notification).items():
        if value is None or value in ("", ()) or name in left_out:
            continue
        if isinstance(value, Failure):
            fields.update(_unfold(value))
        elif isinstance(value, notifications.Ledger):
            fields[name] = msgspec.structs.asdict(value)
        elif isinstance(notification, notifications.ProcessesSurvived):
            fields[name] = msgspec.to_builtins(value)
        else:
            fields[name] = value
    if "item" in fields and "queue" not in fields:
        fields["queue"] = fields["item"].rpartition(":")[0]
    if isinstance(notification, notifications.RunStarted | notifications.RunResumed):
        fields["format"] = FORMAT
    return fields


def _unfold(failure: Failure) -> dict[str, str]:
    if failure.kind == STOPPED:  # no failure, but where the stop signal met the target
        return {"stack": failure.traceback} if failure.traceback else {}
    fields = {
        "error_type": failure.kind,
        "error": failure.message,
        "where": failure.where,
        "item_name": failure.item_name,
        "traceback": failure.traceback,
    }
    return {name: value for name, value in fields.items() if value}


def _always(level: Level) -> Callable[[Any], Level]:
    return lambda _: level


def _by_state(notification: notifications.WorkerEnded | notifications.JobEnded) -> Level:
    """Grade an end: what nobody asked for is an error, a kill at least a warning."""
    if notification.state in _FAILED:
        return Level.ERROR
    return Level.INFO if notification.state in _ASKED_FOR else Level.WARNING


def _by_loss(notification: notifications.QueueClosed) -> Level:
    if notification.left:
        return Level.ERROR
    return Level.WARNING if notification.dropped else Level.INFO


def _by_exit_code(notification: notifications.RunEnded) -> Level:
    """Grade a run's end: one that succeeded but for dead letters is no failure."""
    if not notification.exit_code:
        return Level.INFO
    return Level.WARNING if notification.exit_code == ExitCode.DEAD_LETTERS else Level.ERROR


def _because(reason: str) -> str:
    return f": {reason}" if reason else ""


def _failure(failure: Failure | None) -> str:
    if failure is None or failure.kind == STOPPED:
        return ""
    message = f": {failure.message}" if failure.message else ""
    where = f" ({failure.where})" if failure.where else ""
    return f": {failure.kind}{message}{where}"


def _item(notification: Any) -> str:
    """Return the item's number, with its name beside it."""
    return called(notification.item, notification.failure.item_name)


def _places(notification: notifications.WaitingFor) -> str:
    doing = notification.doing or ("",) * len(notification.workers)
    pairs = zip(notification.workers, doing, strict=True)
    return ", ".join(f"{worker} ({what})" if what else worker for worker, what in pairs)


def _times(attempts: int) -> str:
    return "one attempt" if attempts == 1 else f"{attempts} attempts"


def _in_words(state: str) -> str:
    return state.replace("_", " ")


def _worker_ended(notification: notifications.WorkerEnded) -> str:
    code = "" if notification.exit_code is None else f" with exit code {notification.exit_code}"
    why = _because(notification.reason) or _failure(notification.failure)
    return f"{notification.worker} {_in_words(notification.state)}{code}{why}"


def _queue_ended(notification: notifications.QueueEnded) -> str:
    ledger = notification.ledger
    ends = ("done", "skipped", "dropped", "dead", "left")
    told = [f"{n} {end}" for end in ends if (n := getattr(ledger, end))]
    return f"queue {notification.queue} ended: {ledger.put} put, {', '.join(told) or 'none taken'}"


def _run_stopping(notification: notifications.RunStopping) -> str:
    how = "stopping" if notification.how == "stop" else f"stopping ({notification.how})"
    return f"{how}{_because(notification.reason)}"


def _run_ended(notification: notifications.RunEnded) -> str:
    after, code = f"{notification.duration_s:.1f} s", notification.exit_code
    return f"run {_in_words(notification.status)} after {after}, exit code {code}"


def _resumed(notification: notifications.RunResumed) -> str:
    """Say what there is to go on with, and what a damaged store has lost."""
    told = [f"{notification.queued} items are queued"]
    if notification.again:
        told.append(f"{notification.again} are delivered again to jobs that are called once")
    if notification.jobs_done:
        told.append(f"done: {', '.join(notification.jobs_done)}")
    if notification.lost:
        told.append(f"LOST: {'; '.join(notification.lost)}")
    python = f"{notification.python}{_where(notification)}"
    return f"run of {notification.name} resumed on Python {python}: {'; '.join(told)}"


def _where(begun: notifications.RunStarted | notifications.RunResumed) -> str:
    return f", on {begun.on}" if begun.on else ""


_ENTRIES: tuple[EventEntry[Any], ...] = (
    EventEntry(
        notification=notifications.RunStarted,
        event="run.started",
        level=_always(Level.INFO),
        msg=lambda f: f"run of {f.name} started on Python {f.python}{_where(f)}",
    ),
    EventEntry(
        notification=notifications.RunResumed,
        event="run.resumed",
        level=lambda f: Level.ERROR if f.lost else Level.INFO,
        msg=_resumed,
    ),
    EventEntry(
        notification=notifications.DiskFull,
        event="disk.full",
        level=_always(Level.ERROR),
        msg=lambda f: f"{f.reason}; everything waits for room, {f.timeout_s:g} s at most",
    ),
    EventEntry(
        notification=notifications.DiskHasRoom,
        event="disk.freed",
        level=_always(Level.INFO),
        msg=lambda f: f"there is room on the disk again after {f.waited_s:.1f} s; the run goes on",
    ),
    EventEntry(
        notification=notifications.JobStarted,
        event="job.started",
        level=_always(Level.INFO),
        msg=lambda f: f"{f.job}: {f.target}, workers: {f.workers}",
    ),
    EventEntry(
        notification=notifications.WorkerStarted,
        event="worker.started",
        level=_always(Level.INFO),
        msg=lambda f: f"{f.worker} is pid {f.pid} ({f.start_method})",
    ),
    EventEntry(
        notification=notifications.WorkerReady,
        event="worker.ready",
        level=_always(Level.INFO),
        msg=lambda f: f"{f.worker} ready after {f.start_s:.3f} s",
    ),
    EventEntry(
        notification=notifications.ItemSkipped,
        event="item.skipped",
        level=_always(Level.WARNING),
        msg=lambda f: f"{f.worker} skipped {_item(f)}{_failure(f.failure)}",
    ),
    EventEntry(
        notification=notifications.ItemRetried,
        event="item.retried",
        level=_always(Level.WARNING),
        msg=lambda f: (
            f"{_item(f)} will be tried again {f'in {f.delay_s:.2f} s' if f.delay_s else 'at once'}"
            f" (attempt {f.attempts} failed){_failure(f.failure)}"
        ),
    ),
    EventEntry(
        notification=notifications.ItemDead,
        event="item.dead",
        level=_always(Level.ERROR),
        msg=lambda f: (
            f"{_item(f)} is a dead letter after {_times(f.attempts)} by"
            f" {f.worker}{_failure(f.failure)}"
        ),
        unlogged=frozenset({"chunk", "index", "packed"}),
    ),
    EventEntry(
        notification=notifications.ItemKept,
        event="item.kept",
        level=_always(Level.INFO),
        msg=lambda f: f"{_item(f)} is kept to be looked at: mporch dead show {f.item}",
        unlogged=frozenset({"chunk", "index", "packed", "failure"}),
    ),
    EventEntry(
        notification=notifications.ItemFailed,
        event="item.failed",
        level=_always(Level.ERROR),
        msg=lambda f: f"{f.worker} failed at {_item(f)}{_failure(f.failure)}",
    ),
    EventEntry(
        notification=notifications.WorkerReplaced,
        event="worker.replaced",
        level=lambda f: Level.WARNING if f.n else Level.INFO,
        msg=lambda f: f"{f.worker} {f.reason}; a new process takes its place",
    ),
    EventEntry(
        notification=notifications.WorkerEnded,
        event="worker.ended",
        level=_by_state,
        msg=_worker_ended,
    ),
    EventEntry(
        notification=notifications.JobEnded,
        event="job.ended",
        level=_by_state,
        msg=lambda f: f"{f.job} {_in_words(f.state)}{_because(f.reason)}",
    ),
    EventEntry(
        notification=notifications.QueueEnded,
        event="queue.ended",
        level=lambda f: Level.ERROR if f.ledger.left else Level.INFO,
        msg=_queue_ended,
    ),
    EventEntry(
        notification=notifications.QueueClosed,
        event="queue.closed",
        level=_by_loss,
        msg=lambda f: f"nobody reads {f.queue} any more: {f.dropped} dropped, {f.left} left",
    ),
    EventEntry(
        notification=notifications.RunStopping,
        event="run.stopping",
        level=_always(Level.WARNING),
        msg=_run_stopping,
    ),
    EventEntry(
        notification=notifications.SignalSent,
        event="signal.sent",
        level=lambda f: Level.WARNING if f.signal == "SIGKILL" else Level.INFO,
        msg=lambda f: f"{f.signal} to {f.worker}, pid {f.pid}{_because(f.reason)}",
    ),
    EventEntry(
        notification=notifications.WaitingFor,
        event="run.waiting",
        level=_always(Level.INFO),
        msg=lambda f: f"waiting for {_places(f)}, {f.timeout_s:g} s at most ({f.step})",
    ),
    EventEntry(
        notification=notifications.HeldByRate,
        event="job.held",
        level=_always(Level.INFO),
        msg=lambda f: (
            f"waiting for {f.job}, held by its rate: {f.queued} queued,"
            f" the next may start in {f.next_s:.1f} s"
        ),
    ),
    EventEntry(
        notification=notifications.Stalled,
        event="run.stalled",
        level=_always(Level.ERROR),
        msg=lambda f: (
            "nothing can go on: " + "; ".join(f"{who} waits for {what}" for who, what in f.waits)
        ),
    ),
    EventEntry(
        notification=notifications.Warned,
        event="warning",
        level=_always(Level.WARNING),
        msg=lambda f: f.message,
        spoken=frozenset({"message"}),
    ),
    EventEntry(
        notification=notifications.OutputLine,
        event="output",
        level=_always(Level.INFO),
        msg=lambda f: f.text,
        spoken=frozenset({"text", "ts"}),
    ),
    EventEntry(
        notification=notifications.Logged,
        event="log",
        level=lambda f: Level.parse(f.level),
        msg=lambda f: f.msg,
        spoken=frozenset({"ts", "level", "msg", "text"}),
    ),
    EventEntry(
        notification=notifications.ProcessesSurvived,
        event="run.survived",
        level=_always(Level.ERROR),
        msg=lambda f: f"could not be killed, and outlive the run: {names_of(f.processes)}",
    ),
    EventEntry(
        notification=notifications.RunEnded,
        event="run.ended",
        level=_by_exit_code,
        msg=_run_ended,
    ),
)

CATALOGUE: Mapping[type, EventEntry[Any]] = {entry.notification: entry for entry in _ENTRIES}
