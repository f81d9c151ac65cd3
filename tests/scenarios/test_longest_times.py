"""The longest times that a spec can name, longer than the system can be asked to wait at once."""

import pytest

SPEC = """
timeout: 36500d
queues: {{a: {{maxsize: 1, put_timeout: 36500d}}, b: 1}}
jobs:
  src: {{target: "t:src", output: a}}
  work: {{{work}, input: a, output: b, terminate: {{grace: 36500d}}}}
  sink:
    target: t:sink
    input: {{b: b}}
    join: 36500d
    timeouts: {{start: 36500d, run: 36500d}}
"""
CODE = """
import time

def src():
    yield from range(20)

def work(n):
    time.sleep(0.005)
    return n

def sink(b):
    while True:
        print("got", b.get(timeout=36500 * 86400))
"""


@pytest.mark.parametrize(
    "work",
    [
        'target: "t:work", timeouts: {item: 36500d}, restart: {max: 3, within: 36500d}',
        "command: [cat], stdin: json, stdout: json, timeouts: {item: 36500d}",
    ],
    ids=["target", "command"],
)
def test_a_run_whose_times_are_the_longest_goes_well(ran, work):
    ended = ran(SPEC.format(work=work), CODE)
    assert ended.exit_code == 0
    assert len(ended.log.printed("sink-1")) == 20
