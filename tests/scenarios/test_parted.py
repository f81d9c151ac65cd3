"""Items and batches of which a part has left: they are not tried again, and say so."""

import pytest

SPEC = """
queues: {{a: 20, b: {queue}}}
jobs:
  src: {{target: "t:src", output: a}}
  work:
    {{target: "t:work", input: a, {output}, {how}, retry: {{attempts: 5}}, on_error: {on_error}}}
  sink: {{target: "t:sink", input: b, call: stream}}
"""
CODE = """
import os, signal, time

def src():
    yield from range(8)

def fail():
    if not os.path.exists("failed"):
        open("failed", "w").close()
        {failure}

def many(x):
    yield from [bytes(400)] * 8
    time.sleep(0.2)
    fail()

def batch(xs):
    yield from [bytes(400) for _ in xs]
    time.sleep(0.2)
    fail()

def put(x, b):
    for _ in range(8):
        b.put(bytes(400))
    time.sleep(0.2)
    fail()

def sink(xs):
    for x in xs:
        time.sleep(0.001)
"""
DIES = "os.kill(os.getpid(), signal.SIGSEGV)"
RAISES = "raise ValueError('bad')"
SHAPES = {
    "item": ("many", "output: b", "call: item"),
    "batch": ("batch", "output: b", "call: batch, batch: {size: 8, within: 5s}"),
    "handle": ("put", "output: {b: b}", "call: item"),
}


def run(ran, shape, failure, *, queue, on_error="fail"):
    target, output, how = SHAPES[shape]
    spec = SPEC.format(queue=queue, output=output, how=how, on_error=on_error)
    return ran(spec.replace("t:work", f"t:{target}"), CODE.format(failure=failure))


@pytest.mark.parametrize("failure", [DIES, RAISES], ids=["dies", "raises"])
@pytest.mark.parametrize("shape", SHAPES)
def test_the_error_says_that_and_why_it_is_not_tried_again(ran, shape, failure):
    ended = run(ran, shape, failure, queue=3)
    whose = "its batch" if shape == "batch" else "it"
    why = f"(not tried again: a part of what {whose} gives is on its queues already)"
    assert ended.exit_code == 1
    assert why in ended.reason
    assert why in ended.stderr
    assert ended.reason.count("not tried again") == 1
    assert ("SIGSEGV" if failure is DIES else "ValueError: bad") in ended.reason


@pytest.mark.parametrize("failure", [DIES, RAISES], ids=["dies", "raises"])
def test_so_do_the_letters_of_a_batch(ran, failure):
    ended = run(ran, "batch", failure, queue=3, on_error="dead_letter")
    assert ended.exit_code == 3
    errors = [record["error"] for record in ended.log.having("item.dead")]
    assert len(errors) == 8
    assert all("a part of what its batch gives" in error for error in errors)


@pytest.mark.parametrize("failure", [DIES, RAISES], ids=["dies", "raises"])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    "queue",
    [
        "{maxsize: 3, when_full: drop_newest}",
        "{maxsize: 3, when_full: drop_oldest}",
        "{max_bytes: 1kB, when_full: drop_newest}",
    ],
    ids=["newest", "oldest", "bytes"],
)
def test_nothing_leaves_in_parts_where_a_queue_drops(ran, shape, failure, queue):
    """It has room for whatever comes: so nothing has left, and the item is tried again."""
    ended = run(ran, shape, failure, queue=queue)
    assert ended.exit_code == 0, ended.stderr
    assert ended.ledger("a") == {"put": 8, "done": 8}
    assert ended.ledger("b")["put"] == (8 if shape == "batch" else 64)
    assert not ended.log.having("item.failed")


def test_what_is_more_than_memory_should_hold_leaves_in_parts_there_too(ran):
    code = CODE.replace("[bytes(400)] * 8", "[x] * (1 << 17)").format(failure=RAISES)
    target, output, how = SHAPES["item"]
    queue = "{maxsize: 3, when_full: drop_newest}"
    spec = SPEC.format(queue=queue, output=output, how=how, on_error="fail")
    ended = ran(spec.replace("t:work", f"t:{target}"), code)
    assert ended.exit_code == 1
    assert "not tried again: a part of what it gives" in ended.reason
