"""What an examination found, as text."""

from orchestrator.features.doctor.finding import Finding, Verdict, render_finding, render_verdict
from orchestrator.views.tables import Paper

FINE = Finding(name="python", verdict=Verdict.OK, found="3.11.7")
SLOW = Finding(name="yaml", verdict=Verdict.SLOWER, found="no C", means="ten times as long")
BAD = Finding(name="pidfd", verdict=Verdict.BROKEN, found="refused")


def test_a_finding_is_a_line_and_what_it_means_stands_below():
    assert render_finding(FINE, Paper()) == "ok       python              3.11.7\n"
    first, second = render_finding(SLOW, Paper(width=80)).splitlines()
    assert first.startswith("slower   yaml  ")
    assert second == " " * 29 + "ten times as long"


def test_the_verdict_is_painted():
    assert render_finding(BAD, Paper(colour=True)).startswith("\x1b[31mbroken\x1b[0m   pidfd")


def test_what_was_found_cannot_act_on_the_terminal():
    assert "\x1b" not in render_finding(
        Finding(name="n", verdict=Verdict.OK, found="\x1b[2J"), Paper()
    )


def test_the_sum_names_the_gravest_first():
    assert render_verdict([FINE, SLOW, BAD]) == "broken: pidfd; slower: yaml\n"
    assert render_verdict([FINE]) == "all is as it should be\n"
