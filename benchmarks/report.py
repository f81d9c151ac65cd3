"""A record of rounds as figures: rows of ways, and ratios of mporch to each of them."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from benchmarks import figures, machine
from benchmarks.figures import Figure

Record = dict[str, Any]
"""What `rounds.recorded` gives of one work."""


@dataclass(frozen=True)
class Row:
    """One way's figures."""

    label: str
    metrics: tuple[Figure, ...]
    cpu: float | None
    """Microseconds of processor time an item, or milliseconds of the whole command."""
    ratios: tuple[Figure | None, ...]
    """By build: mporch's first metric, as a multiple of this one's."""
    failed: str


def why_a_trial(made: dict[str, Any]) -> str:
    """Why a record's figures are none to quote; empty if they are."""
    if made["quick"]:
        reason = "a trial, made with `--quick`"
    elif max(made["busy_before"], made["busy_after"]) > machine.BUSY_LIMIT:
        reason = "a run on a busy machine"
    else:
        return ""
    return f"{reason}: others used {figures.percent(made['busy_before'])} of the cores before it"


def builds_of(work: Record) -> list[str]:
    """The builds of mporch that have done a work; the first is the one that is measured."""
    return list(dict.fromkeys(way["build"] for way in work["ways"].values() if way["product"]))


def label(way: str, build: str) -> str:
    """The name of a way as a build of mporch does it."""
    return f"{way} ({build})" if build else way


def rows(work: Record) -> Iterator[Row]:
    """The rows of a work, in its order."""
    for name, way in work["ways"].items():
        columns = list(zip(*way["samples"], strict=True))
        there = bool(columns) and not way["failed"]
        yield Row(
            name,
            tuple(figures.figure(column) for column in columns[:-1]) if there else (),
            _cpu(work, way) if there else None,
            tuple(ratio_of(work, name, build) for build in builds_of(work)),
            way["failed"],
        )


def ratio_of(work: Record, name: str, build: str = "") -> Figure | None:
    """How many times a way's value that of mporch is; None where they are not to be compared.

    A build is set against all peers, and against what else it does itself; the first build against
    the others too.
    """
    ours, theirs = work["ways"].get(label(work["subject"], build)), work["ways"][name]
    if ours is None or ours is theirs or ours["failed"] or theirs["failed"]:
        return None
    if theirs["product"] and theirs["build"] != build:
        older = theirs["way"] == work["subject"] and not build
        if not older:
            return None
    values = [[sample[0] for sample in way["samples"]] for way in (ours, theirs)]
    return figures.ratio(*values) if values[0] and values[1] else None


def _cpu(work: Record, way: Record) -> float | None:
    cpu_s = statistics.median(sample[-1] for sample in way["samples"])
    if work["base_n"] is None:
        return cpu_s * 1e3
    if way["n"] <= work["base_n"]:
        return None
    used = cpu_s - statistics.median(way["base_cpu_s"])
    return max(0.0, used / (way["n"] - work["base_n"]) * 1e6)


def unit_of_cpu(work: Record) -> str:
    """What the column of processor time tells."""
    return "CPU ms" if work["base_n"] is None else "CPU µs an item"


def verdicts(work: Record) -> Iterator[str]:
    """What was wanted of mporch, and whether it is so."""
    more = work["metrics"][0][2]
    for name, limit in work["wanted"].items():
        if name not in work["ways"]:
            yield f"wanted {_limit(limit, more)} {name}: that is missing"
            continue
        for build in builds_of(work):
            found = ratio_of(work, name, build)
            if found is None:
                word = "failed"
            elif found.noisy:
                word = f"noisy, about {figures.number(found.median)}"
            else:
                met = found.median >= limit if more else found.median <= limit
                word = f"{'met' if met else 'MISSED'}, {figures.times(found)}"
            yield f"{label(work['subject'], build)}: wanted {_limit(limit, more)} {name}: {word}"


def _limit(limit: float, more: bool) -> str:
    return f"{'≥' if more else '≤'} {limit:g} ×"


def table(work: Record, *, markdown: bool = False) -> str:
    """The figures of a work."""
    builds = builds_of(work)
    heads = ["", *(f"{name}, ±" for name, _, _ in work["metrics"]), unit_of_cpu(work)]
    heads += [f"{label(work['subject'], build)} is" for build in builds]
    lines = []
    for row in rows(work):
        if row.metrics:
            cells = [
                f"{figures.number(f.median)} ± {figures.percent(f.spread)}" for f in row.metrics
            ]
            cells.append("" if row.cpu is None else figures.number(row.cpu))
        else:
            cells = ["failed", *[""] * len(work["metrics"])]
        ratios = ["" if ratio is None else figures.times(ratio) for ratio in row.ratios]
        lines.append([row.label, *cells, *ratios])
    return figures.table(heads, lines, markdown=markdown)
