"""Items travel by the hundred in every shape: a worker sleeps seldom, however many there are.

A worker that waits for an answer goes to sleep, and the kernel counts that, so no clock is asked.
"""

import pytest

N = 5000
CODE = """
    import queue, resource, time
    import orchestrator
    def numbers(n):
        yield from range(n)
    class Counted:
        def __enter__(self):
            return self
        def __exit__(self, *_):
            print("slept", resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw)
    class put(Counted):
        def __call__(self, n, out):
            out.put(n)
    class route(Counted):
        def __call__(self, n, out, odd):
            (odd if n % 2 else out).put(n)
    class give(Counted):
        def __call__(self, n):
            return n
    class put_batch(Counted):
        def __call__(self, numbers, out):
            for n in numbers:
                out.put(n)
    class put_in_time(Counted):
        def __call__(self, numbers, out):
            for n in numbers:
                out.put(n, timeout=60)
    class put_at_once(Counted):
        def __call__(self, numbers, out):
            for n in numbers:
                while True:
                    try:
                        out.put_nowait(n)
                        break
                    except queue.Full:
                        time.sleep(0.002)
    def drop(_items):
        for _ in _items:
            pass
"""
SPEC = """
    queues: {a: 1000, b: %s, c: 1000}
    jobs:
      numbers: {target: "t:numbers", args: [%d], output: a}
      map: {workers: 2, target: "t:%s", %s}
      drop: {target: "t:drop", input: [b, c], call: stream}
      spare: {target: "t:numbers", args: [0], output: c}
"""
HANDLE = "output: {out: b}"


@pytest.mark.parametrize(
    ("target", "keys", "queue"),
    [
        pytest.param("give", "input: a, output: b", "1000", id="item"),
        pytest.param("put", f"input: a, {HANDLE}", "1000", id="item with a handle"),
        pytest.param("route", "input: a, output: {out: b, odd: c}", "1000", id="routes"),
        pytest.param("put", f"input: a, {HANDLE}, ordered: true", "1000", id="ordered"),
        pytest.param("put", f"input: a, {HANDLE}", "{maxsize: 1000, max_bytes: 1MiB}", id="bytes"),
        pytest.param("put", f"input: a, {HANDLE}", "{maxsize: 1000, put_timeout: 60s}", id="timed"),
        pytest.param("put_batch", f"input: a, {HANDLE}, call: batch", "1000", id="batch"),
        pytest.param("put_in_time", f"input: a, {HANDLE}, call: stream", "1000", id="put in time"),
        pytest.param("put_in_time", "input: {numbers: a}, " + HANDLE, "1000", id="both ways"),
        pytest.param("put_at_once", f"input: a, {HANDLE}, call: stream", "1000", id="put at once"),
    ],
)
def test_workers_sleep_far_less_often_than_they_have_items(ran, target, keys, queue):
    end = ran(SPEC % (queue, N, target, keys), CODE)
    assert end.exit_code == 0, end.stderr
    told = [end.log.printed(f"map-{n}") for n in (1, 2)]
    slept = sum(int(line.split()[1]) for lines in told for line in lines if "slept" in line)
    assert 0 < slept < N / 5, told
