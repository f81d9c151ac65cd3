"""`mporch run`: run a spec."""

from __future__ import annotations

from pathlib import Path

import click

from orchestrator.cli.exits import exit_code_of
from orchestrator.cli.layering import Layering, layer_options
from orchestrator.cli.options import run_options, spec_argument
from orchestrator.errors import ExitCode

__all__ = ["run"]

_EPILOG = """
Exit codes: 0 clean, 1 a job failed or items were left, 2 wrong usage or spec, 3 finished but items
are dead letters, 74 the run directory could not be written, 124 the run's own timeout, 129, 130,
143 stopped by SIGHUP, Ctrl-C, SIGTERM, 70 a bug of mporch.

\b
Examples:
  mporch run
  mporch run pipelines/nightly.yaml --run-dir out/nightly
  mporch run --format json > summary.json
"""


@click.command(epilog=_EPILOG)
@spec_argument
@layer_options
@run_options()
def run(
    *,
    layering: Layering,
    spec: str,
    run_dir: str | None,
    output: str,
    format: str,  # noqa: A002 -- the option's name
    live: bool | None,
) -> int:
    """Run the pipeline of SPEC (jobs.yaml; - is standard input).

    Ctrl-C once lets the run finish what is queued, twice terminates it, three times kills it.
    """
    from orchestrator.app import Options, execute  # noqa: PLC0415 -- the whole product
    from orchestrator.cli.checking import check_spec  # noqa: PLC0415
    from orchestrator.cli.problems import show_problems  # noqa: PLC0415
    from orchestrator.views.output import OutputMode  # noqa: PLC0415

    checked = check_spec(spec, layering=layering)
    show_problems(checked.problems, checked.texts)
    if checked.spec is None or checked.plan is None:
        return ExitCode.USAGE
    options = Options(
        run_dir=Path(run_dir) if run_dir else None,
        output=OutputMode(output),
        json_output=format == "json",
        live=live,
    )
    return execute(checked.plan, checked.spec.source, options, exit_code_of)
