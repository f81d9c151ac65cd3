"""Queue handles in a run: the contract of multiprocessing's queues, and where it is better."""

import pytest

PAIR = """
    queues: {q: %s}
    jobs:
      w: {target: "t:write", output: {q: q}}
      r: {target: "t:read", input: {q: q}, after: {w: %s}}
"""


def test_a_full_queue_refuses_at_once_or_when_time_is_up_and_counts_exactly(ran):
    code = """
        import queue, time
        def timed(call, *args, **kwargs):
            began = time.monotonic()
            try:
                call(*args, **kwargs)
            except (queue.Full, queue.Empty) as error:
                return type(error), time.monotonic() - began
        def write(q):
            assert (q.qsize(), q.empty(), q.full()) == (0, True, False)
            for n in range(3):
                q.put(n)
                assert (q.qsize(), q.empty()) == (n + 1, False)
            assert q.full()
            kind, took = timed(q.put, 3, timeout=2)
            assert kind is queue.Full and took >= 2.0, took
            for refused in (timed(q.put_nowait, 3), timed(q.put, 3, False),
                            timed(q.put, 3, False, 5), timed(q.put, 3, timeout=-1)):
                # Whoever waited would do so for ever, or for the 5 seconds.
                assert refused[0] is queue.Full and refused[1] < 4, refused
            assert (q.qsize(), q.full()) == (3, True)
        def read(q):
            assert (q.qsize(), q.full(), q.empty()) == (3, True, False)
            assert q.get() == 0
            assert (q.qsize(), q.full()) == (2, False)
            assert (q.get_nowait(), q.get(timeout=1), q.empty()) == (1, 2, True)
            for call in (q.get_nowait, q.get):
                try:
                    call()
                except queue.Empty as end:
                    assert "end of stream" in str(end), end
                else:
                    raise AssertionError
            assert list(q) == []
    """
    end = ran(PAIR % (3, "succeeded"), code)
    assert end.exit_code == 0, end.stderr
    assert end.ledger("q") == {"put": 3, "done": 3}


def test_an_empty_queue_waits_for_a_moment_and_the_end_of_stream_is_a_success(ran):
    code = """
        import contextlib, os, queue, time, orchestrator
        with contextlib.suppress(FileExistsError):
            os.mkfifo("go")
        def write(q):
            open("go").read()
            for n in range(1000):
                q.put(n)
        def read(q):
            for wait, least_s in ((q.get_nowait, 0), (lambda: q.get(timeout=0.3), 0.3)):
                began = time.monotonic()
                try:
                    wait()
                except orchestrator.EndOfStream:
                    raise AssertionError("there is a writer")
                except queue.Empty:
                    took = time.monotonic() - began
                    assert least_s <= took < 20, took  # without its time it is for ever
            open("go", "w").close()
            seen = []
            try:
                while True:
                    seen.append(q.get())
            finally:
                print(seen == list(range(1000)))
    """
    end = ran(PAIR % (100, "ready"), code)
    assert (end.exit_code, end.log.printed("r-1")) == (0, ["True"]), end.stderr
    assert end.statuses() == {"w": "succeeded", "r": "succeeded"}


@pytest.mark.parametrize("maxsize", [0, 1])
def test_what_is_changed_after_put_does_not_reach_the_reader_whatever_the_bound(ran, maxsize):
    code = """
        def write(q):
            shared = []
            for n in range(500):
                shared.append(n)
                q.put(shared)
                shared[0] = "changed"
                shared = shared[:0]
        def read(q):
            for n, item in enumerate(q):
                assert item == [n], (n, item)
            print(n)
    """
    end = ran(PAIR % (maxsize, "ready"), code)
    assert (end.exit_code, end.log.printed("r-1")) == (0, ["499"]), end.stderr


def test_wrong_uses_raise_where_they_are_made_and_the_job_may_go_on(ran):
    code = """
        import pickle, queue, threading, orchestrator
        def raised(kind, call, *args):
            try:
                call(*args)
            except kind as error:
                return str(error)
            raise AssertionError(f"no {kind}")
        def write(q):
            print(raised(orchestrator.WrongDirectionError, q.get))
            print(raised(orchestrator.UnpicklableItemError, q.put, threading.Lock()))
            q.put("good")
            print(raised(RuntimeError, pickle.dumps, q))
            q.close()
            q.join_thread()
            print(raised(ValueError, q.put, 1))
        def read(q):
            print(raised(orchestrator.WrongDirectionError, q.put, 1))
            assert q.get() == "good"
    """
    end = ran(PAIR % (5, "ready"), code)
    assert end.exit_code == 0, end.stderr
    assert end.log.printed("w-1") == [
        "job 'w' only writes queue 'q'",
        "job 'w' put a _thread.lock on queue 'q', which cannot be pickled:"
        " cannot pickle '_thread.lock' object",
        "<QueueHandle q of job 'w'> works only in the process that was given it",
        "Queue <QueueHandle q of job 'w'> is closed",
    ]
    assert end.log.printed("r-1") == ["job 'r' only reads queue 'q'"]


def test_put_raises_once_every_reader_has_gone_and_what_is_left_is_dropped(ran):
    code = """
        import orchestrator
        def write(q):
            for n in range(1_000_000):
                try:
                    q.put(n)
                except orchestrator.ShutDown as error:
                    print(error)
                    return
            raise AssertionError
        def read(q):
            assert [q.get() for _ in range(5)] == [0, 1, 2, 3, 4]
    """
    end = ran(PAIR % (10, "ready"), code)
    assert end.exit_code == 0, end.stderr
    assert end.log.printed("w-1") == [
        "queue 'q' is shut down, no consumer is left: job 'r' has returned, though not all was put"
        " yet"
    ]
    ledger = end.ledger("q")
    assert (ledger["done"], set(ledger)) == (5, {"put", "done", "dropped"})


def test_join_waits_for_every_task_done(ran):
    code = """
        import time
        def write(q):
            for n in range(20):
                q.put(n)
            q.join()
            print("joined")
        def read(q):
            for n in q:
                time.sleep(0.005)
                if n == 19:
                    print("last")
                q.task_done()
            try:
                q.task_done()
            except ValueError as error:
                print(error)
    """
    end = ran(PAIR % (5, "ready"), code)
    assert end.exit_code == 0, end.stderr
    assert end.log.printed("w-1") == ["joined"]
    assert end.log.printed("r-1") == ["last", "task_done() called too many times"]
    joined = end.log.having("output", msg="joined")[0]
    assert end.log.records.index(end.log.having("output", msg="last")[0]) < end.log.records.index(
        joined
    )


def test_one_job_reads_two_queues_and_writes_two(ran):
    spec = """
        queues: {a: 5, b: 5, even: 5, odd: 5}
        jobs:
          x: {target: "t:numbers", args: [0], output: a}
          y: {target: "t:numbers", args: [1], output: b}
          zip: {target: "t:merge", input: {a: a, b: b}, output: {even: even, odd: odd}}
          e: {target: "t:all_of", args: [0], input: even, call: stream}
          o: {target: "t:all_of", args: [1], input: odd, call: stream}
    """
    code = """
        def numbers(first):
            yield from range(first, 1000, 2)
        def merge(a, b, even, odd):
            for x, y in zip(a, b):
                even.put(x)
                odd.put(y)
        def all_of(items, first):
            assert list(items) == list(range(first, 1000, 2))
    """
    end = ran(spec, code)
    assert end.exit_code == 0, end.stderr
    assert end.ledger("even") == {"put": 500, "done": 500}


def test_items_batches_and_streams_choose_the_queue_for_what_they_make(ran):
    spec = """
        queues: {n: 8, good: 8, odd: 8, done: 8, rest: 8}
        jobs:
          numbers: {target: "t:numbers", output: n}
          item: {target: "t:sort", input: n, output: {good: good, odd: odd}, on_error: skip}
          batch: {target: "t:pass_on", input: good, call: batch, output: {out: done}}
          stream: {target: "t:pass_all", input: odd, call: stream, output: {out: rest}}
          check_done: {target: "t:check", args: [0], input: done, call: stream}
          check_rest: {target: "t:check", args: [1], input: rest, call: stream}
    """
    code = """
        def numbers():
            yield from range(1000)
        def sort(n, good, odd):
            (odd if n % 2 else good).put(n)
            if n % 100 == 0:
                raise ValueError  # what it has put is not published
        def pass_on(items, out):
            for item in items:
                out.put(item)
        def pass_all(items, out):
            for item in items:
                out.put(item)
        def check(items, which):
            assert list(items) == [n for n in range(1000) if n % 2 == which and n % 100]
    """
    end = ran(spec, code)
    assert end.exit_code == 0, end.stderr
    assert end.ledger("n") == {"put": 1000, "done": 990, "skipped": 10}
    assert end.ledger("good") == {"put": 490, "done": 490}


def test_threads_of_a_target_may_share_a_handle(ran):
    code = """
        import threading
        def write(q):
            def put(first):
                for n in range(first, first + 300):
                    q.put(n)
            threads = [threading.Thread(target=put, args=(n,)) for n in (0, 300, 600)]
            for thread in threads: thread.start()
            for thread in threads: thread.join()
        def read(q):
            seen = []
            lock = threading.Lock()
            def get():
                for n in q:
                    with lock:
                        seen.append(n)
            threads = [threading.Thread(target=get) for _ in range(3)]
            for thread in threads: thread.start()
            for thread in threads: thread.join()
            assert sorted(seen) == list(range(900))
            print(len(seen))
    """
    end = ran(PAIR % (7, "ready"), code)
    assert (end.exit_code, end.log.printed("r-1")) == (0, ["900"]), end.stderr


def test_a_process_that_a_target_forks_is_refused_and_harms_nothing(ran):
    code = """
        import multiprocessing, os
        def child(q):
            try:
                q.put("from the child")
            except Exception as error:
                print(error)
                os._exit(7)
        def write(q):
            q.put(1)
            process = multiprocessing.get_context("fork").Process(target=child, args=(q,))
            process.start()
            process.join()
            assert process.exitcode == 7
            fork, idle = multiprocessing.get_context("fork"), os.pipe()[0]
            sleeper = fork.Process(target=os.read, args=(idle, 1))
            sleeper.start()
            sleeper.terminate()
            sleeper.join()
            assert sleeper.exitcode == -15, sleeper.exitcode
            q.put(2)
            if os.fork() == 0:
                return  # a process that goes on where it should not
            os.wait()
            q.put(3)
        def read(q):
            assert list(q) == [1, 2, 3]
    """
    end = ran(PAIR % (7, "ready"), code)
    assert end.exit_code == 0, end.stderr
    said = end.log.printed("w-1")
    assert "was forked by the target of w-1: queues can be used only in the worker's own" in said[0]
    assert said[1].startswith("mporch: w-1 gives up: process ")
    assert len(said) == 2
