"""`mporch run`: run a spec."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from orchestrator.console.exits import exit_code_of
from orchestrator.console.options import Layering, layer_options, run_options, selection_options
from orchestrator.console.printing import print_json
from orchestrator.console.words import Words
from orchestrator.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from orchestrator.app import Options
    from orchestrator.plan.model import Plan

__all__ = ["run"]

_EPILOG = """
Exit codes: 0 clean, 1 a job failed or items were left, 2 wrong usage or spec, 3 finished but items
are dead letters (0 with --dead-ok), 71 no memory or process for mporch itself, 74 the run directory
could not be written, 124 the run's own timeout, 129, 130, 143 stopped by SIGHUP, Ctrl-C, SIGTERM,
70 a bug of mporch.

\b
Examples:
  mporch run
  mporch run pipelines/nightly.yaml --run-dir out/nightly
  mporch run --format json > summary.json
  mporch run parse store --skip complain
  mporch run --tags nightly --dry-run
"""


@click.command(epilog=_EPILOG)
@selection_options
@layer_options
@run_options()
@click.option("--dry-run", is_flag=True, help="Show what would be started, and start nothing.")
@click.option(
    "--watch",
    is_flag=True,
    help="Run anew when the spec, a file laid over it or a target's file changes (extra watch).",
)
def run(
    *,
    layering: Layering,
    spec: str,
    chosen: Words,
    options: Options,
    dry_run: bool,
    watch: bool,
) -> int:
    """Run the pipeline of SPEC (jobs.yaml; - is standard input).

    With JOBs or --tags only these run, with what they need: the writers of their inputs, the jobs
    they are `after`. What they put on queues that no job of these reads is dropped and counted.

    Ctrl-C once lets the run finish what is queued, twice terminates it, three times kills it.
    """
    from orchestrator.app import execute  # noqa: PLC0415 -- the whole product
    from orchestrator.console.checking import check_spec, show_checked  # noqa: PLC0415

    if watch:
        return _watch(spec, layering, chosen, options, dry_run=dry_run)
    checked = check_spec(spec, layering=layering, selection=chosen.selection())
    show_checked(checked)
    if checked.spec is None or checked.plan is None:
        return ExitCode.USAGE
    if dry_run:
        _show_dry_run(checked.plan, as_json=options.json_output)
        return ExitCode.OK
    return execute(checked.plan, checked.spec.source, options, exit_code_of)


def _show_dry_run(plan: Plan, *, as_json: bool) -> None:
    from orchestrator.views.plan import dry_run_data, render_dry_run  # noqa: PLC0415

    if as_json:
        print_json(dry_run_data(plan))
        return
    from orchestrator.views.tables import Paper  # noqa: PLC0415

    print(render_dry_run(plan, Paper.of(sys.stdout)), end="")


def _watch(spec: str, layering: Layering, chosen: Words, options: Options, *, dry_run: bool) -> int:
    if dry_run:
        raise UsageError("either --watch or --dry-run, not both")
    if options.run_dir is not None:
        hint = "leave --run-dir out: each run gets a directory of its own under .mporch"
        raise UsageError("--watch makes many runs, --run-dir is the directory of one", hint=hint)
    if spec == "-":
        raise UsageError("standard input cannot be watched", hint="name a file")
    from orchestrator.features.watch.watcher import watch_spec  # noqa: PLC0415

    return watch_spec(spec, layering=layering, chosen=chosen, options=options)
