"""Arguments and options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from orchestrator.console import completing

__all__ = [
    "DURATION",
    "format_option",
    "job_option",
    "letter_argument",
    "letters_argument",
    "queue_option",
    "run_argument",
    "run_options",
    "spec_argument",
    "worker_option",
]


if TYPE_CHECKING:
    _Seconds = click.ParamType[float]
else:
    _Seconds = click.ParamType  # older releases of click take no subscript


class _Duration(_Seconds):
    """A time as in a spec, `10s` or `1m30s`, longer than nothing; in seconds."""

    name = "duration"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        if isinstance(value, float):
            return value
        from orchestrator.spec.units import DurationError, parse_duration_s  # noqa: PLC0415

        try:
            seconds = parse_duration_s(value)
        except DurationError as error:
            self.fail(f"{error}: {error.hint}", param, ctx)
        if not seconds:
            self.fail("there is no time in it", param, ctx)
        return seconds


DURATION = _Duration()

format_option = click.option(
    "--format",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="Text for people or JSON for programs.",
)

run_argument = click.argument(
    "run_name", metavar="[RUN]", default="last", shell_complete=completing.runs
)

letters_argument = click.argument(
    "run_and_numbers", nargs=-1, metavar="[RUN] [N]...", shell_complete=completing.letters
)

letter_argument = click.argument(
    "run_and_numbers", nargs=-1, metavar="[RUN] [N]", shell_complete=completing.letters
)

spec_argument = click.argument(
    "spec", default="jobs.yaml", metavar="[SPEC]", shell_complete=completing.specs
)

job_option = click.option(
    "--job",
    multiple=True,
    metavar="JOB",
    help="Only of this job (repeatable).",
    shell_complete=completing.jobs,
)

worker_option = click.option(
    "--worker",
    multiple=True,
    metavar="WORKER",
    help="Only of this worker, as parse-1 (repeatable).",
    shell_complete=completing.workers,
)

queue_option = click.option(
    "--queue",
    multiple=True,
    metavar="QUEUE",
    help="Only of this queue (repeatable).",
    shell_complete=completing.queues,
)

_RUN_OPTIONS = (
    click.option(
        "--run-dir",
        metavar="DIR",
        help="Keep this run's files in DIR, which is new or empty, instead of under .mporch.",
    ),
    click.option(
        "--output",
        type=click.Choice(["prefixed", "raw", "none"]),
        default="prefixed",
        show_default=True,
        help="How to show what your functions print: as `job-1 | line`, as it is, or only in "
        "the log.",
    ),
    click.option(
        "--format",
        type=click.Choice(["text", "json"]),
        default="text",
        show_default=True,
        help="End with a report for people, or the summary as JSON on standard output; "
        "all other output then goes to standard error.",
    ),
    click.option(
        "--live/--no-live",
        default=None,
        help="Show progress while it runs; without either, where standard error is a terminal.",
    ),
)


def run_options(*, new: bool = True) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give a command the options of one that runs a pipeline; a `new` run has its directory."""

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(_RUN_OPTIONS if new else _RUN_OPTIONS[1:]):
            command = option(command)
        return command

    return decorate
