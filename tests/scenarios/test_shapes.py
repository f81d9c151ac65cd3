"""Every call shape with every start method, with many items and with none; batches in time."""

import pytest

EVERY_SHAPE = """
defaults: {{start_method: {method}}}
queues: {{n: 7, m: 3, copy_a: 5, copy_b: 2, good: 4, bad: 4, wide: 3, batches: 8, tail: 2, mail: 2,
          none: 5, none_b: 5}}
jobs:
  one: {{target: "t:numbers", args: [0, 100], output: n}}
  two: {{target: "t:numbers", args: [100], kwargs: {{stop: 200}}, output: n}}
  copy: {{target: "t:same", input: n, output: [copy_a, copy_b], workers: 2}}
  take_a: {{target: "t:Sum", args: [copied], input: copy_a, workers: 2}}
  route: {{target: "t:route", input: copy_b, output: {{good: good, bad: bad}}}}
  take_good: {{target: "t:total", kwargs: {{name: good}}, input: good, call: stream}}
  widen: {{target: "t:widen", input: bad, output: wide}}
  batch:
    {{target: "t:batch", input: wide, output: batches, call: batch, batch: {{size: 3, within: 1s}}}}
  squeeze: {{target: "t:squeeze", input: batches, output: tail, call: stream}}
  write: {{target: "t:write", input: {{q: tail}}, output: {{out: mail}}}}
  read: {{target: "t:total", kwargs: {{name: read}}, input: {{numbers: mail}}}}
  nobody: {{target: "t:numbers", args: [0, 0], output: none}}
  none_item: {{target: "t:same", input: none, output: none_b, workers: 2}}
  none_batch: {{target: "t:batch", input: none_b, output: m, call: batch}}
  none_stream: {{target: "t:total", kwargs: {{name: nothing}}, input: m, call: stream}}
"""

SHAPES_CODE = """
def numbers(start, stop):
    return range(start, stop)

def same(n):
    return n

class Sum:
    def __init__(self, name):
        self.name, self.n, self.sum = name, 0, 0
    def __enter__(self):
        return self
    def __call__(self, n):
        self.n, self.sum = self.n + 1, self.sum + n
    def __exit__(self, *_):
        print(self.name, self.n, self.sum)

def total(numbers, name):
    numbers = list(numbers)
    print(name, len(numbers), sum(numbers))

def route(n, good, bad):
    (bad if n % 10 == 0 else good).put(n)

def widen(n):
    for _ in range(10):
        yield n

def batch(numbers):
    assert 0 < len(numbers) <= 3
    print(len(numbers))
    return [sum(numbers)]

def squeeze(numbers):
    for n in numbers:
        yield n
        yield 0

def write(q, out):
    for n in q:
        out.put(n)
"""

SUM = sum(range(200))
TENS = sum(range(0, 200, 10))


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_every_shape_moves_every_item_once(ran, method):
    ended = ran(EVERY_SHAPE.format(method=method), SHAPES_CODE)
    assert ended.exit_code == 0, ended.stderr
    printed = {job: _printed(ended, job) for job in ("take_a", "take_good", "read", "none_stream")}
    counts = [[int(word) for word in line.split()[1:]] for line in printed["take_a"]]
    assert [sum(column) for column in zip(*counts, strict=True)] == [200, SUM]
    assert printed["take_good"] == [f"good 180 {SUM - TENS}"]
    sizes = [int(line) for line in _printed(ended, "batch")]
    assert sum(sizes) == 200
    assert printed["read"] == [f"read {2 * len(sizes)} {10 * TENS}"]
    assert printed["none_stream"] == ["nothing 0 0"]
    put = {name: ended.ledger(name).get("put", 0) for name in ended.summary["queues"]}
    assert put == {
        **dict.fromkeys(["n", "copy_a", "copy_b", "wide"], 200),
        **dict.fromkeys(["tail", "mail"], 2 * len(sizes)),
        **dict.fromkeys(["none", "none_b", "m"], 0),
        "good": 180,
        "bad": 20,
        "batches": len(sizes),
    }
    assert all(ended.ledger(name).get("done", 0) == n for name, n in put.items())
    peaks = {name: queue["peak"] for name, queue in ended.summary["queues"].items()}
    assert all(peak <= ended.summary["queues"][name]["maxsize"] for name, peak in peaks.items())


def test_a_batch_is_called_with_what_is_there_when_its_time_is_over_or_the_input_ends(begin):
    run = begin(
        """
        queues: {numbers: 100, more: 100}
        jobs:
          count: {target: "t:count", output: numbers}
          batch: {target: "t:tell", input: numbers, call: batch, batch: {size: 4, within: 200ms}}
          patient: {target: "t:tell", input: more, call: batch, batch: {size: 4, within: 1h}}
          count_more: {target: "t:count_more", output: more}
        """,
        """
        import os

        def count():
            yield from range(6)
            os.mkfifo("go")
            open("go").read()
            yield from (6, 7, 8)

        def count_more():
            return range(6)

        def tell(batch):
            print(batch)
        """,
    )
    run.said("[4, 5]", worker="batch-1")
    (run.folder / "go").write_text("")
    ended = run.end()
    assert ended.exit_code == 0
    assert _printed(ended, "batch") == ["[0, 1, 2, 3]", "[4, 5]", "[6, 7, 8]"]
    assert _printed(ended, "patient") == ["[0, 1, 2, 3]", "[4, 5]"]


def _printed(ended, job):
    return [record["msg"] for record in ended.log.having("output", job=job)]
