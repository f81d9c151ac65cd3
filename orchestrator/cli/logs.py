"""`mporch logs`: read the log of a run."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.cli.options import (
    format_option,
    job_option,
    queue_option,
    run_argument,
    worker_option,
)

if TYPE_CHECKING:
    from orchestrator.runlog.query import Filter
    from orchestrator.runlog.reader import Damage, LogReader, Record

__all__ = ["logs"]

_EPILOG = """\b
Examples:
  mporch logs --level error
  mporch logs last --job parse -n 20
  mporch logs -f --grep 'files:1\\d+'
"""


@click.command(epilog=_EPILOG)
@run_argument
@job_option
@worker_option
@queue_option
@click.option(
    "--level",
    type=click.Choice(["debug", "info", "warning", "error", "critical"], case_sensitive=False),
    default="debug",
    help="At least of this level.",
)
@click.option("--grep", metavar="REGEX", help="Whose message, error or traceback has REGEX in it.")
@click.option("-f", "--follow", is_flag=True, help="Go on until the run ends.")
@click.option("-n", "--lines", type=click.IntRange(min=0), metavar="N", help="Only the last N.")
@format_option
def logs(
    *,
    run_name: str,
    job: tuple[str, ...],
    worker: tuple[str, ...],
    queue: tuple[str, ...],
    level: str,
    grep: str | None,
    follow: bool,
    lines: int | None,
    format: str,  # noqa: A002 -- the option's name
) -> None:
    """Show the log of RUN: what mporch did, and what your functions printed and logged.

    RUN is last (the default), an id of `mporch runs`, the beginning of one, or the path of a run
    directory. Times are UTC. The fields of `--format json` are those of log.jsonl, one record a
    line.
    """
    from orchestrator.runlog.find import find_home, resolve  # noqa: PLC0415
    from orchestrator.runlog.levels import Level  # noqa: PLC0415
    from orchestrator.runlog.query import Filter, check_names, last  # noqa: PLC0415
    from orchestrator.runlog.reader import LogReader  # noqa: PLC0415

    wanted = Filter(
        jobs=frozenset(job),
        workers=frozenset(worker),
        queues=frozenset(queue),
        level=Level.parse(level),
        grep=_compiled(grep),
    )
    run = resolve(find_home(Path.cwd(), os.environ), run_name)
    if plan := run.read_plan():
        check_names(wanted, plan)
    show = _Printer(as_json=format == "json")
    with LogReader(run.log_path, follow=follow) as log:
        show.all(last(_matching(log, wanted), lines))
        while log.wait():
            show.all(_matching(log, wanted))


def _compiled(grep: str | None) -> re.Pattern[str] | None:
    try:
        return None if grep is None else re.compile(grep)
    except (re.error, OverflowError, RecursionError) as error:
        raise click.BadParameter(
            f"not a regular expression: {error}", param_hint="--grep"
        ) from None


def _matching(log: LogReader, wanted: Filter) -> Iterable[Record]:
    """Yield the records that are wanted; tell of damage on standard error."""
    for found in log.available():
        if not isinstance(found, dict):
            _warn(found)
        elif wanted.matches(found):
            yield found


def _warn(damage: Damage) -> None:
    click.echo(f"mporch: warning: log.jsonl, byte {damage.offset}: {damage.reason}", err=True)


class _Printer:
    """Prints records on standard output as text or JSON."""

    def __init__(self, *, as_json: bool) -> None:
        from orchestrator.views.logs import render_record  # noqa: PLC0415
        from orchestrator.views.terminal import colours  # noqa: PLC0415

        self._as_json = as_json
        self._render = render_record
        self._colour = colours(sys.stdout, os.environ)

    def all(self, records: Iterable[Record]) -> None:
        """Print all of `records`, and let them be seen."""
        import json  # noqa: PLC0415

        for record in records:
            text = f"{json.dumps(record)}\n" if self._as_json else self._text(record)
            print(text, end="")
        print(end="", flush=True)

    def _text(self, record: Record) -> str:
        return self._render(record, colour=self._colour)
