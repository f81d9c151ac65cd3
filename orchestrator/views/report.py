"""The report of a run: short when all went well, the user's own traceback last when not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from rich.filesize import decimal

from orchestrator.core.protocol.messages import Failure
from orchestrator.core.protocol.notifications import (
    ItemDead,
    ItemFailed,
    ItemKept,
    ItemSkipped,
    Notification,
    Stalled,
    WorkerEnded,
)
from orchestrator.core.reasons import called, failed, names_of
from orchestrator.core.reporting import JobSummary, Summary
from orchestrator.views.tables import Column, Paper, table
from orchestrator.views.text import Style, duration, escaped, number, paint, short_time, shortened

__all__ = ["Digest", "ItemGroup", "JobFailure", "Report", "render_report"]


_JOB_COLUMNS = (
    Column(title="job"),
    Column(title="status"),
    Column(title="workers", right=True, rank=6),
    Column(title="in", right=True, rank=1),
    Column(title="out", right=True, rank=2),
    Column(title="skipped", right=True, rank=4),
    Column(title="failed", right=True, rank=3),
    Column(title="retried", right=True, rank=4),
    Column(title="restarts", right=True, rank=5),
    Column(title="recycled", right=True, rank=5),
    Column(title="orphaned", right=True, rank=5),
    Column(title="busy", right=True, rank=7),
    Column(title="waited", right=True, rank=8),
)
_QUEUE_COLUMNS = (
    Column(title="queue"),
    Column(title="put", right=True, rank=1),
    Column(title="done", right=True, rank=3),
    Column(title="skipped", right=True, rank=4),
    Column(title="dropped", right=True, rank=4),
    Column(title="dead", right=True, rank=4),
    Column(title="left", right=True, rank=2),
    Column(title="peak", right=True, rank=5),
    Column(title="peak bytes", right=True, rank=6),
)
_LONG_S = 0.2
"""Batches that waited for less, in all, are not worth a line."""
_SLOW_S = 1.0
_SLOW_TIMES = 4.0
"""An item is told that took so long, and so many times as long as the others on average."""
_BAD = frozenset({"failed", "timed_out", "killed"})
_STYLES = {"succeeded": Style.GREEN, "failed": Style.RED, "timed_out": Style.RED}


@dataclass(frozen=True, kw_only=True)
class Report:
    """A run that has ended. `log` is where its log is, `argument` what names it in a command.

    `durable`: what it has not done can be gone on with.
    """

    summary: Summary
    digest: Digest
    log: str
    argument: str
    durable: bool = False


def render_report(report: Report, paper: Paper) -> str:
    """Return the report as text."""
    summary = report.summary
    parts = [_headline(report, paper), _jobs(summary, paper), _queues(summary, paper)]
    parts.append(_notes(report, paper))
    if summary.exit_code:
        parts.append(_failure(report, paper))
    return "\n".join(part for part in parts if part)


def _headline(report: Report, paper: Paper) -> str:
    summary = report.summary
    status = escaped(_worded(summary.status))
    code = f", exit code {summary.exit_code}" if summary.exit_code else ""
    verdict = paint(status, _STYLES.get(summary.status, Style.YELLOW), colour=paper.colour)
    why = summary.reason
    if (fault := report.digest.fault) and fault.what in why:
        why = why[: why.index(fault.what)].rstrip(": ")  # the rest is told at the end
    reason = f": {escaped(shortened(why))}" if why else ""
    return f"{escaped(summary.name)} {verdict} after {duration(summary.duration_s)}{code}{reason}\n"


def _jobs(summary: Summary, paper: Paper) -> str:
    rows = [_job_row(name, job) for name, job in summary.jobs.items()]
    return table(_JOB_COLUMNS, rows, paper, indent=2)


def _job_row(name: str, job: JobSummary) -> tuple[str, ...]:
    waited_s = job.waiting_input_s + job.waiting_output_s + job.waiting_rate_s
    return (
        name,
        job.status,
        str(job.workers),
        _count(job.items_in),
        _count(job.items_out),
        _count(job.skipped),
        _count(job.failed + job.dead),
        _count(job.retried),
        _count(job.restarts),
        _count(job.recycled),
        _count(job.orphaned),
        _time(job.busy_s),
        _time(waited_s),
    )


def _queues(summary: Summary, paper: Paper) -> str:
    rows = [
        (
            name,
            number(queue.put),
            number(queue.done),
            *map(_count, (queue.skipped, queue.dropped, queue.dead, queue.left)),
            f"{number(queue.peak)}/{number(queue.maxsize)}"
            if queue.maxsize
            else number(queue.peak),
            "" if queue.peak_bytes is None else decimal(queue.peak_bytes),
        )
        for name, queue in summary.queues.items()
    ]
    return table(_QUEUE_COLUMNS, rows, paper, indent=2) if rows else ""


def _notes(report: Report, paper: Paper) -> str:
    warning = paint("warning:", Style.YELLOW, colour=paper.colour)
    digest = report.digest
    lines = [f"{warning} {escaped(text)}" for text in report.summary.warnings]
    if survivors := report.summary.survivors:
        lines.append(
            f"{warning} could not be killed, and outlive the run: {escaped(names_of(survivors))}"
        )
        lines.append("  next: end them yourself; a setuid program takes its user's rights (sudo)")
    lines += _bottlenecks(report.summary)
    lines += [line for item in report.summary.jobs.items() if (line := _short_batches(*item))]
    lines += [line for item in report.summary.jobs.items() if (line := _slowest(*item))]
    argument = escaped(report.argument)
    skipped = f"mporch logs {argument} --grep skipped"
    lines += _named("skipped by on_error", "item", digest.skipped, skipped)
    dead = f"mporch dead list {argument}"
    lines += _named("kept by on_error", "dead letter", digest.dead, dead)
    if digest.dead.count:
        lines.append(
            f"  next: {dead}; when their cause is mended, mporch dead replay {argument} --all"
        )
    lines.append(f"log: {escaped(report.log)}")
    return "".join(f"{line}\n" for line in lines)


def _bottlenecks(summary: Summary) -> list[str]:
    """Return what limited the run; older summaries name one job and no reason."""
    if summary.bottlenecks or not summary.bottleneck:
        return [f"bottleneck: {escaped(each.text)}" for each in summary.bottlenecks]
    return [f"bottleneck: {escaped(summary.bottleneck)} (the others waited for it)"]


def _short_batches(name: str, job: JobSummary) -> str:
    """Return how often and how long batches of a job waited for more, if that was long."""
    n, waited_s = job.short_batches, job.waiting_within_s
    if waited_s < _LONG_S:
        return ""
    batches = f"{number(n)} batch{'es' if n > 1 else ''}"
    waited = f"waited {duration(waited_s)} for more until `within` was over"
    return f"{escaped(name)}: {batches} {waited}, and went out short"


def _slowest(name: str, job: JobSummary) -> str:
    """Return which item of a job took much longer than the others, if one did."""
    slow = job.slowest
    if slow is None or slow.seconds < max(_SLOW_S, _SLOW_TIMES * slow.others_s):
        return ""
    others = f", others {short_time(slow.others_s)} on average" if slow.others_s else ""
    item = escaped(called(slow.item, slow.name))
    return f"slowest: {escaped(name)} took {duration(slow.seconds)} for {item}{others}"


def _named(what: str, kind: str, items: ItemGroup, more: str) -> list[str]:
    """Return how many items ended so, and the first of them."""
    n = items.count
    if not n:
        return []
    lines = [f"{what}: {number(n)} {kind}{'s' if n > 1 else ''}"]
    lines += [f"  {escaped(shortened(text))}" for text in items.first]
    if n > len(items.first):
        lines.append(f"  and {number(n - len(items.first))} more: {more}")
    return lines


def _failure(report: Report, paper: Paper) -> str:
    """Return why the run failed: the jobs at fault if there are several, the failure last."""
    fault = report.digest.fault
    bad = [(name, job) for name, job in report.summary.jobs.items() if job.status in _BAD]
    lines = []
    if fault is None or len(bad) > 1:
        lines += [
            escaped(shortened(f"{name} {_worded(job.status)}: {job.reason}")) for name, job in bad
        ]
    name = escaped(report.argument)
    lines.append(f"more: mporch logs {name} --level warning")
    if item := report.digest.kept:
        lines.append(f"the item is kept: mporch dead show {name} {escaped(item)}, or debug")
    if report.durable and report.summary.status != "succeeded":
        lines.append(f"go on: mporch resume {name} (with --force after a change of code or spec)")
    text = "".join(f"{line}\n" for line in lines)
    return text + (_fault(fault, paper) if fault else "")


def _worded(status: str) -> str:
    return status.replace("_", " ")


def _fault(fault: JobFailure, paper: Paper) -> str:
    what = paint(escaped(shortened(f"{fault.who}: {fault.what}")), Style.RED, colour=paper.colour)
    traceback = "".join(f"  {escaped(shortened(line))}\n" for line in fault.traceback.splitlines())
    return f"\n{what}\n{traceback}"


def _count(n: int) -> str:
    return number(n) if n else ""


def _time(seconds: float) -> str:
    return duration(seconds) if seconds >= 0.005 else ""


_NAMED = 10


@dataclass(frozen=True, kw_only=True)
class JobFailure:
    """A failure: who, what in one line, and the user's own traceback."""

    who: str
    what: str
    traceback: str = ""


class ItemGroup:
    """Items that ended alike: how many, and the first ten by name."""

    def __init__(self) -> None:
        self.count = 0
        self.first: list[str] = []
        self._named: set[tuple[str, str]] = set()

    def add(self, job: str, item: str, failure: Failure) -> None:
        """One more."""
        self.count += 1
        self.name(job, item, failure)

    def name(self, job: str, item: str, failure: Failure) -> bool:
        """Name an item that is counted, once; whether it was new."""
        if (job, item) in self._named:
            return False
        if len(self.first) < _NAMED:
            self._named.add((job, item))
            self.first.append(f"{job} {called(item, failure.item_name)}: {failed(failure)}")
        return True

    @property
    def are_enough(self) -> bool:
        """True if no more are named."""
        return len(self.first) == _NAMED


class Digest:
    """Collects for the report; holds ten skipped items, ten dead letters and one failure.

    It takes facts while the run goes on, or records of its log later; both give the same report.
    """

    def __init__(self) -> None:
        self.skipped = ItemGroup()
        self.dead = ItemGroup()
        self.fault: JobFailure | None = None
        self.kept = ""
        """The first item that has failed its job, by its number: it is kept."""

    def notify(self, notification: Notification) -> None:
        """Take a fact."""
        match notification:
            case ItemSkipped():
                self.skipped.add(notification.job, notification.item, notification.failure)
            case ItemDead():
                self.dead.add(notification.job, notification.item, notification.failure)
            case ItemKept():
                self.kept = self.kept or notification.item
            case ItemFailed():
                what = failed(notification.failure, notification.item)
                self._fail(notification.worker, what, notification.failure.traceback)
            case WorkerEnded() if notification.state in _BAD:
                traceback = notification.failure.traceback if notification.failure else ""
                what = notification.reason or (
                    failed(notification.failure) if notification.failure else notification.state
                )
                self._fail(notification.worker, what, traceback)
            case Stalled():
                waits = "; ".join(f"{who} waits for {what}" for who, what in notification.waits)
                self._fail("the run", f"nothing can go on: {waits}", "")

    def dead_before(self, job: str, item: str, failure: Failure) -> None:
        """Take a dead letter of the run's life before the one whose facts come."""
        self.dead.add(job, item, failure)

    def skipped_before(
        self, counts: Mapping[str, int], records: Iterable[Mapping[str, Any]]
    ) -> None:
        """Take what was skipped in the run's lives before: so many items of each job.

        `records` are those of a log, read no further than ten names need. What has a record and was
        not counted was cut off as it ended: it is done again.
        """
        self.skipped.count += sum(counts.values())
        left = {job: n for job, n in counts.items() if n}
        if not left:
            return
        for record in records:
            job = _text(record, "job")
            if job in left and self.skipped.name(job, _text(record, "item"), _failure_of(record)):
                left[job] -= 1
                if not left[job]:
                    del left[job]
            if not left or self.skipped.are_enough:
                return

    def record(self, record: Mapping[str, Any]) -> None:
        """Take a record of a log."""
        event, worker = record.get("event"), _text(record, "worker")
        item, traceback = _text(record, "item"), _text(record, "traceback")
        if event == "item.skipped":
            self.skipped.add(_text(record, "job"), item, _failure_of(record))
        elif event == "item.dead":
            self.dead.add(_text(record, "job"), item, _failure_of(record))
        elif event == "item.kept":
            self.kept = self.kept or item
        elif event == "item.failed":
            self._fail(worker, failed(_failure_of(record), item), traceback)
        elif event == "worker.ended" and record.get("state") in _BAD:
            what = _text(record, "reason") or _recorded(record) or _text(record, "state")
            self._fail(worker, what, traceback)
        elif event == "run.stalled":
            self._fail("the run", _text(record, "msg"), "")

    def _fail(self, who: str, what: str, traceback: str) -> None:
        """Keep the first failure; a later one only if it has the traceback the first one lacks."""
        if self.fault is None or (traceback and not self.fault.traceback and who == self.fault.who):
            self.fault = JobFailure(who=who, what=what, traceback=traceback)


def _recorded(record: Mapping[str, Any]) -> str:
    """Return the failure in a record, in words; nothing if there is none."""
    return failed(_failure_of(record)) if record.get("error_type") else ""


def _failure_of(record: Mapping[str, Any]) -> Failure:
    """Return the failure in a record."""
    return Failure(
        kind=_text(record, "error_type"),
        message=_text(record, "error"),
        where=_text(record, "where"),
        item_name=_text(record, "item_name"),
    )


def _text(record: Mapping[str, Any], key: str) -> str:
    return str(record.get(key) or "")
