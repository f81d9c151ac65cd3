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
    assert ended.statuses() == {"count": "succeeded", "take": "failed"}
    numbers = ended.ledger("numbers")
    assert numbers["done"] == 20
    assert numbers["put"] == numbers["done"] + numbers["left"]
    assert ended.log.printed("count-1") == ["closed"]
