"""Commands in the place of targets: what they are given, what comes back, how they end."""

import json
import os
import signal

import psutil
import pytest
from life_runs import until

HOSTILE = [
    "plain",
    "two words",
    "",
    "-n",
    "*",
    "it's",
    '"',
    "'; touch stolen; '",
    '"; touch stolen; "',
    "$(touch stolen)",
    "`touch stolen`",
    "${HOME}",
    "a\nb",
    "$MPORCH_ITEM_1",
    "\\",
    "{item}",
    "é\udcff",
    "; touch stolen #",
    "&& touch stolen",
    "'\"`$(touch stolen)`\"'",
]

ECHO = """
import json, sys
for line in sys.argv[1:]:
    print(json.dumps(line))
"""

PLACES = {
    "alone": "./echo {item}",
    "single": "./echo '{item}'",
    "double": './echo "{item}"',
    "within": "./echo pre{item}post",
    "assigned": 'x={item}; ./echo "$x"',
    "substituted": './echo "$(printf %s. {item})"',
    "quoted_in_substitution": "./echo \"$(printf %s. '{item}')\"",
    "backquoted": './echo "`printf %s. {item}`"',
    "commented": "./echo {item} # don't",
    "function": "f() { ./echo {item}; }; f other",
}
AROUND = {"within": "pre{}post", **dict.fromkeys(
    ("substituted", "quoted_in_substitution", "backquoted"), "{}.")}  # fmt: skip


@pytest.mark.parametrize(
    "form",
    [
        pytest.param(form, marks=[pytest.mark.long] if at % 3 else [])
        for at, form in enumerate(("list", *PLACES))
    ],
)
def test_no_item_is_ever_read_as_a_part_of_the_command(begin, form):
    """Whatever an item is, and whatever quotes its place has, it is one argument."""
    line = PLACES.get(form, "list")
    command = json.dumps(["./echo", "{item}"] if form == "list" else line)
    life = begin(
        f"""
        queues: {{items: 100, back: 100}}
        jobs:
          give: {{target: "t:give", output: items}}
          run: {{command: {command}, input: items, output: back, stdout: json, start_method: fork}}
          take: {{target: "t:take", input: back, call: stream}}
        """,
        f"""
        import json, os
        HOSTILE = json.loads({json.dumps(json.dumps(HOSTILE))})
        def give():
            with open("echo", "w") as file:
                file.write("#!/usr/bin/env python3\\n" + {ECHO!r})
            os.chmod("echo", 0o755)
            yield from HOSTILE
        def take(items):
            with open("taken.json", "w") as file:
                json.dump(list(items), file)
        """,
        more={"echo": "#!/bin/sh\n"},
    )
    os.chmod(life.folder / "echo", 0o755)  # noqa: PTH101 -- as long as it is short
    ended = life.end()
    assert ended.exit_code == 0, ended.stderr
    told = AROUND.get(form, "{}")
    assert json.loads((life.folder / "taken.json").read_text()) == [told.format(i) for i in HOSTILE]
    assert not (life.folder / "stolen").exists()


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


@pytest.mark.parametrize("call", ["item", "batch", "stream"])
def test_both_pipes_may_be_full(ran, call):
    """Items of a megabyte go through a filter and back, without anybody waiting for the other."""
    ended = ran(
        f"""
        queues: {{n: 10, m: 10}}
        jobs:
          give: {{target: "t:give", output: n}}
          pass: {{command: [cat], input: n, output: m, call: {call}, stdin: json, stdout: json}}
          take: {{target: "t:take", input: m, call: stream}}
        """,
        """
        def give():
            for n in range(20):
                yield {"n": n, "text": chr(65 + n) * 1_000_000}
        def take(items):
            for n, item in enumerate(items):
                assert item == {"n": n, "text": chr(65 + n) * 1_000_000}
            print(n)
        """,
    )
    assert ended.exit_code == 0, ended.stderr
    assert ended.log.printed("take-1") == ["19"]


def test_a_stream_gives_back_what_it_has_while_it_waits_for_more(begin):
    """What a filter has written is on its way before the next item comes."""
    life = begin(
        """
        queues: {n: 10, m: 10}
        jobs:
          give: {target: "t:give", output: n}
          pass: {command: [cat], input: n, output: m, call: stream}
          take: {target: "t:take", input: m}
        """,
        """
        import pathlib, time
        def give():
            yield "one"
            while not pathlib.Path("one").exists():
                time.sleep(0.01)
            yield "two"
        def take(item):
            pathlib.Path(item).touch()
        """,
    )
    assert life.end().exit_code == 0
    assert (life.folder / "two").exists()


def test_a_source_waits_for_room_and_ends_when_nobody_wants_more(ran):
    """`yes` would write for ever: it is held up by its pipe, and gone with its reader."""
    ended = ran(
        """
        queues: {n: 10, m: 10}
        jobs:
          give: {command: [yes], output: n, terminate: {grace: 5s}}
          take: {command: [head, -n, 1000], input: n, output: m, call: stream}
          count: {command: [wc, -l], input: m, call: stream}
        """,
        "",
    )
    assert ended.exit_code == 0, ended.stderr
    assert ended.log.printed("count-1") == ["1000"]
    assert ended.summary["queues"]["n"]["peak"] <= 10
    assert ended.ledger("n").keys() <= {"put", "done", "dropped"}


def test_input_that_is_not_read_is_no_error(ran):
    ended = ran(
        """
        queues: {n: 10}
        jobs:
          give: {target: "t:give", output: n}
          ignore: {command: ["true"], input: n}
        """,
        """
        def give():
            yield from ("x" * size for size in (1, 10_000_000, 1))
        """,
    )
    assert ended.exit_code == 0, ended.stderr


def test_a_command_has_the_surroundings_of_its_job(ran):
    """Directory, environment, limits, group, signals and standard input are as they should be."""
    ended = ran(
        """
        jobs:
          make: {command: [mkdir, below]}
          look:
            after: make
            command: >-
              pwd; echo $NAME $${HOME-unset}; ulimit -n; cat;
              cut -d' ' -f5 /proc/self/stat; grep SigIgn /proc/self/status
            cwd: below
            env: {NAME: value, HOME: null}
            limits: {open_files: 64}
        """,
        "",
    )
    assert ended.exit_code == 0, ended.stderr
    folder, names, files, group, ignored = ended.log.printed("look-1")
    assert folder.endswith("/below")
    assert (names, files) == ("value unset", "64")
    (ready,) = ended.log.having("worker.ready", worker="look-1")
    assert int(group) == ready["pid"]
    mask = int(ignored.split()[1], 16)
    assert not mask & (1 << (signal.SIGPIPE - 1) | 1 << (signal.SIGXFSZ - 1))


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
        return [p for p in life.processes() if p.name() == name]

    return until(look, f"{name} runs")


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


def test_a_line_that_is_no_json_fails_its_item_and_is_shown(ran):
    ended = ran(
        """
        queues: {n: 5, m: 5}
        jobs:
          give: {command: [seq, 3], output: n}
          pass:
            command: "test {item} -eq 2 && echo '{' || echo {item}"
            input: n
            output: m
            stdout: json
            on_error: {ValueError: skip}
          take: {target: "t:take", input: m, call: stream}
        """,
        "def take(items): print(list(items))",
    )
    assert ended.exit_code == 0, ended.stderr
    assert ended.log.printed("take-1") == ["[1, 3]"]
    assert "is no JSON" in ended.log.having("item.skipped")[0]["msg"]


def test_an_item_that_json_cannot_hold_fails_with_its_id_and_type_and_no_frames(ran):
    ended = ran(
        """
        queues: {n: 5}
        jobs:
          give: {target: "t:give", output: n}
          read: {command: [cat], input: n, stdin: json, on_error: dead_letter}
        """,
        "def give(): yield from [1, b'two', {'three': 3}]",
    )
    assert ended.exit_code == 3, ended.stderr
    (dead,) = ended.log.having("item.dead")
    assert (dead["item"], dead["error_type"]) == ("n:2", "ValueError")
    assert "an item of type bytes cannot be written as JSON (stdin: json)" in dead["msg"]
    assert "json/encoder" not in ended.stderr + str(dead)


def test_a_stream_refuses_an_item_that_would_be_two(ran):
    ended = ran(
        """
        queues: {n: 5}
        jobs:
          give: {target: "t:give", output: n}
          count: {command: [wc, -l], input: n, call: stream}
        """,
        "def give(): yield from ['one', 'two\\nthree']",
    )
    assert ended.exit_code == 1
    assert "would be read as several" in ended.reason + ended.stderr


def test_all_output_is_one_item_and_a_batch_is_read_at_once(ran):
    ended = ran(
        """
        queues: {n: 50, m: 5}
        jobs:
          give: {command: [seq, 10], output: n}
          sum:
            command: "paste -sd+ | tee /dev/stderr"
            input: n
            output: m
            call: batch
            batch: {size: 10, within: 10s}
            stdout: text
          take: {target: "t:take", input: m, call: stream}
        """,
        "def take(items): print(list(items))",
    )
    assert ended.exit_code == 0, ended.stderr
    assert ended.log.printed("take-1") == [r"['1+2+3+4+5+6+7+8+9+10\n']"]


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
