"""orchestrator.transaction(): all of a block's gets and puts, or none of them."""

import pytest

MOVE = """
    queues: {orders: 10, left: %s, right: 10}
    jobs:
      src: {target: "t:src", output: orders}
      move: {target: "t:move", input: {orders: orders}, output: {left: left, right: right}}
      one: {target: "t:show", input: left, call: stream, kwargs: {name: left}}
      two: {target: "t:show", input: right, call: stream, kwargs: {name: right}}
"""

CODE = """
    import orchestrator
    def src():
        yield from range(6)
    def show(items, name):
        print(name, list(items))
"""


def shown(end):
    return dict(line.partition("| ")[2].split(" ", 1) for line in end.stdout.splitlines())


def test_what_a_block_that_raises_has_put_is_forgotten_and_what_it_got_comes_again(ran):
    code = (
        CODE
        + """
    def move(orders, left, right):
        failed = False
        for order in orders:
            try:
                with orchestrator.transaction():
                    left.put(order)
                    if order == 3 and not failed:
                        failed = True
                        raise ValueError
                    right.put(order)
            except ValueError:
                right.put("again")
                left.put(order)
                right.put(order)
    """
    )
    end = ran(MOVE % 10, code)
    assert end.exit_code == 0, end.stderr
    assert shown(end) == {
        "left": "[0, 1, 2, 3, 4, 5]",
        "right": "[0, 1, 2, 'again', 3, 4, 5]",
    }


def test_items_got_inside_a_block_that_raises_go_back_to_the_head_of_their_queue(ran):
    code = (
        CODE
        + """
    def move(orders, left, right):
        while orders.qsize() < 5:
            pass
        left.put(orders.get())
        try:
            with orchestrator.transaction():
                taken = [orders.get_nowait() for _ in range(3)]
                right.put("lost")
                raise ValueError
        except ValueError:
            right.put(taken)
        for order in orders:
            left.put(order)
    """
    )
    end = ran(MOVE % 10, code)
    assert end.exit_code == 0, end.stderr
    assert shown(end) == {"left": "[0, 1, 2, 3, 4, 5]", "right": "[[1, 2, 3]]"}
    assert end.ledger("orders") == {"put": 6, "done": 6}


def test_nothing_of_a_block_is_seen_before_it_has_ended(ran):
    code = (
        CODE
        + """
    import time
    def move(orders, left, right):
        for order in orders:
            with orchestrator.transaction():
                left.put(order)
                time.sleep(0.05)
                right.put(time.monotonic())
    def show(items, name):
        late = [time.monotonic() for _ in items] if name == "left" else list(items)
        print(name, late)
    """
    )
    end = ran(MOVE % 10, code)
    assert end.exit_code == 0, end.stderr
    seen = {
        name: [float(t) for t in text.strip("[]").split(",")] for name, text in shown(end).items()
    }
    assert all(got >= ended for got, ended in zip(seen["left"], seen["right"], strict=True))


def test_a_block_that_would_have_to_wait_raises_and_names_the_queue(ran):
    code = (
        CODE
        + """
    def move(orders, left, right):
        with orchestrator.transaction():
            for order in range(5):
                left.put(order)
    """
    )
    end = ran(MOVE % 2, code)
    assert end.exit_code == 1
    assert "WouldWaitError" in end.stderr
    assert "'left'" in end.stderr


def test_a_worker_killed_inside_a_block_has_put_nothing_of_it(ran):
    code = (
        CODE
        + """
    import os, signal, time
    def move(orders, left, right):
        for order in orders:
            with orchestrator.transaction():
                left.put(order)
                time.sleep(0.03)
                if order == 3:
                    os.kill(os.getpid(), signal.SIGKILL)
                right.put(order)
    """
    )
    end = ran(MOVE % 10, code, "--output", "prefixed")
    assert end.exit_code == 1
    assert (end.ledger("left")["put"], end.ledger("right")["put"]) == (3, 3)


def test_a_block_that_goes_beyond_what_comes_again_can_be_rolled_back(ran):
    """The source dies once three of its items are through, and is called again."""
    code = """
    import os, signal, time
    import orchestrator
    def src(b, c):
        if not os.path.exists("second life"):
            for n in range(3):
                b.put(n)
            while not os.path.exists("three"):
                time.sleep(0.001)
            open("second life", "w").close()
            os.kill(os.getpid(), signal.SIGKILL)
        raised = 0
        while True:
            try:
                with orchestrator.transaction():
                    for n in range(3 + raised):     # to the end of what comes again, and beyond
                        b.put(n)
                    c.put("once")
                    raised += 1
                    if raised < 4:
                        raise KeyError
                break
            except KeyError:
                pass
        for n in range(6, 10):
            b.put(n)
    def sink(n):
        print("b", n)
        if n == 2:
            open("three", "w").close()
    def other(n):
        print("c", n)
    """
    spec = """
    queues: {b: 20, c: 20}
    jobs:
      src: {target: "t:src", output: {b: b, c: c}, restart: {replay: skip}}
      sink: {target: "t:sink", input: b}
      other: {target: "t:other", input: c}
    """
    end = ran(spec, code)
    assert end.exit_code == 0, end.stderr
    told = [line.partition("| ")[2] for line in end.stdout.splitlines()]
    assert [line for line in told if line[0] == "b"] == [f"b {n}" for n in range(10)]
    assert [line for line in told if line[0] == "c"] == ["c once"]


def test_what_a_stream_takes_inside_a_block_that_raises_comes_again(ran):
    code = (
        CODE
        + """
    def move(orders, left, right):
        line, failed = iter(orders), set()
        while True:
            try:
                with orchestrator.transaction():
                    order = next(line)
                    left.put(order)
                    if order in (0, 3, 5) and order not in failed:
                        failed.add(order)
                        raise ValueError
                    right.put(order)
            except orchestrator.WouldWaitError:
                pass                                # there is no next one yet: a block never waits
            except ValueError:
                right.put(f"not {order}")
            except StopIteration:
                break
    """
    )
    spec = MOVE.replace("input: {orders: orders}", "input: orders, call: stream")
    end = ran(spec % 10, code)
    assert end.exit_code == 0, end.stderr
    assert shown(end) == {
        "left": "[0, 1, 2, 3, 4, 5]",
        "right": "['not 0', 0, 1, 2, 'not 3', 3, 4, 'not 5', 5]",
    }


def test_outside_a_job_with_handles_there_is_no_transaction(ran):
    spec = """
    jobs: {alone: {target: "t:alone"}}
    """
    code = """
    import orchestrator
    def alone():
        with orchestrator.transaction():
            pass
    """
    end = ran(spec, code)
    assert end.exit_code == 1
    assert "for jobs that are called once with queue handles" in end.stderr


HELD = """
    queues: {orders: 10, done: 10}
    jobs:
      src: {target: "t:src", output: orders}
      move:
        {target: "t:move", input: {orders: orders}, output: {done: done}, terminate: {grace: %s}}
      show: {target: "t:show", input: done, call: stream, kwargs: {name: done}}
"""

THREAD = """
    import threading
    def thread(work, *args):
        began = threading.Event()
        made = threading.Thread(target=work, args=(began, *args), daemon=True, name="mover")
        made.start()
        began.wait()
"""

NEVER_ENDS = """
    def work(began, orders, done):
        with orchestrator.transaction():
            done.put(orders.get())
            began.set()
            threading.Event().wait()
    def move(orders, done):
        while not orders.qsize():
            pass
        thread(work, orders, done)
"""


@pytest.mark.parametrize(
    ("move", "who"),
    [
        (NEVER_ENDS, "thread 'mover' was inside it"),
        (
            """
    def move(orders, done):
        first = orders.get()
        orchestrator.transaction().__enter__()     # as if a signal handler had raised after it
        done.put(first)
    """,
            "its main thread has not left the block",
        ),
        (
            """
    def work(began, orders, done):
        orchestrator.transaction().__enter__()
        done.put(1)
        began.set()
    def move(orders, done):
        thread(work, orders, done)
    """,
            "thread 'mover' was inside it",
        ),
    ],
)
def test_a_target_that_returns_with_a_transaction_open_has_not_succeeded(ran, move, who):
    end = ran(HELD % "0.5s", CODE + THREAD + move)
    assert end.exit_code == 1
    assert end.statuses()["move"] == "failed"
    reason = end.summary["jobs"]["move"]["reason"]
    assert "a transaction had not ended when the target returned" in reason
    assert who in reason
    assert "put" not in end.ledger("done")


def test_a_daemon_thread_has_the_grace_to_end_its_transaction(ran):
    """It puts once more when the target has returned."""
    code = """
    import sys, time
    def work(began, orders, done):
        main = threading.main_thread().ident
        with orchestrator.transaction():
            done.put(1)
            began.set()
            while is_in(move, sys._current_frames()[main]):
                time.sleep(0.001)
            done.put(2)
    def is_in(function, frame):
        while frame is not None and frame.f_code is not function.__code__:
            frame = frame.f_back
        return frame is not None
    def move(orders, done):
        for _ in orders:
            pass
        thread(work, orders, done)
    """
    end = ran(HELD % "60s", CODE + THREAD + code)
    assert end.exit_code == 0, end.stderr
    assert shown(end) == {"done": "[1, 2]"}
