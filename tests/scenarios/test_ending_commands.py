"""Commands in the place of targets: how they end, by themselves and when they are ended."""

import contextlib
import json
import os
import shlex
import signal
import sys

import psutil
import pytest
from life_runs import until


def test_a_task_that_fails_says_its_status_and_last_words(ran):
    ended = ran(
        """
        jobs:
          pack: {command: "echo first; echo lost >&2; echo words >&2; exit 3", on_failure: continue}
          shot: {command: "kill -SEGV $$$$", on_failure: continue}
          none: {command: ./nothing, on_failure: continue}
          fine: {command: "exit 3", exit_codes: [0, 3]}
        """,
        "",
    )
    assert ended.exit_code == 1
    assert ended.statuses() == {
        "pack": "failed",
        "shot": "failed",
        "none": "failed",
        "fine": "succeeded",
    }
    (pack,) = ended.log.having("worker.ended", worker="pack-1")
    assert "exit status 3: lost\nwords" in pack["msg"]
    assert ended.log.printed("pack-1") == ["first", "lost", "words"]
    assert "killed by SIGSEGV" in ended.log.having("worker.ended", worker="shot-1")[0]["msg"]
    assert "exit status 127" in ended.log.having("worker.ended", worker="none-1")[0]["msg"]
    assert "Traceback" not in ended.stderr


def test_an_item_whose_command_fails_ends_as_on_error_says(ran):
    ended = ran(
        """
        queues: {n: 10, m: 10}
        jobs:
          count: {command: [seq, 5], output: n}
          odd:
            command: "echo {item}; test {item} -ne 3 || { echo three >&2; exit 9; }"
            input: n
            output: m
            on_error: {CommandError: dead_letter}
            retry: {attempts: 2}
          show: {command: [echo, "{item}"], input: m}
        """,
        "",
    )
    assert ended.exit_code == 3
    assert ended.ledger("n") == {"put": 5, "done": 4, "dead": 1}
    assert ended.log.printed("show-1") == ["1", "2", "4", "5"], "what it had written is not put"
    (dead,) = ended.log.having("item.dead")
    assert dead["error_type"] == "orchestrator.CommandError"
    assert "exit status 9: three" in dead["msg"]


def test_a_command_of_an_item_is_ended_when_nobody_will_ever_take_its_output(ran):
    """Each next one is begun, and ended at its first line; a function goes on to its end."""
    ended = ran(
        """
        queues: {n: 10, lines: 5, same: 5, whole: 5}
        jobs:
          give: {command: [seq, 20], output: [n, same]}
          repeat: {command: "echo {item} >> begun; exec yes", input: n, output: lines}
          some: {command: [head, -n, 3], input: lines, call: stream}
          all: {target: "t:all_of_it", input: same, output: whole}
          one: {command: [head, -n, 1], input: whole, call: stream}
        """,
        """
        def all_of_it(number):
            yield from range(100)
            with open("finished", "a") as file:
                print(number, file=file)
        """,
    )
    assert ended.exit_code == 0, ended.stderr
    assert ended.ledger("n") == ended.ledger("same") == {"put": 20, "done": 20}
    assert ended.log.printed("some-1") == ["y"] * 3
    assert ended.ledger("lines").keys() == {"put", "done", "dropped"}
    assert ended.ledger("whole")["put"] == 2000
    begun, finished = ((ended.log.path.parents[1] / name) for name in ("begun", "finished"))
    assert (
        begun.read_text().split()
        == finished.read_text().split()
        == [str(number) for number in range(1, 21)]
    )


def test_a_stop_reaches_every_process_of_a_pipeline_and_then_the_grace_is_over(ran):
    ended = ran(
        """
        jobs:
          polite:
            command: >-
              sh -c 'trap "echo bye >&2; exit 0" TERM; while :; do sleep 0.05; done' | cat
            timeouts: {run: 1s}
            on_failure: continue
          deaf:
            command: "trap '' TERM; while :; do sleep 1; done"
            timeouts: {run: 1s}
            terminate: {grace: 300ms}
        """,
        "",
    )
    assert ended.exit_code == 1
    printed = ended.log.printed("polite-1")
    # The stop reaches `sleep` too, and the shell may have a word for that.
    assert [line for line in printed if line != "Terminated"] == ["bye"]
    assert ended.codes() == {"polite": [-15], "deaf": [-9]}


def running(life, name):
    """Wait for a program of the run, and return it."""

    def look():
        return [p for p in life.processes() if _name(p) == name]

    return until(look, f"{name} runs")


def _name(process):
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.name()
    return None


@pytest.mark.parametrize(
    ("victims", "command"),
    [
        ("worker", "sleep 500 | cat"),
        ("orchestrator", "sleep 500 | cat"),
        ("guard", "sleep 500 | cat"),
        ("both", ["sleep", "500"]),  # what a shell has started outlives that: docs/lifecycle.md
    ],
)
def test_no_command_survives_who_has_started_it(begin, victims, command):
    life = begin(f"jobs:\n  nap: {{command: {json.dumps(command)}}}", "")
    running(life, "sleep")
    pids = {
        "worker": lambda: [life.pid("nap-1")],
        "orchestrator": lambda: [life.orchestrator],
        "guard": lambda: [life.guard.pid],
        "both": lambda: [life.guard.pid, life.orchestrator],
    }[victims]()
    for pid in pids:
        psutil.Process(pid).suspend()
    for pid in pids:
        psutil.Process(pid).kill()
    life.guard.wait(20)
    until(lambda: not life.processes(), f"left: {life.processes()}", 3.0)


def test_what_a_command_leaves_running_does_not_keep_it_and_ends_with_the_worker(ran):
    ended = ran(
        """
        queues: {n: 5}
        jobs:
          give: {command: "sleep 300 & echo one; echo done >&2", output: n}
          take: {command: [echo, "{item}"], input: n}
        """,
        "",
    )
    assert ended.exit_code == 0, ended.stderr
    assert ended.log.printed("take-1") == ["one"]


FIRST_SLEEPS = """
import os, pathlib, sys
first = pathlib.Path("first")
if not first.exists():
    first.write_text(str(os.getpid()))
    os.execvp("sleep", ["sleep", "500"])
stat = pathlib.Path(f"/proc/{first.read_text()}/stat")
print(stat.read_text().split()[2] if stat.exists() else "gone")
"""


@pytest.mark.parametrize("as_text", [True, False])
def test_the_program_of_a_killed_worker_is_gone_before_its_item_is_tried_again(begin, as_text):
    line = [sys.executable, "t.py"]
    life = begin(
        f"""
        queues: {{n: 5, m: 5}}
        jobs:
          give: {{command: [echo, one], output: n}}
          take:
            command: {json.dumps(shlex.join(line) if as_text else line)}
            input: n
            output: m
            stdin: none
            retry: {{attempts: 2}}
          show: {{command: [echo, "{{item}}"], input: m}}
        """,
        FIRST_SLEEPS,
    )
    running(life, "sleep")
    os.kill(life.pid("take-1"), signal.SIGKILL)
    ended = life.end()
    assert ended.exit_code == 0, ended.stderr
    (found,) = ended.log.printed("show-1")
    assert found in ("gone", "Z")


def test_an_item_timeout_gives_a_command_its_stop_signal_only_if_it_fails_the_job(ran):
    ended = ran(
        """
        defaults: {on_failure: continue}
        queues: {a: 5, b: 5}
        jobs:
          give: {command: [seq, 1], output: [a, b]}
          skips: &hangs
            command: "trap 'echo bye; exit 1' TERM; echo hello; sleep 60 & wait"
            input: a
            timeouts: {item: 1s}
            on_error: skip
          fails: {<<: *hangs, input: b, on_error: fail}
        """,
        "",
    )
    assert ended.exit_code == 1, ended.stderr
    assert ended.ledger("a") == {"put": 1, "skipped": 1}
    assert {line for name in ("skips-1", "skips-2") for line in ended.log.printed(name)} == {
        "hello"
    }
    assert ended.log.printed("fails-1") == ["hello", "bye"]


def test_an_item_timeout_ends_the_command_and_spends_an_attempt(ran):
    ended = ran(
        """
        queues: {n: 50}
        jobs:
          give: {command: [seq, 3], output: n}
          nap:
            command: "test {item} -ne 2 || sleep 100"
            input: n
            timeouts: {item: 1s}
            on_error: dead_letter
        """,
        "",
    )
    assert ended.exit_code == 3, ended.stderr
    assert ended.ledger("n") == {"put": 3, "done": 2, "dead": 1}


def test_a_durable_run_goes_on_with_its_commands_and_refuses_others(begin, tmp_path):
    """A source that is run again is compared; another text of a command is another program."""
    life = begin(
        """
        durable: true
        queues: {n: 10}
        jobs:
          give: {command: [seq, 30], output: n}
          take:
            command: "test -e mended || test {item} -ne 20 || exit 1; echo {item} >> taken"
            input: n
        """,
        "",
    )
    assert life.end().exit_code == 1
    (life.folder / "mended").touch()
    spec = life.folder / "jobs.yaml"
    before = spec.read_text()
    spec.write_text(before.replace("seq, 30", "seq, 31"))

    def resume(*options):
        return psutil.subprocess.run(
            [life.guard.args[0], "resume", "run", *options],
            cwd=life.folder, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip

    assert resume().returncode == 2
    spec.write_text(before)
    done = resume()
    assert done.returncode == 0, done.stderr
    taken = (life.folder / "taken").read_text().split()
    assert sorted(map(int, taken)) == list(range(1, 31))
