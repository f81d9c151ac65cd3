"""Handles that an item does not use, while what others put waits for room."""

import pytest

PIPELINE = """
    queues: {numbers: 10, out: 1, rare: 5}
    jobs:
      count: {target: "t:count", output: numbers}
      hand: {target: "t:hand", input: numbers, output: {out: out, rare: rare}, %s}
      store: {target: "t:store", input: out}
      enough: {target: "t:enough", input: rare, call: stream}
"""

CODE = """
    import time

    def count():
        yield from range(30)

    def hand(n, out, rare):
        out.put(n)
        if n == 29:
            rare.put(n)

    def store(n):
        time.sleep(0.01)

    def enough(numbers):
        return
"""


@pytest.mark.parametrize("keys", ["workers: 1", "workers: 3"])
def test_the_reader_of_a_handle_that_was_never_used_may_return(ran, keys):
    end = ran(PIPELINE % keys, CODE)
    assert end.exit_code == 0, end.stderr
    assert end.ledger("out") == {"put": 30, "done": 30}
    assert end.ledger("rare") == {"put": 1, "dropped": 1}
