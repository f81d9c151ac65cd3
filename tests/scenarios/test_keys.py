"""Each key has the effect, or is refused or warned of, as docs/keys.md says.

All cells of one kind share one run: each job has one key in one shape, and what it prints, how it
ends and what is logged of it tells whether that has had its effect.
"""

import contextlib
import re
import signal
import textwrap
from pathlib import Path

import pytest
from life_runs import Life

from orchestrator.errors import Severity, SpecError
from orchestrator.plan.compiler import compile_spec
from orchestrator.spec import loads

PAGE = (Path(__file__).parents[2] / "docs" / "keys.md").read_text(encoding="utf-8")


def cells_of(heading):
    """Yield (row, column, cell) of the table under a heading."""
    section = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    rows = [
        [cell.strip().replace("`", "") for cell in line.strip("|").split("|")]
        for line in section.splitlines()
        if line.startswith("|")
    ]
    (_, *columns), _, *rest = rows
    return [
        (row, column, cell)
        for row, *cells in rest
        for column, cell in zip(columns, cells, strict=True)
    ]


JOBS = cells_of("Keys of a job")
COMMANDS = cells_of("Keys of a job with a command")
QUEUES = cells_of("Keys of a queue, by who puts on it")


def ids(cells):
    return ["-".join(re.sub(r"\W+", "_", part) for part in cell) for cell in cells]


def those(cells, *kinds):
    found = [cell[:2] for cell in cells if cell[2] in kinds]
    return {"argvalues": found, "ids": ids(found)}


def slug(*words):
    return re.sub(r"\W+", "_", "_".join(words))


class Draft:
    """The lines of a spec, a job at a time; `feed` gives what is read, `drain` takes all."""

    def __init__(self, items=(1, 2, 3)):
        self.items = items
        self.queues = {}
        self.jobs = {}
        self.fed = []
        self.drained = []

    def add(self, name, shape, keys, run='target: "t:TARGET"', out="maxsize: 100"):
        """Wire a job of this shape; of a command, an output is given as it is."""
        wires = []
        if shape in ("item", "batch", "stream", "handles"):
            queue = f"i_{name}"
            self.queues[queue] = "maxsize: 100"
            self.fed.append(queue)
            wires.append(f"input: {{q: {queue}}}" if shape == "handles" else f"input: {queue}")
        if shape in ("batch", "stream") and "call:" not in keys:
            wires.append(f"call: {shape}")
        if shape in ("source", "writer") or "OUT" in keys:
            queue = f"o_{name}"
            self.queues[queue] = out
            self.drained.append(queue)
            by_name = shape != "writer" and "OUT-BY-HANDLE" not in keys
            wires.append(f"output: {queue}" if by_name else f"output: {{out: {queue}}}")
        keys = keys.replace("OUT-BY-HANDLE", "").replace("OUT", "").strip(", ")
        self.jobs[name] = ", ".join(filter(None, [run, *wires, keys]))

    def text(self, top=""):
        """The spec, but for its version."""
        lines = [top, "defaults: {on_failure: continue}", "queues:"]
        lines += [f"  {name}: {{{keys}}}" for name, keys in self.queues.items()]
        lines.append("jobs:")
        if self.fed:
            feed = f"args: {[list(self.items)]}, output: [{', '.join(self.fed)}]"
            lines.append(f'  feed: {{target: "t:feed", {feed}}}')
        if self.drained:
            drained = ", ".join(self.drained)
            lines.append(f'  drain: {{target: "t:drain", input: [{drained}], call: stream}}')
        lines += [f"  {name}: {{{keys}}}" for name, keys in self.jobs.items()]
        return "\n".join(lines) + "\n"


def ran_once(tmp_path_factory, draft, code, *, more=None, top="timeout: 60s"):
    folder = tmp_path_factory.mktemp("keys")
    (folder / "sub").mkdir()
    with contextlib.closing(Life(folder, draft.text(top), code, more=more)) as life:
        return life.end()


# -- keys of a job with a target ------------------------------------------------------------------

SHAPES = ("task", "writer", "source", "item", "batch", "stream", "handles")

CODE = '''
import itertools, multiprocessing, os, resource, signal, sys, time
import orchestrator

def feed(items): return items

def drain(items):
    for item in items: pass

def consume(*given, **handles):
    """Take all there is of a stream or a handle; other shapes are called with values."""
    for each in (*given, *handles.values()):
        if hasattr(each, "__next__") or (hasattr(each, "get") and not hasattr(each, "keys")):
            if "out" not in handles or each is not handles["out"]:
                for _ in each: pass
    return []

class Given:
    """Tells once a worker what it was given."""
    def __init__(self, first, key=None):
        limits = (resource.RLIMIT_AS, resource.RLIMIT_CPU, resource.RLIMIT_NOFILE)
        print("given", first, key, os.environ.get("MARK"), os.path.basename(os.getcwd()),
              *(resource.getrlimit(limit)[0] for limit in limits))
    def __call__(self, *given, **handles):
        return consume(*given, **handles)

def hang(*_, **__):
    while True: signal.pause()

def deaf(*_, **__):
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    hang()

def fail(*_, **__):
    raise ValueError("told to")

class Lingers:
    def __enter__(self): return self
    def __exit__(self, *_): hang()
    def __call__(self, *given): return consume(*given)

def linger(*given, **handles):
    consume(*given, **handles)
    hang()

def fail_first(*_, **__):
    if orchestrator.current().attempt == 1:
        raise ValueError("the first time")
    return []

def die_once(*_, out=None):
    name = "died-" + orchestrator.current().job
    for n in range(3):
        if out is not None: out.put(n)
    if not os.path.exists(name):
        open(name, "w").close()
        os._exit(7)
    return range(3)

def die(*_): os._exit(7)

def slow_first(n):
    if n == 1: time.sleep(0.2)
    return n

def tell(numbers): print("told", *numbers)

def tell_length(numbers): print("length", len(numbers))

def now_and_then():
    yield 1
    time.sleep(0.6)
    yield 2

def nothing(*_): return []
'''

GIVEN = (
    "args: [7], kwargs: {key: 8}, env: {MARK: here}, cwd: sub, start_method: fork, after: first,"
    " limits: {memory: 8GiB, cpu: 77s, open_files: 123}"
)
TOLD = f"given 7 8 here sub {8 << 30} 77 123"


def made_of_jobs():
    """One job for each effect in each shape."""
    draft = Draft()
    draft.jobs["first"] = 'target: "t:nothing"'
    for shape in SHAPES:
        target = 'target: "t:{}"'.format
        several = ", workers: 2" if shape in SHAPES[3:] else ""
        draft.add(f"given_{shape}", shape, GIVEN + several, target("Given"))
        draft.add(f"start_{shape}", shape, "timeouts: {start: 300ms}", 'target: "late:never"')
        stop = "timeouts: {run: 200ms}, terminate: {signal: SIGUSR1"
        draft.add(f"signal_{shape}", shape, f"{stop}}}", target("hang"))
        draft.add(f"grace_{shape}", shape, f"{stop}, grace: 100ms}}", target("deaf"))
        draft.add(f"failure_{shape}", shape, "on_failure: continue", target("fail"))
        if shape not in ("source", "writer"):
            draft.add(f"daemon_{shape}", shape, "daemon: true", target("hang"))
    for shape in ("writer", "source"):  # what a daemon writes is read by daemons
        draft.queues[f"o_daemon_{shape}"] = "maxsize: 10"
        out = f"{{out: o_daemon_{shape}}}" if shape == "writer" else f"o_daemon_{shape}"
        draft.jobs[f"daemon_{shape}"] = f'target: "t:hang", output: {out}, daemon: true'
        reads = f"input: o_daemon_{shape}, call: stream, daemon: true"
        draft.jobs[f"of_daemon_{shape}"] = f'target: "t:drain", {reads}'
    for shape in ("item", "batch"):
        target = 'target: "t:{}"'.format
        draft.add(f"join_{shape}", shape, "join: 200ms", target("Lingers"))
        draft.add(f"item_{shape}", shape, "timeouts: {item: 200ms}", target("hang"))
        draft.add(f"on_error_{shape}", shape, "on_error: skip", target("fail"))
        again = "retry: {attempts: 2, backoff: {initial: 7ms, max: 7ms}}"
        draft.add(f"retry_{shape}", shape, again, target("fail_first"))
        none = "restart: {max: 0}, retry: {attempts: 2}"
        draft.add(f"restart_{shape}", shape, none, target("die"))
        draft.add(f"max_items_{shape}", shape, "recycle: {max_items: 1}", target("nothing"))
        draft.add(f"max_rss_{shape}", shape, "recycle: {max_rss: 1MiB}", target("nothing"))
    for shape in ("stream", "handles"):
        draft.add(f"join_{shape}", shape, "join: 200ms", 'target: "t:linger"')
    for shape in ("writer", "source"):
        again = "restart: {max: 3, replay: skip}"
        draft.add(f"restart_{shape}", shape, again, 'target: "t:die_once"')
    draft.add("rate_item", "item", "rate: 20/s", 'target: "t:nothing"')
    draft.add("ordered_item", "item", "ordered: true, workers: 2, OUT", 'target: "t:slow_first"')
    draft.drained.remove("o_ordered_item")
    draft.jobs["of_ordered"] = 'target: "t:tell", input: o_ordered_item, call: stream'
    draft.add("size_batch", "batch", "batch: {size: 2}", 'target: "t:tell_length"')
    draft.queues["seldom"] = "maxsize: 10"
    draft.jobs["seldom"] = 'target: "t:now_and_then", output: seldom'
    within = "call: batch, batch: {within: 20ms}"
    draft.jobs["within_batch"] = f'target: "t:tell_length", input: seldom, {within}'
    return draft


@pytest.fixture(scope="module")
def jobs(tmp_path_factory):
    late = {"late.py": "import signal\nwhile True: signal.pause()\n"}
    return ran_once(tmp_path_factory, made_of_jobs(), CODE, more=late)


def given(ended, shape):
    lines = ended.log.printed(f"given_{shape}-1")
    assert lines == [TOLD]


def reason_of(ended, job):
    return ended.summary["jobs"][job]["reason"]


def ended_as(status, prefix, said):
    """A witness: the job has ended so, and why."""

    def witness(ended, shape):
        name = f"{prefix}_{shape}"
        assert ended.statuses()[name] == status
        assert said in reason_of(ended, name)

    return witness


def stopped_by_its_signal(ended, shape):
    name = f"signal_{shape}"
    assert ended.statuses()[name] == "timed_out"
    assert ended.codes()[name] == [-signal.SIGUSR1]


def killed_after_its_grace(ended, shape):
    assert ended.codes()[f"grace_{shape}"] == [-signal.SIGKILL]
    first, last = (
        next(i for i, r in enumerate(ended.log.records) if r.get("signal") == name)
        for name in ("SIGUSR1", "SIGKILL")
    )
    assert first < last


def counted(prefix, key, n=None):
    def witness(ended, shape):
        found = ended.summary["jobs"][f"{prefix}_{shape}"][key]
        assert found == n if n is not None else found

    return witness


def called(ended, shape):
    """What `call` makes of a job is its shape: each has its own witness here."""
    assert ended.summary["jobs"][f"given_{shape}"]["items_in"] == 3
    if shape == "batch":
        assert ended.log.printed("size_batch-1")[0] == "length 2"


def in_all_its_workers(ended, shape):
    assert ended.log.printed(f"given_{shape}-2") == [TOLD]


def began_after(ended, shape):
    first = ended.log.place("worker.ended", worker="first-1")
    assert first < ended.log.place("worker.started", worker=f"given_{shape}-1")


def forked(ended, shape):
    (started,) = ended.log.having("worker.started", worker=f"given_{shape}-1")
    assert started["start_method"] == "fork"


def waited_for_so_long(ended, shape):
    retries = ended.log.having("item.retried", job=f"retry_{shape}")
    assert retries
    assert all(0.003 <= record["delay_s"] <= 0.007 for record in retries)


def not_restarted(ended, shape):
    if shape in ("writer", "source"):
        assert ended.statuses()[f"restart_{shape}"] == "succeeded"
        assert ended.summary["jobs"][f"restart_{shape}"]["restarts"] == 1
    else:
        assert ended.statuses()[f"restart_{shape}"] == "failed"
        assert ended.summary["jobs"][f"restart_{shape}"]["restarts"] == 0


def put_once(ended, shape):
    assert ended.ledger(f"o_restart_{shape}") == {"put": 3, "done": 3}


def in_order(ended, _):
    assert ended.log.printed("of_ordered-1") == ["told 1 2 3"]


def in_time(ended, shape):
    assert ended.log.printed("within_batch-1") == ["length 1", "length 1"]


def of_that_size(ended, shape):
    assert ended.log.printed("size_batch-1") == ["length 2", "length 1"]


WITNESSES = {
    **dict.fromkeys(("args", "kwargs", "env", "cwd"), given),
    **dict.fromkeys(("limits.memory", "limits.cpu", "limits.open_files"), given),
    "call": called,
    "batch.size": of_that_size,
    "batch.within": in_time,
    "workers": in_all_its_workers,
    "after": began_after,
    "timeouts.start": ended_as("failed", "start", "timeouts.start"),
    "timeouts.item": ended_as("timed_out", "item", "timeouts.item"),
    "timeouts.run": ended_as("timed_out", "signal", "timeouts.run"),
    "join": ended_as("timed_out", "join", "(join)"),
    "terminate.signal": stopped_by_its_signal,
    "terminate.grace": killed_after_its_grace,
    "on_error": counted("on_error", "skipped", 3),
    "retry.attempts": counted("retry", "retried"),
    "retry.backoff": waited_for_so_long,
    "restart.max": not_restarted,
    "restart.replay": put_once,
    "on_failure": ended_as("failed", "failure", "ValueError: told to"),
    "recycle.max_items": counted("max_items", "recycled"),
    "recycle.max_rss": counted("max_rss", "recycled"),
    "rate": counted("rate", "waiting_rate_s"),
    "ordered": in_order,
    "daemon": ended_as("terminated", "daemon", "stopped"),
    "start_method": forked,
}


@pytest.mark.parametrize(("key", "shape"), **those(JOBS, "yes"))
def test_a_key_of_a_job_has_its_effect(jobs, key, shape):
    WITNESSES[key](jobs, shape)


def test_the_run_went_on_to_its_end(jobs):
    assert jobs.exit_code == 1
    assert jobs.statuses()["drain"] == "succeeded"


# -- keys that are refused, or warned of ----------------------------------------------------------

WRITTEN = {
    "args": "args: [1]",
    "kwargs": "kwargs: {key: 1}",
    "call": "call: item",
    "batch.size": "batch: {size: 2}",
    "batch.within": "batch: {within: 1s}",
    "workers": "workers: 2",
    "timeouts.item": "timeouts: {item: 1s}",
    "join": "join: 1s",
    "on_error": "on_error: skip",
    "retry.attempts": "retry: {attempts: 2}",
    "retry.backoff": "retry: {backoff: {initial: 1s}}",
    "restart.max": "restart: {max: 3}",
    "restart.replay": "restart: {replay: skip}",
    "recycle.max_items": "recycle: {max_items: 3}",
    "recycle.max_rss": "recycle: {max_rss: 1GiB}",
    "rate": "rate: 1/s",
    "ordered": "ordered: true",
    "exit_codes": "exit_codes: [0, 1]",
    "stdin": "stdin: text",
    "stdout": "stdout: log",
}


def problems_of(spec, folder):
    (folder / "t.py").write_text(textwrap.dedent(CODE))
    try:
        return compile_spec(loads(f"version: 1\n{spec}", project_dir=folder)).warnings
    except SpecError as error:
        return error.problems


def told_at(spec, folder, key, kind):
    """The key is told of at its place, as an error or a warning, with what to do; nothing else."""
    problems = problems_of(spec, folder)
    found = [p for p in problems if f"j.{key}".startswith(p.path.partition(".")[2])]
    assert found, problems
    assert [p.severity for p in found] == [Severity(kind)] * len(found)
    assert all(p.hint and p.line and p.column for p in found)
    return found


@pytest.mark.parametrize(
    ("key", "shape", "kind"),
    [cell for cell in JOBS if cell[2] in ("error", "warning")],
    ids=ids([cell for cell in JOBS if cell[2] in ("error", "warning")]),
)
def test_a_key_that_does_not_fit_a_job_is_told(tmp_path, key, shape, kind):
    draft = Draft()
    draft.add("j", shape, WRITTEN[key], 'target: "t:consume"')
    told_at(draft.text(), tmp_path, key, kind)


@pytest.mark.parametrize(
    ("key", "shape", "kind"),
    [cell for cell in COMMANDS if cell[2] in ("error", "warning")],
    ids=ids([cell for cell in COMMANDS if cell[2] in ("error", "warning")]),
)
def test_a_key_that_does_not_fit_a_command_is_told(tmp_path, key, shape, kind):
    draft = Draft()
    out = "" if shape == "task" else ", OUT"
    draft.add("j", shape, f"{WRITTEN.get(key, key)}{out}", 'command: [echo, "1"]')
    told_at(draft.text(), tmp_path, key.partition(":")[0], kind)


VOID = {
    "retry.backoff": ("item", "retry: {backoff: {initial: 1s}}"),
    "restart.within": ("item", "restart: {max: 0, within: 1s}"),
    "restart.replay": ("source", "restart: {max: 0, replay: skip}"),
    "batch.within": ("batch", "batch: {size: 1, within: 1s}"),
}


@pytest.mark.parametrize("key", VOID)
def test_a_key_that_another_one_makes_void_is_told(tmp_path, key):
    shape, keys = VOID[key]
    draft = Draft()
    draft.add("j", shape, keys, 'target: "t:consume"')
    (problem,) = told_at(draft.text(), tmp_path, key, "warning")
    assert problem.code == "MP416"


@pytest.mark.parametrize("key", VOID)
def test_beside_another_job_that_needs_it_a_void_default_is_none(tmp_path, key):
    shape, keys = VOID[key]
    top, part = key.split(".")
    only = re.sub(r"(max: 0|size: 1), ", "", keys)
    needs = {"retry": "attempts: 2", "restart": "max: 2", "batch": "size: 2"}[top]
    voids = {"retry": "attempts: 1", "restart": "max: 0", "batch": "size: 1"}[top]
    draft = Draft()
    draft.add("j", shape, f"{top}: {{{voids}}}", 'target: "t:consume"')
    draft.add("k", shape, f"{top}: {{{needs}}}", 'target: "t:consume"')
    spec = draft.text().replace("on_failure: continue", only)
    assert problems_of(spec, tmp_path) == ()
    draft.jobs.pop("k")
    draft.fed = [queue for queue in draft.fed if queue != "i_k"]
    draft.drained = [queue for queue in draft.drained if queue != "o_k"]
    draft.queues = {name: keys for name, keys in draft.queues.items() if not name.endswith("_k")}
    (problem,) = problems_of(draft.text().replace("on_failure: continue", only), tmp_path)
    assert (problem.code, problem.path) == ("MP416", f"defaults.{key}")


@pytest.mark.parametrize("key", sorted({"batch.size", "join", "rate", "timeouts.item", "on_error"}))
def test_a_default_that_fits_no_job_is_told(tmp_path, key):
    draft = Draft()
    draft.add("j", "source", "", 'target: "t:consume"')
    spec = draft.text().replace("on_failure: continue", WRITTEN[key]).replace("stream}", "stream }")
    problems = problems_of(spec, tmp_path)
    fits_drain = key == "join"
    assert [p.code for p in problems] == ([] if fits_drain else ["MP417"])


# -- keys of a job with a command -----------------------------------------------------------------

COMMAND = {
    "exit_codes": ("exit_codes: [5]", "exit 5"),
    "timeouts.item": ("timeouts: {item: 200ms}", "sleep 30"),
    "timeouts.run": ("timeouts: {run: 200ms}", "sleep 30"),
    "terminate.signal": (
        "timeouts: {run: 300ms}, terminate: {signal: SIGUSR1}",
        "trap 'echo by usr1 >&2; exit 0' USR1; sleep 30 & wait",
    ),
    "on_error": ("on_error: skip", "exit 4"),
    "retry.attempts": ("retry: {attempts: 2, backoff: {initial: 1ms}}, on_error: skip", "exit 4"),
    "limits.open_files": ("limits: {open_files: 123}", "echo limit $(ulimit -n) >&2"),
    "recycle.max_items": ("recycle: {max_items: 1}", "true"),
    "env": ("env: {MARK: here}", "echo mark $$MARK >&2"),
    "cwd": ("cwd: sub", "echo in $$(basename $$PWD) >&2"),
    "stdin: text": ("stdin: text", "cat >&2"),
    "stdin: json": ("stdin: json", "cat >&2"),
    "stdin: none": ("stdin: none", "echo read $$(wc -c) >&2"),
    "stdout: lines": ("stdout: lines, OUT", "printf '[1, 2]\\n[3]\\n'"),
    "stdout: json": ("stdout: json, OUT", "printf '[1, 2]\\n[3]\\n'"),
    "stdout: text": ("stdout: text, OUT", "printf '[1, 2]\\n[3]\\n'"),
    "stdout: log": ("stdout: log", "echo to the log"),
}
ITEM = {"text": "7", "json": "7"}


def made_of_commands():
    draft = Draft(items=(["x"],))
    for key, shape, cell in COMMANDS:
        if cell != "yes":
            continue
        keys, script = COMMAND[key]
        reads = "cat >/dev/null; " if shape == "stream" and "stdin" not in key else ""
        out = f"o_{slug('c', key, shape)}"
        keys = keys if "OUT" in keys or shape != "source" else f"{keys}, OUT"
        command = f'command: "{reads}{script}"'.replace("\\n", "\\\\n").replace("$(", "$$(")
        command = command.replace("$$$(", "$$(")
        draft.add(slug("c", key, shape), shape, keys, command)
        if key in ("stdout: lines", "stdout: json", "stdout: text"):
            draft.drained.remove(out)
            draft.jobs[f"of_{out}"] = f'target: "t:tell_each", input: {out}, call: stream'
    return draft


COMMAND_CODE = """
def feed(items): return items

def drain(items):
    for item in items: pass

def tell_each(items):
    for item in items: print(repr(item))
"""


@pytest.fixture(scope="module")
def commands(tmp_path_factory):
    return ran_once(tmp_path_factory, made_of_commands(), COMMAND_CODE)


def _printed(text):
    def witness(ended, name, shape):
        assert text in ended.log.printed(f"{name}-1")

    return witness


def _emitted(*items):
    def witness(ended, name, shape):
        assert ended.log.printed(f"of_o_{name}-1") == list(items)

    return witness


def _counted(key):
    def witness(ended, name, shape):
        assert ended.summary["jobs"][name][key] == 1

    return witness


def _ended(status, said=""):
    def witness(ended, name, shape):
        assert ended.statuses()[name] == status
        assert said in reason_of(ended, name)

    return witness


OF_COMMANDS = {
    "exit_codes": _ended("succeeded"),
    "timeouts.item": _ended("timed_out", "timeouts.item"),
    "timeouts.run": _ended("timed_out", "timeouts.run"),
    "terminate.signal": _printed("by usr1"),
    "on_error": _counted("skipped"),
    "retry.attempts": _counted("retried"),
    "limits.open_files": _printed("limit 123"),
    "recycle.max_items": _counted("recycled"),
    "env": _printed("mark here"),
    "cwd": _printed("in sub"),
    "stdin: text": _printed('["x"]'),
    "stdin: json": _printed('["x"]'),
    "stdin: none": _printed("read 0"),
    "stdout: lines": _emitted("'[1, 2]'", "'[3]'"),
    "stdout: json": _emitted("[1, 2]", "[3]"),
    "stdout: text": _emitted(repr("[1, 2]\n[3]\n")),
    "stdout: log": _printed("to the log"),
}


@pytest.mark.parametrize(("key", "shape"), **those(COMMANDS, "yes"))
def test_a_key_of_a_command_has_its_effect(commands, key, shape):
    OF_COMMANDS[key](commands, slug("c", key, shape), shape)


# -- keys of a queue ------------------------------------------------------------------------------

N = 12
"""Items that each writer puts; its queue holds fewer."""

WRITERS = {
    "source: yield": ("source", 'target: "w:each"'),
    "source: a command": ("source", f'command: "seq {N}"'),
    "writer: put": ("writer", 'target: "w:put"'),
    "item: a value": ("item", 'target: "w:value", OUT'),
    "item: yield": ("item", 'target: "w:twice", OUT'),
    "item: put": ("item", 'target: "w:put_one", OUT-BY-HANDLE'),
    "item: a command": ("item", f"command: \"printf '1\\\\n2\\\\n'\", OUT"),
    "ordered item": ("item", 'target: "w:value", ordered: true, OUT'),
    "batch: a list": ("batch", 'target: "w:listed", OUT'),
    "batch: yield": ("batch", 'target: "w:each_of", OUT'),
    "batch: put": ("batch", 'target: "w:put_each", OUT-BY-HANDLE'),
    "batch: a command": ("batch", "command: cat, OUT"),
    "stream: yield": ("stream", 'target: "w:each_of", OUT'),
    "stream: put": ("stream", 'target: "w:put_each", OUT-BY-HANDLE'),
    "stream: a command": ("stream", "command: cat, OUT"),
    "handles: yield": ("handles", 'target: "w:each_of", OUT'),
    "handles: put": ("handles", 'target: "w:put_each", OUT-BY-HANDLE'),
}
LIMITS = {
    "put_timeout": "maxsize: 3, put_timeout: 200ms",
    "when_full: fail": "max_bytes: 40B, when_full: fail",
    "when_full: drop_newest": "maxsize: 3, when_full: drop_newest",
    "when_full: drop_oldest": "max_bytes: 40B, when_full: drop_oldest",
}
"""`maxsize` and `max_bytes` are what makes them full."""

WRITERS_CODE = f"""
def each(): yield from range({N})
def put(out):
    for n in range({N}): out.put(n)
def value(n): return n
def twice(n):
    yield n
    yield n
def put_one(n, out): out.put(n)
def listed(ns): return ns
def each_of(ns=None, q=None): yield from (q if ns is None else ns)
def put_each(ns=None, q=None, out=None):
    for n in (q if ns is None else ns): out.put(n)
"""

READER_CODE = """
import signal

def feed(items): return items

def stuck(**queues):
    while True: signal.pause()
"""


def made_of_queues(*limits):
    """Writers of queues that nobody reads: their reader hangs, and is ended with the run."""
    draft = Draft(items=range(N))
    for who, (shape, run) in WRITERS.items():
        for limit in limits:
            if (who, limit, "yes") not in QUEUES:
                continue
            run_, _, keys = run.partition(", OUT")
            keys = f"OUT{keys}" if "OUT" in run else ""
            if shape == "batch":
                keys += ", batch: {size: 4, within: 10ms}"
            draft.add(slug(who, limit), shape, keys, run_, out=LIMITS[limit])
    reads = ", ".join(f"q{at}: {queue}" for at, queue in enumerate(draft.drained))
    draft.drained = []
    draft.jobs["stuck"] = f'target: "t:stuck", input: {{{reads}}}, daemon: true'
    return draft


@pytest.fixture(scope="module")
def queues(tmp_path_factory):
    draft = made_of_queues(*LIMITS)
    return ran_once(tmp_path_factory, draft, READER_CODE, more={"w.py": WRITERS_CODE})


def limited(ended, who, limit):
    name, queue = slug(who, limit), f"o_{slug(who, limit)}"
    if "drop" in limit:
        assert ended.statuses()[name] == "succeeded"
        ledger = ended.ledger(queue)
        assert ledger["dropped"] > 0
        return
    assert ended.statuses()[name] == "failed"
    reason = reason_of(ended, name)
    if "put" in who and not who.startswith(("item", "batch")):
        assert "queue.Full" in reason
    else:
        assert f"found the queue {queue} full" in reason
        assert "QueueFullError" in reason
    held = ended.ledger(queue)["put"]
    assert 0 < held <= 3 if limit == "put_timeout" else 0 < held < 2 * N


@pytest.mark.parametrize(("who", "limit"), **those(QUEUES, "yes"))
def test_a_key_of_a_queue_holds_whoever_puts(queues, who, limit):
    if limit in ("maxsize", "max_bytes"):
        limit = {"maxsize": "when_full: drop_newest", "max_bytes": "when_full: drop_oldest"}[limit]
    limited(queues, who, limit)


@pytest.mark.parametrize(("who", "limit"), **those(QUEUES, "error"))
def test_a_limit_that_an_ordered_job_cannot_keep_is_refused(tmp_path, who, limit):
    (tmp_path / "w.py").write_text(WRITERS_CODE)
    draft = Draft()
    draft.add("j", "item", "ordered: true, OUT", 'target: "w:value"', out=LIMITS[limit])
    told_at(draft.text(), tmp_path, "ordered", "error")


@pytest.mark.parametrize(
    ("queue", "key"),
    [
        ("maxsize: 0, put_timeout: 5s", "put_timeout"),
        ("maxsize: 0, when_full: fail", "when_full"),
        ("maxsize: 9, when_full: fail, put_timeout: 5s", "put_timeout"),
        ("maxsize: 9, when_full: drop_oldest, put_timeout: 5s", "put_timeout"),
    ],
)
def test_a_limit_of_a_queue_that_nobody_waits_for_is_refused(tmp_path, queue, key):
    draft = Draft()
    draft.add("j", "source", "", 'target: "t:consume"', out=queue)
    found = [p for p in problems_of(draft.text(), tmp_path) if p.code == "MP308"]
    assert [(p.path, p.severity) for p in found] == [(f"queues.o_j.{key}", Severity.ERROR)]
