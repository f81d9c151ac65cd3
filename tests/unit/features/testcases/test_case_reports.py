"""The report of cases: lines that fit a terminal, and XML that a parser takes."""

from xml.etree import ElementTree as ET

import pytest

from orchestrator.features.testcases.reports import (
    CaseReport,
    Failed,
    Line,
    data_of,
    render_case,
    render_junit,
    render_total,
)
from orchestrator.views.tables import Paper

OK = CaseReport(name="all is well", duration_s=0.5)
OLD = "{'a': 1,\n 'b': 2,\n 'c': 3}"
BAD = CaseReport(
    name="a\x1b[31mb",
    duration_s=1.25,
    failed=(
        Failed(about="exit code", message="1, expected 0: parse failed"),
        Failed(
            about="queue q",
            message="2 items, not as expected",
            hint="look",
            lines=(
                Line(sign=" ", text="0"),
                Line(sign="-", text=OLD),
                Line(sign="+", text=OLD.replace("2", "5")),
            ),
        ),
    ),
    run="/tmp/x",
)


def test_a_case_that_passed_is_a_line():
    assert render_case(OK, Paper()) == "ok    all is well (0.50 s)\n"


def test_of_two_long_items_what_both_have_is_told_once():
    assert render_case(BAD, Paper()) == (
        "FAIL  a\\x1b[31mb (1.25 s)\n"
        "      exit code: 1, expected 0: parse failed\n"
        "      queue q: 2 items, not as expected\n"
        "          0\n"
        "          {'a': 1,\n"
        "        -  'b': 2,\n"
        "        +  'b': 5,\n"
        "           'c': 3}\n"
        "        hint: look\n"
        "      its run: mporch show /tmp/x\n"
    )


@pytest.mark.parametrize("width", [40, 80])
def test_a_long_item_is_cut_where_the_line_ends(width):
    long = Failed(about="q", message="m", lines=(Line(sign="+", text="x" * 500),))
    text = render_case(CaseReport(name="n", duration_s=0, failed=(long,)), Paper(width=width))
    assert max(map(len, text.splitlines())) == width


def test_colours_are_for_terminals():
    assert "\x1b[31m" in render_case(BAD, Paper(colour=True))
    assert "\x1b" not in render_case(BAD, Paper())


def test_the_last_line_sums_up():
    assert render_total([OK]) == "1 case passed in 0.50 s\n"
    assert render_total([OK, BAD]) == "1 of 2 cases failed in 1.75 s\n"
    assert render_total([OK, BAD], not_run=3) == "1 of 2 cases failed in 1.75 s; 3 not run\n"


def test_the_data_are_those_of_the_reports():
    data = data_of([OK, BAD])
    assert (data["passed"], data["failed"], data["duration_s"]) == (1, 1, 1.75)
    assert [case["passed"] for case in data["cases"]] == [True, False]
    assert data["cases"][1]["failed"][1]["lines"][0] == {"sign": " ", "text": "0"}


def test_junit_is_xml_whatever_is_in_it():
    whole = ET.fromstring(render_junit("p", "jobs.yaml", [OK, BAD]).encode())
    (suite,) = whole
    assert (suite.get("tests"), suite.get("failures"), suite.get("time")) == ("2", "1", "1.750")
    well, bad = suite
    assert (well.get("classname"), well.get("name"), len(well)) == ("jobs.yaml", "all is well", 0)
    (failure,) = bad
    assert failure.get("message") == "exit code: 1, expected 0: parse failed"
    assert "  -  'b': 2," in failure.text
    assert bad.get("name") == "a\\x1b[31mb"


def test_what_was_not_as_expected_is_wrapped_and_paths_stay_whole():
    path = "/a/very/long/path/of/some/file/that/nobody/wants/to/be/broken/anywhere.py:18"
    failed = Failed(about="exit code", message=f"1, expected 0: job count failed ({path}) there")
    text = render_case(CaseReport(name="n", duration_s=0, failed=(failed,)), Paper(width=60))
    assert path in text
    assert [line for line in text.splitlines() if len(line) > 60] == [f"          ({path})"]
