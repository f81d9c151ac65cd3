"""Items that are copied and pickled in blocks: every shape gets them, and every later life.

Compiled, they always are; interpreted, where a test says so.
"""

import contextlib
import json
import pickle
import sqlite3
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.worker import blocks

Mporch = Callable[..., subprocess.CompletedProcess[str]]

COPIES = """\
from pathlib import Path
from orchestrator.worker import outbox

outbox.COPIES = Path("copied").exists()

def note(name, *found):
    with open(name, "a") as file:
        for each in found:
            print(each, file=file)
"""

SHAPES = """\
version: 1
queues: {rows: 40, grown: 40, also: 40, summed: 40}
jobs:
  source: {target: "t:rows", args: [400], output: rows}
  grow: {target: "t:grow", input: rows, output: [grown, also], workers: 2, on_error: dead_letter}
  add: {target: "t:add", input: grown, output: summed, call: batch, batch: {size: 7, within: 20ms}}
  each: {target: "t:each", input: also, call: stream}
  take: {target: "t:take", input: {q: summed}}
"""

SHAPES_CODE = """
def rows(n):
    row = {"n": 0, "tags": []}
    for at in range(n):
        row["n"] = at
        row["tags"][:] = [at] * (at % 3)
        yield row

def grow(row):
    if row["n"] % 50 == 7 and not Path("mended").exists():
        row["tags"] = "spoiled"
        raise ValueError(row["n"])
    if row["n"] % 100 == 99:
        return {**row, "odd": {row["n"]}}
    return {**row, "pair": (row["n"], [row["tags"]])}

def add(rows):
    return [{"rows": rows}]

def each(rows):
    for row in rows:
        note("each.txt", row)
        row.clear()

def take(q):
    for item in q:
        note("take.txt", *item["rows"])
"""


def grown(at: int) -> dict[str, object]:
    tags = [at] * (at % 3)
    row: dict[str, object] = {"n": at, "tags": tags}
    return row | ({"odd": {at}} if at % 100 == 99 else {"pair": (at, [tags])})


@pytest.mark.parametrize("copied", [True, False])
def test_every_shape_gets_items_as_they_were_given_and_what_failed_comes_again(
    copied: bool, in_folder: Mporch, tmp_path: Path
) -> None:
    (tmp_path / "jobs.yaml").write_text(SHAPES)
    (tmp_path / "t.py").write_text(COPIES + SHAPES_CODE)
    if copied:
        (tmp_path / "copied").touch()
    done = in_folder("run", "--output", "none")
    assert done.returncode == 3, done.stderr
    bad = [at for at in range(400) if at % 50 == 7]
    good = [str(grown(at)) for at in range(400) if at not in bad]
    for name in ("each.txt", "take.txt"):
        assert sorted((tmp_path / name).read_text().splitlines()) == sorted(good)
    lines = in_folder("dead", "export").stdout.splitlines()
    spoiled = sorted((json.loads(line)["value"] for line in lines), key=lambda row: row["n"])
    assert spoiled == [{"n": at, "tags": [at] * (at % 3)} for at in bad]
    (tmp_path / "mended").touch()
    again = in_folder("dead", "replay", "--all", "--output", "none")
    assert again.returncode == 0, again.stderr
    everything = sorted(str(grown(at)) for at in range(400))
    for name in ("each.txt", "take.txt"):
        assert sorted((tmp_path / name).read_text().splitlines()) == everything


DURABLE = """\
version: 1
durable: true
queues: {numbers: 1000, rows: 1000}
jobs:
  count: {target: "t:count", output: numbers}
  row: {target: "t:row", input: numbers, output: rows}
  check: {target: "t:check", input: rows, after: row}
"""

DURABLE_CODE = """
def count():
    yield from range(300)

def row(number):
    return {"number": number, "half": [number / 2]}

def check(row):
    if row["number"] == 20 and not Path("mended").exists():
        raise ValueError("not yet")
    note("checked.txt", row)
"""


@pytest.mark.parametrize("first", [True, False])
def test_a_run_that_was_begun_in_one_form_is_resumed_in_the_other(
    first: bool, in_folder: Mporch, tmp_path: Path
) -> None:
    (tmp_path / "jobs.yaml").write_text(DURABLE)
    (tmp_path / "t.py").write_text(COPIES + DURABLE_CODE)
    if first:
        (tmp_path / "copied").touch()
    done = in_folder("run", "--output", "none")
    assert done.returncode == 1, done.stderr
    assert rows_stored(tmp_path) == {first or blocks.COPIES}
    if first:
        (tmp_path / "copied").unlink()
    else:
        (tmp_path / "copied").touch()
    (tmp_path / "mended").touch()
    again = in_folder("resume", "--output", "none")
    assert again.returncode == 0, again.stderr
    wanted = [str({"number": n, "half": [n / 2]}) for n in range(300)]
    assert sorted((tmp_path / "checked.txt").read_text().splitlines()) == sorted(wanted)


def rows_stored(folder: Path) -> set[bool]:
    """Of each packed chunk of the run's database, whether it is a row of blocks."""
    (path,) = folder.rglob("state.db")
    with contextlib.closing(sqlite3.connect(path)) as store:
        found = store.execute("SELECT data FROM chunk WHERE packed").fetchall()
    return {type(pickle.loads(data)[0]) is tuple for (data,) in found}
