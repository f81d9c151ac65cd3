"""`mporch runs`: list the runs of this project."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.console.options import format_option
from orchestrator.console.printing import print_json
from orchestrator.views.tables import Column, Paper, table
from orchestrator.views.text import duration

if TYPE_CHECKING:
    from orchestrator.runlog.directory import RunDirectory

__all__ = ["RunRow", "render_runs", "runs"]

_EPILOG = """\b
Examples:
  mporch runs
  mporch runs --format json | jq '.[0].status'
"""


@click.command(epilog=_EPILOG)
@format_option
def runs(format: str) -> None:  # noqa: A002 -- the option's name
    """List the runs of this project, the latest first.

    They are looked for in .mporch here and in the folders above, or in MPORCH_HOME.
    """
    from orchestrator.runlog.find import find_home, list_runs  # noqa: PLC0415

    home = find_home(Path.cwd(), os.environ)
    rows = [_row(run) for run in reversed(list_runs(home) if home else [])]
    if format == "json":
        print_json(rows)
    elif rows:
        paper = Paper.of(sys.stdout)
        print(render_runs(rows, paper), end="")
    else:
        click.echo("no runs yet: `mporch run` makes one", err=True)


def _row(run: RunDirectory) -> RunRow:
    from orchestrator.runlog.find import first_start, last_resumption  # noqa: PLC0415
    from orchestrator.runlog.letters import replayed_run  # noqa: PLC0415

    summary, plan = run.read_summary(), run.read_plan()
    origin = replayed_run(plan) if plan is not None else None
    replay_of = origin.run_id if origin is not None else ""
    if summary is not None:
        return RunRow(
            run=run.run_id,
            name=summary.name,
            status=summary.status,
            exit_code=summary.exit_code,
            started=summary.first_started or summary.started,
            resumed=summary.started if summary.first_started else "",
            duration_s=summary.duration_s,
            replay_of=replay_of,
        )
    return RunRow(
        run=run.run_id,
        name=plan.name if plan else "",
        status="running" if run.is_alive else "died",
        started=_told(first_start, run),
        resumed=_told(last_resumption, run) if plan is None or plan.durability.keeps else "",
        pid=run.pid,
        replay_of=replay_of,
    )


def _told(by: Callable[[RunDirectory], str], run: RunDirectory) -> str:
    """Return what the run's log tells, if it can be read."""
    from orchestrator.errors import RunNotFoundError  # noqa: PLC0415

    try:
        return by(run)
    except RunNotFoundError:
        return ""


_COLUMNS = (
    Column(title="run"),
    Column(title="name", rank=1),
    Column(title="status"),
    Column(title="pid", right=True, rank=1),
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
            "" if row.pid is None else str(row.pid),
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
