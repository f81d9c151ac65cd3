"""The digest of a run's events for its report: skipped items and the first failure.

It takes facts while the run goes on, or records of its log later; both give the same report.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator.core.protocol.messages import Failure
from orchestrator.core.protocol.notifications import (
    ItemDead,
    ItemFailed,
    ItemSkipped,
    Notification,
    Stalled,
    WorkerEnded,
)

__all__ = ["Digest", "ItemGroup", "JobFailure"]

_NAMED = 10
_BAD = frozenset({"failed", "timed_out", "killed"})


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

    def add(self, job: str, item: str, what: str) -> None:
        """One more."""
        self.count += 1
        self.name(job, item, what)

    def name(self, job: str, item: str, what: str) -> bool:
        """Name an item that is counted, once; whether it was new."""
        who = f"{job} {item}: "
        if any(text.startswith(who) for text in self.first):
            return False
        if len(self.first) < _NAMED:
            self.first.append(f"{who}{what}")
        return True

    @property
    def are_enough(self) -> bool:
        """True if no more are named."""
        return len(self.first) == _NAMED


class Digest:
    """Collects; holds ten skipped items, ten dead letters and one failure, however long the run."""

    def __init__(self) -> None:
        self.skipped = ItemGroup()
        self.dead = ItemGroup()
        self.fault: JobFailure | None = None

    def notify(self, notification: Notification) -> None:
        """Take a fact."""
        match notification:
            case ItemSkipped():
                self.skipped.add(notification.job, notification.item, _error(notification.failure))
            case ItemDead():
                self.dead.add(notification.job, notification.item, _error(notification.failure))
            case ItemFailed():
                what = f"{_error(notification.failure)} at item {notification.item}"
                self._fail(notification.worker, what, notification.failure.traceback)
            case WorkerEnded() if notification.state in _BAD:
                traceback = notification.failure.traceback if notification.failure else ""
                what = notification.reason or (
                    _error(notification.failure) if notification.failure else notification.state
                )
                self._fail(notification.worker, what, traceback)
            case Stalled():
                waits = "; ".join(f"{who} waits for {what}" for who, what in notification.waits)
                self._fail("the run", f"nothing can go on: {waits}", "")

    def dead_before(self, job: str, item: str, failure: Failure) -> None:
        """Take a dead letter of the run's life before the one whose facts come."""
        self.dead.add(job, item, _error(failure))

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
            if job in left and self.skipped.name(job, _text(record, "item"), _recorded(record)):
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
            self.skipped.add(_text(record, "job"), item, _recorded(record))
        elif event == "item.dead":
            self.dead.add(_text(record, "job"), item, _recorded(record))
        elif event == "item.failed":
            self._fail(worker, f"{_recorded(record)} at item {item}", traceback)
        elif event == "worker.ended" and record.get("state") in _BAD:
            what = _text(record, "reason") or _recorded(record) or _text(record, "state")
            self._fail(worker, what, traceback)
        elif event == "run.stalled":
            self._fail("the run", _text(record, "msg"), "")

    def _fail(self, who: str, what: str, traceback: str) -> None:
        """Keep the first failure; a later one only if it has the traceback the first one lacks."""
        if self.fault is None or (traceback and not self.fault.traceback and who == self.fault.who):
            self.fault = JobFailure(who=who, what=what, traceback=traceback)


def _error(failure: Failure) -> str:
    text = f"{failure.kind}: {failure.message}" if failure.message else failure.kind
    return f"{text} ({failure.where})" if failure.where else text


def _recorded(record: Mapping[str, Any]) -> str:
    """Return the failure in a record, in words; nothing if there is none."""
    kind, message, where = (_text(record, key) for key in ("error_type", "error", "where"))
    return _error(Failure(kind=kind, message=message, where=where)) if kind else ""


def _text(record: Mapping[str, Any], key: str) -> str:
    return str(record.get(key) or "")
