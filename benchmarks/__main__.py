"""The command `python -m benchmarks`: everything beside its peers, in one run.

Without options it takes nine rounds of all usual works and writes `benchmarks/results.json`,
`docs/performance.md` and its chart. `--quick` and `--only` print, and write nothing unless told to.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks import machine, page, report, rounds
from benchmarks.processes import ROOT
from benchmarks.works import WORKS

RESULTS = ROOT / "benchmarks" / "results.json"


def main() -> int:
    """Measure, print and write, as the options say; 1 if a way of mporch has failed."""
    options = parsed(sys.argv[1:])
    if options.list:
        for work in WORKS.values():
            print(f"{work.key:16}{work.title}{'' if work.usual else ' (only when named)'}")
        return 0
    if options.readme or options.page:
        record = json.loads(options.json.read_text(encoding="utf-8"))
        (page.write_readme if options.readme else page.write_page)(record, ROOT)
        return 0
    return machine.in_own_session(lambda session: measured(options, session))


def parsed(arguments: list[str]) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    add = parser.add_argument
    add("--only", action="append", default=[], metavar="WORK", help="these, with commas between")
    add("--rounds", type=int, help="how often each is run [9; --quick: 3]")
    add("--seconds", type=float, help="how long a run of items that flow takes [2; --quick: 0.2]")
    add("--quick", action="store_true", help="a trial, whose figures are none")
    add(
        "--beside",
        action="append",
        default=[],
        metavar="NAME=PYTHON",
        help="another build of mporch",
    )
    add("--json", type=Path, default=RESULTS, metavar="FILE", help="where the record is kept")
    add("--write", action=argparse.BooleanOptionalAction, help="the record, the page, the chart")
    add("--page", action="store_true", help="only make the page and its chart from the record")
    add("--readme", action="store_true", help="only make the README's table from the record")
    add("--list", action="store_true", help="the works that there are")
    options = parser.parse_args(arguments)
    options.works = [key for text in options.only for key in text.split(",")]
    if unknown := [key for key in options.works if key not in WORKS]:
        parser.error(f"--only: there is no work {unknown[0]!r}; --list tells them")
    if wrong := [text for text in options.beside if "=" not in text]:
        parser.error(f"--beside {wrong[0]}: NAME=PYTHON is wanted")
    if options.rounds is None:
        options.rounds = 3 if options.quick else 9
    if options.rounds < 1:
        parser.error("--rounds: at least one")
    if options.seconds is None:
        options.seconds = 0.2 if options.quick else 2.0
    if options.write is None:
        options.write = not (options.quick or options.works)
    return options


def measured(options: argparse.Namespace, session: str) -> int:
    """Take the rounds, in a session of its own."""
    builds = dict(text.split("=", 1) for text in options.beside)
    works = [WORKS[key] for key in options.works] or [w for w in WORKS.values() if w.usual]
    print(session, file=sys.stderr)
    began, busy = time.monotonic(), machine.busy_share(1.0 if options.quick else 5.0)
    if busy > machine.BUSY_LIMIT:
        print(f"others use {busy:.0%} of the cores: figures of no use", file=sys.stderr)
    made = {
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
        "quick": options.quick,
        "rounds": options.rounds,
        "session": session,
        "busy_before": rounds.rounded(busy),
        "load_before": os.getloadavg()[0],
        **machine.described(),
        "mporch": {name: version_of(python) for name, python in builds_of(builds).items()},
    }
    there, missing = rounds.take_rounds(
        works,
        builds,
        rounds=options.rounds,
        seconds=options.seconds,
        quick=options.quick,
        say=lambda text: print(f"[{time.monotonic() - began:5.0f} s] {text}", file=sys.stderr),
    )
    made["busy_after"] = rounds.rounded(machine.busy_share(1.0 if options.quick else 5.0))
    made["minutes"] = rounds.rounded((time.monotonic() - began) / 60)
    record = {"made": made, "missing": missing, "works": rounds.recorded(there)}
    show(record)
    if options.write or options.json != RESULTS:
        options.json.write_text(page.as_json(record), encoding="utf-8")
    if options.write:
        page.write_page(record, ROOT)
    return int(any(way["failed"] and way["product"] for way in all_ways(record)))


def builds_of(beside: dict[str, str]) -> dict[str, str]:
    """The interpreters by the name of their build; this one's has none."""
    return {"": sys.executable, **beside}


def version_of(python: str) -> str:
    """What a build says of itself."""
    command = [python, "-m", "orchestrator", "--version"]
    told = subprocess.run(command, cwd="/", capture_output=True, text=True, check=True)
    return told.stdout.strip()


def all_ways(record: dict[str, Any]) -> list[dict[str, Any]]:
    """All ways of all works."""
    return [way for work in record["works"].values() for way in work["ways"].values()]


def show(record: dict[str, Any]) -> None:
    """Print the figures of all works, who is missing or has failed, and what was wanted."""
    for work in record["works"].values():
        print(f"\n{work['title']}\n{report.table(work)}")
        for name, way in work["ways"].items():
            if way["failed"]:
                print(f"failed: {name}: {way['failed']}")
        for verdict in report.verdicts(work):
            print(verdict)
    for name, why in record["missing"].items():
        print(f"missing: {name}: {why}")


if __name__ == "__main__":
    sys.exit(main())
