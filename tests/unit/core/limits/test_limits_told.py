"""The words about a limit: the evidence, and advice that fits the job."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest
from hand_made import During, samples, wired

from orchestrator.core.limits import Why, limits_of
from orchestrator.core.samples import JobWiring, Service

SLOW_PARSE = During(
    s=10,
    jobs={
        "find": {"run": 0.05, "block": 0.95},
        "parse": {"run": 0.98, "starve": 0.02},
        "write": {"run": 0.2, "starve": 0.8},
    },
    queues={"files": {"size": 9, "full": 0.95}, "texts": {"empty": 0.8}},
)


def census(**parse: Any) -> tuple[JobWiring, ...]:
    """Three jobs in a row, of which `parse` is as told."""
    return (
        JobWiring(name="find", writes=("files",), shape="source"),
        JobWiring(
            **{"name": "parse", "workers": 2, "reads": ("files",), "writes": ("texts",)}
            | {"shape": "item"}
            | parse
        ),
        JobWiring(name="write", reads=("texts",), shape="item"),
    )


def told(jobs: tuple[JobWiring, ...], *phases: During, quota: float | None = None) -> list[str]:
    header = wired(*jobs, quota=quota)
    return [each.text for each in limits_of(header, samples(header, *phases))]


def changed(**changes: Any) -> During:
    return dataclasses.replace(SLOW_PARSE, **changes)


def with_parse(**shares: float) -> During:
    return changed(jobs={**SLOW_PARSE.jobs, "parse": shares})


def test_the_sentence_has_the_evidence_and_what_to_try() -> None:
    assert told(census(), SLOW_PARSE) == [
        "`parse` limited the run for 100 %: its 2 workers ran 98 % of the time, `files` was 95 % "
        "full, `write` starved 80 %. 2 of 4 processors were in use: try workers: 4."
    ]


@pytest.mark.parametrize(
    ("parse", "busy", "advice"),
    [
        ({"workers": 2}, 0.5, "2 of 4 processors were in use: try workers: 4."),
        ({"workers": 2}, 0.05, "0 of 4 processors were in use: try workers: 8."),
        ({"workers": 2}, None, "Try workers: 8."),
        (
            {"workers": 1},
            0.5,
            "2 of 4 processors were in use: try workers: 3 (with ordered: true, if the order "
            "counts).",
        ),
        ({"workers": 1, "ordered": True}, 0.5, "2 of 4 processors were in use: try workers: 3."),
        ({"shape": "batch"}, 0.5, "2 of 4 processors were in use: try workers: 4."),
        (
            {"shape": "stream"},
            0.5,
            "2 of 4 processors were in use: try workers: 4 (its target is called once in each).",
        ),
        (
            {"shape": "handles"},
            0.5,
            "2 of 4 processors were in use: try workers: 4 (its target is called once in each).",
        ),
        ({"shape": "item", "command": True}, 0.5, "2 of 4 processors were in use: try workers: 4."),
        (
            {"shape": "source", "reads": ()},
            0.5,
            "2 of 4 processors were in use: more workers would each do all of it: make it faster, "
            "or share out its work.",
        ),
        (
            {},
            0.98,
            "The processors were spent (4, 98 % busy): more workers do not help, make the targets "
            "cheaper.",
        ),
    ],
)
def test_the_advice_fits_the_job_and_the_processors(
    parse: dict[str, Any], busy: float | None, advice: str
) -> None:
    (text,) = told(census(**parse), changed(busy=busy))
    assert text.endswith(f". {advice}")


SPENT = "The processors were spent (4, 98 % busy)"


@pytest.mark.parametrize(
    ("parse", "cpu", "why", "advice"),
    [
        (
            {},
            0.04,
            Why.PROCESSORS,
            f"{SPENT}, but its workers used them for 2 % of the time: see what else runs; if they "
            "only wait, try workers: 8.",
        ),
        (
            {"shape": "source", "reads": ()},
            0.04,
            Why.PROCESSORS,
            f"{SPENT}, but its workers used them for 2 % of the time: see what else runs, and what "
            "it waits for.",
        ),
        (
            {},
            0.4,
            Why.PROCESSORS,
            f"{SPENT}: more workers do not help, make the targets cheaper.",
        ),
        (
            {"command": True},
            0.04,
            Why.PROCESSORS,
            f"{SPENT}: more workers do not help, make the targets cheaper.",
        ),
    ],
)
def test_of_processors_that_others_spend_it_is_told_that_they_do(
    parse: dict[str, Any], cpu: float, why: Why, advice: str
) -> None:
    header = wired(*census(**parse))
    (found,) = limits_of(header, samples(header, changed(busy=0.98, cpu={"parse": cpu})))
    assert found.why == why.value
    assert found.text.endswith(f". {advice}")


@pytest.mark.parametrize("jobs", [{}, {"workers": 8}])
def test_workers_are_not_advised_where_others_are_as_busy(jobs: dict[str, Any]) -> None:
    phase = changed(jobs={**SLOW_PARSE.jobs, "write": {"run": 0.86, "starve": 0.14}}, busy=0.94)
    (text,) = told(census(**jobs), phase)
    assert "try workers" not in text
    assert "make it faster" in text


@pytest.mark.parametrize(
    ("parse", "phase", "parts"),
    [
        (
            {"rate": "10/s"},
            with_parse(run=0.03, held=0.97),
            [
                "its rate of 10/s held it for 97 % of the time",
                "Workers do not help, try a higher rate",
            ],
        ),
        (
            {},
            with_parse(start=1.0, restarts=0.5),
            ["its 2 workers started for 100 % of the time, with 5 restarts", "importtime"],
        ),
        (
            {"batch": 100, "shape": "batch"},
            with_parse(run=0.04, starve=0.96, within=0.9),
            ["its batches of 100 waited for more for 90 % of the time", "shorter within"],
        ),
        (
            {},
            changed(disk=0.6),
            ["the disk was full for 6 s", "Make room on it."],
        ),
        (
            {},
            changed(throttled=0.4),
            ["The quota of 2 processors of the control group was spent", "do not help"],
        ),
        (
            {"workers": 4},
            with_parse(run=0.25, starve=0.75, end=0.75),
            ["one of its 4 workers was left at work"],
        ),
        (
            {"workers": 4},
            with_parse(run=0.05, starve=0.95, end=0.95, retried=1.0),
            ["it waited for items that it tries again"],
        ),
        (
            {},
            changed(
                jobs={
                    "find": {"run": 0.5, "block": 0.5},
                    "parse": {"run": 0.5, "starve": 0.5},
                    "write": {"run": 0.1, "starve": 0.9},
                },
                queues={"files": {"size": 1, "bytes": 0.5}},
            ),
            [
                "`find` limited the run",
                "its worker waited 50 % of the time for room, and its readers for items",
                "`files` was 50 % full by its bytes",
                "Try max_bytes: 2000 for `files`.",
            ],
        ),
        (
            {},
            changed(
                own=0.9,
                busy=0.6,
                service={"parse": Service(items=10**6, total_s=3.0)},
                jobs={**SLOW_PARSE.jobs, "parse": {"run": 0.9, "starve": 0.1, "items": 1e5}},
            ),
            ["The items are tiny, and mporch used 90 % of a processor for them", "call: batch"],
        ),
    ],
)
def test_each_reason_has_its_evidence_and_its_advice(
    parse: dict[str, Any], phase: During, parts: list[str]
) -> None:
    (text, *_) = told(census(**parse), phase, quota=2.0)
    assert not [part for part in parts if part not in text], text
    assert "try workers" not in text


def test_phases_are_told_with_their_times() -> None:
    find = changed(s=5, jobs={"find": {"run": 1}, "parse": {"starve": 1}, "write": {"starve": 1}})
    first, second = told(census(), find, changed(s=5))
    assert first.startswith("`find` limited the run for 50 %, from 0 s to 5 s: its worker ran")
    assert "`parse` starved 100 %" in first
    assert second.startswith("`parse` limited the run for 50 %, from 5 s to 10 s: ")


def test_names_are_told_as_they_are_and_escaped_by_who_shows_them() -> None:
    jobs = (
        JobWiring(name="[red]a\x1b[2J", workers=2, reads=("q",), shape="item"),
        JobWiring(name="b", writes=("q",), shape="source"),
    )
    slow = During(s=4, jobs={jobs[0].name: {"run": 1}, "b": {"block": 1}})
    (text,) = told(jobs, slow)
    assert text.startswith("`[red]a\x1b[2J` limited")


def test_the_page_has_the_sentence_and_each_reason() -> None:
    page = (Path(__file__).parents[4] / "docs/limits.md").read_text()
    assert f"\nbottleneck: {told(census(), SLOW_PARSE)[0]}\n" in page
    reasons = set(re.findall(r"^\| `([a-z ]+)` \|", page, re.MULTILINE))
    assert reasons - {"why"} == {why.value for why in Why}
