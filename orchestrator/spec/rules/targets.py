"""MP601 to MP699: targets, looked up without running anything of them."""

from __future__ import annotations

from orchestrator.errors import Rule

_RIGHT = 'version: 1\njobs:\n  report: {target: "mine:report"}\n'

BAD_TARGET = Rule(
    code="MP601",
    title="A target that is not written as package.module:name",
    why="The colon parts the module, as it is imported, from the function or class in it.",
    wrong="version: 1\njobs:\n  report: {target: mine.report}\n",
    right=_RIGHT,
)

NO_MODULE = Rule(
    code="MP602",
    title="A module that cannot be found",
    why="It is looked for in `pythonpath` (the spec's folder, unless said otherwise), then where "
    "this interpreter finds its modules. The message names the interpreter and the places.",
    wrong='version: 1\njobs:\n  report: {target: "mien:report"}\n',
    right=_RIGHT,
)

NO_SUCH_NAME = Rule(
    code="MP603",
    title="A name that its module does not have",
    why="The module's text binds no such name. Names that a module makes while it is imported "
    "(`__getattr__`, `globals()`, star imports) are given the benefit of the doubt.",
    wrong='version: 1\njobs:\n  report: {target: "mine:raport"}\n',
    right=_RIGHT,
)

COROUTINE = Rule(
    code="MP604",
    title="A target that is a coroutine function",
    why="Calling it runs nothing: it makes a coroutine that somebody has to await. Give a plain "
    "function that calls `asyncio.run`.",
    wrong='version: 1\njobs:\n  report: {target: "mine:later", args: [1]}\n',
    right=_RIGHT,
)

NOT_CALLABLE = Rule(
    code="MP605",
    title="A target that cannot be called",
    why="The name stands for data, such as a number or a list.",
    wrong='version: 1\njobs:\n  report: {target: "mine:limit"}\n',
    right=_RIGHT,
)

NOT_PYTHON = Rule(
    code="MP606",
    title="A module that is not Python for this interpreter",
    why="Its text has a syntax error, or is written for another version of Python. The message has "
    "the place.",
    wrong="""\
$ echo 'def work(:' > torn.py
version: 1
jobs:
  report: {target: "torn:work"}
""",
    right=_RIGHT,
)

UNREADABLE_MODULE = Rule(
    code="MP607",
    title="A module whose text cannot be read",
    why="The file is there, but the system or its encoding keeps it from being read.",
    wrong="""\
$ printf '# coding: utf-8\\nname = "caf\\351"\\n' > torn.py
version: 1
jobs:
  report: {target: "torn:name"}
""",
    right=_RIGHT,
)

MAIN_MODULE = Rule(
    code="MP608",
    title="A target in __main__",
    why="Each worker is a process of its own, whose main module is not yours: it can only call "
    "what it can import.",
    wrong='version: 1\njobs:\n  report: {target: "__main__:report"}\n',
    right=_RIGHT,
)
