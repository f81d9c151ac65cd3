"""Log records and printed lines know their item, and nothing is lost, doubled or given away."""

# ruff: noqa: E501 -- programs as people write them
import base64
import json
import os
import re
import signal
import subprocess

import pytest
from life_runs import COMMAND, until

PIPE = """
queues: {q: 1000}
jobs:
  src: {target: "t:src", output: q}
  w: {target: "t:work", input: q%s}
"""
SOURCE = "def src(): yield from range(N)\n"


def code(n, body):
    return f"import logging, sys, os\nN = {n}\n{SOURCE}{body}"


def items_of(records):
    return [record.get("item") for record in records]


def test_every_print_and_record_at_full_speed_is_of_its_item(ran):
    body = """
log = logging.getLogger("t")
def work(x):
    print("printed", x)
    log.info("logged %d", x)
    print("to stderr", x, file=sys.stderr)
"""
    end = ran(PIPE % "", code(3000, body), "--output", "none")
    told = end.log.having("output", job="w") + end.log.having("log", job="w")
    assert len(told) == 9000
    for record in told:
        assert record["item"] == f"q:{int(record['msg'].split()[-1]) + 1}"
        assert record["attempt"] == 1


def test_sorted_by_ts_a_worker_s_three_streams_are_in_its_own_order(ran):
    body = """
log = logging.getLogger("t")
def work(x):
    print(3 * x)
    print(3 * x + 1, file=sys.stderr)
    log.info("%d", 3 * x + 2)
"""
    end = ran(PIPE % "", code(2000, body), "--output", "none")
    told = end.log.having("output", job="w") + end.log.having("log", job="w")
    told.sort(key=lambda record: record["ts"])
    assert [int(record["msg"]) for record in told] == list(range(6000))


def test_a_thread_a_fork_and_a_program_of_an_item_are_of_it(ran):
    body = """
import subprocess, threading
def work(x):
    thread = threading.Thread(target=lambda: print("thread", x)); thread.start(); thread.join()
    if (pid := os.fork()) == 0:
        print("fork", x); logging.warning("fork %d", x); os._exit(0)
    os.waitpid(pid, 0)
    subprocess.run(["echo", "program", str(x)])
"""
    end = ran(PIPE % "", code(30, body))
    for record in end.log.having("output", job="w") + end.log.having("log", job="w"):
        what, x = record["msg"].split()
        if what == "program":
            assert record.get("item") in (None, f"q:{int(x) + 1}")
        else:
            assert record["item"] == f"q:{int(x) + 1}"
    programs = [r for r in end.log.having("output") if r["msg"].startswith("program")]
    assert len(programs) == 30
    assert programs[-1]["item"] == "q:30"
    (pid,) = {r["pid"] for r in end.log.having("worker.started", job="w")}
    assert all(r["pid"] != pid for r in end.log.having("log", job="w"))


def test_a_fork_that_outlives_its_item_is_of_none_then(ran):
    body = """
def work(x):
    if x == 0:
        there, here = os.pipe()
        if os.fork() == 0:
            os.close(here); os.read(there, 1); print("late"); logging.warning("late"); os._exit(0)
        work.here = here
    else:
        os.close(work.here); os.wait()
"""
    end = ran(PIPE % "", code(2, body))
    for event in ("output", "log"):
        (late,) = end.log.having(event, msg="late")
        assert "item" not in late


def test_what_is_said_outside_of_items_is_of_none(ran):
    body = """
import atexit
print("import"); logging.warning("import")
class Last:
    def __del__(self): logging.warning("del")
last = Last()
atexit.register(lambda: (print("atexit"), logging.warning("atexit")))
def work(x): pass
"""
    end = ran(PIPE % "", code(2, body))
    assert end.exit_code == 0
    told = end.log.having("output", job="w") + end.log.having("log", job="w")
    assert [r["msg"] for r in told] == ["import", "atexit", "import", "atexit", "del"]
    assert items_of(told) == [None] * 5


def test_an_attempt_is_counted(ran):
    body = """
def work(x):
    logging.info("try")
    raise ValueError
"""
    end = ran(
        PIPE % ", retry: {attempts: 3, backoff: {initial: 0s}}, on_error: skip", code(1, body)
    )
    assert [r["attempt"] for r in end.log.having("log", msg="try")] == [1, 2, 3]


@pytest.mark.parametrize("where", ["1", "2"])
def test_the_lines_of_a_command_are_of_its_item(ran, where):
    spec = """
queues: {q: 10}
jobs:
  src: {target: "t:src", output: q}
  w: {command: "echo did {item} >&%s", input: q}
"""
    end = ran(spec % where, code(5, ""))
    lines = end.log.having("output", job="w")
    assert [(r["msg"], r["item"]) for r in lines] == [(f"did {x}", f"q:{x + 1}") for x in range(5)]


def test_killed_at_full_speed_there_is_no_gap_and_nothing_torn(begin):
    body = """
def f():
    log = logging.getLogger("t")
    n = 0
    while True:
        log.info("%d", n, extra={"n": n}); print(n); n += 1
"""
    life = begin(
        "jobs: {w: {target: 't:f', on_failure: continue}}", code(1, body), "--output", "none"
    )
    until(lambda: life.log.path.exists() and life.log.path.stat().st_size > 3_000_000, "a log")
    os.kill(life.pid("w-1"), signal.SIGKILL)
    end = life.end()
    logs, lines = end.log.having("log"), end.log.having("output")
    assert [r["msg"] for r in logs] == [str(n) for n in range(len(logs))]
    assert [r["fields"]["n"] for r in logs] == list(range(len(logs)))
    assert [r["msg"] for r in lines] == [str(n) for n in range(len(lines))]
    assert len(logs) - len(lines) in (0, 1)


def test_lines_of_json_are_records_unless_that_is_turned_off(ran):
    body = """
import json
def f():
    print(json.dumps({"level": "ERROR", "msg": "bad", "n": 3}))
    print(json.dumps({"event": "row", "n": 3}))
"""
    spec = "jobs: {on: {target: 't:f'}, off: {target: 't:f', capture: text}}"
    end = ran(spec, code(1, body))
    (record,) = end.log.having("log")
    assert (record["job"], record["level"], record["msg"]) == ("on", "error", "bad")
    assert (record["fields"], record["stream"]) == ({"n": 3}, "stdout")
    assert len(end.log.printed("on-1")) == 1
    assert len(end.log.printed("off-1")) == 2
    assert 'on-1 | {"level": "ERROR", "msg": "bad", "n": 3}\n' in end.stdout


def test_with_tty_a_command_writes_to_a_terminal(ran):
    spec = """
jobs:
  on: {command: "test -t 1 && test -t 2 && printf '\\\\033[31mred\\\\033[0m\\\\n' && tput cols", tty: true, env: {TERM: xterm}}
  off: {command: "test -t 1 || echo no terminal"}
  bad: {command: "echo why >&2; exit 3", tty: true, on_failure: continue}
"""
    end = ran(spec, "")
    assert end.statuses() == {"on": "succeeded", "off": "succeeded", "bad": "failed"}
    assert end.log.printed("on-1")[0] == "red"
    assert end.log.printed("off-1") == ["no terminal"]
    assert end.log.printed("bad-1") == ["why"]
    assert "exit status 3: why" in end.stderr


def test_colours_of_a_target_are_dropped_from_a_pipe_and_kept_if_forced(ran, monkeypatch):
    body = r"""
def f(): print("\x1b[1;31mred\x1b[0m \x1b[2J")
"""
    spec = "jobs: {a: {target: 't:f'}}"
    assert "a-1 | red \\x1b[2J\n" in ran(spec, code(1, body)).stdout
    monkeypatch.setenv("FORCE_COLOR", "1")
    forced = ran(spec, code(1, body))
    assert "a-1 | \x1b[1;31mred\x1b[0m \\x1b[2J\x1b[0m\n" in forced.stdout
    assert forced.log.printed("a-1") == ["red \x1b[2J"]


def test_a_progress_bar_is_one_event_and_shown_while_it_goes_on(begin):
    body = r"""
import signal
def f():
    sys.stderr.write("\r 1%"); sys.stderr.flush()
    signal.sigtimedwait({signal.SIGUSR1}, 1.2)
    sys.stderr.write("\r50%"); sys.stderr.flush()
    sys.stdin.read()
    signal.sigwait({signal.SIGUSR1})
    sys.stderr.write("\r99%\n")
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
"""
    life = begin("jobs: {a: {target: 't:f'}}", code(1, body))
    until(lambda: "a-1 | 50%\n" in (life.folder / "stderr").read_text(), "the state")
    os.kill(life.pid("a-1"), signal.SIGUSR1)
    end = life.end()
    assert end.log.printed("a-1") == ["\r 1%\r50%\r99%"]
    shown = re.findall(r"a-1 \| *(\d+%)", end.stderr)
    assert shown == ["50%", "99%"]


SECRET = "hunter2hunter2"
BACKTRACE = """
from loguru import logger
import inspect, sys
SEEN = []
def look():
    frame = sys._getframe(2)
    while frame is not None:
        for name, value in frame.f_locals.items():
            if SECRET in repr(value) and frame.f_code.co_filename != __file__:
                SEEN.append((frame.f_code.co_filename, name))
        frame = frame.f_back
def secret():
    import base64
    return base64.b64decode(CODED).decode()
class Made:
    def __init__(self, *_, **__):
        work(0)
    def __call__(self, item): pass
def work(item, token=None):
    global SECRET
    SECRET = secret()
    look()
    try: 1 / 0
    except ZeroDivisionError: logger.exception("bad")
    print("seen in", SEEN)
"""


@pytest.mark.parametrize("target", ["t:work", "t:Made"])
@pytest.mark.parametrize("how", ["kwargs: {token: '${TOKEN}'}", "args: ['${TOKEN}']"])
def test_no_variable_of_mporch_s_frames_gives_a_secret_away(ran, monkeypatch, target, how):
    """loguru prints the variables of every frame below its call, mporch's among them."""
    coded = base64.b64encode(SECRET.encode())
    monkeypatch.setenv("TOKEN", SECRET)
    spec = f"""
queues: {{q: 10}}
jobs:
  src: {{target: "t:src", output: q}}
  w: {{target: "{target}", input: q, {how}}}
"""
    logger = "logger.remove(); logger.add(sys.stderr, backtrace=True, diagnose=True)\n"
    body = BACKTRACE.replace("import inspect, sys", f"import sys\nCODED = {coded!r}\n{logger}")
    end = ran(spec, code(1, body))
    assert end.exit_code == 0, end.stderr
    assert end.log.printed("w-1") == ["seen in []"]
    assert end.log.having("log", level="error")
    assert SECRET not in end.log.path.read_text()
    assert SECRET not in end.stderr + end.stdout


def test_a_failed_item_reaches_the_program_s_own_handlers_and_only_those(ran):
    body = """
class Keeps(logging.Handler):
    def emit(self, record):
        with open("kept", "a") as file:
            print(record.levelname, record.name, record.getMessage(), record.exc_info[0].__name__,
                  file=file)
logging.basicConfig(level=logging.INFO)
logging.getLogger().addHandler(Keeps())
def work(x):
    if x == 1: raise ValueError("no")
    if x == 2: raise KeyError("gone")
"""
    end = ran(
        PIPE
        % ", retry: {attempts: 2, backoff: {initial: 0s}}, on_error: {KeyError: skip, else: dead_letter}",
        code(3, body),
    )
    assert end.exit_code == 3
    assert sorted((end.log.path.parents[1] / "kept").read_text().splitlines()) == [
        "ERROR mporch.item item q:2 (1) failed (attempt 2) ValueError",
        "WARNING mporch.item item q:2 (1) failed (attempt 1) ValueError",
        "WARNING mporch.item item q:3 (2) failed (attempt 1) KeyError",
    ]
    assert end.log.having("log") == []
    assert "mporch.item" not in end.stderr


BAD = {
    "replaces sys.stdout": "import io\nsys.stdout = io.StringIO()\nlogging.basicConfig(stream=sys.stdout)",
    "closes descriptor 1": "os.close(1)\nlogging.basicConfig(stream=sys.stdout, level=20)",
    "puts a file on descriptor 2": "os.dup2(os.open('own', os.O_WRONLY | os.O_CREAT), 2)\nlogging.basicConfig(level=20)",
    "breaks the configuration": "import logging.config\ntry: logging.config.dictConfig({'version': 9})\nexcept ValueError: pass",
    "sets the class of records": "class R(logging.LogRecord): pass\nlogging.setLogRecordFactory(R)",
    "has processors of structlog that raise": """
import structlog
def breaks(*a): raise RuntimeError("no")
structlog.configure(processors=[breaks])
try: structlog.get_logger().error("lost")
except RuntimeError: pass""",
    "has a renderer of structlog that gives an odd type": """
import structlog
structlog.configure(processors=[lambda *a: (("odd",), {})])
structlog.get_logger().error("lost")""",
}


def test_a_module_that_is_called_as_a_library_is_no_trouble(ran):
    body = """
import structlog, loguru
def work(x): structlog.say(x); logging.warning("still %s", x)
"""
    own = {"structlog.py": "def say(x): print('said', x)\n", "loguru.py": "logger = None\n"}
    end = ran(PIPE % "", code(2, body), more=own)
    assert end.log.printed("w-1") == ["said 0", "said 1"]
    assert [r["msg"] for r in end.log.having("log")] == ["still 0", "still 1"]


@pytest.mark.parametrize("name", BAD)
def test_whatever_the_program_does_to_logging_its_record_arrives(ran, name):
    body = f"{BAD[name]}\ndef work(x): logging.getLogger('app').warning('still %s', x)\n"
    end = ran(PIPE % "", code(2, body))
    assert end.exit_code == 0, end.stderr
    records = [r for r in end.log.having("log", job="w") if r["logger"] == "app"]
    assert [r["msg"] for r in records] == ["still 0", "still 1"]
    assert items_of(records) == ["q:1", "q:2"]
    for path in end.log.path.parents[1].glob("own"):
        assert "\0" not in path.read_text()
        assert "still 0" in path.read_text()


def test_what_another_library_asks_of_the_log_is_there(ran):
    """`mporch logs` as its user calls it: by item, by field, in other forms."""
    body = """
def work(x):
    print("printed", x)
    logging.error("logged %s", x, extra={"user": f"u{x}"})
"""
    end = ran(PIPE % "", code(3, body))

    def logs(*options):
        done = subprocess.run(
            [COMMAND, "logs", str(end.log.path.parent), *options],
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.splitlines()

    texts = logs("--item", "q:2")
    assert {line.partition(" | ")[2] for line in texts} == {  # of two streams: in either order
        "printed 1  [q:2]",
        "root: logged 1  user=u1  [q:2]",
    }
    assert len(logs("--field", "user=u2", "--level", "error")) == 1
    assert len(logs("--grep", "user=u0")) == 1
    assert json.loads(logs("--format", "ecs", "--grep", "u0")[0])["labels"]["item"] == "q:1"
