"""put_timeout and when_full: fail where what an item gives leaves as a commit of its own."""

import pytest

PIPELINE = """
    timeout: 60s
    durable: %s
    queues: {numbers: 100, out: {maxsize: 10, %s}}
    jobs:
      count: {target: "t:count", output: numbers}
      map: {target: "t:%s", input: numbers, %s}
      store: {target: "t:store", input: out, call: stream, terminate: {grace: 20s}}
"""

CODE = """
    import pathlib, signal, threading, time

    N = 40

    def count():
        yield from range(N)

    def hand(n, out):
        out.put(n)

    def stubborn(n, out):
        try:
            out.put(n)
            out.put(n)
        except BaseException as error:
            print("caught", type(error).__name__)

    def much(n):
        for at in range(25):
            yield n * 100 + at

    def then_long(n, out):
        out.put(n)
        if n == 12:
            print("long")
            signal.pause()

    def by_threads(n, out):
        threads = [threading.Thread(target=out.put, args=[n]) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def doubled(ns):
        return [n for n in ns for _ in "ab"]

    def store(numbers):
        if not pathlib.Path("open").exists():
            print("closed")
            signal.pause()
        with open("stored", "w") as out:  # a resumed run gives it all of them again
            for n in numbers:
                print(n, file=out)
"""

HANDLE = "output: {out: out}"
FULL = "job 'map' found the queue out full"
LIMITS = pytest.mark.parametrize("limit", ["put_timeout: 200ms", "when_full: fail"])


def failed(end):
    """The job has failed since the queue was full, and nothing else has."""
    assert end.exit_code == 1
    assert end.statuses()["map"] == "failed"
    assert FULL in end.reason
    assert "QueueFullError" in end.reason
    assert "Traceback" not in end.stderr, "no line of the user's is to blame"
    assert end.summary["queues"]["out"]["peak"] <= 10
    return end.ledger("out")


@LIMITS
@pytest.mark.parametrize(
    ("target", "keys"),
    [
        pytest.param("hand", HANDLE, id="a handle"),
        pytest.param("hand", f"{HANDLE}, workers: 3", id="handles of several workers"),
        pytest.param("hand", f"{HANDLE}, on_error: skip, retry: {{attempts: 3}}", id="on_error"),
        pytest.param("by_threads", HANDLE, id="threads"),
        pytest.param("stubborn", HANDLE, id="who catches everything"),
        pytest.param("doubled", "output: out, call: batch, batch: {size: 3}", id="a batch"),
    ],
)
def test_a_queue_that_is_full_for_too_long_fails_the_job(ran, limit, target, keys):
    end = ran(PIPELINE % ("false", limit, target, keys), CODE)
    ledger = failed(end)
    numbers = end.ledger("numbers")
    given = {"hand": 1, "doubled": 2}.get(target)
    if given:
        assert ledger["put"] == given * numbers["done"], "what is done is put, what is put is done"
    assert numbers["left"] == numbers["put"] - numbers["done"]
    assert "skipped" not in numbers


@LIMITS
def test_the_next_item_may_take_for_ever(ran, limit):
    """The worker is at its next item when what it has finished finds no room."""
    end = ran(PIPELINE % ("false", limit, "then_long", HANDLE), CODE)
    failed(end)


@LIMITS
@pytest.mark.parametrize("end_of_it", ["skip", "fail"])
def test_an_item_of_which_a_part_is_out_ends_as_it_is_said(ran, limit, end_of_it):
    """It gives more than the queue holds."""
    keys = f"output: out, on_error: {end_of_it}"
    end = ran(PIPELINE % ("false", limit, "much", keys), CODE)
    assert end.exit_code == 1
    assert FULL in end.reason
    numbers = end.ledger("numbers")
    assert numbers.get("skipped", 0) == (end_of_it == "skip")
    assert "done" not in numbers
    assert end.ledger("out")["put"] == 10


@pytest.mark.parametrize(
    ("limit", "target", "keys", "times"),
    [
        pytest.param("put_timeout: 200ms", "hand", HANDLE, 1, id="put_timeout"),
        pytest.param("when_full: fail", "hand", HANDLE, 1, id="fail"),
        pytest.param(
            "put_timeout: 200ms",
            "doubled",
            "output: out, call: batch, batch: {size: 3}",
            2,
            id="batches",
        ),
    ],
)
def test_a_resumed_run_puts_what_found_no_room_once(begin, limit, target, keys, times):
    run = begin(PIPELINE % ("true", limit, target, keys), CODE)
    first = run.end()
    failed(first)
    (run.folder / "open").touch()
    for _ in range(20):  # a reader that is slower for a moment is found full again
        run.resume()
        code = run.guard.wait(40.0)
        if code == 0:
            break
        assert code == 1
    stored = [int(line) for line in (run.folder / "stored").read_text().splitlines()]
    assert sorted(stored) == sorted(list(range(40)) * times)


CALLED_ONCE = """
    timeout: 60s
    durable: true
    queues: {%s out: {maxsize: 10, put_timeout: 200ms}}
    jobs:
%s
      store: {target: "t:slowly", input: out, call: stream, terminate: {grace: 20s}}
"""
COUNT = '      count: {target: "t:count", output: numbers}\n'
GIVERS = """
    def pass_on(numbers):
        yield from numbers

    def put_all(numbers, out):
        for n in numbers:
            out.put(n)

    def slowly(numbers):
        is_open = pathlib.Path("open").exists()
        with open("stored", "w") as out:
            for n in numbers:
                print(n, file=out)
                # It has got two chunks; in a resumed run it waits with the first of them.
                if n == (4 if is_open else 6):
                    print("closed")
                    time.sleep(1.0) if is_open else signal.pause()
"""


@pytest.mark.parametrize(
    ("before", "keys"),
    [
        pytest.param("", "count, output: out", id="a source"),
        pytest.param(COUNT, "pass_on, call: stream, input: numbers, output: out", id="a stream"),
        pytest.param(COUNT, "put_all, input: {numbers: numbers}, output: {out: out}", id="handles"),
    ],
)
def test_who_is_called_once_waits_while_its_reader_gets_anew_what_it_had(begin, before, keys):
    jobs = f"{before}      give: {{target: t:{keys}}}"
    run = begin(CALLED_ONCE % ("numbers: 100," if before else "", jobs), CODE + GIVERS)
    first = run.end()
    assert (first.exit_code, first.statuses()["give"]) == (1, "failed")
    assert "job 'give' found the queue out full" in first.reason or "queue.Full" in first.reason
    (run.folder / "open").touch()
    run.resume()
    assert run.guard.wait(40.0) == 0
    stored = [int(line) for line in (run.folder / "stored").read_text().splitlines()]
    assert stored == list(range(40))


def test_room_in_time_is_room(ran):
    """The reader takes less than the limit for each item, and much more for all."""
    code = CODE.replace('if not pathlib.Path("open").exists():', "if False:")
    code = code.replace("print(n, file=out)", "time.sleep(0.02); print(n, file=out)")
    end = ran(PIPELINE % ("false", "put_timeout: 10s", "hand", HANDLE), code)
    assert end.exit_code == 0, end.stderr
    assert end.ledger("out") == {"put": 40, "done": 40}
