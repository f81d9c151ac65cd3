"""`mporch graph`: draw jobs and queues."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from orchestrator.console.options import Layering, layer_options, selection_options
from orchestrator.console.words import Words
from orchestrator.errors import ExitCode

if TYPE_CHECKING:
    from orchestrator.plan.model import Plan

__all__ = ["graph"]

_EPILOG = """\b
Examples:
  mporch graph
  mporch graph --format mermaid >> README.md
  mporch graph --format svg > graph.svg
"""


@click.command(epilog=_EPILOG)
@selection_options
@layer_options
@click.option(
    "--format",
    type=click.Choice(["ascii", "mermaid", "dot", "svg"]),
    default="ascii",
    show_default=True,
    help="Lines of text (rails with the extra graph, else a list), the languages of Mermaid and"
    " Graphviz, or a picture (extra svg).",
)
def graph(
    *,
    layering: Layering,
    spec: str,
    chosen: Words,
    format: str,  # noqa: A002 -- the option's name
) -> int:
    """Draw the jobs and queues of SPEC (jobs.yaml; - is standard input).

    With JOBs, --tags or --skip it is what `mporch run` would run with them.

    Lines are the ways of items, dots are what a job waits for. None of your code is run.
    """
    from orchestrator.console.checking import check_spec, show_checked  # noqa: PLC0415

    checked = check_spec(spec, layering=layering, selection=chosen.selection())
    show_checked(checked)
    if checked.plan is None:
        return ExitCode.USAGE
    print(_rendered(checked.plan, format), end="")
    return ExitCode.OK


def _rendered(plan: Plan, kind: str) -> str:
    from orchestrator.features.graph.drawing import drawing_of  # noqa: PLC0415

    drawing = drawing_of(plan)
    if kind == "svg":
        from orchestrator.features.graph.svg import render_svg  # noqa: PLC0415

        return render_svg(drawing)
    if kind in {"mermaid", "dot"}:
        from orchestrator.features.graph.drawing import render_dot, render_mermaid  # noqa: PLC0415

        return (render_dot if kind == "dot" else render_mermaid)(drawing)
    from orchestrator.features.graph.text import render_text  # noqa: PLC0415
    from orchestrator.views.tables import Paper  # noqa: PLC0415

    paper = Paper.of(sys.stdout)
    return render_text(drawing, paper, unicode="utf" in (sys.stdout.encoding or "").lower())
