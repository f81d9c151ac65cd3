"""Options of a run: what it keeps and shows, where its workers live, and who watches it."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from orchestrator.views.output import OutputMode, ProgressMode

if TYPE_CHECKING:
    from orchestrator.core.reporting import Summary
    from orchestrator.runlog.directory import RunDirectory

__all__ = ["On", "Options", "Shield", "Watch"]


class On(enum.Enum):
    """Where the workers of a run live."""

    LOCAL = "local"
    """With the orchestrator itself."""
    AGENT = "agent"
    """With agents: programs of their own, that speak to it over TCP."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """How a run is kept and shown.

    `run_dir`: its own directory, new or empty; None puts it among the project's runs. `progress`:
    how it is shown while it runs. `json_output`: print the
    summary as JSON on standard output, everything else on standard error. `quiet`: mporch itself
    says nothing, targets still do. What comes onto the queues in `tapped` is kept in the run's
    directory. `on`: where the workers live. `dead_ok`: a run that has dead letters, and nothing
    worse, is as one that has none.
    """

    run_dir: Path | None = None
    output: OutputMode = OutputMode.PREFIXED
    json_output: bool = False
    quiet: bool = False
    progress: ProgressMode = ProgressMode.AUTO
    tapped: frozenset[str] = frozenset()
    on: On = On.LOCAL
    dead_ok: bool = False


Shield = Callable[[Callable[[], int]], int]
"""Calls a function and turns what it raises into a message and an exit code."""


class Watch(Protocol):
    """Somebody who wants to know of a run. Called in the orchestrator."""

    def begun(self, directory: RunDirectory, /) -> None:
        """No worker has been started yet."""

    def ended(self, summary: Summary, left: Mapping[str, Sequence[range]], /) -> None:
        """Take in how it went; `left` are the numbers of the items left, by queue."""
