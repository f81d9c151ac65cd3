"""MP140 to MP159: `vars`, and what `${…}` stands for."""

from __future__ import annotations

from orchestrator.errors import Rule, Severity

_RIGHT = """\
version: 1
vars: {folder: out}
jobs:
  report: {target: "mine:report", description: "${vars.folder}/a $$"}
"""

UNSET_VARIABLE = Rule(
    code="MP140",
    title="A variable that has no value",
    why="`${NAME}` is the variable NAME of the environment, `${vars.name}` what stands under "
    "`vars`. One that is not there is an error and not empty text, so that a path is never cut "
    "short. `${NAME:-default}` has a default, also for an empty value; `${NAME:?message}` refuses "
    "an empty value and says why.",
    wrong="""\
version: 1
vars: {folder: out}
jobs:
  report: {target: "mine:report", description: "${vars.foldr}/a"}
""",
    right="""\
version: 1
jobs:
  report: {target: "mine:report", description: "${REPORT_FOLDER:-out}/a"}
""",
)

BAD_REFERENCE = Rule(
    code="MP141",
    title="A ${ that begins no reference",
    why="There are `${NAME}`, `${NAME:-default}` and `${NAME:?message}`; other forms of the shell, "
    "and one within another, are not read. A name with a dot belongs to a namespace: `vars`, "
    "`matrix` within a job that has one, `run` and `worker` for what is known when they start. A "
    "plain `${` is written `$${`; a dollar before anything but `{` and `$` is a dollar.",
    wrong="""\
version: 1
jobs:
  report: {target: "mine:report", description: "${HOME%/*}"}
""",
    right="""\
version: 1
jobs:
  report: {target: "mine:report", description: "$${HOME%/*}, at 5 $"}
""",
)

VARIABLE_CYCLE = Rule(
    code="MP142",
    title="Variables that stand for each other",
    why="A variable whose value needs the value itself has none.",
    wrong="""\
version: 1
vars:
  a: ${vars.b}
  b: ${vars.a}
jobs:
  report: {target: "mine:report"}
""",
    right="""\
version: 1
vars:
  a: ${vars.b}
  b: out
jobs:
  report: {target: "mine:report"}
""",
)

BOMB = Rule(
    code="MP143",
    title="Variables that stand for too much",
    why="Variables of variables multiply, and a few lines become billions of values. Together, "
    "references may stand for 10,000 keys and values, and for 1 MiB of text.",
    wrong="""\
version: 1
vars:
  a: [lol, lol, lol, lol, lol, lol, lol, lol, lol, lol]
  b: ["${vars.a}", "${vars.a}", "${vars.a}", "${vars.a}", "${vars.a}", "${vars.a}", "${vars.a}"]
  c: ["${vars.b}", "${vars.b}", "${vars.b}", "${vars.b}", "${vars.b}", "${vars.b}", "${vars.b}"]
  d: ["${vars.c}", "${vars.c}", "${vars.c}", "${vars.c}", "${vars.c}", "${vars.c}", "${vars.c}"]
  e: ["${vars.d}", "${vars.d}", "${vars.d}", "${vars.d}", "${vars.d}", "${vars.d}", "${vars.d}"]
jobs:
  report: {target: "mine:report"}
""",
    right=_RIGHT,
)

NOT_TEXT = Rule(
    code="MP144",
    title="A mapping or list within a text",
    why="`${vars.db}` alone is the whole mapping. Beside other text only a single value can stand: "
    "name the one that is meant, such as `${vars.db.host}`.",
    wrong="""\
version: 1
vars: {db: {host: localhost}}
jobs:
  report: {target: "mine:report", description: "reads from ${vars.db}"}
""",
    right="""\
version: 1
vars: {db: {host: localhost}}
jobs:
  report: {target: "mine:report", description: "reads from ${vars.db.host}"}
""",
)

BAD_VARIABLE_NAME = Rule(
    code="MP145",
    title="A name that no variable can have",
    why="What stands under `vars` is named by up to 64 ASCII letters, digits, `_` and `-`, and "
    "does not begin with a digit or `-`: a dot leads into a mapping.",
    wrong='version: 1\nvars: {db.host: localhost}\njobs:\n  report: {target: "mine:report"}\n',
    right='version: 1\nvars: {db: {host: localhost}}\njobs:\n  report: {target: "mine:report"}\n',
)

BAD_OPTION = Rule(
    code="MP146",
    title="A --var or --set that sets nothing",
    why="`--var name=value` sets `vars.name`, `--set jobs.parse.workers=4` any value by the keys "
    "that lead to it. Jobs and queues must be there already; mappings on the way are made if "
    "they are missing. The place is the option: `--set:2:1` is the second `--set`.",
    wrong="$ mporch validate --set jobs.reprt.workers=2\n"
    'version: 1\njobs:\n  report: {target: "mine:report"}\n',
    right=_RIGHT,
)

BAD_ENV_FILE = Rule(
    code="MP147",
    title="A line of an --env-file that is no variable",
    why="A line is `NAME=value`, `export NAME=value`, a comment or empty. Quotes around a value "
    "are taken off; one that is open reaches to the end of the file.",
    wrong="$ printf 'OUT=a\\n= b\\n' > .env\n$ mporch validate --env-file .env\n"
    'version: 1\njobs:\n  report: {target: "mine:report"}\n',
    right=_RIGHT,
)

BAD_MATRIX = Rule(
    code="MP148",
    title="A matrix that makes no jobs, or too many",
    why="A job is made for each combination of the values, without what is under `exclude`, with "
    "what is under `include`. So each name needs a value, none of them twice; `exclude` speaks of "
    "names that have values. One matrix makes up to 256 jobs, all of a spec up to 50,000 keys and "
    "values, or 1 MiB of text.",
    wrong="""\
version: 1
jobs:
  report:
    target: mine:report
    matrix: {verbose: []}
""",
    right="""\
version: 1
jobs:
  report:
    target: mine:report
    matrix: {verbose: [true, false]}
    kwargs: {verbose: "${matrix.verbose}"}
""",
)

MADE_NAME = Rule(
    code="MP149",
    title="A job of a matrix whose name is taken, or too long",
    why="A job made of a matrix is named by the job and the letters and digits of its values: "
    "`fetch_eu_1`. Two jobs cannot have one name, and none has more than 64 characters.",
    wrong="""\
version: 1
jobs:
  report:
    target: mine:report
    matrix: {verbose: [true]}
  report_true: {target: "mine:report"}
""",
    right="""\
version: 1
jobs:
  report:
    target: mine:report
    matrix: {verbose: [true]}
  report_all: {target: "mine:report"}
""",
)

NOT_YET_KNOWN = Rule(
    code="MP150",
    title="A value that is known only when the run has begun",
    why="`${run.…}` and `${worker.…}` have no value before there is a run, and a worker. They may "
    "stand in what a worker is started with: `args`, `kwargs`, `env` and `cwd`. Names, numbers and "
    "times are needed before.",
    wrong="""\
version: 1
jobs:
  report: {target: "mine:report", description: "${run.id}"}
""",
    right="""\
version: 1
jobs:
  report: {target: "mine:report", env: {REPORT: "${run.dir}/report-${worker.index}"}}
""",
)

TEXT_DEFAULT = Rule(
    code="MP151",
    title="A default that is text beside values that are not",
    severity=Severity.WARNING,
    why="A value of a matrix has the type it was written with. A default is typed as what stands "
    "around it: in quotes it is text. So one job gets a number, and its sibling the text of one. "
    "On a line of its own, outside `{ }` and `[ ]`, no quotes are needed, and the default is a "
    "number, too.",
    wrong="""\
version: 1
queues: {n: 10}
jobs:
  numbers:
    target: mine:fill
    matrix: {size: [s, l], include: [{size: l, most: 1000}]}
    kwargs: {most: "${matrix.most:-10}"}
    output: {out: n}
  show: {target: "mine:show", input: n}
""",
    right="""\
version: 1
queues: {n: 10}
jobs:
  numbers:
    target: mine:fill
    matrix: {size: [s, l], include: [{size: l, most: 1000}]}
    kwargs:
      most: ${matrix.most:-10}
    output: {out: n}
  show: {target: "mine:show", input: n}
""",
)

NO_PLACE_FOR_A_VALUE = Rule(
    code="MP152",
    title="A variable where the shell cannot be given one",
    why="In a command that is text each `${…}` is one word, whatever is in it: it becomes a "
    "variable of the shell, in the quotes that its place needs. After `<<` and a backslash there "
    "is no place for quotes. What is written in the spec can be handed on as source, by "
    "`${vars.name:shell}`; what the environment or an option gives cannot: it might be anything.",
    wrong="""\
version: 1
vars: {greeting: hello}
jobs:
  greet:
    command: |
      cat <<END
      ${vars.greeting}
      END
""",
    right="""\
version: 1
vars: {greeting: hello}
jobs:
  greet:
    command: |
      cat <<END
      $GREETING
      END
    env: {GREETING: "${vars.greeting}"}
""",
)

UNUSED_OPTION = Rule(
    code="MP153",
    title="A value for a variable that nothing names",
    severity=Severity.WARNING,
    why="What `--var` sets counts only where `${vars.name}` names it. A misspelt name would change "
    "nothing, in silence.",
    wrong="""\
$ mporch validate --var evn=prod
version: 1
vars: {env: dev}
jobs:
  say: {command: [echo, "${vars.env}"]}
""",
    right="""\
$ mporch validate --var env=prod
version: 1
vars: {env: dev}
jobs:
  say: {command: [echo, "${vars.env}"]}
""",
)
