"""Ctrl-C once, twice, three times; SIGTERM and SIGHUP; a terminal and a reader that go away."""

import contextlib
import os
import pty
import signal
import threading

import psutil
import pytest
from life_runs import until

ENDLESS = """
defaults: {terminate: {grace: 2s}}
queues: {numbers: 20, doubled: 20}
jobs:
  count: {target: "t:count", output: numbers, terminate: {grace: 30s}}
  double: {target: "t:double", input: numbers, output: doubled, workers: 2}
  store: {target: "t:Store", input: doubled}
  tick: {target: "t:tick"}
  after: {target: "t:tick", after: store}
  clean_up: {target: "t:say", args: [cleaned], after: {store: finished}}
  service: {target: "t:tick", daemon: true}
"""

STUBBORN = """
  stubborn: {target: "t:ignore_everything"}
"""

ENDLESS_CODE = """
import itertools, signal, time

def count():
    for n in itertools.count():
        time.sleep(0.001)
        yield n

def double(n):
    return 2 * n

class Store:
    def __init__(self):
        self.seen = []
    def __enter__(self):
        return self
    def __call__(self, n):
        self.seen.append(n)
        if len(self.seen) == 50:
            print("under way")
    def __exit__(self, *_):
        print("stored", len(self.seen))

def tick():
    signal.pause()

def say(text):
    print(text)

def ignore_everything():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print("ignoring")
    while True:
        signal.pause()
"""


def test_a_ctrl_c_ends_the_sources_and_finishes_what_is_queued(begin):
    run = begin(ENDLESS, ENDLESS_CODE)
    run.said("under way")
    run.interrupt()
    ended = run.end()
    assert ended.exit_code == 130
    assert ended.statuses() == {
        "count": "terminated",
        "double": "succeeded",
        "store": "succeeded",
        "tick": "terminated",
        "after": "skipped",
        "clean_up": "succeeded",
        "service": "terminated",
    }
    numbers = ended.ledger("numbers")
    assert numbers["put"] >= 50
    assert numbers == ended.ledger("doubled") == {"put": numbers["put"], "done": numbers["put"]}
    assert ended.log.printed("store-1") == ["under way", f"stored {numbers['put']}"]


def test_a_ctrl_c_reaches_writers_that_wait_for_room_and_loses_nothing(begin):
    run = begin(
        """
        queues: {a: 3, b: 3, c: 3, d: 3}
        jobs:
          source: {target: "t:source", output: a, workers: 2}
          take_a: {target: "t:slow", input: a}
          handle: {target: "t:handle", output: {q: b}}
          widen: {target: "t:widen", input: {q: b}, output: {out: c}}
          many: {target: "t:many", input: c, output: d}
          take_d: {target: "t:slow", input: d, call: batch, batch: {size: 2}}
        """,
        """
        import itertools, time

        def source():
            try:
                yield from itertools.count()
            finally:
                print("finally")

        def handle(q):
            try:
                for n in itertools.count():
                    q.put(n)
            finally:
                print("finally")

        def widen(q, out):
            for n in q:
                out.put(n)

        def many(n):
            yield from [n] * 7

        def slow(_):
            if not _seen:
                print("slow")
            _seen.append(1)
            time.sleep(0.02)

        _seen = []
        """,
    )
    run.log.wait("output", msg="slow", count=2)
    run.interrupt()
    ended = run.end()
    assert ended.exit_code == 130
    drained = ("take_a", "widen", "many", "take_d")
    assert [ended.statuses()[job] for job in drained] == ["succeeded"] * len(drained)
    assert len(ended.log.having("output", msg="finally")) == 3
    for queue in "abcd":
        assert ended.ledger(queue)["put"] == ended.ledger(queue)["done"]


def test_a_second_ctrl_c_terminates_all_and_a_third_kills(begin):
    run = begin(ENDLESS + STUBBORN.replace("}", ", terminate: {grace: 60s}}"), ENDLESS_CODE)
    run.said("under way")
    run.said("ignoring")
    run.interrupt()
    run.log.wait("run.stopping", how="drain")
    run.log.wait("job.ended", job="store")
    run.interrupt()
    run.log.wait("run.stopping", how="terminate")
    run.interrupt()
    ended = run.end()
    assert ended.exit_code == 130
    assert ended.statuses()["stubborn"] == "killed"
    assert [r["how"] for r in ended.log.having("run.stopping")] == ["drain", "terminate", "kill"]


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_terminates_all_each_with_its_own_grace(begin, signum, code):
    run = begin(ENDLESS + STUBBORN, ENDLESS_CODE)
    run.said("under way")
    run.said("ignoring")
    run.guard.send_signal(signum)
    ended = run.end()
    assert ended.exit_code == code
    assert ended.summary["status"] == "interrupted"
    assert ended.statuses() == {
        **dict.fromkeys(["count", "double", "store", "tick", "service"], "terminated"),
        **dict.fromkeys(["after", "clean_up"], "skipped"),
        "stubborn": "killed",
    }
    assert len(ended.log.printed("store-1")) == 2  # __exit__ ran
    ended.ledger("numbers"), ended.ledger("doubled")


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGHUP])
def test_asking_again_to_terminate_kills(begin, signum):
    run = begin(ENDLESS + STUBBORN.replace("}", ", terminate: {grace: 60s}}"), ENDLESS_CODE)
    run.said("under way")
    run.said("ignoring")
    run.guard.send_signal(signal.SIGTERM)
    run.log.wait("run.stopping", how="terminate")
    run.log.wait("job.ended", job="store")  # at once is the same request
    until(
        lambda: run.guard.send_signal(signum) or run.log.having("run.stopping", how="kill"),
        "an order to kill",
    )
    ended = run.end()
    assert ended.exit_code == 143
    assert ended.statuses()["stubborn"] == "killed"
    assert [r["how"] for r in ended.log.having("run.stopping")] == ["terminate", "kill"]


@pytest.mark.parametrize(
    ("signals", "code"),
    [([signal.SIGINT], 130), ([signal.SIGINT] * 3, 130), ([signal.SIGTERM], 143)],
    ids=["INT", "INT-INT-INT", "TERM"],
)
def test_an_orchestrator_that_was_stopped_is_continued_to_end_the_run(begin, signals, code):
    run = begin(ENDLESS, ENDLESS_CODE)
    run.said("under way")
    os.kill(run.orchestrator, signal.SIGSTOP)
    until(lambda: psutil.Process(run.orchestrator).status() == psutil.STATUS_STOPPED, "a stop")
    for signum in signals:
        run.guard.send_signal(signum)
    ended = run.end()
    assert ended.exit_code == code
    assert ended.summary["status"] == "interrupted"
    ended.ledger("numbers"), ended.ledger("doubled")


@pytest.fixture
def terminal():
    """A terminal of its own: (what the user types into and reads, what the run is on)."""
    ours, theirs = pty.openpty()
    yield ours, theirs
    for fd in (ours, theirs):
        with contextlib.suppress(OSError):  # the test has closed it
            os.close(fd)


def drain(fd):
    """Read what the run draws, as a terminal does, until the run has gone from it."""

    def read():
        with contextlib.suppress(OSError):
            while os.read(fd, 65536):
                pass

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    return thread


def test_a_ctrl_c_typed_at_a_terminal_counts_once_each(begin, terminal):
    keys, screen = terminal
    run = begin(
        ENDLESS + STUBBORN.replace("}", ", terminate: {grace: 60s}}"), ENDLESS_CODE, terminal=screen
    )
    os.close(screen)
    drain(keys)
    run.said("under way")
    run.said("ignoring")
    for how in ("drain", "terminate", "kill"):
        os.write(keys, b"\x03")
        run.log.wait("run.stopping", how=how)
    ended = run.end()
    assert ended.exit_code == 130
    assert [r["how"] for r in ended.log.having("run.stopping")] == ["drain", "terminate", "kill"]


def test_a_terminal_that_is_closed_terminates_all(begin, terminal):
    keys, screen = terminal
    run = begin(ENDLESS, ENDLESS_CODE, terminal=screen)
    os.close(screen)
    run.said("under way")
    os.close(keys)
    ended = run.end()
    assert ended.exit_code == 129
    assert len(ended.log.printed("store-1")) == 2


@pytest.mark.parametrize(
    ("event", "count"),
    [("run.started", 1), ("worker.started", 1), ("worker.started", 3), ("worker.ready", 1)],
)
def test_a_sigterm_at_any_moment_of_the_start_ends_the_run(begin, event, count):
    run = begin(ENDLESS, ENDLESS_CODE)
    run.log.wait(event, count=count)
    run.guard.send_signal(signal.SIGTERM)
    ended = run.end()
    assert ended.exit_code == 143
    ended.ledger("numbers"), ended.ledger("doubled")


def test_a_reader_of_the_output_that_goes_away_does_not_end_the_run(begin):
    run = begin(
        """
        jobs:
          talk: {target: "t:talk"}
        """,
        """
        def talk():
            for n in range(20_000):
                print(n)
        """,
        through="head -1",
    )
    ended = run.end()
    assert ended.exit_code == 0
    assert ended.log.printed("talk-1")[-1] == "19999"


def test_a_stop_signal_ends_each_shape_in_order_and_keeps_what_was_finished(ran):
    ended = ran(
        """
        defaults: {on_failure: continue}
        queues: {a: 9, b: 9, c: 9, d: 9, e: 9, f: 9, g: 9, h: 9, i: 9}
        jobs:
          source: {target: "t:source", output: a}
          take_a: {target: "t:take", input: a}
          feed: {target: "t:feed", output: [b, c, d, e]}
          item: {target: "t:Item", input: b, output: f}
          take_f: {target: "t:take", input: f}
          batch: {target: "t:batch", input: c, output: g, call: batch, batch: {size: 2}}
          take_g: {target: "t:take", input: g}
          stream: {target: "t:stream", input: d, output: h, call: stream}
          take_h: {target: "t:take", input: h}
          handle: {target: "t:handle", input: {q: e}, output: {out: i}}
          take_i: {target: "t:take", input: i}
        """,
        """
        import os, signal

        def stop():
            os.kill(os.getpid(), signal.SIGTERM)
            signal.pause()

        def source():
            try:
                yield from range(5)
                stop()
            finally:
                print("finally")

        def feed():
            return range(6)

        class Item:
            def __enter__(self):
                return self
            def __call__(self, n):
                yield n
                if n == 3:
                    stop()
            def __exit__(self, kind, *_):
                print("left by", kind.__name__)

        def batch(numbers):
            yield from numbers
            if 3 in numbers:
                stop()

        def stream(numbers):
            try:
                for n in numbers:
                    yield n
                    if n == 3:
                        stop()
            finally:
                print("finally")

        def handle(q, out):
            for n in q:
                out.put(n)
                if n == 3:
                    stop()

        def take(n):
            pass
        """,
    )
    assert ended.exit_code == 1
    stopped = ("source", "item", "batch", "stream", "handle")
    assert [ended.statuses()[job] for job in stopped] == ["failed"] * len(stopped)
    assert all(ended.codes()[job] == [-signal.SIGTERM] for job in stopped)
    assert "mporch did not send" in ended.reason
    assert ended.ledger("a") == {"put": 5, "done": 5}
    assert ended.log.printed("source-1") == ended.log.printed("stream-1") == ["finally"]
    assert ended.log.printed("item-1") == ["left by StopRequested"]
    assert [record["job"] for record in ended.log.having("worker.replaced")] == ["batch"]
    assert ended.ledger("b") == {"put": 6, "done": 3, "left": 3}
    assert ended.ledger("f") == {"put": 3, "done": 3}
    assert ended.ledger("c") == {"put": 6, "done": 3, "left": 3}, "one by one after the batch"
    assert ended.ledger("g") == {"put": 3, "done": 3}
    for queue, out in (("d", "h"), ("e", "i")):
        assert ended.ledger(queue) == {"put": 6, "done": 3, "left": 3}
        assert ended.ledger(out)["put"] == ended.ledger(out)["done"] in (3, 4)


WAITING = """
durable: true
queues: {a: 10, b: 3}
defaults: {terminate: {grace: 60s}}
jobs:
  src: {target: "t:src", output: a}
  three: {target: "t:three", input: a, output: b}
  blocks: {target: "t:blocks", input: b, call: stream}
  fails: {target: "t:fails"}
"""

WAITING_CODE = """
import os, signal

def src():
    yield from range(4)

def three(n):
    print("three", n)
    yield from [n] * 3

def blocks(items):
    if os.path.exists("again"):
        print("got", *items)
        return
    next(items)
    print("blocks")
    signal.pause()

def fails():
    if not os.path.exists("again"):
        os.mkfifo("go")
        print("waits")
        with open("go") as go:
            go.read()
        raise ValueError("told to")
"""


def test_a_last_commit_that_waits_for_room_keeps_no_stopped_run_and_is_not_done_again(begin):
    """Nobody will read what it waits for, before the run is resumed."""
    run = begin(WAITING, WAITING_CODE)
    run.said("blocks")
    run.said("three 1")
    run.said("waits")
    (run.folder / "go").write_text("")
    ended = run.end(within_s=20)
    assert ended.exit_code == 1
    assert ended.statuses()["three"] == "terminated"
    (run.folder / "again").touch()
    done = run.log.printed("three-1")
    run.resume()
    again = run.end()
    assert again.exit_code == 0, again.stderr
    [got] = [line for line in run.log.printed("blocks-1") if line.startswith("got")]
    assert sorted(got.split()[1:]) == sorted("000111222333")
    assert done[:2] == ["three 0", "three 1"]
    assert "three 0" not in run.log.printed("three-1")[len(done) :]
    assert "three 1" not in run.log.printed("three-1")[len(done) :]
