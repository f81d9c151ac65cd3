"""MP501 to MP599: what waits for what, and waits that never end."""

from __future__ import annotations

from orchestrator.errors import Rule, Severity

_RIGHT = """\
version: 1
jobs:
  prepare: {target: "mine:report"}
  report: {target: "mine:report", after: prepare}
"""

UNKNOWN_JOB = Rule(
    code="MP501",
    title="A wait for a job that is not there",
    why="`after` names jobs of this spec.",
    wrong=_RIGHT.replace("after: prepare", "after: perpare"),
    right=_RIGHT,
)

WAITS_FOR_ITSELF = Rule(
    code="MP502",
    title="A job that waits for itself",
    why="It would never start.",
    wrong=_RIGHT.replace("after: prepare", "after: report"),
    right=_RIGHT,
)

WAITS_FOR_DISABLED = Rule(
    code="MP503",
    title="A wait for the failure of a job that is not enabled",
    why="With `enabled: false` a job is as if it were left out by `--skip`: whoever is `after` it "
    "does not wait for it. But it never fails, so who waits for that would never start.",
    wrong=_RIGHT.replace('report"}', 'report", enabled: false}').replace(
        "after: prepare", "after: {prepare: failed}"
    ),
    right=_RIGHT.replace('report"}', 'report", enabled: false}'),
)

WAITS_FOR_DAEMON = Rule(
    code="MP504",
    title="A wait for the end of a daemon",
    why="A daemon is ended when all other jobs are done, the waiting one among them. That it is "
    "ready can be waited for.",
    wrong=_RIGHT.replace('report"}', 'report", daemon: true}'),
    right=_RIGHT.replace('report"}', 'report", daemon: true}').replace(
        "after: prepare", "after: {prepare: ready}"
    ),
)

WAITS_TWICE = Rule(
    code="MP505",
    title="A job that is waited for twice",
    why="One of the two is a slip, perhaps for another job.",
    wrong=_RIGHT.replace("after: prepare", "after: [prepare, prepare]"),
    right=_RIGHT,
)

CYCLE = Rule(
    code="MP506",
    title="Jobs and queues in a circle",
    why="Each waits for the one before it, over `after` or over a queue that ends when its writers "
    "have ended. Nothing in the circle could ever finish.",
    wrong="""\
version: 1
queues: {todo: 100, doubled: 100}
jobs:
  double: {target: "mine:double", input: todo, output: doubled}
  again: {target: "mine:double", input: doubled, output: todo}
""",
    right="""\
version: 1
queues: {todo: 100, doubled: 100}
jobs:
  numbers: {target: "mine:numbers", output: todo}
  double: {target: "mine:double", input: todo, output: doubled}
  show: {target: "mine:show", input: doubled}
""",
)

READ_TOO_LATE = Rule(
    code="MP507",
    title="A queue that is read only after its writer has ended",
    severity=Severity.WARNING,
    why="The queue must hold all that is written. If that is more than its `maxsize`, the writer "
    "waits for room and the reader for the writer, for ever.",
    wrong="""\
version: 1
queues: {todo: 100}
jobs:
  numbers: {target: "mine:numbers", output: todo}
  show: {target: "mine:show", input: todo, after: numbers}
""",
    right="""\
version: 1
queues: {todo: 100}
jobs:
  numbers: {target: "mine:numbers", output: todo}
  show: {target: "mine:show", input: todo, after: {numbers: ready}}
""",
)

NEVER_TRUE = Rule(
    code="MP508",
    title="Waits that cannot all come true",
    severity=Severity.WARNING,
    why="All that a job is `after` must hold. A job that waits for the failure of one job and the "
    "success of another is skipped if the second can only succeed after the first has, or if the "
    "failure stops the run (`on_failure: stop`, the default) before the second can end. With two "
    "failures the first one stops the other job.",
    wrong="""\
version: 1
jobs:
  prepare: {target: "mine:report"}
  build: {target: "mine:report", after: prepare}
  report: {target: "mine:report", after: {prepare: failed, build: succeeded}}
""",
    right="""\
version: 1
jobs:
  prepare: {target: "mine:report"}
  build: {target: "mine:report", after: prepare}
  report: {target: "mine:report", after: {prepare: failed, build: finished}}
""",
)
