"""`limits` and `recycle`, with real processes; a timeout that names where its target was."""

import ast

import pytest

BOUNDED = """
    queues: {todo: 5, done: 5}
    jobs:
      src: {target: "t:src", output: todo}
      work: {target: "t:work", input: todo, output: done, %s}
      sink: {target: "t:sink", input: done, call: stream}
"""

CODE = """
    import os
    held = []
    def src():
        yield from range(40)
    def work(n):
        if n == 3 and HURT == "memory":
            bytearray(4 << 30)
        if n == 3 and HURT == "files":
            [open(os.devnull) for _ in range(100)]
        while n == 3 and HURT == "cpu":
            pass
        if HURT == "leak":
            held.append(bytearray(10 << 20))
        return n, os.getpid()
    def sink(items):
        print([list(item) for item in items])
"""


def hurt(ran, how, keys):
    code = CODE.replace("import os", f'import os\n    HURT = "{how}"')
    end = ran(BOUNDED % keys, code)
    items = ast.literal_eval(end.stdout.partition("| ")[2])
    return end, [n for n, _ in items], {pid for _, pid in items}


def dead_of(end):
    (record,) = end.log.having("item.dead")
    return record


def test_an_item_that_takes_more_memory_than_its_worker_may_have_gets_a_memory_error(ran):
    end, numbers, pids = hurt(ran, "memory", "on_error: dead_letter, limits: {memory: 2GiB}")
    assert sorted(numbers) == [n for n in range(40) if n != 3]
    assert (dead_of(end)["error_type"], len(pids), end.exit_code) == ("MemoryError", 1, 3)


def test_an_item_that_opens_too_many_files_gets_an_os_error(ran):
    end, numbers, pids = hurt(ran, "files", "on_error: dead_letter, limits: {open_files: 64}")
    assert sorted(numbers) == [n for n in range(40) if n != 3]
    assert (dead_of(end)["error_type"], len(pids), end.exit_code) == ("OSError", 1, 3)


def test_an_item_that_uses_up_its_workers_processor_time_kills_it_and_is_named(ran):
    end, numbers, pids = hurt(ran, "cpu", "on_error: dead_letter, limits: {cpu: 1s}")
    assert sorted(numbers) == [n for n in range(40) if n != 3]
    assert "SIGXCPU" in dead_of(end)["error"]
    assert len(pids) == 2


def test_a_worker_is_recycled_after_so_many_items_and_none_is_lost(ran):
    end, numbers, pids = hurt(ran, "not", "recycle: {max_items: 8}")
    assert (sorted(numbers), end.exit_code) == (list(range(40)), 0)
    assert len(pids) == 5
    assert end.summary["jobs"]["work"]["recycled"] in {4, 5}
    assert end.summary["jobs"]["work"]["restarts"] == 0
    assert {record["n"] for record in end.log.having("worker.replaced")} == {0}


def test_a_worker_that_has_grown_too_large_is_recycled(ran):
    end, numbers, pids = hurt(ran, "leak", "recycle: {max_rss: 150MB}")
    assert (sorted(numbers), end.exit_code) == (list(range(40)), 0)
    assert 2 <= len(pids) <= 20


def test_a_worker_stopped_at_a_limit_says_where_its_target_was(ran):
    spec = """
    queues: {todo: 5}
    jobs:
      src: {target: "t:src", output: todo}
      work: {target: "t:work", input: todo, timeouts: {item: 300ms}}
    """
    code = """
    import signal
    def src():
        return [1]
    def stuck():
        signal.pause()
    def work(n):
        stuck()
    """
    end = ran(spec, code)
    assert end.exit_code == 1
    (ended,) = end.log.having("worker.ended", worker="work-1")
    assert "in stuck" in ended["stack"]
    assert "in stuck" in end.stderr
    doing = dict(
        zip(*(end.log.having("run.waiting")[0][k] for k in ("workers", "doing")), strict=True)
    )
    assert doing["work-1"] == "at item todo:1"


FULL = """
    queues: {todo: {maxsize: %d, when_full: %s}}
    jobs:
      src: {target: "t:src", output: todo}
      take: {target: "t:take", input: {todo: todo}, after: src}
"""

FILLING = """
    def src():
        yield from range(100)
    def take(todo):
        print(list(todo))
"""


@pytest.mark.parametrize("policy", ["fail", "drop_newest", "drop_oldest"])
def test_a_queue_that_holds_exactly_what_is_put_is_never_full(ran, policy):
    end = ran(FULL % (100, policy), FILLING)
    assert end.exit_code == 0, end.stderr
    assert end.ledger("todo") == {"put": 100, "done": 100}


def test_the_first_item_too_many_fails_its_job_and_the_queue_is_named(ran):
    end = ran(FULL % (99, "fail"), FILLING)
    assert end.exit_code == 1
    assert "found the queue todo full" in end.stderr
    assert end.ledger("todo")["put"] == 99


@pytest.mark.parametrize(("policy", "kept"), [("drop_newest", 0), ("drop_oldest", 90)])
def test_a_queue_that_drops_keeps_what_its_policy_says_and_counts_the_rest(ran, policy, kept):
    end = ran(FULL % (10, policy), FILLING)
    assert end.exit_code == 0, end.stderr
    assert str(list(range(kept, kept + 10))) in end.stdout
    assert end.ledger("todo") == {"put": 100, "done": 10, "dropped": 90}
    assert f"90 items dropped: it was full (when_full: {policy})" in end.stderr
