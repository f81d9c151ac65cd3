"""A job with a rate starts its items in their time: over all workers, with retries and deaths."""

import pytest

SPEC = """
queues: {todo: 50, done: 50}
jobs:
  src: {target: "t:numbers", output: todo}
  work:
    target: t:work
    input: todo
    output: done
    workers: 3
    rate: %s
    retry: {attempts: 2, backoff: {initial: 1ms, max: 1ms}}
    restart: {max: 100, within: 1m}
  sink: {target: "t:write", input: done, call: stream}
"""

CODE = """
import os, signal, time
import orchestrator

STARTS = os.open("starts", os.O_CREAT | os.O_APPEND | os.O_WRONLY)

def numbers():
    with open("begun", "w") as begun:
        begun.write(str(time.monotonic()))
    yield from range(30)

def work(n):
    os.write(STARTS, f"{time.monotonic()}\\n".encode())
    if orchestrator.current().attempt == 1:
        if n == 5:
            os.kill(os.getpid(), signal.SIGKILL)
        if n == 9:
            raise ValueError("not yet")
    return n

def write(items):
    assert sorted(items) == list(range(30))
"""


@pytest.mark.parametrize(
    ("rate", "interval_s", "burst"), [("20/s", 0.05, 1), ("{limit: 20/s, burst: 5}", 0.05, 5)]
)
def test_no_item_starts_before_its_time_by_the_rate_and_a_burst(ran, rate, interval_s, burst):
    """However late the machine lets them start; stretches are the throttle's own tests."""
    end = ran(SPEC % rate, CODE)
    assert end.exit_code == 0, end.reason
    folder = end.log.path.parents[1]
    begun = float((folder / "begun").read_text())
    starts = sorted(map(float, (folder / "starts").read_text().split()))
    assert len(starts) == 32, "a retry is a start, after a death too"
    for n, start in enumerate(starts, 1):
        assert n <= burst + (start - begun) / interval_s
    assert end.summary["jobs"]["work"]["waiting_rate_s"] > 0


def test_a_wait_for_the_rate_is_no_stall(ran):
    end = ran(
        """
        queues: {todo: 50}
        jobs:
          src: {target: "t:three", output: todo}
          work: {target: "t:work", input: todo, rate: 2/s}
        """,
        "def three():\n    yield from range(3)\n\ndef work(n):\n    pass\n",
    )
    assert end.exit_code == 0, end.reason
    assert end.ledger("todo") == {"put": 3, "done": 3}
