"""Arguments and options that several commands share."""

from __future__ import annotations

import click

__all__ = ["format_option", "run_argument", "spec_argument"]

format_option = click.option(
    "--format",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="Text for people or JSON for programs.",
)

run_argument = click.argument("run_name", metavar="[RUN]", default="last")

spec_argument = click.argument("spec", default="jobs.yaml", metavar="[SPEC]")
