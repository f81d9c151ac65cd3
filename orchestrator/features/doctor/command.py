"""`mporch doctor`: examine this machine."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from orchestrator.console.options import format_option
from orchestrator.console.printing import print_json
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
    from orchestrator.features.doctor.examine import examine  # noqa: PLC0415 -- the whole product
    from orchestrator.features.doctor.finding import (  # noqa: PLC0415
        Verdict,
        render_finding,
        render_verdict,
    )
    from orchestrator.views.tables import Paper  # noqa: PLC0415

    found = []
    paper = Paper.of(sys.stdout)
    for finding in examine(Path.cwd(), os.environ):
        found.append(finding)
        if format == "text":
            print(render_finding(finding, paper), end="", flush=True)
    if format == "json":
        print_json(found)
    else:
        print(f"\n{render_verdict(found)}", end="")
    broken = any(finding.verdict is Verdict.BROKEN for finding in found)
    return ExitCode.FAILED if broken else ExitCode.OK
