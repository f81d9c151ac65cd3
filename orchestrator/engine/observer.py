"""Observers of the conductor while a run goes on: the log and the screen."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from orchestrator.core.protocol.notifications import Notification, Progress
from orchestrator.core.reporting.summary import Snapshot

__all__ = ["Observer"]


class Observer(Protocol):
    """Called by the conductor, in its thread. Times are monotonic seconds.

    `wants_snapshots`: a live display is there. `backed_up`: do not read targets' output for now.
    """

    @property
    def wants_snapshots(self) -> bool:
        """True if `snapshot` is of any use."""

    @property
    def backed_up(self) -> bool:
        """True if a reader is so slow that targets' output should not be read for now."""

    @property
    def pending(self) -> bool:
        """True if there is something to flush."""

    @property
    def unwritten(self) -> Collection[int]:
        """Descriptors that would take no more; `flush` is called when one of them does."""

    def notify(self, notification: Notification | Progress, now: float) -> None:
        """Something has happened, or a line that is drawn anew shows something else."""

    def snapshot(self, snapshot: Snapshot, now: float) -> None:
        """Show how the run stands."""

    def flush(self) -> None:
        """The loop has a moment: write what is buffered."""
