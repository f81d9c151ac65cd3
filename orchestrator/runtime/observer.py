"""Observers of the loop while a run goes on: the log and the screen."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from orchestrator.core.facts import Fact, Progress
from orchestrator.core.snapshot import Snapshot

__all__ = ["Observer"]


class Observer(Protocol):
    """Called by the loop, in its thread. Times are monotonic seconds.

    `wants_snapshots`: a live display is there. `backed_up`: do not read targets' output for now.
    """

    @property
    def wants_snapshots(self) -> bool:
        """Whether `snapshot` is of any use."""

    @property
    def backed_up(self) -> bool:
        """Whether a reader is so slow that targets' output should not be read for now."""

    @property
    def pending(self) -> bool:
        """Whether there is something to flush."""

    @property
    def unwritten(self) -> Collection[int]:
        """Descriptors that would take no more; `flush` is called when one of them does."""

    def fact(self, fact: Fact | Progress, now: float) -> None:
        """Something has happened, or a line that is drawn anew shows something else."""

    def snapshot(self, snapshot: Snapshot, now: float) -> None:
        """How the run stands."""

    def flush(self) -> None:
        """The loop has a moment: write what is buffered."""
