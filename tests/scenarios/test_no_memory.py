"""An item that no memory is left for, as it is put or as it comes, fails by name and size."""

import pytest

SPEC = """
    queues: {q: 10, r: 10}
    jobs:
      src: {target: "t:src", output: q}
      work: {target: "t:%s", limits: {memory: %s}, on_error: dead_letter, %s}
      sink: {target: "t:sink", input: r}
"""

ONCE = SPEC.replace("on_error: dead_letter, ", "")

CODE = """
    SIZE = 250 << 20
    def src():
        for n in range(4): yield b"x" * SIZE if n == 1 and HOW == "comes" else n
    def of(x):
        if HOW == "comes" or x != 1: return x if x in range(4) else "large"
        if HOW == "text": return "x" * SIZE
        return b"x" * SIZE if HOW == "bytes" else [b"x" * SIZE]
    def work(x): return of(x)
    def gen(x): yield of(x)
    def batch(xs): return [of(x) for x in xs]
    def put(x, out): out.put(of(x))
    def handles(q, out):
        for n in range(4):
            try: out.put(of(q.get()))
            except MemoryError as error: print("caught", error)
    def stream(xs):
        xs = iter(xs)
        for n in range(4):
            try: x = next(xs)
            except MemoryError as error: print("caught", error)
            else: yield of(x)
    def sink(x): print(x)
"""

ITEMS = [
    ("work", "input: q, output: r"),
    ("work", "input: q, output: r, workers: 2, ordered: true"),
    ("gen", "input: q, output: r"),
    ("batch", "input: q, output: r, call: batch, batch: {size: 3, within: 10ms}"),
    ("put", "input: q, output: {out: r}"),
]


@pytest.mark.parametrize("how", ["bytes", "text", "list"])
@pytest.mark.parametrize(("target", "wires"), ITEMS)
def test_a_result_is_the_failure_of_its_item(ran, target, wires, how):
    ended = ran(
        SPEC % (target, "400MiB", wires), CODE.replace("SIZE", f'HOW = "{how}"\n    SIZE', 1)
    )
    assert ended.exit_code == 3, ended.stdout
    assert ended.ledger("q") == {"put": 4, "done": 3, "dead": 1}
    assert sorted(ended.log.printed("sink-1")) == ["0", "2", "3"]
    failure = ended.log.having("item.dead")[0]
    assert failure["item"] == "q:2"
    assert "MemoryError: job 'work'" in failure["msg"]
    size = {"bytes": "262,144,000 bytes", "text": "262,144,000 characters", "list": "list"}[how]
    assert size in failure["msg"]
    assert ended.summary["jobs"]["work"]["restarts"] == 0


@pytest.mark.parametrize(("target", "wires"), ITEMS)
def test_an_item_that_comes_is_named_with_its_size(ran, target, wires):
    ended = ran(
        SPEC % (target, "200MiB", wires), CODE.replace("SIZE", 'HOW = "comes"\n    SIZE', 1)
    )
    assert ended.exit_code == 3, ended.stdout
    assert ended.ledger("q") == {"put": 4, "done": 3, "dead": 1}
    assert sorted(ended.log.printed("sink-1")) == ["0", "2", "3"]
    failure = ended.log.having("item.dead")[0]
    assert failure["item"] == "q:2"
    assert "no memory is left for the 262,144,0" in failure["msg"]


@pytest.mark.parametrize(
    ("target", "wires"),
    [
        ("handles", "input: {q: q}, output: {out: r}"),
        ("stream", "input: q, output: r, call: stream"),
    ],
)
def test_a_job_that_is_called_once_can_catch_it_and_go_on(ran, target, wires):
    code = CODE.replace("SIZE", 'HOW = "comes"\n    SIZE', 1)
    ended = ran(ONCE % (target, "200MiB", wires), code)
    assert ended.exit_code == 0, ended.stdout
    assert ended.log.printed("sink-1") == ["0", "2", "3"]
    assert "caught no memory is left for the 262,144,0" in ended.log.printed("work-1")[0]


def test_what_a_handle_cannot_put_is_caught_and_what_follows_arrives(ran):
    code = CODE.replace("SIZE", 'HOW = "bytes"\n    SIZE', 1)
    ended = ran(ONCE % ("handles", "400MiB", "input: {q: q}, output: {out: r}"), code)
    assert ended.exit_code == 0, ended.stdout
    assert ended.log.printed("sink-1") == ["0", "2", "3"]
    (said,) = ended.log.printed("work-1")
    assert said.startswith("caught job 'work' put a bytes of 262,144,000 bytes on queue 'r'")


def test_a_stream_fails_by_name(ran):
    code = CODE.replace("SIZE", 'HOW = "bytes"\n    SIZE', 1)
    ended = ran(ONCE % ("stream", "400MiB", "input: q, output: r, call: stream"), code)
    assert (ended.exit_code, ended.codes()["work"]) == (1, [1])
    assert "MemoryError: job 'work' gave back a bytes of 262,144,000 bytes" in ended.reason + str(
        ended.log.having("worker.ended", worker="work-1")
    )
