"""The page of figures, its chart, and the README's table, made from a record and nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks import chart, figures, report, works
from benchmarks.figures import Figure

PAGE, CHART, README = "docs/performance.md", "docs/performance.svg", "README.md"
BEGIN = "<!-- made by `python -m benchmarks --readme` -->"
END = "<!-- end of what is made -->"
COLUMNS = (works.PIPE, works.POOL, works.QUEUE)
"""The peers that have a column in the README; the page has all."""

HOW = """\
## How it is measured

`python -m benchmarks`, with `pip install '.[test,bench]'`, measures all of it again; `--only
ints,dicts` parts of it, `--quick` tries it out, `--list` tells the works, and `--beside
before=/path/to/bin/python` has another build of mporch in the same rounds.

Each peer of the extra `bench` is optional: one that is not there, or does not build, is named as
missing.

* **The same work.** Source, map and sink are the same functions for all. *No bound written* is
  mporch's own bound; its peers then have 10,000 items, or 16 arrays. The bare batched pipe pickles
  lists of 512 items (64 of 1 KB, one of 1 MB) and does nothing else: no account, no bound, nobody
  notices a death. It is what the machine gives, and steadier than `multiprocessing.Queue`. ZeroMQ
  moves the same lists.
* **The same time.** In a round all ways of a work run in turn, every other round backwards. A
  first run finds how many items a way moves in two seconds. Time runs from the first item that is
  asked for to the last that has come; pools have been started before.
* **Figures.** The median of the rounds ± the distance of the farther quartile. A ratio is the
  median of the quotients of the rounds. One whose spread is above ± 25 % is called *noisy* and not
  told. The record with each round is `benchmarks/results.json`.
* **Processor time** is user and system time of all processes, orphans included: of items, by item,
  less that of a run of two items (one, where they are large); else of the whole command.
* **malloc thresholds** are `MALLOC_MMAP_THRESHOLD_` and `MALLOC_TRIM_THRESHOLD_` of 256 MB, which
  mporch gives its workers: without them glibc maps and unmaps each large item.
* **Priority.** `nice` does nothing between sessions where autogroup is on, so the run is a session
  of its own, at autogroup -10 where that is allowed; so is the broker of an `orchestrator.Queue`
  that stands alone, which has one, too.
"""


def as_json(record: dict[str, Any]) -> str:
    """The record as it is kept: a line for each way."""
    marked: dict[str, str] = {}

    def mark(value: Any) -> str:
        marked[name := f"@{len(marked)}@"] = json.dumps(value, ensure_ascii=False)
        return name

    kept = {
        key: {**work, "ways": {name: mark(way) for name, way in work["ways"].items()}}
        for key, work in record["works"].items()
    }
    text = json.dumps({**record, "works": kept}, indent=1, ensure_ascii=False)
    for name, value in marked.items():
        text = text.replace(f'"{name}"', value)
    return text + "\n"


def write_page(record: dict[str, Any], root: Path) -> None:
    """Write the page and its chart."""
    (root / PAGE).write_text(page(record), encoding="utf-8")
    (root / CHART).write_text(chart.chart(record), encoding="utf-8")


def write_readme(record: dict[str, Any], root: Path) -> None:
    """Write the README's table in its place. Raises ValueError if the README has none."""
    path = root / README
    before, _, rest = path.read_text(encoding="utf-8").partition(BEGIN)
    _, found, after = rest.partition(END)
    if not found:
        raise ValueError(f"{path} has no lines {BEGIN} and {END}")
    path.write_text(f"{before}{block(record)}{after}", encoding="utf-8")


def page(record: dict[str, Any]) -> str:
    """`docs/performance.md`."""
    lines = [
        "# Performance",
        "",
        "Made by `python -m benchmarks`.",
        "",
        *_circumstances(record),
        "",
    ]
    lines += [f"![What mporch is beside its peers]({Path(CHART).name})", ""]
    group = ""
    for work in record["works"].values():
        if work["group"] != group:
            group = work["group"]
            lines += [f"## {group}", "", _reading(work), ""]
        title = work["title"]
        lines += [f"### {title[0].upper()}{title[1:]}", "", report.table(work, markdown=True), ""]
        lines += [f"Failed: {name}: {why}.\n" for name, why in _failures(work)]
    if record["missing"]:
        lines += ["## Missing", "", "These peers were not there:", ""]
        lines += [f"* {name}: {why}" for name, why in record["missing"].items()] + [""]
    return "\n".join(lines) + "\n" + HOW


def _circumstances(record: dict[str, Any]) -> Iterator[str]:
    made = record["made"]
    if why := report.why_a_trial(made):
        yield f"**These are no figures to quote.** They are of {why}."
        yield ""
    versions = ", ".join(f"{name} {version}" for name, version in made["versions"].items())
    yield f"* {made['date']}, {made['rounds']} rounds, {figures.number(made['minutes'])} minutes"
    yield f"* {made['cores']} cores of {made['processor']}, Linux {made['kernel']}"
    yield (
        f"* others used {figures.percent(made['busy_before'])} of the cores before the run,"
        f" {figures.percent(made['busy_after'])} after it; load {made['load_before']:.2f};"
        f" {made['session']}"
    )
    for name, version in made["mporch"].items():
        yield f"* {report.label('mporch', name)}: {version}"
    yield f"* Python {made['python']}, {versions}"


def _reading(work: dict[str, Any]) -> str:
    name, _, more = work["metrics"][0]
    if more:
        return (
            f"Medians of {name}. The last column tells how many times the rate of its row"
            " mporch's is: above 1, mporch is faster."
        )
    return (
        f"Medians of {name}. The last column tells how many times the time of its row"
        " mporch's is: below 1, mporch is faster."
    )


def _failures(work: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for name, way in work["ways"].items():
        if way["failed"]:
            yield name, way["failed"]


# -- the README ---------------------------------------------------------------------------------


def block(record: dict[str, Any]) -> str:
    """The README's table with the lines that enclose it; of a trial it tells no figures."""
    made = record["made"]
    if why := report.why_a_trial(made):
        table = (
            f"The last run is of {made['date']}. It was {why}, so its figures stand only in"
            f" [{PAGE}]({PAGE})."
        )
    else:
        names = list(made["mporch"])
        heads = ["what", *(report.label("mporch", name) for name in names), *COLUMNS, "others"]
        rows = [_line(work, names) for work in record["works"].values()]
        table = (
            f"Of {made['date']}, {made['cores']} cores, Python {made['python']}. *n ×*: mporch's"
            " rate is n times that of the peer; of a time, it takes n times as long.\n\n"
            f"{figures.table(heads, rows, markdown=True)}"
        )
    return f"{BEGIN}\n{table}\n{END}"


def _line(work: dict[str, Any], builds: list[str]) -> list[str]:
    unit = work["metrics"][0][1]
    labels = (report.label(work["subject"], name) for name in builds)
    cells = [_told(work["ways"].get(label), unit) for label in labels]
    beside = {
        name: _short(ratio)
        for name, way in work["ways"].items()
        if not way["build"] and (ratio := report.ratio_of(work, name)) is not None
    }
    columns = [beside.pop(name, "") for name in COLUMNS]
    others = (
        beside if not any(columns) else {n: r for n, r in beside.items() if n in work["wanted"]}
    )
    texts = "; ".join(f"{name} {ratio}" for name, ratio in others.items())
    how = "" if work["metrics"][0][2] else ", time"
    return [f"{work['title']}{how}", *cells, *columns, texts]


def _told(way: dict[str, Any] | None, unit: str) -> str:
    if way is None or way["failed"] or not way["samples"]:
        return ""
    return f"{figures.number(figures.figure([row[0] for row in way['samples']]).median)} {unit}"


def _short(ratio: Figure) -> str:
    return "noisy" if ratio.noisy else f"{figures.number(ratio.median)} ×"
