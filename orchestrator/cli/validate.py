"""`mporch validate`: check specs without running anything."""

from __future__ import annotations

import gc

import click

from orchestrator.console import completing
from orchestrator.console.options import DURATION, Layering, layer_options
from orchestrator.console.printing import print_json, say
from orchestrator.console.words import require_no_python

__all__ = ["validate"]

_EPILOG = """\b
Examples:
  mporch validate
  mporch validate pipelines/*.yaml --strict
  mporch validate --import
  generate-spec | mporch validate -
"""


@click.command(epilog=_EPILOG)
@click.argument("specs", nargs=-1, metavar="[SPEC]...", shell_complete=completing.specs)
@layer_options
@click.option(
    "--format",
    type=click.Choice(["text", "json", "github"]),
    default="text",
    show_default=True,
    help="Text for people, JSON for programs, or annotations for GitHub Actions.",
)
@click.option("--strict", is_flag=True, help="Let warnings fail, too.")
@click.option(
    "--import",
    "imports",
    is_flag=True,
    help="Import the targets, too, in processes of their own.",
)
@click.option(
    "--import-timeout",
    type=DURATION,
    default="30s",
    show_default=True,
    help="How long a module may take to import.",
)
def validate(
    *,
    layering: Layering,
    specs: tuple[str, ...],
    format: str,  # noqa: A002 -- the option's name
    strict: bool,
    imports: bool,
    import_timeout: float,
) -> int:
    """Check each SPEC (jobs.yaml; - is standard input) and report every problem at once.

    None of your code is run, unless --import asks for it. The exit code is 2 if a spec has errors;
    warnings alone are fine, unless --strict is given. Each problem ends in a code, of which `mporch
    explain` tells more.
    """
    # They bring the spec's model, which --help need not wait for.
    from orchestrator.console.checking import check_imports, check_spec  # noqa: PLC0415

    for spec in specs:
        require_no_python(spec)
    gc.freeze()  # what was imported stays: a large spec would have it looked through many times
    checked = [check_spec(spec, layering=layering) for spec in specs or ("jobs.yaml",)]
    if imports:
        checked = [check_imports(each, timeout_s=import_timeout) for each in checked]
    if format == "json":
        print_json([each.as_data(strict=strict) for each in checked])
    elif format == "github":
        from orchestrator.views.problems import render_annotations  # noqa: PLC0415

        for each in checked:
            print(render_annotations(each.problems), end="")
    else:
        from orchestrator.console.checking import show_problems  # noqa: PLC0415

        for each in checked:
            show_problems(each.problems, each.texts)
            say(each.verdict(strict=strict))
    return 0 if all(each.ok(strict=strict) for each in checked) else 2
