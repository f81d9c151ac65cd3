"""Daemons that read: all that is queued for them is read, or told to be left."""

import pytest

CODE = """
import os, signal

def src(n):
    yield from range(n)


def note(n):
    with open("seen", "a") as file:
        print(n, file=file)

def ticks():
    n = 0
    while True:
        yield n
        n += 1

def relay(n):
    return n

def total(items):
    numbers = [n for n in items]
    with open("total", "w") as file:      # after the end of the input
        file.write(str(len(numbers)))

def stuck(n):
    if n == 1 and not os.path.exists("mended"):
        print("stuck")
        signal.pause()
    note(n)

def serve(items):
    for _ in items:
        pass
    signal.pause()
"""


def test_a_daemon_reads_all_that_was_put_before_the_others_were_done(ran):
    ended = ran(
        """
        queues: {a: 100}
        jobs:
          src: {command: [seq, 50], output: a}
          log: {command: "sleep 0.02; echo {item} >> log.txt", input: a, daemon: true}
        """,
        CODE,
    )
    assert (ended.exit_code, ended.statuses()["log"]) == (0, "succeeded")
    assert ended.ledger("a") == {"put": 50, "done": 50}
    written = (ended.log.path.parents[1] / "log.txt").read_text().split()
    assert written == [str(n) for n in range(1, 51)]
    assert ended.summary["warnings"] == []


def test_daemons_end_one_after_the_other_and_do_what_stands_after_their_input(ran):
    ended = ran(
        """
        queues: {a: 10, b: 10}
        jobs:
          main: {target: "t:src", args: [0]}
          ticks: {target: "t:ticks", output: a, daemon: true}
          relay: {target: "t:relay", input: a, output: b, daemon: true}
          total: {target: "t:total", input: b, call: stream, daemon: true}
        """,
        CODE,
    )
    ends = {"main": "succeeded", "ticks": "terminated", "relay": "succeeded", "total": "succeeded"}
    assert (ended.exit_code, ended.statuses()) == (0, ends)
    put = ended.ledger("a").get("put", 0)
    assert int((ended.log.path.parents[1] / "total").read_text()) == put
    assert ended.ledger("b").get("done", 0) == put


@pytest.mark.parametrize("durable", ["false", "true"])
def test_what_a_daemon_leaves_after_its_join_is_told_and_there_when_the_run_is_resumed(
    begin, durable
):
    life = begin(
        f"""
        durable: {durable}
        queues: {{a: 10}}
        jobs:
          src: {{target: "t:src", args: [4], output: a}}
          log: {{target: "t:stuck", input: a, daemon: true, join: 200ms}}
        """,
        CODE,
    )
    ended = life.end()
    assert (ended.exit_code, ended.statuses()["log"]) == (1, "timed_out")
    assert ended.ledger("a") == {"put": 4, "done": 1, "left": 3}
    assert "of the end of all other jobs, and its input is not empty (join)" in ended.reason
    if durable == "true":
        (life.folder / "mended").write_text("")
        life.resume()
        ended = life.end()
        assert (ended.exit_code, ended.statuses()["log"]) == (0, "succeeded")
        assert (life.folder / "seen").read_text().split() == ["0", "1", "2", "3"]


def test_a_daemon_that_goes_on_after_its_input_is_ended_and_that_is_no_failure(ran):
    ended = ran(
        """
        queues: {a: 10}
        jobs:
          src: {target: "t:src", args: [4], output: a}
          serve: {target: "t:serve", input: a, call: stream, daemon: true, join: 200ms}
        """,
        CODE,
    )
    assert (ended.exit_code, ended.statuses()["serve"]) == (0, "terminated")
    assert ended.ledger("a") == {"put": 4, "done": 4}
