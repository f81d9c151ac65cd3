"""A target's own processes are started as in a program of its own, whatever started its worker."""

import multiprocessing

import pytest

METHODS = ["fork", "spawn", "forkserver"]

SPEC = """
    queues: {q: 5, r: 5}
    jobs:
      src: {target: "t:src", output: q}
      work: {target: "t:work", input: q, output: r, start_method: %s}
      sink: {target: "t:sink", input: r}
"""

CODE = """
    import concurrent.futures, multiprocessing as mp, os
    data = None
    def get(i): return data[i]
    def src(): yield from range(3)
    def sink(x): print(x)
"""

HERE = (
    multiprocessing.get_start_method(allow_none=True) or multiprocessing.get_all_start_methods()[0]
)
"""Python's default: fork before 3.14."""


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "call",
    [
        "mp.Pool(2) as p: return sum(p.map(get, range(3)))",
        "concurrent.futures.ProcessPoolExecutor(2) as p: return sum(p.map(get, range(3)))",
        "mp.Manager() as m: return sum(m.list(data))",
    ],
)
def test_a_pool_sees_what_is_global_as_in_a_program_of_its_own(ran, method, call):
    body = f"""    def work(n):
        global data
        data = [n, 20, 30]
        assert mp.get_start_method() == {HERE!r}
        with {call}
"""
    ended = ran(SPEC % method, CODE + body)
    assert ended.exit_code == 0, ended.stdout
    assert ended.log.printed("sink-1") == ["50", "51", "52"]


@pytest.mark.parametrize("method", METHODS)
def test_a_module_may_set_the_start_method_and_own_a_pool(ran, method):
    body = """    if "work" in mp.current_process().name:
        mp.set_start_method("spawn")
    def work(n):
        with mp.Pool(1) as p: return mp.get_start_method(), p.map(abs, [-n])
"""
    ended = ran(SPEC % method, CODE + body)
    assert ended.exit_code == 0, ended.stdout
    assert ended.log.printed("sink-1") == [f"('spawn', [{n}])" for n in range(3)]


@pytest.mark.parametrize("method", METHODS)
def test_a_pool_of_a_module_is_used_by_its_items_and_gone_at_the_end(ran, method):
    body = """    def square(n): return n * n
    pool = mp.Pool(2)
    def work(n): return sum(pool.map(square, range(n + 1)))
"""
    ended = ran(SPEC % method, CODE + body)
    assert ended.exit_code == 0, ended.stdout
    assert ended.log.printed("sink-1") == ["0", "1", "5"]
    assert "Traceback" not in ended.stdout
