"""What Python does at an interpreter's end is done at a worker's end, however it was started."""

import gzip
import zipfile

import pytest

METHODS = ["fork", "spawn", "forkserver"]

SPEC = """
    queues: {todo: 10}
    jobs:
      src: {target: "t:src", output: todo}
      work: {target: "t:%s", input: %s, start_method: %s, env: {WORK: "1"}%s}
"""

CODE = """
    import atexit, concurrent.futures, gzip, logging, logging.handlers, multiprocessing.util, os
    import tempfile, threading, weakref, zipfile
    os.makedirs("kept", exist_ok=True)
    def say(text): open("said", "a").write(text + "\\n")
    buffered = []
    def flush():
        open("sent", "a").write("".join(f"{x}\\n" for x in buffered))
        buffered.clear()
    class Last:
        def __del__(self): say("dropped")
    if os.environ.get("WORK"):
        atexit.register(flush)
        rows = open(f"rows-{os.getpid()}", "w")
        raw = open(f"raw-{os.getpid()}", "wb")
        files = {}
        folder = tempfile.TemporaryDirectory(dir="kept")
        handler = logging.handlers.MemoryHandler(99, target=logging.FileHandler("records"))
        logger = logging.getLogger("apart")
        logger.addHandler(handler)
        logger.propagate = False
        last = Last()
        weakref.finalize(last, say, "finalized")
        multiprocessing.util.Finalize(None, say, ("util",), exitpriority=1)
        packed = gzip.open(f"packed-{os.getpid()}.gz", "wt")
        archive = zipfile.ZipFile(f"archive-{os.getpid()}.zip", "w")
        circle = open(f"circle-{os.getpid()}", "w"), []
        circle[1].append(circle)
    def src(): yield from range(25)
    def work(x):
        buffered.append(x)
        if len(buffered) == 10:
            flush()
        rows.write(f"{x}\\n")
        raw.write(b"%d\\n" % x)
        if x % 2 not in files:
            files[x % 2] = open(f"file-{os.getpid()}-{x % 2}", "w")
        files[x % 2].write(f"{x}\\n")
        logger.warning(x)
        packed.write(f"{x}\\n")
        archive.writestr(f"{x}", f"{x}\\n")
        circle[0].write(f"{x}\\n")
    def batch(xs):
        for x in xs: work(x)
    def stream(xs):
        for x in xs: work(x)
    def handle(todo):
        while True: work(todo.get())
    def fails(x):
        work(x)
        if x == 24: raise ValueError
    def exits(xs):
        for x in xs: work(x)
        raise SystemExit
"""


def found(life, pattern):
    return "".join(path.read_text() for path in sorted(life.folder.glob(pattern)))


def lines(text):
    return sorted(map(int, text.split()))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("target", "more", "lives"),
    [
        ("work", "", 1),
        ("work", ", recycle: {max_items: 10}", 3),
        ("batch", ", call: batch, batch: {size: 5}", 1),
        ("stream", ", call: stream", 1),
        ("handle", "", 1),
        ("exits", ", call: stream", 1),
        ("fails", "", 1),
    ],
)
def test_nothing_that_was_left_for_the_end_is_lost(begin, method, target, more, lives):
    wire = "{todo: todo}" if target == "handle" else "todo"
    life = begin(SPEC % (target, wire, method, more), CODE)
    ended = life.end()
    assert ended.exit_code == (1 if target == "fails" else 0), ended.stdout
    numbers = list(range(25))
    assert lines(found(life, "sent")) == numbers
    for pattern in ("rows-*", "raw-*", "file-*", "circle-*"):
        assert lines(found(life, pattern)) == numbers, pattern
    assert lines(found(life, "records")) == numbers
    assert not list((life.folder / "kept").iterdir())
    said = found(life, "said").split()
    assert sorted(said) == sorted(["finalized", "util", "dropped"] * lives)
    packed = [gzip.decompress(p.read_bytes()).decode() for p in life.folder.glob("packed-*")]
    assert lines("".join(packed)) == numbers
    names = [n for p in life.folder.glob("archive-*") for n in zipfile.ZipFile(p).namelist()]
    assert lines(" ".join(names)) == numbers


ONE = """
    queues: {q: 5, r: 5}
    jobs:
      src: {target: "t:src", output: q}
      work: {target: "t:work", input: q, output: {r: r}, start_method: %s, terminate: {grace: 1s}}
      sink: {target: "t:sink", input: r}
"""

BEGIN = """
    import atexit, os, sys, threading, time
    def src(): yield from range(3)
    def sink(x): print(x)
    def work(x, r):
        r.put(x)
        if x == 0:
            keep.append(r)
            atexit.register(last)
    keep = []
"""


@pytest.mark.parametrize("method", METHODS)
def test_an_exit_function_that_hangs_is_cut_off_at_the_grace_with_a_warning(ran, method):
    ended = ran(ONE % method, BEGIN + "    def last():\n        time.sleep(1000)\n")
    assert (ended.exit_code, ended.codes()["work"]) == (0, [0])
    assert ended.statuses()["work"] == "succeeded"
    assert ended.log.printed("sink-1") == ["0", "1", "2"]
    (told,) = [r for r in ended.log.having("log", worker="work-1") if r["level"] == "warning"]
    assert "cut off after the grace of 1 s" in told["msg"]
    assert "t.py:12" in told["msg"]


def test_what_an_exit_function_puts_is_refused_by_name_and_told(ran):
    ended = ran(ONE % "fork", BEGIN + "    def last(): keep[0].put(4)\n")
    assert ended.exit_code == 0
    assert ended.log.printed("sink-1") == ["0", "1", "2"]
    said = "\n".join(ended.log.printed("work-1"))
    assert "ShutDown: job 'work' has returned: what a thread or an exit function puts" in said
    assert "queue 'r'" in said


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("raised", ["ValueError(7)", "SystemExit(7)", "KeyboardInterrupt"])
def test_what_an_exit_function_raises_is_printed_and_changes_no_exit_code(ran, method, raised):
    code = "    def last():\n        raise %s\n    atexit.register(print, 'the next one')\n"
    ended = ran(ONE % method, BEGIN + code % raised)
    assert (ended.exit_code, ended.codes()["work"]) == (0, [0])
    said = "\n".join(ended.log.printed("work-1"))
    assert "the next one" in said
    assert raised.partition("(")[0] in said
    assert "t.py" in said


def test_an_exit_function_that_ends_its_process_loses_no_item(ran):
    ended = ran(ONE % "forkserver", BEGIN + "    def last(): os._exit(7)\n")
    assert ended.exit_code == 0
    assert ended.log.printed("sink-1") == ["0", "1", "2"]


def test_a_stop_lets_exit_functions_have_the_grace(begin):
    life = begin(
        """
        jobs:
          work: {target: "t:work", terminate: {grace: 20s}}
        """,
        """
        import atexit, time
        def last():
            time.sleep(0.3)
            print("last", flush=True)
        def work():
            atexit.register(last)
            print("here", flush=True)
            time.sleep(1000)
        """,
    )
    life.said("here")
    life.interrupt()
    ended = life.end()
    assert ended.log.printed("work-1") == ["here", "last"]
    assert ended.statuses() == {"work": "terminated"}


def test_a_stop_that_comes_while_exit_functions_run_lets_them_end(begin):
    life = begin(
        """
        jobs:
          work: {target: "t:work", terminate: {grace: 20s}}
        """,
        """
        import atexit, os, time
        def last():
            print("here", flush=True)
            while not os.path.exists("stopped"): time.sleep(0.01)
            time.sleep(0.1)
            print("last", flush=True)
        def work():
            atexit.register(last)
        """,
    )
    life.said("here")
    life.interrupt()
    life.log.wait("run.stopping")
    (life.folder / "stopped").touch()
    ended = life.end()
    assert ended.log.printed("work-1") == ["here", "last"]
