"""`mporch plan`: show what would run."""

from __future__ import annotations

import os
import sys

import click

from orchestrator.cli.layering import Layering, layer_options
from orchestrator.cli.options import format_option, spec_argument

__all__ = ["plan"]

_EPILOG = """\b
Examples:
  mporch plan
  mporch plan --format json | jq .jobs.parse.timeouts
"""


@click.command(epilog=_EPILOG)
@spec_argument
@layer_options
@format_option
def plan(layering: Layering, spec: str, format: str) -> int:  # noqa: A002 -- the option's name
    """Show what SPEC (jobs.yaml; - is standard input) would run, with every default filled in.

    None of your code is run. Values that are named like secrets are shown as ***.
    """
    from orchestrator.cli.checking import check_spec  # noqa: PLC0415 -- brings the spec's model
    from orchestrator.cli.problems import show_problems  # noqa: PLC0415

    checked = check_spec(spec, layering=layering)
    show_problems(checked.problems, checked.texts)
    if checked.plan is None:
        return 2
    if format == "json":
        from orchestrator.cli.printing import print_json  # noqa: PLC0415
        from orchestrator.plan.masking import masked  # noqa: PLC0415

        print_json(masked(checked.plan))
    else:
        from orchestrator.views.plan import render_plan  # noqa: PLC0415
        from orchestrator.views.tables import Paper  # noqa: PLC0415
        from orchestrator.views.terminal import colours, width_of  # noqa: PLC0415

        paper = Paper(width=width_of(sys.stdout), colour=colours(sys.stdout, os.environ))
        print(render_plan(checked.plan, paper), end="")
    return 0
