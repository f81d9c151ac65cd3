"""`mporch dead debug`: the target is called on the very item, in the foreground."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from dead_runs import MENDED, Mporch, items
from e2e_runs import ROOT


@pytest.mark.parametrize(
    ("error", "words"),
    [
        ("ValueError", ["raise ValueError", "ValueError: "]),
        ("WorkerDied", ["killed by SIGKILL"]),
        ("orchestrator.UnpicklableItemError", ["gave back a function, which cannot be pickled"]),
    ],
)
def test_debug_shows_the_bug_and_that_it_is_gone(
    mporch: Mporch, broken: str, tmp_path: Path, error: str, words: Sequence[str]
) -> None:
    number = str(items(mporch("dead", "list", "--format", "json"))[error])
    before = mporch("dead", "debug", number)
    assert before.returncode == 1
    assert all(word in before.stderr for word in words), before.stderr
    assert str(ROOT / "orchestrator") not in before.stderr
    (tmp_path / "mine.py").write_text(MENDED)
    after = mporch("dead", "debug", number)
    assert (after.returncode, after.stdout[:9]) == (0, "returned ")


def test_the_debugger_stops_in_the_frame_that_raised(
    command: Path, mporch: Mporch, broken: str, tmp_path: Path
) -> None:
    number = str(items(mporch("dead", "list", "--format", "json"))["ValueError"])
    done = subprocess.run(
        [command, "dead", "debug", number, "--pdb"],
        cwd=tmp_path,
        input="p order\nq\n",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "work()" in done.stdout
    assert "Order(id=1)" in done.stdout


def test_debug_gives_a_target_the_surroundings_of_its_worker(
    mporch: Mporch, tmp_path: Path
) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "jobs.yaml").write_text("""\
version: 1
queues: {a: 10, b: 10}
jobs:
  make: {target: "mine:make", output: a}
  work:
    target: mine:Work
    args: [7]
    input: a
    output: {out: b}
    cwd: deep
    env: {COLOUR: blue}
    call: batch
    on_error: dead_letter
  sink: {target: "mine:sink", input: b}
""")
    (tmp_path / "mine.py").write_text("""\
import os, pathlib, orchestrator
def make(): return [5]
def sink(item): ...
class Work:
    def __init__(self, n): self.told = [n]
    def __enter__(self): self.told.append("entered"); return self
    def __exit__(self, *args): print("left")
    def __call__(self, batch, out):
        at = orchestrator.current()
        told = [*self.told, os.environ["COLOUR"], os.getcwd(), at.item_id, at.attempt, at.worker]
        out.put((batch, told))
        if not pathlib.Path("../mended").exists(): raise OSError("broken")
""")
    assert mporch("run").returncode == 3
    (tmp_path / "mended").touch()
    done = mporch("dead", "debug", "1")
    assert done.returncode == 0, done.stderr
    told = [7, "entered", "blue", str(tmp_path / "deep"), "a:1", 2, "work-1"]
    assert done.stdout == f"put on b: {([5], told)}\nreturned None\nleft\n"


def test_what_debug_prints_of_an_exception_or_a_result_acts_on_no_terminal(
    mporch: Mporch, broken: str, tmp_path: Path
) -> None:
    forged = "\\x1b[31mred\\nmporch: error: forged"
    raising = f"def work(order):\n    raise ValueError('{forged}')\n"
    number = str(items(mporch("dead", "list", "--format", "json"))["ValueError"])
    (tmp_path / "mine.py").write_text(MENDED.replace("def work(order):\n", raising))
    said = mporch("dead", "debug", number).stderr
    assert r"ValueError: \x1b[31mred" in said
    assert "\x1b" not in said
    assert "\nmporch: error" not in said
    shown = f"class Told:\n    def __repr__(self): return '{forged}'\n"
    giving = shown + 'def work(order):\n    print("said"); return Told()\n'
    (tmp_path / "mine.py").write_text(MENDED.replace("def work(order):\n", giving))
    told = mporch("dead", "debug", number).stdout
    assert r"returned \x1b[31mred" in told
    assert "\x1b" not in told
    assert "\nmporch: error" not in told


def test_debug_takes_the_environment_that_the_run_was_given(mporch: Mporch, tmp_path: Path) -> None:
    (tmp_path / "run.env").write_text("MYTOK=right\n")
    (tmp_path / "jobs.yaml").write_text("""\
version: 1
queues: {a: 10}
jobs:
  make: {target: "mine:make", output: a}
  work: {target: "mine:work", args: ["${MYTOK}"], input: a, on_error: dead_letter}
""")
    (tmp_path / "mine.py").write_text("""\
def make(): return [1]
def work(item, token): raise ValueError(token)
""")
    assert mporch("run", "--env-file", "run.env").returncode == 3
    lacking = mporch("dead", "debug", "1")
    assert lacking.returncode == 2
    assert "MYTOK" in lacking.stderr
    done = mporch("dead", "debug", "1", "--env-file", "run.env")
    assert "ValueError: right" in done.stderr
