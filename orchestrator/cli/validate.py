"""`mporch validate`: check specs without running anything."""

from __future__ import annotations

import click

from orchestrator.cli import completing
from orchestrator.cli.options import format_option

__all__ = ["validate"]

_EPILOG = """\b
Examples:
  mporch validate
  mporch validate pipelines/*.yaml
  generate-spec | mporch validate -
"""


@click.command(epilog=_EPILOG)
@click.argument("specs", nargs=-1, metavar="[SPEC]...", shell_complete=completing.specs)
@format_option
def validate(specs: tuple[str, ...], format: str) -> int:  # noqa: A002 -- the option's name
    """Check each SPEC (jobs.yaml; - is standard input) and report every problem at once.

    None of your code is run. The exit code is 2 if a spec has errors; warnings alone are fine.
    """
    from orchestrator.cli.checking import check_spec  # noqa: PLC0415 -- brings the spec's model

    checked = [check_spec(spec) for spec in specs or ("jobs.yaml",)]
    if format == "json":
        import json  # noqa: PLC0415

        print(json.dumps([each.as_data() for each in checked], indent=2))
    else:
        from orchestrator.cli.problems import show_problems  # noqa: PLC0415

        for each in checked:
            show_problems(each.problems, each.texts)
            print(each.verdict())
    return 0 if all(each.ok for each in checked) else 2
