"""MP601 to MP649: targets, looked up without running anything of them."""

from __future__ import annotations

from orchestrator.errors import Rule, Severity

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

NAMELESS = Rule(
    code="MP609",
    title="A target that is a lambda or is nested in a function",
    why="A worker finds a target by its name. What is defined inside of a function exists only "
    "while that runs; and of a lambda neither log, traceback nor pickle can tell which one it is.",
    wrong="""\
$ printf 'def outer():\\n    def work():\\n        pass\\n' > nested.py
version: 1
jobs:
  report: {target: "nested:outer.work"}
""",
    right=_RIGHT,
)

MISSING_ARGUMENT = Rule(
    code="MP610",
    title="A parameter that nothing gives",
    why="A function is called with the item (the batch, the iterator) if the job has an input, "
    "then `args`, `kwargs` and a handle for each parameter named under `input` or `output`. A "
    "class is made with `args` and `kwargs`; what it makes is called with the rest.",
    wrong='version: 1\njobs:\n  double: {target: "mine:double"}\n',
    right='version: 1\njobs:\n  double: {target: "mine:double", args: [21]}\n',
)

TOO_MANY_ARGUMENTS = Rule(
    code="MP611",
    title="More positional arguments than there are parameters",
    why="The item comes first, then `args` in their order. Parameters after a `*` can be given in "
    "`kwargs` only.",
    wrong='version: 1\njobs:\n  double: {target: "mine:double", args: [21, 2]}\n',
    right='version: 1\njobs:\n  double: {target: "mine:double", args: [21]}\n',
)

UNKNOWN_ARGUMENT = Rule(
    code="MP612",
    title="A name in kwargs, or of a handle, that is no parameter",
    why="Each key of `kwargs`, and each handle, is given to the parameter of that name.",
    wrong='version: 1\njobs:\n  double: {target: "mine:double", kwargs: {nubmer: 21}}\n',
    right='version: 1\njobs:\n  double: {target: "mine:double", kwargs: {number: 21}}\n',
)

GIVEN_TWICE = Rule(
    code="MP613",
    title="A parameter that is given twice",
    why="The item and `args` fill the parameters from the first on; what they fill cannot be given "
    "by name, too.",
    wrong='version: 1\njobs:\n  double: {target: "mine:double", args: [21], kwargs: {number: 4}}\n',
    right='version: 1\njobs:\n  double: {target: "mine:double", args: [21]}\n',
)

POSITIONAL_ONLY = Rule(
    code="MP614",
    title="A positional-only parameter that is given by name",
    why="Parameters before a `/` have no name for whoever calls: give them in `args`.",
    wrong="""\
$ printf 'def half(number, /):\\n    print(number / 2)\\n' > halves.py
version: 1
jobs:
  half: {target: "halves:half", kwargs: {number: 21}}
""",
    right='version: 1\njobs:\n  double: {target: "mine:double", args: [21]}\n',
)

BAD_RESULT = Rule(
    code="MP615",
    title="A result that the job cannot emit",
    why="A source gives back, or yields, its items: any iterable but text, bytes and mappings. A "
    "batch gives back None, a list or a generator. Told only where every `return` of the function "
    "shows it.",
    wrong="""\
version: 1
queues: {numbers: 10}
jobs:
  report: {target: "mine:report", output: numbers}
  show: {target: "mine:show", input: numbers}
""",
    right="""\
version: 1
queues: {numbers: 10}
jobs:
  numbers: {target: "mine:numbers", output: numbers}
  show: {target: "mine:show", input: numbers}
""",
)

EMITS_NOTHING = Rule(
    code="MP616",
    title="A job with an output whose function gives nothing back",
    severity=Severity.WARNING,
    why="None is not emitted, so the queue stays empty. Is a `return` missing?",
    wrong="""\
version: 1
queues: {numbers: 10, doubled: 10}
jobs:
  numbers: {target: "mine:numbers", output: numbers}
  double: {target: "mine:show", input: numbers, output: doubled}
  show: {target: "mine:show", input: doubled}
""",
    right="""\
version: 1
queues: {numbers: 10, doubled: 10}
jobs:
  numbers: {target: "mine:numbers", output: numbers}
  double: {target: "mine:double", input: numbers, output: doubled}
  show: {target: "mine:show", input: doubled}
""",
)

TYPES_DISAGREE = Rule(
    code="MP617",
    title="Annotated types that disagree along a queue",
    severity=Severity.WARNING,
    why="What the writer of a queue is annotated to give is nothing that its reader is annotated "
    "to take. Only plain types (`str`, `int`, `list`, …) and unions of them are compared.",
    wrong="""\
$ printf 'def words() -> list[str]:\\n    return ["a"]\\n' > letters.py
$ printf 'def count(number: int) -> None:\\n    print(number)\\n' >> letters.py
version: 1
queues: {words: 10}
jobs:
  words: {target: "letters:words", output: words}
  count: {target: "letters:count", input: words}
""",
    right="""\
version: 1
queues: {numbers: 10}
jobs:
  numbers: {target: "mine:numbers", output: numbers}
  show: {target: "mine:show", input: numbers}
""",
)
