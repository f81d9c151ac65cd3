"""MP110 to MP139: the text as YAML 1.2, and the bounds that keep it from growing without end."""

from __future__ import annotations

from orchestrator.errors import Rule, Severity

NOT_YAML = Rule(
    code="MP110",
    title="The text is not YAML",
    why="A bracket or quote is never closed, a colon is missing, or the indentation does not fit "
    "the lines above. The place is where the text stopped making sense; the cause may be a little "
    "before it.",
    wrong='version: 1\njobs:\n  report: {target: "mine:report"\n',
    right='version: 1\njobs:\n  report: {target: "mine:report"}\n',
)

TAB = Rule(
    code="MP111",
    title="A tab where YAML wants spaces",
    why="YAML is indented by spaces only: how wide a tab is depends on the reader.",
    wrong='version: 1\njobs:\n\treport: {target: "mine:report"}\n',
    right='version: 1\njobs:\n  report: {target: "mine:report"}\n',
)

SECOND_DOCUMENT = Rule(
    code="MP112",
    title="A second document",
    why="A spec is one YAML document. What came after a `---` would be passed over in silence.",
    wrong='version: 1\njobs:\n  report: {target: "mine:report"}\n---\nversion: 1\n',
    right='---\nversion: 1\njobs:\n  report: {target: "mine:report"}\n',
)

TOO_DEEP = Rule(
    code="MP113",
    title="Nested deeper than 64 levels",
    why="No spec needs it; a text that does it is broken, or made to break its reader.",
    wrong=f"version: 1\njobs:\n  report:\n    args: {'[' * 70}{']' * 70}\n",
    right='version: 1\njobs:\n  report: {target: "mine:report"}\n',
)

TOO_MANY_NODES = Rule(
    code="MP114",
    title="More than 50,000 keys and values",
    why="A spec that large is data. It would take long to check, and nobody could read what is "
    "wrong with it.",
    wrong="$ (echo 'version: 1'; echo 'x-data:'; yes -- '- 1' | head -n 50001) > jobs.yaml\n",
    right='version: 1\njobs:\n  report: {target: "mine:report"}\n',
)

ALIAS_BOMB = Rule(
    code="MP115",
    title="Aliases that stand for too much",
    why="An alias stands for all that its anchor holds; aliases of aliases multiply, and a few "
    "lines become billions of values. Together they may stand for 10,000 keys and values, and for "
    "1 MiB of text.",
    wrong="""\
version: 1
x-a: &a [lol, lol, lol, lol, lol, lol, lol, lol, lol, lol]
x-b: &b [*a, *a, *a, *a, *a, *a, *a, *a, *a, *a]
x-c: &c [*b, *b, *b, *b, *b, *b, *b, *b, *b, *b]
x-d: &d [*c, *c, *c, *c, *c, *c, *c, *c, *c, *c]
x-e: &e [*d, *d, *d, *d, *d, *d, *d, *d, *d, *d]
""",
    right="""\
version: 1
x-slow: &slow {timeouts: {run: 1h}}
jobs:
  first: {<<: *slow, target: "mine:report"}
  second: {<<: *slow, target: "mine:report"}
""",
)

NO_ANCHOR = Rule(
    code="MP116",
    title="An alias without an anchor",
    why="`*name` stands for what `&name` marked, further up in the file. Text that begins with a "
    "star needs quotes.",
    wrong='version: 1\njobs:\n  report: {target: "mine:report", args: [*slow]}\n',
    right='version: 1\njobs:\n  report: {target: "mine:report", description: "*slow"}\n',
)

ANCHOR_TWICE = Rule(
    code="MP117",
    title="An anchor defined twice",
    why="YAML lets the last one win from there on, so that an alias changes its meaning when lines "
    "are moved. Give each its own name.",
    wrong="""\
version: 1
x-fast: &limits {run: 1m}
x-slow: &limits {run: 1h}
jobs:
  report: {target: "mine:report", timeouts: *limits}
""",
    right="""\
version: 1
x-fast: &fast {run: 1m}
x-slow: &slow {run: 1h}
jobs:
  report: {target: "mine:report", timeouts: *slow}
""",
)

RECURSION = Rule(
    code="MP118",
    title="An anchor that contains itself",
    why="What holds itself has no end; it could not be checked, shown or sent to a process.",
    wrong='version: 1\njobs:\n  report: {target: "mine:report", args: &all [1, *all]}\n',
    right='version: 1\njobs:\n  report: {target: "mine:report", description: "1 and all"}\n',
)

TAG = Rule(
    code="MP119",
    title="A tag",
    why="Tags such as `!!python/object` or `!Ref` make objects in other readers. A spec is plain "
    "data: nothing in it is run or built. (`!!str` may stand before text.)",
    wrong='version: 1\njobs:\n  report: {target: "mine:report", workers: !!int "1"}\n',
    right='version: 1\njobs:\n  report: {target: "mine:report", workers: 1}\n',
)

KEY_TWICE = Rule(
    code="MP120",
    title="A key given twice",
    why="Most readers keep the last and say nothing. Both places are named: keep one.",
    wrong="""\
version: 1
jobs:
  report:
    target: mine:report
    description: tells how it went
    target: mine:numbers
""",
    right="version: 1\njobs:\n  report:\n    target: mine:report\n",
)

BAD_KEY = Rule(
    code="MP121",
    title="A key that is no text",
    why="Lists, mappings, truth values, null and fractions cannot be the names of anything here. "
    "Put quotes around a word that only looks like one of them.",
    wrong='version: 1\njobs:\n  true: {target: "mine:report"}\n',
    right='version: 1\njobs:\n  "true": {target: "mine:report"}\n',
)

BAD_MERGE = Rule(
    code="MP122",
    title="A merge of something that is no mapping",
    why="`<<` takes the keys of a mapping, or of each mapping in a list, into this one. There is "
    "nothing to take from text or a number.",
    wrong="""\
version: 1
x-limit: &limit 1h
jobs:
  report: {<<: *limit, target: "mine:report"}
""",
    right="""\
version: 1
x-limit: &limit {timeouts: {run: 1h}}
jobs:
  report: {<<: *limit, target: "mine:report"}
""",
)

DOUBTFUL_NUMBER = Rule(
    code="MP123",
    title="A number that readers do not agree on",
    why="A leading zero means octal to YAML 1.1 and nothing to YAML 1.2: `010` is 8 or 10. A "
    "number of hundreds of digits overflows in some readers. Put quotes around text; drop the "
    "zero of a number.",
    wrong='version: 1\njobs:\n  report: {target: "mine:report", workers: 01}\n',
    right='version: 1\njobs:\n  report: {target: "mine:report", workers: 1}\n',
)

HALF_CHARACTER = Rule(
    code="MP124",
    title="Half a character",
    why="`\\ud83d` is the first half of a surrogate pair; no text can hold it alone. Write the "
    "character itself, or its whole escape (`\\U0001f600`).",
    wrong='version: 1\nname: "\\ud83d"\njobs:\n  report: {target: "mine:report"}\n',
    right='version: 1\nname: "\\U0001f600"\njobs:\n  report: {target: "mine:report"}\n',
)

NOT_A_MAPPING = Rule(
    code="MP125",
    title="The spec is empty, a list or a single value",
    why="At the top of a spec stand keys: `version` and `jobs`, and what else is wanted.",
    wrong="- version: 1\n- jobs: {}\n",
    right='version: 1\njobs:\n  report: {target: "mine:report"}\n',
)

OLD_YAML = Rule(
    code="MP126",
    title="A version of YAML that is not 1.1 or 1.2",
    why="A `%YAML` line names the version of YAML itself. mporch reads YAML 1.2; the line can go.",
    wrong='%YAML 2.0\n---\nversion: 1\njobs:\n  report: {target: "mine:report"}\n',
    right='---\nversion: 1\njobs:\n  report: {target: "mine:report"}\n',
)

EMPTY_LAYER = Rule(
    code="MP127",
    title="A file laid over a spec that lays nothing over it",
    severity=Severity.WARNING,
    why="A file given with `-f` that is empty, or all comments, changes nothing. That may be what "
    "is wanted, or the wrong file.",
    wrong="""\
$ echo '# nothing yet' > over.yaml
$ mporch validate jobs.yaml -f over.yaml
version: 1
jobs:
  report: {target: "mine:report"}
""",
    right="""\
$ echo 'timeout: 1h' > over.yaml
$ mporch validate jobs.yaml -f over.yaml
version: 1
jobs:
  report: {target: "mine:report"}
""",
)
