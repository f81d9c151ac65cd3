"""MP651 to MP699: targets, imported by `mporch validate --import`."""

from __future__ import annotations

from orchestrator.errors import Rule, Severity

_RIGHT = 'version: 1\njobs:\n  report: {target: "mine:report"}\n'

IMPORT_FAILS = Rule(
    code="MP651",
    title="A module that cannot be imported",
    why="Told by `mporch validate --import`, which imports each target in a process of its own: "
    "the import raises, exits, crashes, or takes too long. So it would in each worker.",
    wrong="""\
$ printf 'raise RuntimeError("no licence")\\ndef work(): ...\\n' > broken.py
version: 1
jobs:
  work: {target: "broken:work"}
""",
    right=_RIGHT,
)

IMPORT_PRINTS = Rule(
    code="MP652",
    title="A module that prints while it is imported",
    severity=Severity.WARNING,
    why="Told by `mporch validate --import`. Each worker imports it, so that it is printed as "
    "often as there are workers.",
    wrong="""\
$ printf 'print("hello")\\ndef work(): ...\\n' > chatty.py
version: 1
jobs:
  work: {target: "chatty:work"}
""",
    right=_RIGHT,
)

NOT_BY_NAME = Rule(
    code="MP653",
    title="A target that pickle cannot name",
    severity=Severity.WARNING,
    why="Told by `mporch validate --import`. What the target's name stands for says that it is "
    "something else, mostly because a decorator lacks `functools.wraps`. mporch calls it all the "
    "same; but it cannot be sent to another process, as an item or to a pool, and tracebacks and "
    "profiles have the wrong name.",
    wrong="""\
$ printf 'def logged(f):\\n    def call():\\n        f()\\n    return call\\n' > marked.py
$ printf '@logged\\ndef work(): ...\\n' >> marked.py
version: 1
jobs:
  work: {target: "marked:work"}
""",
    right=_RIGHT,
)

WRAPPED_CALL = Rule(
    code="MP654",
    title="A call that the decorated function would not take",
    severity=Severity.WARNING,
    why="Told by `mporch validate --import`. The decorator takes any arguments, but the function "
    "it stands before does not take these. That is right only if the decorator changes them.",
    wrong="""\
$ printf 'import functools\\ndef logged(f):\\n    @functools.wraps(f)\\n' > marked.py
$ printf '    def call(*a, **k):\\n        return f(*a, **k)\\n    return call\\n' >> marked.py
$ printf '@logged\\ndef work(number): ...\\n' >> marked.py
version: 1
jobs:
  work: {target: "marked:work"}
""",
    right=_RIGHT,
)
