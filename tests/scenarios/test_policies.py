"""What a failed job does to the others; the end of streams; downstream that goes away."""

import pytest

FAILING = """
queues: {{numbers: 5, doubled: 5}}
defaults: {{terminate: {{grace: 20s}}}}
jobs:
  fail: {{target: "t:fail_when_told", on_failure: {policy}}}
  count: {{target: "t:count", output: numbers}}
  double: {{target: "t:double", input: numbers, output: doubled}}
  store: {{target: "t:store", input: doubled, call: stream}}
  forever: {{target: "t:forever"}}
  clean_up: {{target: "t:nothing", after: {{fail: failed, store: finished}}}}
  later: {{target: "t:nothing", after: store}}
  never: {{target: "t:nothing", after: fail}}
"""

FAILING_CODE = """
import itertools, os, signal, time

ENDS = {ends}

def fail_when_told():
    os.mkfifo("go")
    print("waiting")
    open("go").read()
    raise RuntimeError("told to")

def count():
    print("counting")
    for n in itertools.count() if not ENDS else range(300):
        time.sleep(0.001)
        yield n

def double(n):
    return 2 * n

def store(numbers):
    print("stored", sum(1 for _ in numbers))

def forever():
    if not ENDS:
        signal.pause()

def nothing():
    pass
"""


@pytest.mark.parametrize("policy", ["stop", "drain", "continue"])
def test_a_failed_job_does_to_the_run_what_its_policy_says(begin, policy):
    ends = policy == "continue"
    run = begin(FAILING.format(policy=policy), FAILING_CODE.format(ends=ends))
    run.said("waiting")
    run.said("counting")
    (run.folder / "go").write_text("")
    ended = run.end()
    assert ended.exit_code == 1
    expected = {
        "stop": ("terminated", "terminated", "terminated", "terminated", "skipped"),
        "drain": ("terminated", "succeeded", "succeeded", "terminated", "skipped"),
        "continue": ("succeeded", "succeeded", "succeeded", "succeeded", "succeeded"),
    }[policy]
    jobs = ("count", "double", "store", "forever", "later")
    assert ended.statuses() == {
        "fail": "failed",
        **dict(zip(jobs, expected, strict=True)),
        "clean_up": "succeeded",
        "never": "skipped",
    }
    assert "RuntimeError: told to" in ended.reason
    for queue in ("numbers", "doubled"):
        ledger = ended.ledger(queue)
        assert policy == "stop" or ledger["put"] == ledger["done"]
    if ends:
        assert ended.log.printed("store-1") == ["stored 300"]


def test_a_consumer_that_returns_early_closes_its_queue_for_its_producers(ran):
    ended = ran(
        """
        queues: {numbers: 5, few: 5, doubled: 5, words: 5}
        jobs:
          count: {target: "t:count", output: numbers}
          first: {target: "t:first", input: numbers, call: stream}
          some: {target: "t:some", output: few}
          double: {target: "t:double", input: few, output: doubled}
          second: {target: "t:first", input: doubled, call: stream}
          put: {target: "t:put", output: {q: words}}
          get: {target: "t:get", input: {q: words}}
        """,
        """
        import itertools, queue

        def count():
            try:
                yield from itertools.count()
            finally:
                print("closed")

        def some():
            return range(200)

        def double(n):
            return 2 * n

        def first(numbers):
            for n in numbers:
                if n == 20:
                    return

        def put(q):
            from orchestrator import ShutDown
            try:
                while True:
                    q.put("word")
            except ShutDown:
                print("shut down")

        def get(q):
            q.get()
        """,
    )
    assert ended.exit_code == 0
    assert set(ended.statuses().values()) == {"succeeded"}
    assert ended.log.printed("count-1") == ["closed"]
    assert ended.log.printed("put-1") == ["shut down"]
    assert ended.ledger("few") == {"put": 200, "done": 200}
    assert ended.ledger("doubled") == {"put": 200, "done": 11, "dropped": 189}
    numbers = ended.ledger("numbers")
    assert numbers["done"] == 21
    assert set(numbers) <= {"put", "done", "dropped"}
    assert ended.ledger("words")["done"] == 1


def test_what_a_failed_consumer_leaves_fails_the_run(ran):
    ended = ran(
        """
        queues: {numbers: 5}
        jobs:
          count: {target: "t:count", output: numbers}
          take: {target: "t:take", input: numbers, call: stream, on_failure: continue}
        """,
        """
        import itertools

        def count():
            try:
                yield from itertools.count()
            finally:
                print("closed")

        def take(numbers):
            for n in numbers:
                if n == 20:
                    raise ValueError("twenty")
        """,
    )
    assert ended.exit_code == 1
    assert ended.statuses() == {"count": "terminated", "take": "failed"}
    numbers = ended.ledger("numbers")
    assert numbers["done"] == 20
    assert numbers["put"] == numbers["done"] + numbers["left"]
    assert ended.log.printed("count-1") == ["closed"]


CUT_OFF = """
queues: {{a: 5, b: 5}}
jobs:
  src: {{target: "t:src", output: a}}
  pass: {{{passes}}}
  take: {{target: "t:take", input: b, call: stream, on_failure: continue}}
  other: {{target: "t:other", after: {{take: failed, pass: finished}}}}
"""

CUT_OFF_CODE = """
import sys

import orchestrator

def src():
    yield from range(1000)

def yields(numbers):
    for n in numbers:
        yield n

def maps(numbers):
    return (yield from map(abs, numbers))

def puts(numbers, out):
    for n in numbers:
        out.put(n)

def relays(numbers, out):
    for n in numbers:
        out.put(n)

def in_a_block(numbers, out):
    for n in numbers:
        while not put_in_a_block(n, out):
            pass

def put_in_a_block(n, out):
    try:
        with orchestrator.transaction():
            out.put(n)
    except orchestrator.WouldWaitError:
        return False
    return True

def wraps(numbers, out):
    try:
        puts(numbers, out)
    except orchestrator.ShutDown as error:
        raise RuntimeError("my own") from error

def gives_up(numbers, out):
    try:
        puts(numbers, out)
    except orchestrator.ShutDown as error:
        print("gives up:", error)

def take(numbers):
    for n in numbers:
        raise ValueError("the first")

def other():
    print("ran")
"""


@pytest.mark.parametrize(
    "passes",
    [
        'target: "t:yields", input: a, output: b, call: stream',
        'target: "t:maps", input: a, output: b, call: stream',
        'target: "t:puts", input: a, output: {out: b}, call: stream',
        'target: "t:relays", input: {numbers: a}, output: {out: b}',
        'target: "t:in_a_block", input: {numbers: a}, output: {out: b}',
        "command: [cat], input: a, output: b, call: stream",
    ],
)
def test_who_is_cut_off_as_its_readers_have_failed_has_not_succeeded(ran, passes):
    """The same for whatever is called once: its own policy is not asked, and its input is left."""
    ended = ran(CUT_OFF.format(passes=passes), CUT_OFF_CODE)
    assert ended.exit_code == 1
    assert ended.statuses() == {
        "src": "terminated",
        "pass": "terminated",
        "take": "failed",
        "other": "succeeded",
    }
    assert "no consumer is left: job 'take' has failed" in ended.summary["jobs"]["pass"]["reason"]
    assert ended.summary["reason"].startswith("job take failed")
    assert "dropped" not in ended.ledger("a")
    assert ended.ledger("a")["left"] > 0


def test_what_the_code_of_a_job_makes_of_that_is_its_own(ran):
    passes = 'target: "t:wraps", input: {numbers: a}, output: {out: b}'
    assert ran(CUT_OFF.format(passes=passes), CUT_OFF_CODE).statuses()["pass"] == "failed"
    passes = 'target: "t:gives_up", input: {numbers: a}, output: {out: b}'
    ended = ran(CUT_OFF.format(passes=passes), CUT_OFF_CODE)
    assert ended.statuses()["pass"] == "succeeded"
    assert "dropped" not in ended.ledger("a")


def test_a_command_of_an_item_whose_readers_have_failed_gives_all_it_gives(ran):
    """Its item is done: a resumed run would not call it again. It is left, as a function's is."""
    ended = ran(
        """
        queues: {a: 5, b: 5}
        jobs:
          src: {target: "t:src", output: a}
          each: {command: [seq, "50"], input: a, output: b}
          take: {target: "t:take", input: b, call: stream, on_failure: continue}
        """,
        """
        def src():
            yield from range(3)

        def take(lines):
            for line in lines:
                raise ValueError("the first")
        """,
    )
    assert ended.statuses()["each"] == "succeeded"
    assert ended.ledger("a") == {"put": 3, "done": 3}
    assert ended.ledger("b") == {"put": 150, "left": 150}
