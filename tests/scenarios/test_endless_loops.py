"""Loops that take the end of their input for an empty queue end well, and soon."""

from datetime import datetime

import pytest

SPEC = """
    queues: {a: 100}
    jobs:
      w: {target: "t:write", output: {q: a}}
      r: {target: "t:read", input: {q: a}}
"""

CODE = """
import queue, threading, time, traceback

def write(q):
    for letter in "ABC":
        q.put(letter)

def read(q):
    try:
        loop(q)
    finally:
        print("finally")

def loop(q):
"""

LOOPS = {
    "any exception": """
    while True:
        try:
            print(q.get())
        except Exception:
            traceback.print_exc()
""",
    "Empty: continue": """
    while True:
        try:
            print(q.get(timeout=.01))
        except queue.Empty:
            continue
""",
    "get_nowait": """
    while True:
        try:
            print(q.get_nowait())
        except queue.Empty:
            pass
""",
    "a pause": """
    while True:
        try:
            print(q.get(timeout=0.5))
        except queue.Empty:
            time.sleep(0.2)
""",
    "a long pause": """
    while True:
        try:
            print(q.get(timeout=0.5))
        except queue.Empty:
            time.sleep(0.7)
""",
    "a stop flag": """
    stop = threading.Event()
    while not stop.is_set():
        try:
            print(q.get(timeout=.1))
        except queue.Empty:
            pass
""",
    "a for loop in a loop": """
    while True:
        for letter in q:
            print(letter)
""",
    "empty": """
    while True:
        if q.empty():
            time.sleep(.02)
        else:
            print(q.get())
""",
    "task_done in finally": """
    while True:
        try:
            print(q.get())
        except Exception:
            pass
        finally:
            q.task_done()
""",
    "a generator": """
    def letters():
        while True:
            try:
                yield q.get()
            except queue.Empty:
                continue
    for letter in letters():
        print(letter)
""",
}


def warnings(ended):
    return [r for r in ended.log.records if "goes on asking queue 'a'" in r.get("msg", "")]


@pytest.mark.parametrize("loop", LOOPS.values(), ids=LOOPS)
def test_the_loop_ends_as_a_success_with_a_warning(ran, loop):
    ended = ran(SPEC, CODE + loop)
    assert ended.exit_code == 0, ended.stderr
    printed = [line for line in ended.log.printed("r-1") if not line.startswith((" ", "Trace"))]
    letters = [line for line in printed if len(line) == 1]
    assert letters == ["A", "B", "C"]
    assert printed[-1] == "finally"
    (told,) = warnings(ended)
    assert (told["level"], told["worker"]) == ("warning", "r-1")
    assert ended.ledger("a") == {"put": 3, "done": 3}
    over = ended.log.having("queue.ended", queue="a")[0]["ts"]
    assert seconds(ended.log.having("worker.ended", worker="r-1")[0]["ts"], over) < 2.5
    assert len(ended.log.records) < 1_000


def seconds(late, early):
    return (datetime.fromisoformat(late) - datetime.fromisoformat(early)).total_seconds()


BARE = """
    import atexit, os, queue, threading, time
    def write(q):
        for letter in "ABC":
            q.put(letter)
    def read(q):
        %s
"""


@pytest.mark.parametrize("pause", ["pass", "time.sleep(.1)"])
def test_a_loop_that_catches_everything_is_ended_without_its_leave(ran, pause):
    loop = f"""
        atexit.register(print, "exit function")
        while True:
            try:
                print(q.get())
            except:
                {pause}
    """
    ended = ran(SPEC, BARE % loop)
    assert ended.exit_code == 0, ended.stderr
    assert ended.log.printed("r-1") == ["A", "B", "C", "exit function"]
    assert len(warnings(ended)) == 1
    assert ended.ledger("a") == {"put": 3, "done": 3}


def test_a_thread_that_catches_everything_keeps_nobody_from_finishing(ran):
    loop = """
        def listen():
            while True:
                try:
                    print(q.get())
                except:
                    pass
        listener = threading.Thread(target=listen, daemon=True)
        listener.start()
        listener.join(2)
        print("listening still:", listener.is_alive())
    """
    ended = ran(SPEC, BARE % loop)
    assert ended.exit_code == 0, ended.stderr
    assert ended.log.printed("r-1") == ["A", "B", "C", "listening still: True"]


def test_a_thread_of_a_target_is_ended_and_what_follows_its_end_is_done(ran):
    loop = """
        def listen():
            while True:
                try:
                    print(q.get(timeout=.05))
                except queue.Empty:
                    continue
        listener = threading.Thread(target=listen)
        listener.start()
        listener.join()
        print("joined")
    """
    ended = ran(SPEC, BARE % loop)
    assert ended.exit_code == 0, ended.stderr
    assert ended.log.printed("r-1") == ["A", "B", "C", "joined"]
    assert len(warnings(ended)) == 1


BOUNDED = {
    "ten tries": """
    for _ in range(10):
        try:
            print(q.get(timeout=1))
        except queue.Empty:
            pass
""",
    "looks": """
    for _ in range(50):
        q.empty()
""",
    "many threads": """
    threads = [threading.Thread(target=lambda: list(q)) for _ in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
""",
    "once more, later": """
    time.sleep(.1)
    print(list(q))
""",
}


@pytest.mark.parametrize("give_up", BOUNDED.values(), ids=BOUNDED)
def test_who_gives_up_by_itself_goes_on_with_what_follows(ran, give_up):
    code = CODE + "\n    list(q)\n" + give_up + "\n    print('the rest')\n"
    ended = ran(SPEC, code)
    assert ended.exit_code == 0, ended.stderr
    assert ended.log.printed("r-1")[-2:] == ["the rest", "finally"]
    assert not warnings(ended)


def test_who_polls_several_queues_in_turn_goes_on_while_one_of_them_does(ran):
    ended = ran(
        """
        queues: {a: 10, b: 10}
        jobs:
          quick: {target: "t:write", output: {q: a}}
          slow: {target: "t:write_slowly", output: {q: b}}
          r: {target: "t:read", input: {a: a, b: b}}
        """,
        """
        import queue, time
        def write(q):
            q.put("A")
        def write_slowly(q):
            time.sleep(2)
            q.put("B")
        def read(a, b):
            seen = 0
            while seen < 2:
                for q in (a, b):
                    try:
                        print(q.get(timeout=.01))
                    except queue.Empty:
                        continue
                    seen += 1
            print("both")
        """,
    )
    assert ended.exit_code == 0, ended.stderr
    assert ended.log.printed("r-1") == ["A", "B", "both"]
    assert not warnings(ended)


def test_an_optional_input_that_has_ended_does_not_end_who_goes_on_putting(ran):
    ended = ran(
        """
        queues: {a: 10, b: 1000}
        jobs:
          w: {target: "t:write", output: {q: a}}
          r: {target: "t:read", input: {q: a}, output: {out: b}}
          c: {target: "t:count", input: b, call: stream}
        """,
        """
        import queue
        def write(q):
            q.put("A")
        def read(q, out):
            out.put((-1, q.get()))  # whoever writes it has put it before nobody reads any more
            for n in range(199):
                try:
                    extra = q.get_nowait()
                except queue.Empty:
                    extra = None
                out.put((n, extra))
        def count(items):
            print(len(list(items)))
        """,
    )
    assert ended.exit_code == 0, ended.stderr
    assert ended.log.printed("c-1") == ["200"]


TASKS = """
    queues: {a: 100}
    jobs:
      w: {target: "t:write", output: {q: a}}
      r: {target: "t:read", input: {q: a}, workers: 2}
"""


def test_task_done_in_finally_at_the_end_of_the_input_does_nothing(ran):
    ended = ran(
        TASKS,
        """
        def write(q):
            for n in range(20):
                q.put(n)
            q.join()
            print("all done")
        def read(q):
            while True:
                try:
                    q.get()
                finally:
                    q.task_done()
        """,
    )
    assert ended.exit_code == 0, ended.stderr
    assert ended.log.printed("w-1") == ["all done"]


def test_task_done_for_all_at_the_end_counts_each(ran):
    ended = ran(
        SPEC,
        """
        import queue
        def write(q):
            for n in range(20):
                q.put(n)
        def read(q):
            got = 0
            try:
                while True:
                    q.get()
                    got += 1
            except queue.Empty:
                for _ in range(got):
                    q.task_done()
            q.join()
            print("joined")
        """,
    )
    assert ended.exit_code == 0, ended.stderr
    assert ended.log.printed("r-1") == ["joined"]


@pytest.mark.parametrize(
    "loop",
    ["while not q.empty(): q.get()", "q.get(timeout=.05)"],
    ids=["until it is empty", "gives up"],
)
def test_a_writer_whose_reader_gave_up_early_names_the_reader_and_the_way_out(ran, loop):
    code = """
        import queue, time
        def write(q):
            for n in range(10):
                time.sleep(.2)
                q.put(n)
        def read(q):
            try:
                %s
            except queue.Empty:
                print("gives up")
    """
    ended = ran(SPEC, code % loop)
    assert ended.exit_code == 1
    assert "no consumer is left: job 'r' has returned, though not all was put yet" in ended.stderr
    assert "start it `after:` its writer" in ended.stderr
    waiting = SPEC.replace("input: {q: a}", "input: {q: a}, after: [w]")
    ended = ran(waiting, code % "while not q.empty(): print(q.get())")
    assert ended.exit_code == 0
    assert len(ended.log.printed("r-1")) == 10
