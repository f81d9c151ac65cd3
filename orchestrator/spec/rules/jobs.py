"""MP401 to MP499: the keys of a single job, and which shape of job they fit."""

from __future__ import annotations

from orchestrator.errors import Rule, Severity

_RIGHT = 'version: 1\njobs:\n  report: {target: "mine:report"}\n'
_PIPE = """\
version: 1
queues: {todo: 100}
jobs:
  numbers: {target: "mine:numbers", output: todo}
  show: {target: "mine:show", input: todo}
"""

_ORDERED = """\
version: 1
queues: {todo: 100, done: 100}
jobs:
  numbers: {target: "mine:numbers", output: todo}
  double: {target: "mine:double", input: todo, output: done, KEY}
  show: {target: "mine:show", input: done}
"""

NO_JOB = Rule(
    code="MP401",
    title="A spec without a job to run",
    why="There is no job, or `enabled: false` turns off every one of them.",
    wrong='version: 1\njobs:\n  report: {target: "mine:report", enabled: false}\n',
    right=_RIGHT,
)

MISFIT_KEY = Rule(
    code="MP402",
    title="A key that does not fit the shape of its job",
    why="A job that is called once has no items to retry, time or gather. Such a key would do "
    "nothing, so it is an error; in `defaults` it counts only for the jobs it fits. "
    "docs/spec.md has the table.",
    wrong=_PIPE.replace("output: todo", "output: todo, retry: {attempts: 3}"),
    right=_PIPE.replace("input: todo", "input: todo, retry: {attempts: 3}"),
)

WORKERS_REPEAT = Rule(
    code="MP403",
    title="Several workers of a job that has no input",
    severity=Severity.WARNING,
    why="Items are shared out among workers; a job without input has none, so each worker does all "
    "of its work. `${worker.index}` in its arguments, or `orchestrator.current().index`, tells a "
    "worker which part is its own.",
    wrong='version: 1\njobs:\n  report: {target: "mine:report", workers: 4}\n',
    right=_RIGHT,
)

ENDLESS_DAEMON = Rule(
    code="MP404",
    title="A daemon that keeps another job from ending",
    why="A daemon is ended when all other jobs are done; a job that reads what a daemon writes is "
    "done when the daemon is. Each would wait for the other.",
    wrong=_PIPE.replace("output: todo", "output: todo, daemon: true"),
    right=_PIPE.replace("input: todo", "input: todo, daemon: true"),
)

BAD_SIGNAL = Rule(
    code="MP405",
    title="A stop signal that cannot be one",
    why="A worker is asked to stop by a signal that this system has and that a process can handle. "
    "SIGKILL comes by itself when the grace is over.",
    wrong='version: 1\njobs:\n  report: {target: "mine:report", terminate: {signal: TERM}}\n',
    right='version: 1\njobs:\n  report: {target: "mine:report", terminate: {signal: SIGTERM}}\n',
)

NO_START_METHOD = Rule(
    code="MP406",
    title="A start method that this system does not have",
    why="Where there is no fork, processes can only be spawned. Without the key, mporch takes the "
    "best that the system has.",
    wrong='version: 1\njobs:\n  report: {target: "mine:report", start_method: fork}\n',
    right=_RIGHT,
)

PYTHONPATH_IN_ENV = Rule(
    code="MP407",
    title="PYTHONPATH for a process that is forked",
    why="Python reads PYTHONPATH when an interpreter starts. A worker that is forked starts none, "
    "so the variable would do nothing. `pythonpath` at the top of the spec does what is meant. The "
    "program of a `command` does start one, and gets it.",
    wrong='version: 1\njobs:\n  report: {target: "mine:report", env: {PYTHONPATH: lib}}\n',
    right='version: 1\npythonpath: [.]\njobs:\n  report: {target: "mine:report"}\n',
)

BAD_VARIABLE = Rule(
    code="MP408",
    title="A name that no environment variable can have",
    why="It is empty, or has an equals sign, at which the system ends the name.",
    wrong='version: 1\njobs:\n  report: {target: "mine:report", env: {"LEVEL=": high}}\n',
    right='version: 1\njobs:\n  report: {target: "mine:report", env: {LEVEL: high}}\n',
)

BAD_EXCEPTION = Rule(
    code="MP409",
    title="A name that no exception can have",
    why="Under `on_error` stand names as in Python, `ValueError` or `package.module.Error`, and "
    "`else` for all others.",
    wrong=_PIPE.replace("input: todo", 'input: todo, on_error: {"*": skip}'),
    right=_PIPE.replace("input: todo", "input: todo, on_error: {else: skip}"),
)

DOUBTFUL_EXCEPTION = Rule(
    code="MP410",
    title="An exception that is nearly one of Python's",
    severity=Severity.WARNING,
    why="A misspelt exception matches nothing, and an old alias (`IOError`) is not the name of the "
    "class that is raised. If the class is your own, write it with its module.",
    wrong=_PIPE.replace("input: todo", "input: todo, on_error: {ValueEror: skip}"),
    right=_PIPE.replace("input: todo", "input: todo, on_error: {ValueError: skip}"),
)

NO_FOLDER = Rule(
    code="MP411",
    title="A folder that is not there",
    severity=Severity.WARNING,
    why="`cwd` and `pythonpath` are relative to the folder of the spec. An earlier job may make "
    "the folder, so it is no error.",
    wrong='version: 1\njobs:\n  report: {target: "mine:report", cwd: output}\n',
    right='$ mkdir -p output\nversion: 1\njobs:\n  report: {target: "mine:report", cwd: output}\n',
)

SOURCE_REPEATS = Rule(
    code="MP412",
    title="A source that would put its items again",
    why="A worker that is restarted calls its source from the beginning. With `replay: skip` what "
    "was put before is compared and not put twice; without it, readers would get it again.",
    wrong=_PIPE.replace("output: todo", "output: todo, restart: {max: 3}"),
    right=_PIPE.replace("output: todo", "output: todo, restart: {max: 3, replay: skip}"),
)

FORKED_DURABLE = Rule(
    code="MP413",
    title="A forked worker of a durable run",
    why="The process that is forked has the store of the run open, and SQLite must not be used "
    "across a fork. Workers of a durable run are started by forkserver or spawn.",
    wrong="version: 1\ndurable: true\njobs:\n"
    '  report: {target: "mine:report", start_method: fork}\n',
    right="version: 1\ndurable: true\njobs:\n"
    '  report: {target: "mine:report", start_method: spawn}\n',
)

NO_ORDER = Rule(
    code="MP414",
    title="An order that cannot be kept",
    why="The outputs of an ordered job leave in the order of its input. That takes one input "
    "queue, which no other job reads, and outputs that wait for room for as long as it takes: they "
    "have to wait for their turn as well.",
    wrong=_ORDERED.replace("KEY", "ordered: true").replace("done: 100", "done: {put_timeout: 5s}"),
    right=_ORDERED.replace("KEY", "ordered: true"),
)

NARROW_WINDOW = Rule(
    code="MP415",
    title="A window that keeps workers idle",
    severity=Severity.WARNING,
    why="The workers of an ordered job are at the items of its window. If that has fewer places "
    "than there are workers, some of them never work.",
    wrong=_ORDERED.replace("KEY", "workers: 4, ordered: {window: 2}"),
    right=_ORDERED.replace("KEY", "workers: 4, ordered: {window: 64}"),
)

VOID_KEY = Rule(
    code="MP416",
    title="A key that another one leaves without effect",
    severity=Severity.WARNING,
    why="There is no wait before a second attempt where an item is tried once, no time to count "
    "replaced workers in where none is replaced, and nothing to wait for in a batch of one. What "
    "`recycle` measures is the worker; the program of a `command` is a process of its own, and "
    "another one for each item.",
    wrong=_PIPE.replace("input: todo", "input: todo, retry: {backoff: {initial: 1s}}"),
    right=_PIPE.replace("input: todo", "input: todo, retry: {attempts: 3, backoff: {initial: 1s}}"),
)

IDLE_DEFAULT = Rule(
    code="MP417",
    title="A default that fits no job",
    severity=Severity.WARNING,
    why="A key under `defaults` counts for the jobs whose shape it fits, and is passed over for "
    "the others. Here all jobs are others, so that it says nothing: perhaps one lacks its `input`, "
    "or `call: batch`.",
    wrong=_PIPE.replace("jobs:", "defaults: {batch: {size: 10}}\njobs:"),
    right=_PIPE.replace("jobs:", "defaults: {batch: {size: 10}}\njobs:").replace(
        "input: todo", "input: todo, call: batch"
    ),
)

LONG_PATH = Rule(
    code="MP418",
    title="A folder that there cannot be",
    why="No system has a file or folder whose name is longer than 255 bytes, or whose whole path "
    "is longer than 4,095.",
    wrong="$ printf 'version: 1\\njobs:\\n  report: {target: \"mine:report\", cwd: a%0255d}\\n' 0"
    " > jobs.yaml\n",
    right='$ mkdir -p output\nversion: 1\njobs:\n  report: {target: "mine:report", cwd: output}\n',
)

OUTRUN_LIMIT = Rule(
    code="MP421",
    title="A time limit that is never reached",
    severity=Severity.WARNING,
    why="A worker's `timeouts.run` ends it whatever its item or the end of its input have still to "
    "go, and the `timeout` at the top ends everything. A longer limit beneath a shorter one does "
    "nothing.",
    wrong=_PIPE.replace("input: todo", "input: todo, timeouts: {item: 1h, run: 10m}"),
    right=_PIPE.replace("input: todo", "input: todo, timeouts: {item: 1m, run: 10m}"),
)

LONG_GRACE = Rule(
    code="MP422",
    title="A stop that may take longer than the whole run",
    severity=Severity.WARNING,
    why="When the `timeout` at the top is over, each worker still has its grace between the stop "
    "signal and SIGKILL. With a grace that is longer, most of the time may go into stopping.",
    wrong="version: 1\ntimeout: 30s\njobs:\n"
    '  report: {target: "mine:report", terminate: {grace: 1m}}\n',
    right="version: 1\ntimeout: 30s\njobs:\n"
    '  report: {target: "mine:report", terminate: {grace: 5s}}\n',
)

MANY_WORKERS = Rule(
    code="MP423",
    title="Many more workers than processors",
    severity=Severity.WARNING,
    why="Each worker is a process, with tens of megabytes of its own. More of them than there are "
    "processors do no more, unless they wait for something most of the time, as for a network. "
    "Told from more than 32, and more than four for each processor, of the machine that checks.",
    wrong=_PIPE.replace("input: todo", "input: todo, workers: 20000"),
    right=_PIPE.replace("input: todo", "input: todo, workers: 2"),
)

ONLY_DAEMONS = Rule(
    code="MP424",
    title="A run of daemons only",
    severity=Severity.WARNING,
    why="A daemon is ended when all other jobs are done. Where there are no others, they are done "
    "from the beginning: the run succeeds, and no daemon has done anything.",
    wrong='version: 1\njobs:\n  report: {target: "mine:report", daemon: true}\n',
    right=_RIGHT,
)
