"""MP671 to MP699: commands, in the place of targets."""

from __future__ import annotations

from orchestrator.errors import Rule, Severity

_TASK = "version: 1\njobs:\n  pack: {command: [tar, cf, data.tar, data]}\n"
_PIPE = """\
version: 1
queues: {todo: 100}
jobs:
  numbers: {command: [seq, 100], output: todo}
  show: {command: [echo, "{item}"], input: todo}
"""

TWO_CALLS = Rule(
    code="MP671",
    title="A job with a target and a command",
    why="A job calls a Python function or class, `target`, or runs a program, `command`. To do "
    "both, write two jobs.",
    wrong=_TASK.replace("{command", '{target: "mine:report", command'),
    right=_TASK,
)

COMMAND_MISFIT = Rule(
    code="MP672",
    title="A key that does not go with a command, or only with one",
    why="`stdin`, `stdout`, `exit_codes` and `tty` say how a command is run, so a target has none "
    "of them. A command gets its arguments in `command`, not in `args` and `kwargs`, and no queue "
    "handles: it is a program of its own. What it reads needs an input, what it writes an output.",
    wrong=_TASK.replace("data]", "data], kwargs: {level: 9}"),
    right=_TASK.replace("data]", "data], exit_codes: [0, 1]"),
)

BAD_PLACEHOLDER = Rule(
    code="MP673",
    title="A place for the item where there is none",
    why="`{item}` stands for the item of a job that runs its command once an item. A job without "
    "an input has no item, and one that is called with batches or a stream has many: they are read "
    "from standard input. To have the text itself, double the braces: `{{item}}`.",
    wrong=_PIPE.replace("[seq, 100]", '[seq, "{item}"]'),
    right=_PIPE,
)

DOUBTFUL_PLACEHOLDER = Rule(
    code="MP674",
    title="A word in braces that is nearly `item`",
    severity=Severity.WARNING,
    why="Only `{item}`, `{item[key]}` and `{item.name}` are places for the item. All else in "
    "braces is handed to the program as it is.",
    wrong=_PIPE.replace("{item}", "{itm}"),
    right=_PIPE,
)

NO_PROGRAM = Rule(
    code="MP675",
    title="A program that cannot be started",
    why="The first word of a list is a program. It is looked for on the job's PATH or, if there is "
    "a slash in it, from the job's working directory; it has to be a file that may be executed. "
    "What a shell is given as text is looked up by the shell when it runs.",
    wrong=_TASK.replace("[tar", "[tarr"),
    right=_TASK,
)

BAD_SCRIPT = Rule(
    code="MP676",
    title="A command that the shell cannot read",
    why="A command that is text is read by /bin/sh. It says what is wrong with quotes, brackets "
    "and keywords without running anything (`sh -n`).",
    wrong='version: 1\njobs:\n  pack: {command: "tar cf \'data.tar data"}\n',
    right="version: 1\njobs:\n  pack: {command: \"tar cf 'data.tar' data\"}\n",
)

DOUBTFUL_COMMAND = Rule(
    code="MP677",
    title="A word of the shell in a list",
    severity=Severity.WARNING,
    why="A list is a program and its arguments, with no shell in between: `|`, `>` and `&&`, `~`, "
    "`*.txt` and `$HOME` are handed to the program like any other word. Text is for the shell.",
    wrong='version: 1\njobs:\n  count: {command: [ls, "|", wc, -l]}\n',
    right="version: 1\njobs:\n  count: {command: ls | wc -l}\n",
)

ONE_WORD = Rule(
    code="MP678",
    title="A variable that was to be more than a word",
    severity=Severity.WARNING,
    why="In a command that is text each `${…}` is one word, as `{item}` is: blanks, quotes and `$` "
    "in its value mean nothing to the shell. In quotes that is plain to see, and not told. (Once "
    "the value was read as a part of the command.) Options that are written in the spec are handed "
    "on as source by `${vars.name:shell}`.",
    wrong='version: 1\nvars: {flags: -l -a}\njobs:\n  list: {command: "ls ${vars.flags}"}\n',
    right='version: 1\nvars: {flags: -l -a}\njobs:\n  list: {command: "ls ${vars.flags:shell}"}\n',
)
