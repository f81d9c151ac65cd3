"""`mporch explain`: what a rule is for, with an example that breaks it and one that keeps it."""

from __future__ import annotations

import sys
from collections.abc import Iterable

import click

from orchestrator.console import completing
from orchestrator.console.printing import print_json
from orchestrator.errors import Rule

__all__ = ["explain"]

_EPILOG = """\b
Examples:
  mporch explain
  mporch explain MP201
"""


@click.command(epilog=_EPILOG)
@click.argument("codes", nargs=-1, metavar="[CODE]...", shell_complete=completing.codes)
@click.option(
    "--format",
    type=click.Choice(["text", "json", "markdown"]),
    default="text",
    show_default=True,
    help="Text for people, JSON for programs, or all rules as a page (docs/rules.md).",
)
def explain(codes: tuple[str, ...], format: str) -> None:  # noqa: A002 -- the option's name
    """Tell what each CODE means, such as MP201; without one, list all rules of a spec."""
    from orchestrator.spec.rules import CATALOGUE  # noqa: PLC0415 -- only this command needs it
    from orchestrator.views.problems import render_page, render_rule, render_rules  # noqa: PLC0415
    from orchestrator.views.tables import Paper  # noqa: PLC0415

    chosen = [CATALOGUE[_known(code, CATALOGUE)] for code in codes]
    paper = Paper.of(sys.stdout)
    if format == "markdown":
        print(render_page(), end="")
    elif format == "json":
        told = chosen or CATALOGUE.values()
        print_json([_data(rule) for rule in told])
    elif chosen:
        print("\n".join(render_rule(rule, paper) for rule in chosen), end="")
    else:
        print(render_rules(paper), end="")


def _known(code: str, codes: Iterable[str]) -> str:
    """Return the code as the catalogue has it: `mp201` and `201` are MP201."""
    digits = code.upper().removeprefix("MP")
    if (full := f"MP{digits}") in codes:
        return full
    raise click.UsageError(f"There is no rule {code!r}; `mporch explain` lists them all.")


def _data(rule: Rule) -> dict[str, str]:
    from orchestrator.spec.rules import text_of  # noqa: PLC0415

    text = text_of(rule)
    return {
        "code": rule.code,
        "title": text.title,
        "severity": rule.severity.value,
        "why": text.why,
        "wrong": text.wrong,
        "right": text.right,
    }
