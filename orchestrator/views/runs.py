"""The table of runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator.views.tables import Column, Paper, table
from orchestrator.views.text import duration

__all__ = ["RunRow", "render_runs"]

_COLUMNS = (
    Column(title="run"),
    Column(title="name", rank=1),
    Column(title="status"),
    Column(title="exit", right=True, rank=2),
    Column(title="started (UTC)", rank=4),
    Column(title="resumed (UTC)", rank=5),
    Column(title="took", right=True, rank=3),
    Column(title="replay of", rank=6),
)


@dataclass(frozen=True, kw_only=True)
class RunRow:
    """One run; what is not known of one that goes on, or died, is None or empty.

    `pid` is that of the process that writes the log of one that goes on. `resumed` is when its last
    life began, if it had several, as its log tells of one that goes on or died; `duration_s` is
    that of the last. `replay_of` is the run whose dead letters it has fed back, if it is a replay.
    """

    run: str
    name: str
    status: str
    exit_code: int | None = None
    started: str = ""
    resumed: str = ""
    duration_s: float | None = None
    pid: int | None = None
    replay_of: str = ""


def render_runs(rows: Sequence[RunRow], paper: Paper) -> str:
    """Return the runs as a table, in the order given."""
    cells = [
        (
            row.run,
            row.name,
            row.status,
            "" if row.exit_code is None else str(row.exit_code),
            _short(row.started),
            _short(row.resumed),
            "" if row.duration_s is None else duration(row.duration_s),
            row.replay_of,
        )
        for row in rows
    ]
    return table(_COLUMNS, cells, paper)


def _short(time: str) -> str:
    return time[:19].replace("T", " ")
