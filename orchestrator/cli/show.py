"""`mporch show`: how a run went."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from orchestrator.console.options import format_option, run_argument
from orchestrator.console.printing import print_json, say, tell
from orchestrator.errors import RunDirectoryError, RunNotFoundError

if TYPE_CHECKING:
    from orchestrator.core.reporting import Summary
    from orchestrator.runlog.directory import RunDirectory
    from orchestrator.views.report import Digest

__all__ = ["show"]

_EPILOG = """\b
Examples:
  mporch show
  mporch show 20261123T08
  mporch show last --format json | jq .queues
"""


@click.command(epilog=_EPILOG)
@run_argument
@format_option
def show(run_name: str, format: str) -> None:  # noqa: A002 -- the option's name
    """Show how RUN went, or goes: its jobs, its queues, what was skipped and what failed.

    RUN is last (the default), an id of `mporch runs`, the beginning of one, or the path of a run
    directory.
    """
    from orchestrator.runlog.find import resolve_here  # noqa: PLC0415

    run = resolve_here(run_name)
    summary = run.read_summary()
    if summary is None and run.is_alive:
        if _show_live(run, run_name, as_json=format == "json"):
            return
        summary = run.read_summary()  # it has ended just now
    if summary is None:
        _show_unfinished(run, run_name, as_json=format == "json")
    elif format == "json":
        print_json(summary)
    else:
        _show_report(run, run_name, summary)


def _show_report(run: RunDirectory, run_name: str, summary: Summary) -> None:
    from orchestrator.views.report import Report, render_report  # noqa: PLC0415
    from orchestrator.views.tables import Paper  # noqa: PLC0415

    digest = _digest(run, needed=bool(summary.code) or _skipped(summary))
    plan = run.read_plan()
    report = Report(
        summary=summary,
        digest=digest,
        log=str(run.log_path),
        argument=run_name,
        durable=plan is not None and plan.durability.keeps,
    )
    paper = Paper.of(sys.stdout)
    print(render_report(report, paper), end="")


def _digest(run: RunDirectory, *, needed: bool) -> Digest:
    """Read the log for what the summary does not tell; a clean run has nothing of the kind."""
    from orchestrator.runlog.reader import LogReader  # noqa: PLC0415
    from orchestrator.views.report import Digest  # noqa: PLC0415

    digest = Digest()
    if needed:
        with LogReader(run.log_path) as log:
            for record in log.available():
                if isinstance(record, dict):
                    digest.record(record)
    return digest


def _skipped(summary: Summary) -> bool:
    return any(job.skipped for job in summary.jobs.values())


def _show_live(run: RunDirectory, run_name: str, *, as_json: bool) -> bool:
    """Show how a run stands that goes on, at least that it does; False if it has ended just now."""
    from orchestrator.control.client import ControlError  # noqa: PLC0415
    from orchestrator.features.live.top import show_live  # noqa: PLC0415

    try:
        if not show_live(run, watches=False, as_json=as_json):
            return False
    except ControlError as error:
        if as_json:
            raise
        plan = run.read_plan()
        say(f"{plan.name if plan else run.run_id} is running ({run.run_id})")
        say(f"  {error}")
    if not as_json:
        say(f"follow it: mporch logs {run_name} -f")
    return True


def _show_unfinished(run: RunDirectory, run_name: str, *, as_json: bool) -> None:
    """Tell what is known of a run that has died without a summary."""
    try:
        killed = _killed(run)
    except RunDirectoryError as error:
        if as_json:
            raise
        killed = None
        tell(f"mporch: warning: {error}")
    if killed is not None:
        if as_json:
            print_json(killed)
        else:
            _show_report(run, run_name, killed)
            _say_what_next(run, run_name)
        return
    if as_json:
        why = "it was killed before it wrote one"
        raise RunNotFoundError(f"run {run.run_id} has no summary: {why}")
    plan = run.read_plan()
    name = plan.name if plan else run.run_id
    say(f"{name} has ended without a summary: it was killed, or its disk was full ({run.run_id})")
    say(f"log: {run.log_path}")
    _say_what_next(run, run_name)


def _say_what_next(run: RunDirectory, run_name: str) -> None:
    """Name the commands that tell more of a run that was killed, or go on with it."""
    say(f"its last words: mporch logs {run_name} -n 20")
    plan = run.read_plan()
    if plan is not None and plan.durability.keeps:
        say(f"go on: mporch resume {run_name}")


def _killed(run: RunDirectory) -> Summary | None:
    """Return the summary of a run that was killed, of its last sample; None if none was kept."""
    from orchestrator.core.limits import limits_of  # noqa: PLC0415
    from orchestrator.core.reporting import summary_of_killed  # noqa: PLC0415
    from orchestrator.rfc3339 import nanoseconds, timestamp  # noqa: PLC0415
    from orchestrator.runlog.samples import read_samples  # noqa: PLC0415

    lives = [life for life in read_samples(run.path) if life.samples]
    began_ns = nanoseconds(lives[-1].header.started) if lives else None
    if began_ns is None:
        return None
    header, last = lives[-1].header, lives[-1].samples[-1]
    found = limits_of(header, lives[-1].samples)
    return summary_of_killed(header, last, found, ended=timestamp(began_ns / 1e9 + last.t))
