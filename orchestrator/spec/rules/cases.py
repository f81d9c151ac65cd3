"""MP701 to MP799: the cases under `tests`."""

from __future__ import annotations

from orchestrator.errors import Rule

_RIGHT = """\
version: 1
queues: {todo: 100, done: 100}
jobs:
  numbers: {target: "mine:numbers", output: todo}
  double: {target: "mine:double", input: todo, output: done}
  show: {target: "mine:show", input: done}
tests:
  numbers are doubled:
    give: {todo: [1, 2]}
    replace: {show: null}
    expect: {queues: {done: [2, 4]}}
"""

UNKNOWN_NAME = Rule(
    code="MP701",
    title="A test of a queue, job or variable that is not there",
    why="A case gives items to queues, replaces and kills jobs, expects something of them and sets "
    "variables, by the names under `queues`, `jobs` and `vars`. What stands under a misspelt one "
    "would never be looked at.",
    wrong=_RIGHT.replace("{done: [2", "{dome: [2"),
    right=_RIGHT,
)

NOT_IN_CASE = Rule(
    code="MP702",
    title="A test of what the case does not run",
    why="Where a case gives items to a queue, only what lies downstream of that runs, with what "
    "this waits for; the queue's own writers do not. Nothing can be expected of the rest, and no "
    "worker of it can be killed.",
    wrong=_RIGHT.replace("expect: {", "expect: {jobs: {numbers: succeeded}, "),
    right=_RIGHT,
)

BAD_STAND_IN = Rule(
    code="MP703",
    title="A stand-in that cannot give what it is told to",
    why="Under `replace` a list is what the job gives to each of its queues. A job with several "
    "handles sends each item to one of them, so its stand-in has a list by queue. A job without "
    "output gives nothing.",
    wrong=_RIGHT.replace("{show: null}", "{show: [1]}"),
    right=_RIGHT.replace("{show: null}", "{double: [3, 5]}").replace("[2, 4]", "[3, 5]"),
)

BAD_MATCHER = Rule(
    code="MP704",
    title="An expected value with a `$` word that means nothing",
    why="In an expected value a map with keys that begin with `$` says what an item is like, where "
    "YAML cannot spell it: `{$type: Fact, $where: {name: a}}`. The words are `$type`, `$where`, "
    "`$repr`, `$str`, `$regex`, `$approx` and `$value`.",
    wrong=_RIGHT.replace("[2, 4]", "[2, {$tpye: int}]"),
    right=_RIGHT.replace("[2, 4]", "[2, {$type: int}]"),
)

BAD_ITEMS = Rule(
    code="MP705",
    title="A case whose items cannot be had",
    why="A queue gets its items from a list, from one `file` or from one `target`. A file holds a "
    "list in JSON or YAML, a JSON value a line (.jsonl), or lines of text (.txt), and not more "
    "than 1 MiB.",
    wrong=_RIGHT.replace("[1, 2]}", "{file: numbers.jsn}}"),
    right=_RIGHT.replace("[1, 2]}", '{target: "mine:numbers"}}').replace("[2, 4]", "100"),
)

POINTLESS_KILL = Rule(
    code="MP706",
    title="A kill that can never happen",
    why="A worker dies when its job comes to its n-th item: one that it takes or, where it has no "
    "input, one that it gives. A job without queues has none; a stand-in and a command are not "
    "killed.",
    wrong=_RIGHT.replace("    expect:", "    kill: {job: show}\n    expect:"),
    right=_RIGHT.replace(
        "    replace: {show: null}\n", "    kill: {job: show, at_item: 2}\n"
    ).replace("{queues:", "{exit_code: 1, queues:"),
)
