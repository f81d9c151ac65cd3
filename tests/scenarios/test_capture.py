"""What targets print and log: nothing is lost, nothing is mixed up, nobody waits for it."""

import json
import time

import pytest
from life_runs import until

ONE = "jobs: {a: {target: 't:f'}}"


@pytest.fixture(autouse=True)
def _buffered_as_python_does_it(monkeypatch):
    """With PYTHONUNBUFFERED the last words of a killed process would prove nothing."""
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)


EVERY_WAY = r"""
    import ctypes, logging, os, subprocess, sys, warnings

    def f():
        print("printed")
        print("without its end", end="")
        sys.stdout.flush()
        print(", and its end")
        os.write(1, b"raw one\n")
        os.write(2, b"raw two\n")
        ctypes.CDLL(None).puts(b"from C")
        subprocess.run(["echo", "from a child"], check=True)
        warnings.warn("careful")
        sys.stdout.write("\x1b[31mred\x1b[0m \x00\x07 a\u2028b \ud800 {\"event\": 1}\n")
        os.write(1, b"\xff\xfe\r\n")
        print("both\nlines")
        print("the last, without an end", end="")
"""


def test_each_way_of_writing_is_an_event_of_its_worker(ran):
    end = ran(ONE, EVERY_WAY)
    assert end.exit_code == 0
    outs = end.log.having("output", stream="stdout")
    assert [r["msg"] for r in outs] == [
        "printed",
        "without its end, and its end",
        "raw one",
        "from C",
        "from a child",
        'red \x00\x07 a\u2028b \\ud800 {"event": 1}',
        "\\xff\\xfe",
        "both",
        "lines",
        "the last, without an end",
    ]
    (pid,) = {r["pid"] for r in outs}
    assert pid == end.log.having("worker.started")[0]["pid"]
    assert {(r["job"], r["worker"], r["level"]) for r in outs} == {("a", "a-1", "info")}
    errs = [r["msg"] for r in end.log.having("output", stream="stderr")]
    assert errs[0] == "raw two"
    assert "t.py:13: UserWarning: careful" in errs[1]
    assert "a-1 | from C\n" in end.stdout
    assert "a-1 | raw two\n" in end.stderr


def test_raw_output_has_no_prefix(ran):
    assert ran(ONE, "def f(): print('said')", "--output", "raw").stdout == "said\n"


def test_with_json_the_summary_is_alone_on_standard_output(ran):
    end = ran(ONE, "def f(): print('said')", "--format", "json")
    assert json.loads(end.stdout)["status"] == "succeeded"
    assert "a-1 | said\n" in end.stderr


LOGS = r"""
    import logging
    import structlog

    def f():
        log = logging.getLogger("my.part")
        log.debug("too fine")
        log.info("plain %s", 1)
        log.warning("with extras", extra={"n": 3, "big": 1 << 90, "thing": {1}})
        log.log(25, "between")
        log.error("two %d", "words")
        try:
            1 / 0
        except ZeroDivisionError:
            log.exception("caught")
        log.critical("x" * 200_000)
        structlog.get_logger().info("structured", k=1)
        structlog.configure(
            processors=[structlog.stdlib.render_to_log_kwargs],
            logger_factory=structlog.stdlib.LoggerFactory(),
        )
        structlog.get_logger("s").warning("through logging", k=2)
        log.setLevel(logging.DEBUG)
        log.debug("fine enough")
"""


def test_log_records_keep_level_logger_fields_and_traceback(ran):
    end = ran(ONE, LOGS)
    assert end.exit_code == 0
    logs = end.log.having("log")
    assert [(r["level"], r["logger"], r["msg"][:40]) for r in logs] == [
        ("info", "my.part", "plain 1"),
        ("warning", "my.part", "with extras"),
        ("info", "my.part", "between"),
        ("error", "my.part", "two %d % ('words',) (TypeError: %d format"[:40]),
        ("error", "my.part", "caught"),
        ("critical", "my.part", "x" * 40),
        ("info", "t", "structured"),
        ("warning", "s", "through logging"),
        ("debug", "my.part", "fine enough"),
    ]
    assert logs[1]["fields"] == {"n": 3, "big": str(1 << 90), "thing": [1]}
    assert logs[4]["traceback"].endswith("ZeroDivisionError: division by zero")
    assert logs[5]["cut"] == ["msg"]
    assert [r["fields"] for r in logs[6:8]] == [{"k": 1}, {"k": 2}]
    assert all(r["worker"] == "a-1" and r["pid"] for r in logs)
    assert end.log.printed("a-1") == []
    assert "a-1 | WARNING my.part: with extras  n=3 big=" in end.stderr
    assert "a-1 | INFO t: structured  k=1\n" in end.stderr
    assert "a-1 |     ZeroDivisionError: division by zero\n" in end.stderr


def test_a_hundred_thousand_lines_are_all_there_in_order(ran):
    end = ran(ONE, "def f():\n    for n in range(100_000): print(n)", "--output", "none")
    assert end.log.printed("a-1") == list(map(str, range(100_000)))


def test_a_line_without_end_comes_in_pieces_of_bounded_size(ran):
    code = "import sys\ndef f(): sys.stdout.write('é' * 5_000_000)"
    end = ran(ONE, code, "--output", "none")
    pieces = end.log.having("output")
    assert "".join(r["msg"] for r in pieces) == "é" * 5_000_000
    assert all(len(r["msg"].encode()) <= 65536 for r in pieces)
    assert end.stdout == ""
    assert [r.get("more", False) for r in pieces] == [True] * (len(pieces) - 1) + [False]


def together(*names):
    """A spec with a job for each function; none stops the others."""
    jobs = "".join(f"{name}: {{target: 't:{name}', on_failure: continue}}, " for name in names)
    return f"jobs: {{{jobs}}}"


def test_the_last_words_before_a_death_are_kept(ran):
    code = """
        import ctypes, logging, os
        def speak():
            logging.warning("logged")
            print("printed")
            ctypes.CDLL(None).puts(b"from C")
        def killed(): speak(); os.kill(os.getpid(), 9)
        def crashed(): speak(); ctypes.string_at(0)
        def aborted(): speak(); os.abort()
        def left(): speak(); os._exit(3)
    """
    deaths = {"killed": -9, "crashed": -11, "aborted": -6, "left": 3}
    end = ran(together(*deaths), code)
    assert end.codes() == {name: [code] for name, code in deaths.items()}
    for name in deaths:
        assert end.log.printed(f"{name}-1")[:2] == ["printed", "from C"]
        assert [r["msg"] for r in end.log.having("log", job=name)] == ["logged"]


def test_a_target_that_closes_descriptors_gets_none_of_ours_in_their_stead(ran):
    code = """
        import os, sys
        def write(name):
            with open(name, "w") as file:
                file.write("only mine")
        def two(): os.close(1); os.close(2); write("two")
        def three(): os.closerange(0, 3); write("three")
        def streams(): sys.stdout.close(); sys.stderr = None; write("streams")
        def private(): os.closerange(3, 256); write("private")
    """
    names = ("two", "three", "streams", "private")
    end = ran(together(*names), code)
    assert end.statuses() == {**dict.fromkeys(names, "succeeded"), "private": "failed"}
    for name in names:
        assert (end.log.path.parents[1] / name).read_text() == "only mine"
    assert end.log.printed("private-1") == [
        "mporch: private-1 gives up: the target has closed mporch's own descriptors"
    ]


def test_a_grandchild_that_holds_the_pipe_does_not_keep_the_run(ran):
    code = """
        import subprocess
        def f():
            subprocess.Popen(["sleep", "60"])
            print("done")
    """
    started = time.monotonic()
    end = ran(ONE, code)
    assert (end.exit_code, end.log.printed("a-1")) == (0, ["done"])
    assert time.monotonic() - started < 30


def test_a_chatty_worker_does_not_starve_the_queues(ran):
    code = """
        import logging
        def talk():
            while True:
                print("x" * 200)
                logging.info("y" * 200)
        def numbers():
            yield from range(20_000)
        def add(items):
            assert sum(items) == 199_990_000
    """
    spec = """
        queues: {q: 100}
        jobs:
          chat: {target: "t:talk", daemon: true, terminate: {grace: 1s}}
          numbers: {target: "t:numbers", output: q}
          add: {target: "t:add", input: q, call: stream}
    """
    end = ran(spec, code, "--output", "none")
    assert end.exit_code == 0
    assert end.ledger("q") == {"put": 20_000, "done": 20_000}


def test_output_is_on_the_screen_while_the_target_still_runs(begin):
    code = """
        import signal
        def f():
            print("here I am")
            signal.pause()
    """
    life = begin(ONE, code)
    life.log.wait("output", msg="here I am")
    shown = life.folder / "stdout"
    until(lambda: "a-1 | here I am\n" in shown.read_text(), "the line on standard output")
