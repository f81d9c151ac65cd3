"""Figures of the benchmarks: medians, spreads, ratios, and what a record says."""

from __future__ import annotations

import math
from typing import Any

import pytest

from benchmarks import figures, report


@pytest.mark.parametrize(
    ("values", "median", "spread"),
    [
        ([10.0, 10.0, 10.0], 10.0, 0.0),
        ([8.0, 9.0, 10.0, 11.0, 14.0], 10.0, 0.1),
        ([1.0, 9.0, 10.0, 11.0, 100.0], 10.0, 0.1),
        ([10.0, 20.0], 15.0, 1 / 6),
        ([0.0, 0.0], 0.0, 0.0),
    ],
)
def test_a_figure_is_the_median_and_the_farther_quartile(
    values: list[float], median: float, spread: float
) -> None:
    found = figures.figure(values)
    assert (found.median, found.spread) == pytest.approx((median, spread))


def test_one_round_and_spreads_above_a_quarter_are_noisy() -> None:
    assert figures.figure([3.0]).noisy
    assert figures.figure([0.0, 0.0, 1.0]).noisy
    assert not figures.Figure(1.0, 0.25).noisy
    assert figures.times(figures.Figure(1.0, 0.26)) == "noisy"
    assert figures.times(figures.Figure(9.876, 0.034)) == "9.88 × ± 3 %"


def test_a_ratio_is_of_values_of_the_same_round() -> None:
    ours, theirs = [10.0, 100.0, 1000.0], [5.0, 50.0, 500.0]
    assert figures.ratio(ours, theirs) == figures.Figure(2.0, 0.0)


@pytest.mark.parametrize(
    ("value", "text"),
    [(1_234_567.0, "1,230,000"), (0.04321, "0.0432"), (99.96, "100"), (7, "7.00"), (0, "0")],
)
def test_numbers_have_three_digits(value: float, text: str) -> None:
    assert figures.number(value) == text


def test_tables_are_aligned_or_markdown() -> None:
    rows = [["a", "1"], ["long", "22"]]
    assert figures.table(["", "n"], rows).splitlines() == ["       n", "a      1", "long  22"]
    assert figures.table(["", "n"], rows, markdown=True).splitlines()[1] == "| --- | ---: |"


def way(rates: list[float], name: str = "peer", **keys: Any) -> dict[str, Any]:
    """A way's record, of one metric and a tenth of a second of processor time a round."""
    kept = {"way": name, "build": "", "product": False, "n": 102, "base_cpu_s": [0.08, 0.08, 0.08]}
    return {**kept, "failed": "", "samples": [[rate, 0.1] for rate in rates], **keys}


def work(**keys: Any) -> dict[str, Any]:
    """A record of a work with two builds of mporch and a peer."""
    ways = {
        "mporch": way([10.0, 20.0, 30.0], "mporch", product=True),
        "mporch (old)": way([5.0, 10.0, 15.0], "mporch", product=True, build="old"),
        "peer": way([20.0, 40.0, 60.0]),
    }
    kept = {"title": "ints", "group": "Flows", "subject": "mporch", "base_n": 2, "wanted": {}}
    return {**kept, "metrics": [["items/s", "items/s", True]], "ways": ways, **keys}


def test_each_build_is_set_against_the_peers_and_the_first_against_the_others() -> None:
    found = {row.label: [r and r.median for r in row.ratios] for row in report.rows(work())}
    assert found == {"mporch": [None, None], "mporch (old)": [2.0, None], "peer": [0.5, 0.25]}


def test_other_ways_of_mporch_are_compared_within_their_build() -> None:
    durable = {
        f"durable{suffix}": way([5.0, 10.0, 15.0], "durable", product=True, build=build)
        for build, suffix in (("", ""), ("old", " (old)"))
    }
    of_both = work(subject="durable", ways={**work()["ways"], **durable})
    found = {row.label: [r and r.median for r in row.ratios] for row in report.rows(of_both)}
    assert found["mporch"] == [0.5, None]
    assert found["mporch (old)"] == [None, 1.0]


def test_processor_time_is_by_item_less_that_of_the_start_or_of_the_whole_command() -> None:
    by_item = next(report.rows(work()))
    assert by_item.cpu == pytest.approx(200.0), "20 ms of 100 items, in µs"
    whole = next(report.rows(work(base_n=None)))
    assert whole.cpu == pytest.approx(100.0)


def test_who_fails_has_no_figures_and_no_ratio() -> None:
    failed = work()
    failed["ways"]["peer"]["failed"] = "it died"
    *_, peer = report.rows(failed)
    assert (peer.metrics, peer.cpu, peer.ratios) == ((), None, (None, None))
    assert "failed" in report.table(failed)


@pytest.mark.parametrize(
    ("wanted", "more", "words"),
    [
        ({"peer": 0.5}, True, ["met, 0.500 ×", "MISSED, 0.250 ×"]),
        ({"peer": 0.4}, False, ["MISSED, 0.500 ×", "met, 0.250 ×"]),
        ({"gone": 2.0}, True, ["wanted ≥ 2 × gone: that is missing"]),
    ],
)
def test_what_was_wanted_is_judged_by_build(
    wanted: dict[str, float], more: bool, words: list[str]
) -> None:
    found = list(report.verdicts(work(wanted=wanted, metrics=[["p50", "µs", more]])))
    assert len(found) == len(words)
    assert all(word in line for word, line in zip(words, found, strict=True))


def test_what_is_noisy_is_not_judged() -> None:
    noisy = work(wanted={"peer": 0.5})
    noisy["ways"]["peer"]["samples"][0][0] = 1.0
    assert "noisy, about" in next(report.verdicts(noisy))
    assert math.isfinite(next(report.rows(noisy)).metrics[0].median)
