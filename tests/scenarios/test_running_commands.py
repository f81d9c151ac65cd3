"""Commands in the place of targets: what they are given, what comes back, what they are run in."""

import json
import os
import signal

import pytest

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


def test_an_item_that_no_argument_can_hold_fails_with_words_of_its_own(ran):
    ended = ran(
        """
        queues: {n: 5, m: 5}
        jobs:
          give: {target: "t:give", output: [n, m]}
          list: {command: [echo, "{item}"], input: n, on_error: dead_letter}
          text: {command: "echo {item}", input: m, on_error: dead_letter}
        """,
        r"def give(): yield from ['fine', 'a\0b', 'a\ud800b']",
    )
    assert ended.exit_code == 3, ended.stderr
    assert ended.log.printed("list-1") == ended.log.printed("text-1") == ["fine"]
    for queue in "nm":
        nul, surrogate = ended.log.having("item.dead", queue=queue)
        assert nul["error_type"] == surrogate["error_type"] == "ValueError"
        assert "{item} has a NUL in it" in nul["msg"]
        assert "{item} has a lone surrogate in it, U+D800" in surrogate["msg"]
    assert "subprocess.py" not in ended.stderr


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


def test_a_programs_pythonpath_is_its_own(ran, tmp_path):
    (tmp_path / "own.py").write_text("X = 41")
    spec = f"""
    jobs:
      c:
        command: [python3, -c, "import own; print(own.X)"]
        env: {{PYTHONPATH: "{tmp_path}"}}
    """
    assert ran(spec, "").log.printed("c-1") == ["41"]
