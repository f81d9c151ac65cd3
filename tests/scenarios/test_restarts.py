"""What a job outlives by `retry`, `on_error` and `restart`: each item ends once, and only once."""

import json
import signal
import subprocess
from collections import Counter

import pytest
from life_runs import COMMAND, Life

ITEMS = 400
SIGKILLED, SEGFAULTS, RAISES, TWICE, HANGS, NAMED, LAST_GASP = 20, 50, 100, 150, 200, 250, 300

POISON = f"""
queues: {{todo: 50, done: 50}}
jobs:
  src: {{target: "t:numbers", output: todo}}
  work:
    target: t:work
    input: todo
    output: done
    workers: 2
    timeouts: {{item: 500ms}}
    on_error: {{LookupError: dead_letter, else: dead_letter}}
    retry: {{attempts: 3, backoff: {{initial: 10ms, max: 20ms}}}}
    restart: {{max: 20, within: 1m}}
  sink: {{target: "t:write", input: done, call: stream}}
x-items: {ITEMS}
"""

POISON_CODE = f"""
import ctypes, os, signal
import orchestrator

CALLS = os.open("calls", os.O_CREAT | os.O_APPEND | os.O_WRONLY)

def numbers():
    yield from range({ITEMS})

def work(n):
    now = orchestrator.current()
    os.write(CALLS, f"{{n}} {{now.attempt}} {{os.getpid()}}\\n".encode())
    if n == {SIGKILLED}:
        os.kill(os.getpid(), signal.SIGKILL)
    if n == {SEGFAULTS} and now.attempt < 3:
        ctypes.string_at(0)
    if n == {RAISES}:
        raise ValueError(f"no {{n}}")
    if n == {TWICE} and now.attempt < 3:
        raise ValueError("not yet")
    if n == {HANGS}:
        signal.pause()
    if n == {NAMED}:
        raise KeyError(n)
    if n == {LAST_GASP} and now.attempt == 1:
        os._exit(0)
    return n

def write(numbers):
    with open("out", "w") as out:
        for n in numbers:
            out.write(f"{{n}}\\n")
"""


@pytest.fixture(scope="module")
def poison(tmp_path_factory):
    life = Life(tmp_path_factory.mktemp("poison"), POISON, POISON_CODE)
    try:
        yield life, life.end()
    finally:
        life.close()


def test_a_run_with_dead_letters_ends_with_3_and_all_its_jobs_succeed(poison):
    _, ended = poison
    assert ended.exit_code == 3
    assert set(ended.statuses().values()) == {"succeeded"}


DEAD = {SIGKILLED: 3, RAISES: 3, HANGS: 3, NAMED: 1}
"""With their attempts: an exception that `on_error` names is dealt with at once."""


def test_every_item_but_the_poison_arrives_exactly_once(poison):
    life, ended = poison
    arrived = Counter(map(int, (life.folder / "out").read_text().split()))
    assert arrived == Counter(set(range(ITEMS)) - set(DEAD))
    assert ended.ledger("todo") == {"put": ITEMS, "done": ITEMS - len(DEAD), "dead": len(DEAD)}
    assert ended.ledger("done") == {"put": ITEMS - len(DEAD), "done": ITEMS - len(DEAD)}


def test_exactly_the_poison_is_dead_with_its_attempts_and_how_it_ended(poison):
    life, _ = poison
    letters = [json.loads(line) for line in (life.folder / "run/dead/letters.jsonl").open()]
    told = {letter["item"]: (letter["attempts"], letter["error_type"]) for letter in letters}
    kinds = {SIGKILLED: "WorkerDied", RAISES: "ValueError", HANGS: "WorkerDied", NAMED: "KeyError"}
    assert told == {f"todo:{n + 1}": (DEAD[n], kinds[n]) for n in DEAD}
    by_item = {letter["item"]: letter for letter in letters}
    assert "SIGKILL" in by_item[f"todo:{SIGKILLED + 1}"]["error"]
    hung = by_item[f"todo:{HANGS + 1}"]
    assert "timeouts.item" in hung["error"]
    assert hung["where"].startswith(f"{life.folder}/t.py:")
    assert f'File "{life.folder}/t.py", line ' in hung["traceback"]
    assert "raise ValueError" in by_item[f"todo:{RAISES + 1}"]["traceback"]


def test_attempts_are_those_that_were_made_and_neighbours_are_never_called_with_a_second(poison):
    """`current().attempt` tells a target which call it is; a death costs only its own item."""
    life, _ = poison
    calls = [tuple(map(int, line.split())) for line in (life.folder / "calls").open()]
    attempts = {n: sorted(a for m, a, _ in calls if m == n) for n in range(ITEMS)}
    tried = {SIGKILLED: 3, SEGFAULTS: 3, RAISES: 3, TWICE: 3, HANGS: 3, NAMED: 1, LAST_GASP: 2}
    for n, most in tried.items():
        assert sorted(set(attempts[n])) == list(range(1, most + 1)), n
    assert {a for n in set(range(ITEMS)) - set(tried) for a in attempts[n]} == {1}
    assert all(attempts.values())


def test_summary_and_log_tell_each_try_each_death_and_each_new_process(poison):
    _, ended = poison
    work = ended.summary["jobs"]["work"]
    assert (work["dead"], work["failed"]) == (len(DEAD), 0)
    retried = Counter(record["item"] for record in ended.log.having("item.retried"))
    again = dict.fromkeys((SIGKILLED, SEGFAULTS, RAISES, TWICE, HANGS), 2) | {LAST_GASP: 1}
    assert retried == {f"todo:{n + 1}": times for n, times in again.items()}
    assert work["retried"] == retried.total()
    dead = {record["item"] for record in ended.log.having("item.dead")}
    assert dead == {f"todo:{n + 1}" for n in DEAD}
    deaths = Counter(record["item"] for record in ended.log.having("worker.replaced"))
    killers = {SIGKILLED: 3, SEGFAULTS: 2, HANGS: 3, LAST_GASP: 1}
    assert deaths == {f"todo:{n + 1}": times for n, times in killers.items()}
    assert len(ended.log.having("worker.started", job="work")) == 2 + deaths.total()


@pytest.mark.parametrize("event", ["item.retried", "item.dead", "worker.replaced"])
def test_mporch_logs_shows_the_event_with_its_item(poison, event):
    life, ended = poison
    shown = subprocess.run(
        [COMMAND, "logs", "./run", "--job", "work", "--level", "warning"],
        cwd=life.folder,
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    ).stdout
    for record in ended.log.having(event):
        assert record["item"] in record["msg"]
        assert record["msg"] in shown


def test_a_crash_loop_ends_with_the_restarts_and_says_so(ran):
    ended = ran(
        """
        queues: {a: 10}
        jobs:
          src: {target: "t:numbers", output: a}
          work: {target: "t:Dies", input: a, restart: {max: 3, within: 1m}}
        """,
        """
        import os, signal

        def numbers():
            yield from range(10)

        class Dies:
            def __init__(self):
                os.kill(os.getpid(), signal.SIGABRT)

            def __call__(self, n):
                pass
        """,
    )
    assert ended.exit_code == 1
    assert "killed by SIGABRT" in ended.reason
    assert "used up its restarts (3 within 60 s)" in ended.reason
    assert len(ended.log.having("worker.started", job="work")) == 4
    assert ended.ledger("a").get("done") is None


def test_an_item_of_a_target_that_takes_its_killing_signal_is_charged_and_no_later_one(ran):
    """It has a handler for every signal, goes on with the next items, and is killed at those."""
    ended = ran(
        """
        queues: {a: 10, b: 10}
        jobs:
          src: {target: "t:numbers", output: a}
          work: {target: "t:work", input: a, output: b, timeouts: {item: 500ms}, on_error: skip}
          sink: {target: "t:show", input: b, call: stream}
        """,
        """
        import contextlib, signal, time

        def numbers():
            yield from range(8)

        def work(n):
            def raises(*_):
                raise InterruptedError

            signal.signal(signal.SIGRTMAX - 2, raises)
            if n == 2:
                with contextlib.suppress(InterruptedError):
                    signal.pause()
            time.sleep(0.15)
            return n

        def show(numbers):
            print(sorted(numbers))
        """,
    )
    assert ended.exit_code == 0
    assert [record["item"] for record in ended.log.having("worker.replaced")] == ["a:3"]
    assert ended.ledger("a") == {"put": 8, "done": 8}
    assert ended.log.having("output", msg="[0, 1, 2, 3, 4, 5, 6, 7]")


def test_a_signal_that_nobody_has_sent_to_a_worker_is_no_stack_of_it(ran):
    """Its child is given it, and then it ends by itself; or it sends it to itself."""
    ended = ran(
        """
        queues: {a: 10}
        jobs:
          src: {target: "t:numbers", output: a}
          work: {target: "t:work", input: a, timeouts: {item: 20s}, on_error: skip}
        """,
        """
        import os, signal

        def numbers():
            yield from range(2)

        def work(n):
            if n == 0:
                if not (pid := os.fork()):
                    os.kill(os.getpid(), signal.SIGRTMAX - 2)
                os.waitpid(pid, 0)
                os._exit(7)
            os.kill(os.getpid(), signal.SIGRTMAX - 2)
        """,
    )
    first, second = (record["msg"] for record in ended.log.having("worker.replaced"))
    assert "exited with code 7 before its work was done in t:work at item a:1" in first
    assert f"killed by signal {signal.SIGRTMAX - 2} in t:work at item a:2" in second


def test_ctrl_c_while_a_worker_rests_ends_the_run_without_another_process(begin):
    """It has died so often in a row that the next process is a while off."""
    run = begin(
        """
        queues: {a: 10}
        jobs:
          src: {target: "t:hold", output: {q: a}}
          work: {target: "t:Dies", input: a, restart: {max: 99, within: 1m}}
        """,
        """
        import os, signal

        def hold(q):
            print("holding")
            signal.pause()

        class Dies:
            def __init__(self):
                os._exit(7)

            def __call__(self, n):
                pass
        """,
    )
    run.said("holding")
    run.log.wait("worker.replaced", n=7)
    for how in ("drain", "terminate"):
        run.interrupt()
        run.log.wait("run.stopping", how=how)
    ended = run.end()
    assert ended.exit_code == 128 + signal.SIGINT
    assert ended.statuses()["work"] == "terminated"
    stopped = ended.log.place("run.stopping", how="terminate")
    after = [record["event"] for record in ended.log.records[stopped:]]
    assert "worker.started" not in after


def test_what_has_left_in_part_is_not_tried_again_and_what_has_not_is(ran):
    """Of more outputs than the queue holds, a part leaves; just as many as it holds wait."""
    ended = ran(
        """
        queues: {a: 3, fits: 3, b: 3, parts: 3}
        jobs:
          src: {target: "t:numbers", output: [a, b]}
          item: {target: "t:just_fits", input: a, output: fits, retry: {attempts: 2}}
          batch:
            target: t:too_much
            input: b
            output: parts
            call: batch
            batch: {size: 3, within: 10s}
            on_error: skip
            retry: {attempts: 3}
          left: {target: "t:write", input: fits, call: stream}
          right: {target: "t:write", input: parts, call: stream}
        """,
        """
        import orchestrator

        def numbers():
            yield from range(3)

        def just_fits(n):
            for k in range(3):
                yield f"fits {n}.{k}"
            if orchestrator.current().attempt == 1:
                raise ValueError("once")

        def too_much(batch):
            for k in range(5):
                yield f"part {k} of {len(batch)}"
            raise ValueError("always")

        def write(lines):
            for line in lines:
                print(line)
        """,
    )
    assert ended.exit_code == 0
    assert sorted(ended.log.printed("left-1")) == [f"fits {n}.{k}" for n in "012" for k in "012"]
    assert ended.log.printed("right-1") == [f"part {k} of 3" for k in range(3)]
    assert ended.ledger("a") == {"put": 3, "done": 3}
    assert ended.ledger("b") == {"put": 3, "skipped": 3}
    assert ended.summary["jobs"]["item"]["retried"] == 3
    assert ended.summary["jobs"]["batch"]["retried"] == 0


@pytest.mark.parametrize("method", ["forkserver", "fork", "spawn"])
@pytest.mark.parametrize(
    "end", ["os.kill(os.getpid(), signal.SIGKILL)", "os._exit(0)", "os._exit(7)"]
)
def test_what_a_dead_worker_left_in_its_group_is_gone_when_its_item_is_tried_again(
    ran, method, end
):
    """A program, and what a program in between has left: orphans of the orchestrator by then."""
    end = ran(
        f"""
        queues: {{todo: 10}}
        jobs:
          src: {{target: "t:src", output: todo}}
          work:
            target: "t:work"
            input: todo
            start_method: {method}
            retry: {{attempts: 2}}
        """,
        f"""
        import os, pathlib, select, signal, subprocess

        def src():
            return [1]

        def work(n):
            left = pathlib.Path("left")
            if not left.exists():
                one = subprocess.Popen(["sleep", "1000"])
                two = subprocess.run(
                    "sleep 1000 >&- 2>&- & echo $!", shell=True, stdout=subprocess.PIPE, text=True
                )
                left.write_text(f"{{one.pid}} {{two.stdout}}")
                {end}
            for pid in left.read_text().split():
                try:
                    pidfd = os.pidfd_open(int(pid))
                except ProcessLookupError:
                    print("gone")
                else:
                    print("gone" if select.select([pidfd], [], [], 10)[0] else "there")
        """,
    )
    assert end.exit_code == 0, end.stderr
    assert end.log.printed("work-1") == ["gone", "gone"]


def test_an_item_of_a_batch_that_kills_each_time_costs_the_job_no_more_than_its_attempts(ran):
    """Once it is known to kill, its neighbours are not called with it any more."""
    code = """
    import os
    def find():
        return range(1, 7)
    def parse(files):
        print("called with", *files, flush=True)
        if 4 in files:
            os.kill(os.getpid(), 9)
        return files
    def store(texts):
        print("stored", *texts)
    """
    spec = """
    queues: {files: 100, texts: 100}
    jobs:
      find: {target: "t:find", output: files}
      parse: {target: "t:parse", input: files, output: texts, call: batch, batch: {size: 6},
              retry: {attempts: 3}, on_error: dead_letter}
      store: {target: "t:store", input: texts, call: stream}
    """
    end = ran(spec, code)
    assert end.exit_code == 3, end.stderr
    lines = [line.partition("| ")[2] for line in end.stdout.splitlines()]
    called = [line.removeprefix("called with ") for line in lines if line.startswith("called")]
    assert called == ["1 2 3 4 5 6", "1", "2", "3", "4", "4", "4", "5", "6"]
    assert "stored 1 2 3 5 6" in lines
