"""What a run that succeeded says of items that were lost on the way, and of who held it up."""

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


def test_the_bottleneck_is_named_when_the_run_succeeds_and_not_when_it_fails(ran):
    ended = ran(SLOW, SLOW_CODE)
    assert ended.summary["bottleneck"] == "look"
    assert "bottleneck: look" in ended.stderr
    bad = SLOW_CODE.replace("range(30)", '[*range(30), "bad"]')
    kept = ran(SLOW.replace("input: numbers", "input: numbers, on_error: dead_letter"), bad)
    assert kept.exit_code == 3
    assert kept.summary["bottleneck"] == "look"
    assert "bottleneck: look" in kept.stderr
    failed = ran(SLOW, bad)
    assert failed.exit_code == 1
    assert failed.summary["bottleneck"] is None
    assert "bottleneck:" not in failed.stderr
