"""`mporch doctor`: examine this machine."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from orchestrator.console.options import format_option
from orchestrator.errors import ExitCode

__all__ = ["doctor"]

_EPILOG = """
Exit codes: 0 runs work (limits and slower ways are told), 1 something is broken and no run will
work.

\b
Examples:
  mporch doctor
  mporch doctor --format json | jq '.[].verdict'
"""


@click.command(epilog=_EPILOG)
@format_option
def doctor(format: str) -> int:  # noqa: A002 -- the option's name
    """Try out what mporch needs of this machine: what works, what will be slower, what does not.

    It starts a few processes of its own, and looks where the runs of this folder are kept.
    """
    from orchestrator.features.doctor.examine import Verdict, examine  # noqa: PLC0415 -- the whole product
    from orchestrator.features.doctor.finding_views import (  # noqa: PLC0415
        FindingRow,
        render_finding,
        render_verdict,
    )
    from orchestrator.views.tables import Paper  # noqa: PLC0415
    from orchestrator.views.terminal import colours, width_of  # noqa: PLC0415

    rows = []
    paper = Paper(width=width_of(sys.stdout), colour=colours(sys.stdout, os.environ))
    for finding in examine(Path.cwd(), os.environ):
        verdict = finding.verdict.value
        row = FindingRow(
            name=finding.name, verdict=verdict, found=finding.found, means=finding.means
        )
        rows.append(row)
        if format == "text":
            print(render_finding(row, paper), end="", flush=True)
    if format == "json":
        import json  # noqa: PLC0415
        from dataclasses import asdict  # noqa: PLC0415

        print(json.dumps([asdict(row) for row in rows], indent=2))
    else:
        print(f"\n{render_verdict(rows)}", end="")
    broken = any(row.verdict == Verdict.BROKEN.value for row in rows)
    return ExitCode.FAILED if broken else ExitCode.OK
