"""Results of a spec's `tests`: lines for people, the form of `--format json`, JUnit's XML."""

from __future__ import annotations

import difflib
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import Any
from xml.etree import ElementTree as ET

from orchestrator.views.tables import Paper
from orchestrator.views.text import Style, duration, escaped, paint

__all__ = [
    "CaseReport",
    "Failed",
    "Line",
    "data_of",
    "diff_lines",
    "render_case",
    "render_junit",
    "render_total",
]


_INDENT = " " * 6
_STYLES = {"-": Style.RED, "+": Style.GREEN}


@dataclass(frozen=True, kw_only=True)
class Line:
    """One item: expected and missing (`-`), not expected (`+`), or as it is (a blank).

    `text` may have several lines.
    """

    sign: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Failed:
    """One thing that was not as expected: `about` what, in which way."""

    about: str
    message: str
    hint: str = ""
    lines: tuple[Line, ...] = ()


@dataclass(frozen=True, kw_only=True)
class CaseReport:
    """How one case went, in `duration_s` seconds; it has passed if nothing has `failed`.

    `run` names the run on a command line, where it was kept.
    """

    name: str
    duration_s: float
    failed: tuple[Failed, ...] = ()
    run: str = ""

    @property
    def passed(self) -> bool:
        """True if everything was as expected."""
        return not self.failed


def data_of(reports: Sequence[CaseReport], *, not_run: int = 0) -> dict[str, Any]:
    """Return what `mporch test --format json` prints; `not_run` cases had no turn."""
    passed = sum(report.passed for report in reports)
    return {
        "passed": passed,
        "failed": len(reports) - passed,
        "not_run": not_run,
        "duration_s": round(sum(report.duration_s for report in reports), 6),
        "cases": [{"passed": report.passed, **asdict(report)} for report in reports],
    }


def render_case(report: CaseReport, paper: Paper) -> str:
    """Return a line on the case and, if it failed, what was not as expected."""
    word, style = ("ok", Style.GREEN) if report.passed else ("FAIL", Style.RED)
    took = paint(f"({duration(report.duration_s)})", Style.DIM, colour=paper.colour)
    lines = [f"{paint(f'{word:<4}', style, colour=paper.colour)}  {escaped(report.name)} {took}"]
    for failed in report.failed:
        lines += _failed(failed, paper)
    if report.run:
        lines.append(f"{_INDENT}its run: mporch show {escaped(report.run)}")
    return "".join(f"{line}\n" for line in lines)


def render_total(reports: Sequence[CaseReport], *, not_run: int = 0) -> str:
    """Return one line that sums up; `not_run` cases had no turn."""
    failed = sum(not report.passed for report in reports)
    cases = f"{len(reports)} case{'' if len(reports) == 1 else 's'}"
    took = duration(sum(report.duration_s for report in reports))
    how = f"{failed} of {cases} failed" if failed else f"{cases} passed"
    left = f"; {not_run} not run" if not_run else ""
    return f"{how} in {took}{left}\n"


def _failed(failed: Failed, paper: Paper) -> Iterator[str]:
    yield from _wrapped(f"{failed.about}: {failed.message}", paper)
    for sign, text in diff_lines(failed.lines):
        line = _cut(f"{_INDENT}  {sign} {escaped(text)}", paper.width)
        yield paint(line, _STYLES.get(sign), colour=paper.colour).rstrip()
    if failed.hint:
        yield from _wrapped(f"  hint: {failed.hint}", paper)


def diff_lines(lines: Sequence[Line]) -> Iterator[tuple[str, str]]:
    """Yield signs and single lines; of two long items the lines that both have are shown once."""
    groups = [(sign, list(group)) for sign, group in groupby(lines, key=lambda line: line.sign)]
    at = 0
    while at < len(groups):
        sign, group = groups[at]
        after = groups[at + 1] if at + 1 < len(groups) else ("", [])
        if sign == "-" and after[0] == "+" and len(group) == len(after[1]):
            for old, new in zip(group, after[1], strict=True):
                yield from _compared(old.text, new.text)
            at += 2
            continue
        for line in group:
            yield from ((sign, each) for each in line.text.split("\n"))
        at += 1


def _compared(old: str, new: str) -> Iterator[tuple[str, str]]:
    for line in difflib.ndiff(old.split("\n"), new.split("\n")):
        if line[0] != "?":
            yield line[0], line[2:]


def _wrapped(text: str, paper: Paper) -> list[str]:
    """Return the text as lines that fit, words kept whole: paths are copied."""
    return textwrap.wrap(
        escaped(text),
        width=paper.width,
        initial_indent=_INDENT,
        subsequent_indent=f"{_INDENT}    ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def _cut(line: str, width: int) -> str:
    return line if len(line) <= width else f"{line[: width - 1]}…"


def render_junit(name: str, spec: str, reports: Sequence[CaseReport]) -> str:
    """Return the report of the cases of `spec` as a suite of that name; times are in seconds."""
    suite = ET.Element(
        "testsuite",
        name=escaped(name),
        tests=str(len(reports)),
        failures=str(sum(not report.passed for report in reports)),
        errors="0",
        skipped="0",
        time=_seconds(sum(report.duration_s for report in reports)),
    )
    for report in reports:
        case = ET.SubElement(
            suite,
            "testcase",
            classname=escaped(spec),
            name=escaped(report.name),
            time=_seconds(report.duration_s),
        )
        if report.failed:
            first = report.failed[0]
            message = escaped(f"{first.about}: {first.message}")
            failure = ET.SubElement(case, "failure", message=message)
            failure.text = "\n".join(line for each in report.failed for line in _lines(each))
    whole = ET.Element("testsuites")
    whole.append(suite)
    ET.indent(whole)
    return f"<?xml version='1.0' encoding='utf-8'?>\n{ET.tostring(whole, encoding='unicode')}\n"


def _lines(failed: Failed) -> list[str]:
    lines = [escaped(f"{failed.about}: {failed.message}")]
    return lines + [f"  {sign} {escaped(text)}" for sign, text in diff_lines(failed.lines)]


def _seconds(duration_s: float) -> str:
    return f"{duration_s:.3f}"
