"""`mporch test`: run the cases of a spec."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.console import completing
from orchestrator.console.options import Layering, format_option, layer_options, spec_argument
from orchestrator.console.printing import print_json
from orchestrator.console.words import DEFAULT_SPEC, is_spec, require_no_python
from orchestrator.errors import ExitCode, UsageError
from orchestrator.files import is_there

if TYPE_CHECKING:
    from orchestrator.features.testcases.reports import CaseReport

__all__ = ["test"]

_EPILOG = """
Exit codes: 0 all cases have passed, 1 one has failed, 2 wrong usage or spec, 129, 130, 143 stopped
by SIGHUP, Ctrl-C, SIGTERM.

\b
Examples:
  mporch test
  mporch test -k "blank line"
  mporch test pipelines/nightly.yaml --junit report.xml
"""


@click.command(epilog=_EPILOG)
@spec_argument
@layer_options
@click.option(
    "-k",
    "names",
    multiple=True,
    metavar="NAME",
    help="Only cases with this in their name, in small or capital letters (repeatable).",
    shell_complete=completing.cases,
)
@click.option(
    "--junit", metavar="FILE", type=click.Path(), help="Write a report in JUnit's XML, too."
)
@format_option
def test(
    *,
    layering: Layering,
    spec: str,
    names: tuple[str, ...],
    junit: str | None,
    format: str,  # noqa: A002 -- the option's name
) -> int:
    """Run the cases under tests: in SPEC (jobs.yaml; - is standard input).

    Each runs the real processes and queues of the pipeline, or of a part of it, with the items
    and stand-ins it names, and tells what is not as it expects.
    """
    from orchestrator.console.checking import check_spec, show_problems  # noqa: PLC0415
    from orchestrator.features.testcases.cases import (  # noqa: PLC0415 -- the product
        CaseStopper,
        run_case,
        specs_of_cases,
    )
    from orchestrator.features.testcases.reports import data_of, render_total  # noqa: PLC0415
    from orchestrator.spec.compose.variables import environment_of  # noqa: PLC0415

    _require_spec(spec)
    checked = check_spec(spec, layering=layering)
    show_problems(checked.problems, checked.texts)
    if checked.spec is None or checked.plan is None:
        return ExitCode.USAGE
    chosen = _chosen(tuple(checked.spec.document.tests), names, spec)
    environ = environment_of(layering.env_files, os.environ)
    cases = specs_of_cases(checked.spec, checked.plan, chosen, environ)
    reports: list[CaseReport] = []
    stop = CaseStopper(_tell_stopping)
    with stop.hearing():
        for name, (own, plan) in cases.items():
            reports.append(run_case(own, plan, name, stop))
            if format == "text":
                _show(reports[-1])
            if stop.signum is not None:
                break
    not_run = len(cases) - len(reports)
    if junit is not None:
        _write_junit(Path(junit), checked.plan.name, spec, reports)
    if format == "text":
        print(render_total(reports, not_run=not_run), end="")
    else:
        print_json({"spec": spec, **data_of(reports, not_run=not_run)})
    if stop.signum is not None:
        return 128 + stop.signum
    return ExitCode.OK if all(report.passed for report in reports) else ExitCode.FAILED


_EXAMPLE = (
    "tests: {it works: {expect: {exit_code: 0}}} is a smallest one; `mporch init NAME` writes a "
    "project with one"
)


def _require_spec(word: str) -> None:
    """Raise UsageError if `word` is not a spec but the name of a case, or Python."""
    require_no_python(word)
    if not is_spec(word) and is_there(DEFAULT_SPEC):
        hint = f"a case is chosen by -k: mporch test -k {shlex.quote(word)}"
        raise UsageError(f"there is no file {word}", hint=hint)


def _chosen(cases: Sequence[str], names: Iterable[str], spec: str) -> Sequence[str]:
    """Return the cases that are wanted; raises UsageError if there are none."""
    if not cases:
        raise UsageError(f"{spec} has no tests:", hint=_EXAMPLE)
    wanted = [name.casefold() for name in names]
    chosen = [
        case for case in cases if not wanted or any(name in case.casefold() for name in wanted)
    ]
    if not chosen:
        from orchestrator.spec.wording import did_you_mean  # noqa: PLC0415

        asked = " nor ".join(f'"{name}"' for name in names)
        hint = did_you_mean(next(iter(names)), cases) or f"its cases: {'; '.join(cases)}"
        raise UsageError(f"no case of {spec} has {asked} in its name", hint=hint)
    return chosen


def _tell_stopping(signum: int) -> None:
    """Called in a signal's handler: no buffer may be touched."""
    why, again = signal.Signals(signum).name, "the same once more"
    if signum == signal.SIGINT:
        why, again = "interrupted", "Ctrl-C again"
    with contextlib.suppress(OSError):  # a terminal that was closed
        words = f"mporch: stopping (terminate): {why}\n  hint: {again}, after 2 s, kills\n"
        os.write(2, words.encode())


def _show(report: CaseReport) -> None:
    from orchestrator.features.testcases.reports import render_case  # noqa: PLC0415
    from orchestrator.views.tables import Paper  # noqa: PLC0415

    paper = Paper.of(sys.stdout)
    print(render_case(report, paper), end="", flush=True)


def _write_junit(path: Path, name: str, spec: str, reports: Sequence[CaseReport]) -> None:
    from orchestrator.features.testcases.reports import render_junit  # noqa: PLC0415

    try:
        path.write_text(render_junit(name, spec, reports), encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from None
