"""`mporch logs`: read the log of a run."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from orchestrator import views
from orchestrator.console.options import (
    job_option,
    queue_option,
    run_argument,
    worker_option,
)

if TYPE_CHECKING:
    from orchestrator.runlog.directory import RunDirectory
    from orchestrator.runlog.jsonl import Damage, Record
    from orchestrator.runlog.query import Filter
    from orchestrator.runlog.reader import LogReader

__all__ = ["logs"]

_EPILOG = """\b
Examples:
  mporch logs --level error
  mporch logs last --job parse -n 20
  mporch logs -f --grep 'files:1\\d+'
"""


if TYPE_CHECKING:
    _Choice = click.Choice[str]
else:
    _Choice = click.Choice  # older releases of click take no subscript


class _LevelName(_Choice):
    """The name of a level, or one that other programs have for it."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        name = str(value)
        return super().convert(_LEVELS.get(name.casefold(), name), param, ctx)


_LEVELS = {"warn": "warning", "fatal": "critical", "err": "error"}


@click.command(epilog=_EPILOG)
@run_argument
@job_option
@worker_option
@queue_option
@click.option(
    "--level",
    type=_LevelName(["debug", "info", "warning", "error", "critical"], case_sensitive=False),
    default="debug",
    help="At least of this level.",
)
@click.option(
    "--grep",
    metavar="REGEX",
    help="Whose message, fields, error or traceback have REGEX in them.",
)
@click.option("--item", metavar="QUEUE:N", multiple=True, help="Of this item (repeatable).")
@click.option(
    "--field",
    metavar="KEY=VALUE",
    multiple=True,
    help="Whose field KEY is VALUE (repeatable); a.b is b in a.",
)
@click.option("-f", "--follow", is_flag=True, help="Go on until the run ends.")
@click.option("-n", "--lines", type=click.IntRange(min=0), metavar="N", help="Only the last N.")
@click.option(
    "--format",
    type=click.Choice(["text", "json", "logfmt", "ecs", "otlp-json"]),
    default="text",
    help="For people, or one line a record for programs.",
)
@click.option(
    "--lnav-format",
    is_flag=True,
    help="Print the format file that teaches lnav to read log.jsonl, and nothing else.",
)
def logs(
    *,
    run_name: str,
    job: tuple[str, ...],
    worker: tuple[str, ...],
    queue: tuple[str, ...],
    level: str,
    grep: str | None,
    item: tuple[str, ...],
    field: tuple[str, ...],
    follow: bool,
    lines: int | None,
    format: str,  # noqa: A002 -- the option's name
    lnav_format: bool,
) -> None:
    """Show the log of RUN: what mporch did, and what your functions printed and logged.

    RUN is last (the default), an id of `mporch runs`, the beginning of one, or the path of a run
    directory. Times are UTC. The fields of `--format json` are those of log.jsonl, one record a
    line; ecs is Elastic's Common Schema, otlp-json OpenTelemetry's export requests.
    """
    if lnav_format:
        click.echo((Path(views.__file__).parent / "lnav-format.json").read_text("utf-8"), nl=False)
        return
    from orchestrator.runlog.find import resolve_here  # noqa: PLC0415
    from orchestrator.runlog.query import (  # noqa: PLC0415
        Filter,
        check_names,
        field_of,
        item_of,
        last,
    )
    from orchestrator.runlog.reader import LogReader  # noqa: PLC0415
    from orchestrator.runlog.schema import Level  # noqa: PLC0415

    wanted = Filter(
        jobs=frozenset(job),
        workers=frozenset(worker),
        queues=frozenset(queue),
        level=Level.parse(level),
        grep=_compiled(grep),
        items=frozenset(map(item_of, item)),
        fields=tuple(map(field_of, field)),
    )
    run = resolve_here(run_name)
    if plan := run.read_plan():
        check_names(wanted, plan)
    show = _Printer(format)
    with LogReader(run.log_path, follow=follow) as log:
        show.all(last(_matching(log, wanted), lines))
        while log.wait():
            show.all(_matching(log, wanted))
        if follow and not log.ended:
            _tell_death(run, run_name)


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


def _tell_death(run: RunDirectory, run_name: str) -> None:
    """Say on standard error why there is no more to follow, though the log has no end."""
    plan = run.read_plan()
    click.echo(f"mporch: run {run.run_id} died: it was killed, or its disk was full", err=True)
    if plan is not None and plan.durability.keeps:
        click.echo(f"  go on: mporch resume {run_name}", err=True)


class _Printer:
    """Prints records on standard output, as text or in another form."""

    def __init__(self, form: str) -> None:
        from orchestrator.views.logs import FORMATS, render_record  # noqa: PLC0415
        from orchestrator.views.tables import colours  # noqa: PLC0415

        self._export = json.dumps if form == "json" else FORMATS.get(form)
        self._render = render_record
        self._colour = colours(sys.stdout, os.environ)

    def all(self, records: Iterable[Record]) -> None:
        """Print all of `records`, and let them be seen."""
        for record in records:
            text = f"{self._export(record)}\n" if self._export else self._text(record)
            print(text, end="")
        print(end="", flush=True)

    def _text(self, record: Record) -> str:
        return self._render(record, colour=self._colour)
