"""No exception, whatever its class does, is more than the failure of the item that raised it."""

from pathlib import Path

import hostile_exceptions
import pytest

MORE = {"hostile_exceptions.py": Path(hostile_exceptions.__file__).read_text()}
N = len(hostile_exceptions.MAKERS)
GOOD = 4

CODE = """
    import orchestrator
    from hostile_exceptions import MAKERS, Unloadable, Unpicklable, raised
    def numbers(n):
        yield from range(n)
    def unloadable(n):
        yield from map(Unloadable, range(n))
    def item(n): return raised(n)
    def gen(n):
        yield n
        raised(n)
    def put(n, out):
        out.put(n)
        raised(n)
    def loaded(n): return n
    def pickled(n): return Unpicklable(n) if n < len(MAKERS) else n
    def pickled_put(n, out): out.put(pickled(n))
    def batch(ns): return [raised(n) for n in ns]
    def sink(items):
        print(sorted(items))
"""

SPEC = """
    queues: {todo: 9, done: 9}
    jobs:
      src: {target: "t:%s", args: [%d], output: todo}
      work: {target: "t:%s", input: todo, output: %s, on_error: dead_letter%s}
      sink: {target: "t:sink", input: done, call: stream}
"""


@pytest.mark.parametrize(
    ("source", "target", "output", "more"),
    [
        ("numbers", "item", "done", ""),
        ("numbers", "item", "done", ", retry: {attempts: 2}, ordered: true, workers: 2"),
        ("numbers", "gen", "done", ""),
        ("numbers", "put", "{out: done}", ""),
        ("numbers", "pickled", "done", ""),
        ("numbers", "pickled_put", "{out: done}", ""),
        ("unloadable", "loaded", "done", ""),
        ("numbers", "batch", "done", ", call: batch, batch: {size: 5, within: 10ms}"),
        ("unloadable", "batch", "done", ", call: batch, batch: {size: 5, within: 10ms}"),
    ],
)
def test_it_costs_its_item_and_nothing_else(ran, source, target, output, more):
    ended = ran(SPEC % (source, N + GOOD, target, output, more), CODE, more=MORE)
    assert ended.exit_code == 3, ended.stdout
    assert ended.ledger("todo") == {"put": N + GOOD, "done": GOOD, "dead": N}
    assert str(list(range(N, N + GOOD))) in ended.stdout
    assert ended.codes()["work"] in ([0], [0, 0])


SOME = [0, 1, 4, 5, 7, 8, 10, 20]

ONCE = {
    "task": "n: 0",
    "source": "output: q",
    "stream": "input: p, call: stream",
    "handles": "input: {p: p}",
    "scope": "output: {q: q}",
    "Made": "n: 0",
    "Entered": "n: 0",
    "Left": "n: 0",
    "Called": "n: 0",
}

CODE_ONCE = """
    import orchestrator
    from hostile_exceptions import Guarded, raised
    def numbers(): yield from range(20)
    def task(n): raised(n)
    def source(n):
        yield 1
        raised(n)
    def stream(items, n):
        for _ in items: raised(n)
    def handles(n, p):
        p.get()
        raised(n)
    def scope(n, q):
        with orchestrator.transaction():
            q.put(1)
            raised(n)
    class Made(Guarded): pass
    class Entered(Guarded): pass
    class Left(Guarded): pass
    class Called(Guarded): pass
    def end(_): pass
"""


@pytest.mark.parametrize("target", list(ONCE))
def test_where_no_item_is_at_hand_it_is_told_as_the_jobs_failure(ran, target):
    wires = "" if ONCE[target] == "n: 0" else f", {ONCE[target]}"
    spec = f"""
    defaults: {{on_failure: continue}}
    queues: {{p: 30, q: 30}}
    jobs:
      bad: {{target: "t:{target}", args: ["${{matrix.n}}"], matrix: {{n: {SOME}}}{wires}}}
      feed: {{target: "t:numbers", output: p}}
      rest: {{target: "t:end", input: p, after: {{bad: finished}}}}
      also: {{target: "t:numbers", output: q}}
      end: {{target: "t:end", input: q}}
    """
    ended = ran(spec, CODE_ONCE, more=MORE)
    _all_failed_well(ended, [name for name in ended.statuses() if name.startswith("bad")])


def test_at_an_import_too(ran):
    begin = "import hostile_exceptions\n"
    bad = {f"bad{n}.py": f"{begin}hostile_exceptions.raised({n})\ndef t(): pass\n" for n in SOME}
    lazy = {
        f"lazy{n}.py": f"{begin}def __getattr__(name): hostile_exceptions.raised({n})\n"
        for n in SOME
    }
    jobs = "".join(f'\n      {name[:-3]}: {{target: "{name[:-3]}:t"}}' for name in bad | lazy)
    ended = ran(
        f"""
    defaults: {{on_failure: continue}}
    jobs:{jobs}
    """,
        "",
        more=MORE | bad | lazy,
    )
    _all_failed_well(ended, [name[:-3] for name in bad | lazy])


def _all_failed_well(ended, jobs):
    """Each by its last message, in words, with no line of mporch's own."""
    assert ended.exit_code == 1
    assert len(jobs) >= len(SOME)
    assert {ended.statuses()[name] for name in jobs} == {"failed"}, ended.stdout
    for record in ended.log.having("worker.ended"):
        assert "before its work was done" not in record["msg"]
        assert "orchestrator/ipc" not in str(record), record
    assert "orchestrator/ipc" not in ended.stdout + ended.stderr
