"""Large items in shared memory stay as they were, whoever dies and whatever is written there."""

import pytest

HEAD = """
    import ctypes, os, re, threading, time
    import numpy as np
    N = %d
    def array(n, size=%d):
        a = np.full(size, n, dtype=np.int32)
        a[0] = n
        return a
    def source():
        for n in range(N): yield array(n)
    def same(a):
        assert (a == a[0]).all(), a
        return a
"""

KEPT = """
    queues: {q: 10}
    jobs:
      source: {target: "t:source", output: q}
      keep: {target: "t:keep", input: q, call: stream}
"""

KEEP = """
    KEPT = {}
    def keep(rows):
        listed, taken, threads = [], [], []
        for at, row in enumerate(rows):
            if at % 3 == 0: listed.append(row)
            elif at % 3 == 1: KEPT[at] = row
            else: taken.append(row)
        def compare():
            for at, row in enumerate(taken): assert (row == 3 * at + 2).all()
            print("thread", len(taken))
        thread = threading.Thread(target=compare)
        thread.start()
        thread.join()
        for at, row in enumerate(listed): assert (row == 3 * at).all()
        for at, row in KEPT.items(): assert (row == at).all()
        print("all", len(taken) + len(listed) + len(KEPT))
"""


def test_ten_thousand_arrays_that_are_kept_past_their_end_stay_as_they_were(ran):
    ended = ran(KEPT, HEAD % (10_000, 8200) + KEEP)
    assert ended.exit_code == 0, ended.stdout + ended.stderr
    assert ended.log.printed("keep-1") == ["thread 3333", "all 10000"]


CHAIN = """
    queues: {a: 6, b: 6}
    jobs:
      source: {target: "t:source", output: a}
      map: {target: "t:same", input: a, output: b, %s}
      sink: {target: "t:sink", input: b, %s}
"""

SINK = """
    def sink(a):
        assert (a == a[0]).all(), a
        print(a[0])
"""

DYING = (
    "restart: {max: 300, within: 1s}, retry: {attempts: 100},"
    ' env: {MPORCH_TEST: "1", MPORCH_FAULT: "%s"}'
)


@pytest.mark.parametrize("method", ["forkserver", "spawn", "fork"])
def test_they_arrive_by_each_start_method(ran, method):
    keys = f"start_method: {method}, workers: 2"
    ended = ran(CHAIN % (keys, f"start_method: {method}"), HEAD % (60, 50_000) + SINK)
    assert ended.exit_code == 0, ended.stdout + ended.stderr
    assert sorted(map(int, ended.log.printed("sink-1"))) == list(range(60))


POINTS = {
    "map": ["commit_before", "commit_torn", "commit_sent", "leased_received", "freed_received"],
    "sink": ["pull_sent", "leased_received", "item_begun", "item_ended"],
}


@pytest.mark.parametrize(("who", "point"), [(who, at) for who in POINTS for at in POINTS[who]])
def test_none_is_lost_or_doubled_whoever_dies_and_when(ran, point, who, on):
    keys = [
        DYING % f"w.{point}:3:kill" if who == name else "workers: 1" for name in ("map", "sink")
    ]
    ended = ran(CHAIN % tuple(keys), HEAD % (40, 50_000) + SINK)
    assert ended.exit_code == 0, ended.stdout + ended.stderr
    assert ended.ledger("a") == ended.ledger("b") == {"put": 40, "done": 40}
    came = [int(line) for line in ended.log.printed("sink-1")]
    assert set(came) == set(range(40))
    if who == "map":
        assert len(came) == 40
    if on == "local" or "freed" not in point:  # an agent's worker has no arena
        assert ended.summary["jobs"][who]["restarts"] >= 1


WRITING = """
    def source():
        for n in range(N):
            yield array(n)
            if n == 9:
                for line in open("/proc/self/maps"):
                    if "mporch-arena" in line and " rw-s " in line:
                        begin = int(line.split("-")[0], 16)
                        ctypes.memset(begin, 0xFF, 2 << 20)
                open("written", "w").close()
    def other():
        for n in range(N): yield array(n)
    def slow(a):
        while not os.path.exists("written"): time.sleep(0.001)
        same(a)
        print(a[0])
"""


def test_a_worker_that_writes_into_its_arena_hurts_its_own_items_only(ran, on):
    ended = ran(
        """
        queues: {a: 40, b: 40}
        jobs:
          source: {target: "t:source", output: a}
          other: {target: "t:other", output: b}
          sink: {target: "t:slow", input: [a, b], on_error: dead_letter}
        """,
        HEAD % (20, 50_000) + WRITING,
    )
    assert ended.ledger("b") == {"put": 20, "done": 20}
    assert ended.summary["jobs"]["sink"]["restarts"] == 0
    if on == "agent":
        assert ended.exit_code == 0
        return
    assert ended.exit_code == 3, ended.stdout + ended.stderr
    dead = ended.log.having("item.dead")
    assert 1 <= len(dead) <= 10
    assert all("source-1 had put it" in record["msg"] for record in dead)


def test_a_dead_letter_and_a_resumed_run_have_them_whole(begin):
    life = begin(
        """
        durable: true
        queues: {a: 40, b: 40}
        jobs:
          source: {target: "t:source", output: a}
          map: {target: "t:same", input: a, output: b, on_error: dead_letter}
          sink: {target: "t:sink", input: b, retry: {attempts: 1}}
        """,
        HEAD % (20, 50_000)
        + """
    def same(a):
        if a[0] == 3: raise ValueError("three")
        return a
    def sink(a):
        assert (a == a[0]).all()
        if a[0] == 7 and not os.path.exists("fixed"): raise ValueError("seven")
        print(a[0])
""",
    )
    ended = life.end()
    assert ended.exit_code == 1, ended.stdout
    (life.folder / "fixed").touch()
    life.resume()
    ended = life.end()
    assert ended.exit_code == 3, ended.stdout + ended.stderr
    printed = [record["msg"] for record in ended.log.having("output", worker="sink-1")]
    assert sorted(map(int, printed)) == [n for n in range(20) if n != 3]
    sizes = [path.stat().st_size for path in (life.folder / "run/dead").iterdir()]
    assert len([size for size in sizes if size > 200_000]) == 1


@pytest.mark.parametrize("who", ["map", "sink"])
@pytest.mark.parametrize("key", ["limits: {memory: 4GiB}", "recycle: {max_rss: 4GiB}"])
def test_who_may_have_no_shared_memory_gets_and_gives_them_all_the_same(ran, who, key):
    keys = [key if who == name else "workers: 1" for name in ("map", "sink")]
    ended = ran(CHAIN % tuple(keys), HEAD % (30, 50_000) + SINK)
    assert ended.exit_code == 0, ended.stdout + ended.stderr
    assert sorted(map(int, ended.log.printed("sink-1"))) == list(range(30))
    told = [
        record
        for record in ended.log.records
        if record.get("worker") == "map-1" and "large items go" in record.get("msg", "")
    ]
    assert len(told) <= 1


# It has no descriptor left until an item, or ever.
SHORT = """
    import resource
    class Short:
        def __init__(self, until):
            resource.setrlimit(resource.RLIMIT_NOFILE, (80, 80))
            self.until, self.n, self.taken = until, 0, []
            try:
                while True: self.taken.append(os.open("/dev/null", 0))
            except OSError: pass
        def __call__(self, a):
            self.n += 1
            while self.n == self.until and self.taken: os.close(self.taken.pop())
            return same(a)
"""


STARVED = {
    "item": 'target: "t:Short", input: a, retry: {attempts: 1}',
    "ordered": 'target: "t:Short", input: a, ordered: true',
    "batch": 'target: "t:ShortBatch", input: a, call: batch, batch: {size: 3, within: 20ms}',
    "stream": 'target: "t:ShortStream", input: a, call: stream',
    "handle": 'target: "t:ShortHandle", input: {i: a}',
}


@pytest.mark.parametrize("until", [1, 1000])
@pytest.mark.parametrize("shape", STARVED)
def test_a_reader_that_is_out_of_descriptors_gets_them_in_frames(ran, until, shape):
    ended = ran(
        f"""
        queues: {{a: 6, b: 6}}
        jobs:
          source: {{target: "t:source", output: a, workers: 2}}
          map: {{args: [{until}], output: b, {STARVED[shape]}}}
          sink: {{target: "t:sink", input: b}}
        """,
        HEAD % (20, 50_000)
        + SINK
        + SHORT
        + """
    class ShortBatch(Short):
        def __call__(self, rows): return [Short.__call__(self, a) for a in rows]
    def ShortStream(rows, until): yield from map(Short(until), rows)
    def ShortHandle(until, i): yield from map(Short(until), i)
""",
    )
    assert ended.exit_code == 0, ended.stdout + ended.stderr
    assert sorted(map(int, ended.log.printed("sink-1"))) == sorted([*range(20)] * 2)
    assert ended.ledger("a") == ended.ledger("b") == {"put": 40, "done": 40}
