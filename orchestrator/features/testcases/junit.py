"""The report of a spec's cases as JUnit's XML, which CI servers read."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree import ElementTree as ET

from orchestrator.features.testcases.reports import CaseReport, Failed, diff_lines
from orchestrator.views.text import escaped

__all__ = ["render_junit"]


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
