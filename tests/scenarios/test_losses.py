"""What a run that succeeded says of items that were lost on the way, and of who held it up."""

import os
import signal
import subprocess

from life_runs import COMMAND, DEADLINE_S, until

SPEC = """
queues: {numbers: 4, doubled: 4, many: 100}
jobs:
  count: {target: "t:count", output: [numbers, many]}
  double: {target: "t:double", input: numbers, output: doubled}
  print: {target: "t:double", input: doubled}
  taste: {target: "t:taste", input: many, call: stream}
"""

CODE = """
def count():
    yield from range(50)

def double(number):
    number * 2

def taste(numbers):
    for number in numbers:
        return
"""


def test_items_a_reader_left_and_a_missing_return_are_told_in_report_summary_and_log(ran):
    ended = ran(SPEC, CODE)
    assert ended.exit_code == 0, ended.stderr
    dropped = ended.summary["queues"]["many"]["dropped"]
    left = f"queue many: {dropped} items dropped: its reader taste returned early"
    silent = "job double took 50 items and emitted none: is a `return` missing?"
    assert dropped > 1
    assert ended.summary["warnings"] == [left, silent]
    assert [record["msg"] for record in ended.log.having("warning", level="warning")] == [
        left,
        silent,
    ]
    told = [line for line in ended.stderr.splitlines() if line.startswith("warning: ")]
    assert told == [f"warning: {left}", f"warning: {silent}"]


SLOW = """
queues: {numbers: 4}
jobs:
  count: {target: "t:count", output: numbers}
  look: {target: "t:look", input: numbers}
"""

SLOW_CODE = """
import threading

def count():
    yield from range(30)

def look(number):
    threading.Event().wait(0.05)
    if number == "bad":
        raise ValueError
"""


def test_the_bottleneck_is_named_however_the_run_ends(ran):
    bad = SLOW_CODE.replace("range(30)", '[*range(30), "bad"]')
    letters = SLOW.replace("input: numbers", "input: numbers, on_error: dead_letter")
    for spec, code, exit_code in ((SLOW, SLOW_CODE, 0), (letters, bad, 3), (SLOW, bad, 1)):
        ended = ran(spec, code)
        assert ended.exit_code == exit_code
        assert ended.summary["bottleneck"] == "look"
        (found,) = ended.summary["bottlenecks"]
        assert found["why"] in {"busy", "processors"}
        assert found["share"] > 0.5
        assert f"bottleneck: {found['text']}\n" in ended.stderr
        assert "`look` limited the run for " in found["text"]


def test_show_tells_the_limit_of_a_run_that_goes_on_and_of_one_that_was_killed(begin):
    life = begin(SLOW, SLOW_CODE.replace("range(30)", "range(10_000)"))
    samples = life.log.path.with_name("samples.jsonl")
    until(lambda: samples.exists() and samples.read_bytes().count(b"\n") > 6, "samples")
    assert "`look` limited the run for " in shown(life)
    os.kill(life.orchestrator, signal.SIGKILL)
    life.guard.wait(DEADLINE_S)
    assert "bottleneck: `look` limited the run for " in shown(life)


def shown(life):
    """What `mporch show` says of a run."""
    said = subprocess.run(
        [COMMAND, "show", "./run"], cwd=life.folder, capture_output=True, text=True, check=True
    )
    return said.stdout
