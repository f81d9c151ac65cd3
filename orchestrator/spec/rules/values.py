"""MP201 to MP299: which keys there are, and what their values look like."""

from __future__ import annotations

from orchestrator.errors import Rule, Severity

_RIGHT = 'version: 1\njobs:\n  report: {target: "mine:report"}\n'

_RATED = """\
version: 1
queues: {todo: 100}
jobs:
  numbers: {target: "mine:numbers", output: todo}
  show: {target: "mine:show", input: todo, rate: RATE}
"""

UNKNOWN_KEY = Rule(
    code="MP201",
    title="A key that mporch does not know",
    why="A misspelt key that is passed over does nothing, and nobody notices. The hint names the "
    "key that is nearest, or the one that means what other tools call so. Top-level keys that "
    "begin with `x-` are yours, for anchors.",
    wrong='version: 1\njobs:\n  report: {target: "mine:report", needs: nothing}\n',
    right='version: 1\nx-notes: mine\njobs:\n  report: {target: "mine:report"}\n',
)

MISSING_KEY = Rule(
    code="MP202",
    title="A key that is missing",
    why="A spec needs `version` and `jobs`, and each job a `target` or a `command`.",
    wrong='jobs:\n  report: {target: "mine:report"}\n',
    right=_RIGHT,
)

EMPTY_VALUE = Rule(
    code="MP203",
    title="A key without a value",
    why="Nothing after the colon is `null`. Where null means something (no limit, the default "
    "queue) it is fine; elsewhere a value was forgotten. A job is rid of one of the `defaults` by "
    "a `null` that is written.",
    wrong='version: 1\njobs:\n  report: {target: "mine:report", after: }\n',
    right='version: 1\njobs:\n  report: {target: "mine:report", timeouts: {run: null}}\n',
)

WRONG_TYPE = Rule(
    code="MP204",
    title="A value of the wrong kind",
    why="Text, a whole number, true or false, a list, a mapping: each key takes one of them, and "
    "nothing is converted in silence. In YAML 1.2 `yes`, `on` and `1_000` are text; true, false "
    "and plain digits are not.",
    wrong='version: 1\njobs:\n  report: {target: "mine:report", enabled: yes}\n',
    right='version: 1\njobs:\n  report: {target: "mine:report", enabled: true}\n',
)

UNKNOWN_WORD = Rule(
    code="MP205",
    title="A word that is none of the choices",
    why="The key takes one of a few words, which the message lists.",
    wrong='version: 1\njobs:\n  report: {target: "mine:report", on_failure: ignore}\n',
    right='version: 1\njobs:\n  report: {target: "mine:report", on_failure: continue}\n',
)

OUT_OF_RANGE = Rule(
    code="MP206",
    title="A number that is too small or too large",
    why="The message names the least or the most.",
    wrong='version: 1\njobs:\n  report: {target: "mine:report", workers: 0}\n',
    right='version: 1\njobs:\n  report: {target: "mine:report", workers: 1}\n',
)

BAD_DURATION = Rule(
    code="MP207",
    title="A duration that cannot be read",
    why="A duration is a number and a unit, the larger unit first: `200ms`, `10s`, `1m30s`, `1d`. "
    "A bare `10` could be seconds or milliseconds, `1:30` minutes or hours, so neither is taken. "
    "The longest is 100 years; a limit is longer than nothing, and null is no limit.",
    wrong='version: 1\ntimeout: 90\njobs:\n  report: {target: "mine:report"}\n',
    right='version: 1\ntimeout: 90s\njobs:\n  report: {target: "mine:report"}\n',
)

BAD_SIZE = Rule(
    code="MP208",
    title="A size that cannot be read",
    why="A size is a number and a unit: kB, MB, GB are powers of 1000, KiB, MiB, GiB of 1024. What "
    "no process could start with is refused too.",
    wrong='version: 1\njobs:\n  report: {target: "mine:report", limits: {memory: 500}}\n',
    right='version: 1\njobs:\n  report: {target: "mine:report", limits: {memory: 500MB}}\n',
)

BAD_NAME = Rule(
    code="MP209",
    title="A name that cannot be one",
    why="Jobs and queues have up to 64 ASCII letters, digits, `_` and `-`, do not begin with `-`, "
    "and do not end in `-` and digits: `parse-1` is the first worker of `parse`.",
    wrong='version: 1\njobs:\n  report-1: {target: "mine:report"}\n',
    right='version: 1\njobs:\n  report_1: {target: "mine:report"}\n',
)

BAD_PARAMETER = Rule(
    code="MP210",
    title="A name that no parameter can have",
    why="In a map under `input` or `output` the keys are parameters of the target, the values are "
    "queues: the target is called with parameter=handle.",
    wrong="""\
version: 1
queues: {letters: 10}
jobs:
  write: {target: "mine:show", output: {out-box: letters}}
  read: {target: "mine:show", input: letters}
""",
    right="""\
version: 1
queues: {letters: 10}
jobs:
  write: {target: "mine:show", output: {number: letters}}
  read: {target: "mine:show", input: letters}
""",
)

BAD_VERSION = Rule(
    code="MP211",
    title="A version that this mporch does not read",
    why="`version` is that of the spec's format, a whole number. There is one so far: 1.",
    wrong='version: "1.0"\njobs:\n  report: {target: "mine:report"}\n',
    right=_RIGHT,
)

NUL_IN_TEXT = Rule(
    code="MP212",
    title="Text with a NUL character",
    why="The system ends texts at a NUL: no path, variable or name can hold one.",
    wrong='version: 1\njobs:\n  report: {target: "mine:report", cwd: ".\\0"}\n',
    right='version: 1\njobs:\n  report: {target: "mine:report", cwd: "."}\n',
)

DOUBTFUL_WORD = Rule(
    code="MP213",
    title="A word that means something else in YAML 1.1",
    severity=Severity.WARNING,
    why="An argument may be of any type, so nobody can tell that `no` was to be false. It is text "
    "in YAML 1.2, as are `22:30`, `1_000` and dates; other tools read a truth value, minutes, a "
    "number, a date. Quote what is text; write true, false or the number otherwise.",
    wrong='version: 1\njobs:\n  report: {target: "mine:report", kwargs: {verbose: no}}\n',
    right='version: 1\njobs:\n  report: {target: "mine:report", kwargs: {verbose: false}}\n',
)

BAD_RATE = Rule(
    code="MP214",
    title="A rate that cannot be read",
    why="A rate is a number and a unit of time: `10/s`, `100/min`, `5/h`, `1/d`. A bare `10` could "
    "be meant by the second or by the minute, so it is not taken. Nothing at all is no rate.",
    wrong=_RATED.replace("RATE", "10"),
    right=_RATED.replace("RATE", "10/s"),
)
