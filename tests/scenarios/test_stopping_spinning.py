"""A stop signal for targets that put and put, and never wait for anything."""

import signal

import pytest

CODE = """
import itertools

def give():
    yield 1

def spin(put):
    try:
        for n in itertools.count():
            put("y")
            if n == 20000:
                print("spinning")
    finally:
        print("finally")

def yields(_):
    try:
        for n in itertools.count():
            yield "y"
            if n == 20000:
                print("spinning")
    finally:
        print("finally")

def puts(_, q):
    spin(q.put)

def puts_once(start, q):
    spin(q.put)

def read_one(items):
    next(iter(items))

def read_all(items):
    for _ in items:
        pass
"""


@pytest.mark.parametrize(
    ("job", "read"),
    [
        ('target: "t:yields", input: a, output: b', "read_one"),
        ('target: "t:yields", input: a, output: b, ordered: true', "read_all"),
        ('target: "t:puts", input: a, output: {q: b}, ordered: true', "read_all"),
        ('target: "t:puts_once", input: {start: a}, output: {q: b}', "read_all"),
    ],
    ids=["reader gone", "ordered", "ordered handle", "handle"],
)
def test_a_stop_reaches_a_target_whose_puts_never_wait(begin, job, read):
    """The signal may come while the worker holds its lock; the grace outlasts the test."""
    run = begin(
        f"""
        queues: {{a: 5, b: {{maxsize: 5, when_full: drop_newest}}}}
        jobs:
          give: {{target: "t:give", output: a}}
          spin: {{{job}, terminate: {{grace: 10m}}}}
          read: {{target: "t:{read}", input: b, call: stream}}
        """,
        CODE,
    )
    run.said("spinning")
    run.guard.send_signal(signal.SIGTERM)
    ended = run.end()
    assert ended.exit_code == 143
    assert ended.statuses()["spin"] == "terminated"
    assert ended.log.printed("spin-1") == ["spinning", "finally"]
