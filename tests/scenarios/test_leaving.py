"""A worker that gives its place to a new process while the run is stopped: nothing of it is lost.

It stops itself when it has said so: its last message is there, and its process is not gone yet.
"""

import contextlib
import signal

import psutil
import pytest
from life_runs import until

ITEMS = 20

SPEC = """
    durable: {durable}
    timeout: {timeout}
    queues: {{a: 100}}
    jobs:
      src: {{target: "t:src", output: a}}
      work:
        target: t:work
        input: a
        recycle: {recycle}
        env: {{MPORCH_TEST: "1", MPORCH_FAULT: "w.closing_sent:1:stop"}}
      other: {{target: "t:other"}}
"""

CODE = f"""
    import os, pathlib, signal

    def src():
        yield from range({ITEMS})

    def work(n):
        ballast = b"x" * (90 << 20)  # more than max_rss, once it is there
        with open("seen", "a") as file:
            print(n, file=file)

    def other():
        if not os.path.exists("again"):
            os.mkfifo("fail")
            print("waiting")
            with open("fail") as fifo:
                fifo.read()
            raise RuntimeError("once")
"""


def _fail(life):
    (life.folder / "fail").write_text("")


def _signal(signum, times=1):
    def send(life):
        for how in ("drain", "terminate")[: times if signum == signal.SIGINT else 0]:
            life.interrupt()
            life.log.wait("run.stopping", how=how)
        if signum != signal.SIGINT:
            life.guard.send_signal(signum)

    return send


WAYS = {
    "another job fails": (1, _fail),
    "its timeout": (124, lambda life: None),
    "SIGTERM": (143, _signal(signal.SIGTERM)),
    "SIGHUP": (129, _signal(signal.SIGHUP)),
    "SIGINT twice": (130, _signal(signal.SIGINT, 2)),
}


def _stopped(life, job="work"):
    """The workers that have stopped themselves."""
    found = []
    for record in life.log.having("worker.started", job=job):
        with contextlib.suppress(psutil.NoSuchProcess):
            process = psutil.Process(record["pid"])
            if process.status() == psutil.STATUS_STOPPED:
                found.append(process)
    return found


def _go_on(life, job="work"):
    """Let all go on that stop themselves, until the run has ended."""

    def ended():
        for process in _stopped(life, job):
            process.send_signal(signal.SIGCONT)
        return life.guard.poll() is not None

    until(ended, "the end of the run")
    return life.end()


def _begun(begin, *, durable, timeout="1m", recycle="{max_items: 7}"):
    life = begin(SPEC.format(durable=durable, timeout=timeout, recycle=recycle), CODE)
    life.said("waiting")
    until(lambda: _stopped(life), "a worker that is being recycled")
    return life


def _seen(life):
    return [int(line) for line in (life.folder / "seen").read_text().split()]


def _stop(life, way):
    code, stop = WAYS[way]
    stop(life)
    how = "stop" if stop is _fail else "terminate"
    life.log.wait("run.stopping", how=how)
    ended = _go_on(life)
    assert ended.exit_code == code
    assert ended.statuses()["work"] == "terminated"
    done = len(_seen(life))
    assert ended.ledger("a") == {"put": ITEMS, "done": done, "left": ITEMS - done}
    return done


LONG = {"its timeout", "SIGHUP"}


@pytest.mark.parametrize(
    "way", [pytest.param(way, marks=[pytest.mark.long] if way in LONG else []) for way in WAYS]
)
def test_what_a_recycled_worker_leaves_to_the_next_is_there_when_the_run_is_resumed(begin, way):
    life = _begun(begin, durable=True, timeout="4s" if way == "its timeout" else "1m")
    assert _stop(life, way) == 7
    (life.folder / "again").touch()
    life.resume()
    ended = _go_on(life)
    assert ended.exit_code == 0
    assert _seen(life) == list(range(ITEMS))
    assert ended.ledger("a") == {"put": ITEMS, "done": ITEMS}


@pytest.mark.parametrize("recycle", ["{max_items: 7}", "{max_rss: 64MiB}"])
def test_without_a_store_it_is_left_and_not_dropped(begin, recycle):
    life = _begun(begin, durable=False, recycle=recycle)
    assert 1 <= _stop(life, "another job fails") <= 7


def test_a_drain_gives_it_a_new_process_that_does_the_rest(begin):
    life = _begun(begin, durable=True)
    life.interrupt()
    life.log.wait("run.stopping", how="drain")
    ended = _go_on(life)
    assert ended.exit_code == 130
    assert ended.statuses()["work"] == "succeeded"
    assert _seen(life) == list(range(ITEMS))
    assert ended.ledger("a") == {"put": ITEMS, "done": ITEMS}


def test_a_daemon_that_is_recycled_when_the_others_are_done_has_another_process_read_the_rest(
    begin,
):
    """And that ends with its input, since nobody else would ever stop it."""
    life = begin(
        """
        queues: {a: 10}
        jobs:
          src: {target: "t:src", output: a, after: {gate: ready}}
          gate: {target: "t:gate"}
          tail:
            target: t:tail
            input: a
            daemon: true
            recycle: {max_items: 3}
            env: {MPORCH_TEST: "1", MPORCH_FAULT: "w.closing_sent:1:stop"}
        """,
        """
        import os

        def src():
            yield from range(5)

        def tail(n):
            print("read", n)

        def gate():
            os.mkfifo("open")
            print("waiting")
            with open("open") as fifo:
                fifo.read()
        """,
    )
    life.said("waiting")
    until(lambda: _stopped(life, "tail"), "a daemon that is being recycled")
    (life.folder / "open").write_text("")
    life.log.wait("worker.ended", worker="gate-1")
    for process in _stopped(life, "tail"):
        process.send_signal(signal.SIGCONT)
    life.log.wait("worker.ready", worker="tail-1", count=2)
    ended = _go_on(life, "tail")
    assert ended.exit_code == 0
    assert ended.statuses()["tail"] == "succeeded"
    assert ended.log.printed("tail-1") == [f"read {n}" for n in range(5)]
    assert ended.ledger("a") == {"put": 5, "done": 5}
