"""`mporch plan`: show what would run."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import click

from orchestrator.console.options import Layering, layer_options, selection_options
from orchestrator.console.printing import print_json
from orchestrator.console.words import Words

if TYPE_CHECKING:
    from orchestrator.plan.model import Plan
    from orchestrator.spec import LoadedSpec

__all__ = ["plan"]

_EPILOG = """\b
Examples:
  mporch plan
  mporch plan --format json | jq .jobs.parse.timeouts
  mporch plan --origins --set jobs.parse.workers=4
  mporch plan parse --skip find
"""


@click.command(epilog=_EPILOG)
@selection_options
@layer_options
@click.option(
    "--format",
    type=click.Choice(["text", "json", "yaml", "tree"]),
    default="text",
    show_default=True,
    help="Text for people, JSON for programs; or the spec with all values in place, as YAML or as "
    "a tree.",
)
@click.option(
    "--origins",
    is_flag=True,
    help="Say of each value where it comes from: file, line and column, and by which layer. "
    "In YAML, unless another format is asked for.",
)
def plan(
    *,
    layering: Layering,
    spec: str,
    chosen: Words,
    format: str,  # noqa: A002 -- as the option
    origins: bool,
) -> int:
    """Show what SPEC (jobs.yaml; - is standard input) would run, with every default filled in.

    With JOBs, --tags or --skip it is what `mporch run` would run with them.

    None of your code is run. Values that are named like secrets are shown as ***, those of the
    environment as ${NAME}.
    """
    # It brings the spec's model.
    from orchestrator.console.checking import check_spec, show_checked  # noqa: PLC0415

    checked = check_spec(spec, layering=layering, selection=chosen.selection())
    show_checked(checked)
    if checked.spec is None or checked.plan is None:
        return 2
    if origins or format in ("yaml", "tree"):
        _show_resolved(checked.spec, checked.plan, format, origins=origins)
    else:
        _show_plan(checked.plan, format)
    return 0


def _show_plan(plan: Plan, format: str) -> None:  # noqa: A002 -- as the option
    if format == "json":
        from orchestrator.plan.redact import masked  # noqa: PLC0415

        print_json(masked(plan))
        return
    from orchestrator.views.plan import render_plan  # noqa: PLC0415
    from orchestrator.views.tables import Paper  # noqa: PLC0415

    print(render_plan(plan, Paper.of(sys.stdout)), end="")


def _show_resolved(
    spec: LoadedSpec,
    plan: Plan,
    format: str,  # noqa: A002 -- as the option
    *,
    origins: bool,
) -> None:
    from orchestrator.machine.machine import this_machine  # noqa: PLC0415
    from orchestrator.plan.resolved import resolved, rows_of  # noqa: PLC0415
    from orchestrator.views.plan import render_tree, render_yaml  # noqa: PLC0415
    from orchestrator.views.tables import Paper, colours  # noqa: PLC0415

    root = resolved(spec, plan, this_machine())
    paper = Paper(colour=colours(sys.stdout, os.environ))
    if format == "json":
        print_json(rows_of(root))
    elif format == "tree":
        print(render_tree(root, plan.name, paper, origins=origins), end="")
    else:
        print(render_yaml(root, paper, origins=origins), end="")
