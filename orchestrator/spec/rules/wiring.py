"""MP301 to MP399: queues, and how jobs are wired to them."""

from __future__ import annotations

from orchestrator.errors import Rule, Severity

_RIGHT = """\
version: 1
queues: {todo: 100}
jobs:
  numbers: {target: "mine:numbers", output: todo}
  show: {target: "mine:show", input: todo}
"""
_FILLED = _RIGHT.replace('"mine:numbers", output: todo', '"mine:fill", output: {out: todo}')

UNKNOWN_QUEUE = Rule(
    code="MP301",
    title="A queue that is not declared",
    why="Every queue stands under `queues`, so that a misspelt name cannot make a second one.",
    wrong=_RIGHT.replace("output: todo", "output: [todo, tood]"),
    right=_RIGHT,
)

ONE_SIDED_QUEUE = Rule(
    code="MP302",
    title="A queue that nobody writes to, or nobody reads from",
    why="Without a reader a queue fills up and its writer waits for ever; without a writer nothing "
    "ever comes. A job that is not enabled does not count.",
    wrong='version: 1\nqueues: {todo: 100}\njobs:\n  numbers: {target: "mine:numbers", '
    "output: todo}\n",
    right=_RIGHT,
)

QUEUE_TWICE = Rule(
    code="MP303",
    title="A queue that a job names twice",
    why="On each side a job has a queue once: naming it twice would double what is put, or give "
    "two handles of one queue.",
    wrong=_RIGHT.replace("output: todo", "output: [todo, todo]"),
    right=_RIGHT,
)

EMPTY_WIRING = Rule(
    code="MP304",
    title="An input or output that names no queue",
    why="An empty list or map wires nothing. Remove the key if the job needs no queue there.",
    wrong='version: 1\njobs:\n  report: {target: "mine:report", output: []}\n',
    right='version: 1\njobs:\n  report: {target: "mine:report"}\n',
)

PARAMETER_TWICE = Rule(
    code="MP305",
    title="A parameter that is given twice",
    why="Handles and `kwargs` are passed by name, in one call; a parameter has one value.",
    wrong=_FILLED.replace("out: todo}", "out: todo}, kwargs: {out: 3}"),
    right=_FILLED.replace("out: todo}", "out: todo}, kwargs: {most: 3}"),
)

_BATCHES = """\
version: 1
queues: {todo: 100, done: 100}
jobs:
  numbers: {target: "mine:numbers", output: todo}
  double: {target: "mine:double_all", input: todo, output: done, call: batch, batch: {size: 40}}
  show: {target: "mine:show", input: done, call: batch, batch: {size: SIZE}}
"""

LARGE_BATCH = Rule(
    code="MP306",
    title="A batch that never fits into its queue",
    why="A batch is handed over whole, so its size cannot be more than the queue holds.",
    wrong=_RIGHT.replace("input: todo", "input: todo, call: batch, batch: {size: 500}"),
    right=_RIGHT.replace("input: todo", "input: todo, call: batch, batch: {size: 50}"),
)

UNBOUNDED_QUEUE = Rule(
    code="MP307",
    title="A queue without a bound",
    severity=Severity.WARNING,
    why="`maxsize: 0` never makes a writer wait: if it is faster than the reader, the memory fills "
    "up. A bound costs nothing where the reader keeps pace.",
    wrong=_RIGHT.replace("todo: 100", "todo: 0"),
    right=_RIGHT,
)

POINTLESS_POLICY = Rule(
    code="MP308",
    title="A policy for a full queue that can never count",
    why="An unbounded queue is never full, and nobody waits for room in one that drops or fails: "
    "a `when_full` or `put_timeout` there says something that cannot happen.",
    wrong=_RIGHT.replace(
        "todo: 100", "todo: {maxsize: 100, when_full: drop_oldest, put_timeout: 5s}"
    ),
    right=_RIGHT.replace("todo: 100", "todo: {maxsize: 100, put_timeout: 5s}"),
)

MORE_THAN_MEMORY = Rule(
    code="MP309",
    title="Queues that may hold more than the memory",
    severity=Severity.WARNING,
    why="`max_bytes` is what a queue may come to hold in memory if its readers are slower than its "
    "writers. Here the largest of them, or all together, may hold more than the machine has.",
    wrong=_RIGHT.replace("todo: 100", "todo: {max_bytes: 1EB}"),
    right=_RIGHT.replace("todo: 100", "todo: {max_bytes: 16MB}"),
)

JOINED_BRANCHES = Rule(
    code="MP310",
    title="Branches that join again, of which one is read to its end first",
    severity=Severity.WARNING,
    why="Two queues lead from one job to another, and the other reads the first to its end before "
    "it takes from the second. If more is put on the second than it holds, the writer waits for "
    "room there, the first queue never ends, and nothing can go on. That is so only for a job with "
    "handles: any other takes from whichever of its inputs has an item. Told of queues that hold "
    "up to 1,000; one that was made larger is taken to hold all.",
    wrong="""\
version: 1
queues: {todo: 100, doubled: 5}
jobs:
  numbers: {target: "mine:numbers", output: [todo, doubled]}
  join: {target: "mine:join", input: {first: todo, second: doubled}}
""",
    right="""\
version: 1
queues: {todo: 100, doubled: 5}
jobs:
  numbers: {target: "mine:numbers", output: [todo, doubled]}
  join: {target: "mine:pairs", input: {first: todo, second: doubled}}
""",
)

UNFILLED_BATCH = Rule(
    code="MP311",
    title="A batch size that the writers' batches never add up to",
    severity=Severity.WARNING,
    why="What a batch gives is put as a whole. If only batch jobs write to a queue and give as "
    "many items as they take, the queue holds sums of their sizes; where none of these lies "
    "between `size` and `maxsize`, the reader's batches are never full. They go out with what is "
    "there once the writers wait for room.",
    wrong=_BATCHES.replace("SIZE", "100"),
    right=_BATCHES.replace("SIZE", "80"),
)
