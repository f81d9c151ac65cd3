"""Items by their names, keepsakes, dropped letters, `--dead-ok`: the installed command."""

import json
from pathlib import Path

import pytest
from dead_runs import Mporch

TARGETS = """\
import dataclasses, os, signal, time

@dataclasses.dataclass
class Page:
    path: str
    n: int
    password: str = "hunter2"

    def __repr__(self):
        os._exit(77)

def pages():
    for n in range(8): yield Page(f"dir/f{n}.txt", n)

def parse(page):
    if page.n == 1: raise ValueError("skip me")
    if page.n == 2: raise KeyError("keep me")
    if page.n == 3: os.kill(os.getpid(), signal.SIGKILL)
    if page.n == 4: time.sleep(60)

def fail(page):
    if page.n == 5: raise ValueError("stop")

def mended(page):
    pass

def batch(pages):
    for page in pages: parse(page) if page.n != 4 else None
"""
SPEC = """\
version: 1
queues: {pages: 10, named: {maxsize: 10, item_name: "{item.path}"}, quiet: 10}
jobs:
  make: {target: "mine:pages", output: [pages, named, quiet]}
  parse:
    target: "mine:parse"
    input: pages
    on_error: {ValueError: skip, else: dead_letter}
    retry: {attempts: 2, backoff: {initial: 0s}}
    timeouts: {item: 1s}
  batch: {target: "mine:batch", input: named, call: batch, on_error: dead_letter}
  quiet: {target: "mine:batch", input: quiet, call: batch, on_error: skip, item_name: none}
"""
FAILING = """\
version: 1
durable: true
queues: {pages: {maxsize: 10, item_name: "{item.path}"}}
jobs:
  make: {target: "mine:pages", output: pages}
  fail: {target: "mine:fail", input: pages}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "mine.py").write_text(TARGETS)
    (tmp_path / "jobs.yaml").write_text(SPEC)
    (tmp_path / "failing.yaml").write_text(FAILING)
    return tmp_path


def records(run: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]


def test_an_item_that_ends_badly_is_told_by_its_name_everywhere(
    mporch: Mporch, folder: Path
) -> None:
    done = mporch("run", "--run-dir", "run", "--dead-ok")
    assert done.returncode == 0, done.stderr
    told = [each for each in records(folder / "run") if each["event"].startswith("item.")]
    names: dict[str, set[str]] = {}
    for each in told:
        names.setdefault(each["queue"], set()).add(each.get("item_name", ""))
        assert each.get("item_name", "") in each["msg"]
    assert names["quiet"] == {""}
    assert names["named"] == {f"dir/f{n}.txt" for n in (1, 2, 3)}
    # Raised, raised and tried again, killed, and killed for its time: all by the same means.
    assert names["pages"] == {
        f"Page(path='dir/f{n}.txt', n={n}, password=***)" for n in (1, 2, 3, 4)
    }
    assert "parse pages:2 (Page(path='dir/f1.txt', n=1, password=***)): ValueError" in done.stderr
    assert "at item pages:4 (Page(path='dir/f3.txt'" in done.stderr, "of a worker that died"
    log = (folder / "run" / "log.jsonl").read_text()
    assert "hunter2" not in done.stderr + log
    listed = mporch("dead", "list", "run", "--format", "json")
    assert {each["item_name"] for each in json.loads(listed.stdout)} >= names["named"]
    assert "dir/f2.txt" in mporch("dead", "list", "run").stdout


def test_what_failed_the_run_is_kept_until_a_resumed_run_has_ended_it(
    mporch: Mporch, folder: Path
) -> None:
    failed = mporch("run", "failing.yaml", "--run-dir", "run")
    assert failed.returncode == 1, failed.stderr
    assert "at item pages:6 (dir/f5.txt)" in failed.stderr
    assert "mporch dead show run pages:6" in failed.stderr
    summary = json.loads((folder / "run" / "summary.json").read_text())
    assert (summary["queues"]["pages"]["dead"], summary["queues"]["pages"]["left"]) == (0, 3)
    shown = mporch("dead", "show", "run")
    assert "keepsake" in shown.stdout
    assert "mine.Page(path='dir/f5.txt'" in shown.stdout
    assert mporch("dead", "show", "run", "pages:6").stdout == shown.stdout
    tried = mporch("dead", "debug", "run")
    assert (tried.returncode, "ValueError: stop" in tried.stderr) == (1, True)
    listed = mporch("dead", "list", "run")
    assert (listed.stdout, "kept, and no dead letter: pages:6" in listed.stderr) == ("", True)
    assert json.loads(mporch("dead", "list", "run", "--format", "json").stdout) == []
    for command in (("replay", "run", "--all"), ("replay", "run", "pages:6"), ("export", "run")):
        assert mporch("dead", *command).returncode == 2, command

    again = mporch("resume", "run", "--force")
    assert again.returncode == 1
    assert len(list((folder / "run" / "dead").glob("kept-*"))) == 1, "of the same item, the last"
    (folder / "mine.py").write_text(TARGETS.replace('raise ValueError("stop")', "pass"))
    done = mporch("resume", "run", "--force")
    assert done.returncode == 0, done.stderr
    assert list((folder / "run" / "dead").glob("kept-*")) == []
    assert mporch("dead", "show", "run", "pages:6").returncode == 2


def test_letters_that_are_dropped_do_not_count_as_open(mporch: Mporch, folder: Path) -> None:
    assert mporch("run", "--run-dir", "run").returncode == 3
    total = len(json.loads(mporch("dead", "list", "run", "--format", "json").stdout))
    assert mporch("dead", "drop", "run", "1").returncode == 2, "nobody is there to be asked"
    assert "dropped 1 letter" in mporch("dead", "drop", "run", "1", "--yes").stderr
    again = mporch("dead", "drop", "run", "1", "--yes")
    assert "dropped 0 letters of run (1 were dropped before)" in again.stderr
    refused = mporch("dead", "replay", "run", "1")
    assert (refused.returncode, "was dropped" in refused.stderr) == (2, True)
    assert f"dropped {total - 1} letters" in mporch("dead", "drop", "run", "--all", "--yes").stderr
    for command in ("replay", "drop"):
        nothing = mporch(
            "dead", command, "run", "--all", "--yes" if command == "drop" else "--again"
        )
        assert nothing.returncode == 2, nothing.stderr
    nothing = mporch("dead", "replay", "run", "--all")
    assert "were replayed or dropped before\n" in nothing.stderr
    letters = json.loads(mporch("dead", "list", "run", "--format", "json").stdout)
    assert {tuple(each["replayed"]) for each in letters} == {("(dropped)",)}
    assert mporch("dead", "show", "run", "1").returncode == 0
