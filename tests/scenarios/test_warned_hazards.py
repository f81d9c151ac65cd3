"""What `validate` warns of as a hazard is one: the run stalls, or skips, as it says."""

import json
import subprocess

import pytest
from life_runs import COMMAND

JOINED = """\
queues: {{one: 5, two: {size}, between: 3}}
jobs:
  count: {{target: "t:count", output: [one, between]}}
  pass_on: {{target: "t:pass_on", input: between, output: two}}
  join: {{target: "t:{join}", input: {{first: one, second: two}}}}
"""
JOINED_CODE = """\
ITEMS = 200

def count():
    yield from range(ITEMS)

def pass_on(n):
    return n

def all_of_one_first(first, second):
    known = set()
    for n in first:
        known.add(n)
    print("joined", sum(n in known for n in second))

def in_turn(first, second):
    print("joined", sum(a == b for a, b in zip(first, second)))
"""


def warned(run):
    """The codes of what `validate` says of the spec of a run."""
    done = subprocess.run(
        [COMMAND, "validate", "--format", "json"],
        cwd=run.folder, capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip

    return [problem["code"] for spec in json.loads(done.stdout) for problem in spec["problems"]]


@pytest.mark.parametrize(
    ("join", "size", "warns", "stalls"),
    [
        ("all_of_one_first", 5, True, True),
        ("all_of_one_first", 1200, False, False),
        ("in_turn", 5, False, False),
    ],
)
def test_branches_that_join_again_stall_where_one_is_read_first_and_the_other_is_small(
    begin, join, size, warns, stalls
):
    run = begin(JOINED.format(join=join, size=size), JOINED_CODE)
    ended = run.end()
    assert ("MP310" in warned(run)) is warns
    if not stalls:
        assert (ended.exit_code, ended.log.printed("join-1")) == (0, ["joined 200"])
        return
    assert ended.exit_code == 1
    (stall,) = ended.log.having("run.stalled")
    assert dict(stall["waits"]) == {
        "count-1": "room in between",
        "pass_on-1": "room in two",
        "join-1": "items of one",
    }


@pytest.mark.parametrize(
    "late",
    [
        "prepare: failed, build: succeeded",
        "prepare: failed, other: failed",
        "prepare: failed, mend: succeeded",
    ],
)
def test_a_wait_that_can_never_hold_skips_its_job_and_a_clean_up_job_runs(begin, late):
    spec = f"""\
jobs:
  prepare: {{target: "t:fail"}}
  other: {{target: "t:wait", terminate: {{grace: 20s}}}}
  build: {{target: "t:fine", after: prepare}}
  mend: {{target: "t:fine", after: {{prepare: failed}}}}
  late: {{target: "t:fine", after: {{{late}}}}}
"""
    code = """\
import signal

def fail():
    raise ValueError("it cannot be prepared")

def wait():
    signal.pause()

def fine():
    pass
"""
    run = begin(spec, code)
    ended = run.end()
    assert warned(run) == ["MP508"]
    assert ended.statuses() == {
        "prepare": "failed",
        "other": "terminated",
        "build": "skipped",
        "mend": "succeeded",
        "late": "skipped",
    }
