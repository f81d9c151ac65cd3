"""Nothing waits for the slow; what can never go on is named at once."""

import signal

import pytest

SLOW = """
queues: {numbers: 2000, results: 2000}
jobs:
  count: {target: "t:count", output: numbers}
  work: {target: "t:work", input: numbers, output: results, workers: 2}
  collect: {target: "t:collect", input: results, call: stream}
"""

SLOW_CODE = """
import time

SLOW_S = 2.0

def count():
    return range(1000)

def work(n):
    if n == 30:
        begun = time.monotonic()
        {slowly}
        return begun
    return -1

def collect(results):
    quick, last = 0, 0.0
    for begun in results:
        now = time.monotonic()
        if begun < 0:
            quick, last = quick + 1, now
        else:
            print(quick, "came", now - last, "s before the slow one")
"""


@pytest.mark.parametrize(
    "slowly",
    ["time.sleep(SLOW_S)", "while time.monotonic() - begun < SLOW_S: pass"],
    ids=["sleeping", "spinning"],
)
def test_one_slow_item_holds_back_no_other(ran, slowly):
    ended = ran(SLOW, SLOW_CODE.format(slowly=slowly))
    assert ended.exit_code == 0
    (line,) = ended.log.printed("collect-1")
    quick, _, before_s, *_ = line.split()
    assert quick == "999"
    assert float(before_s) > 1.0  # of the two seconds


def test_what_is_put_arrives_although_its_producer_never_does_anything_again(begin):
    run = begin(
        """
        queues: {a: 10, b: 10, c: 10, d: 10, e: 10, f: 10}
        defaults: {terminate: {grace: 1s}}
        jobs:
          handle: {target: "t:put_and_wait", output: {q: a}}
          read_a: {target: "t:read", input: {q: a}}
          source: {target: "t:give_and_wait", output: b}
          item: {target: "t:pass_on_and_wait", input: b, output: c}
          read_c: {target: "t:tell", input: c, call: stream}
          spin: {target: "t:give_and_spin", output: d}
          read_d: {target: "t:tell", input: d}
          many: {target: "t:two_at_once", output: e}
          half: {target: "t:second_waits", input: e, output: f}
          read_f: {target: "t:tell", input: f}
        """,
        """
        import signal

        def put_and_wait(q):
            q.put("from the handle")
            signal.pause()

        def read(q):
            print(q.get())
            signal.pause()

        def give_and_wait():
            yield "from the source"
            signal.pause()

        def pass_on_and_wait(word):
            yield word + " through an item"
            return

        def tell(words):
            if isinstance(words, str):
                print(words)
            else:
                for word in words:
                    print(word)

        def give_and_spin():
            yield "from who spins"
            while True:
                pass

        def two_at_once():
            return ["first", "second"]

        def second_waits(word):
            if word == "second":
                signal.pause()
            return word
        """,
    )
    run.said("from the handle", worker="read_a-1")
    run.said("from the source through an item", worker="read_c-1")
    run.said("from who spins", worker="read_d-1")
    run.said("first", worker="read_f-1")
    run.guard.send_signal(signal.SIGTERM)
    assert run.end().ledger("e") == {"put": 2, "done": 1, "left": 1}


@pytest.mark.parametrize(
    ("spec", "named"),
    [
        (
            """
            queues: {a: 5, b: 5}
            jobs:
              one: {target: "t:first_a_then_b", output: {a: a, b: b}}
              two: {target: "t:only_b", input: {a: a, b: b}}
            """,
            ("one-1 waits for room in a", "two-1 waits for items of b"),
        ),
        (
            """
            queues: {a: 5}
            jobs:
              fill: {target: "t:fill", output: a}
              late: {target: "t:late", input: a, after: fill}
            """,
            ("fill-1 waits for room in a", "late waits for fill: succeeded"),
        ),
    ],
    ids=["each for the other", "a reader that starts after its writer"],
)
def test_a_run_in_which_nothing_can_go_on_fails_at_once_by_name(ran, spec, named):
    ended = ran(
        spec,
        """
        def first_a_then_b(a, b):
            for n in range(10):
                a.put(n)
            b.put("done")

        def only_b(a, b):
            b.get()

        def fill():
            return range(100)

        def late(n):
            pass
        """,
    )
    assert ended.exit_code == 1
    (stalled,) = ended.log.having("run.stalled")
    for wait in named:
        assert wait in stalled["msg"]
        assert wait in ended.reason
    assert ended.summary["duration_s"] < 5
