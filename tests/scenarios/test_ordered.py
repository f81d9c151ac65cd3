"""Outputs of an ordered job leave in the order of its input, whatever befalls its workers."""

import json
import os

import pytest
from life_runs import until

ITEMS = 300

SPEC = """
queues: {todo: 20, done: %(room)d}
jobs:
  src: {target: "t:numbers", output: todo}
  work:
    target: t:work
    input: todo
    output: done
    workers: 3
    ordered: %(ordered)s
    on_error: {LookupError: skip, else: dead_letter}
    retry: {attempts: 2, backoff: {initial: 10ms, max: 20ms}}
    restart: {max: 100, within: 1m}
  sink: {target: "t:write", input: done, call: stream}
"""

CODE = f"""
import json, os, signal
import orchestrator

def numbers():
    yield from range({ITEMS})

def work(n):
    first = orchestrator.current().attempt == 1
    if n % 50 == 7 and first:
        os.kill(os.getpid(), signal.SIGKILL)
    if n % 50 == 13 and first:
        raise ValueError("not yet")
    if n % 50 == 20:
        raise KeyError(n)
    if n % 50 == 30:
        raise ValueError("never")
    if n % 50 == 40:
        for part in range(9):
            yield [n, part]
    else:
        yield [n, 0]

def write(items):
    with open("out", "w") as out:
        json.dump(list(items), out)
"""

EXPECTED = [
    [n, part]
    for n in range(ITEMS)
    if n % 50 not in (20, 30)
    for part in range(9 if n % 50 == 40 else 1)
]


@pytest.mark.parametrize(
    ("ordered", "room"), [("true", 50), ("true", 2), ("{window: 3}", 5)], ids=str
)
def test_order_outlives_kills_retries_skips_dead_letters_and_a_narrow_queue(ran, ordered, room):
    end = ran(SPEC % {"ordered": ordered, "room": room}, CODE)
    assert json.loads((end.log.path.parents[1] / "out").read_text()) == EXPECTED
    assert end.exit_code == 3, end.reason
    assert end.ledger("todo") == {
        "put": ITEMS, "done": ITEMS - 12, "skipped": 6, "dead": 6,
    }  # fmt: skip


SLOW_HEAD = """
import os

def numbers():
    yield from range(200)

def work(n):
    if n == 0:
        with open("fifo") as gate:
            gate.read()
    else:
        with open("seen", "a") as seen:
            print(n, file=seen)
    return n

def write(items):
    assert list(items) == list(range(200))
"""


def test_a_slow_first_item_holds_the_others_back_at_the_bound_and_not_before(begin):
    life = begin(
        """
        queues: {todo: 30, done: 30}
        jobs:
          src: {target: "t:numbers", output: todo}
          work: {target: "t:work", input: todo, output: done, workers: 2, ordered: {window: 25}}
          sink: {target: "t:write", input: done, call: stream}
        """,
        SLOW_HEAD,
    )
    os.mkfifo(life.folder / "fifo")
    seen = life.folder / "seen"
    until(lambda: seen.exists() and len(seen.read_text().split()) == 24, "24 items ahead")
    assert life.log.having("job.ended", job="sink") == []
    (life.folder / "fifo").write_text("go")
    end = life.end()
    assert end.exit_code == 0, end.reason
    assert end.ledger("done") == {"put": 200, "done": 200}
