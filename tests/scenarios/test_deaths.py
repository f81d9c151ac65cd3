"""Targets that die, workers that are killed: said by name, and every item is accounted for."""

import os
import signal

import pytest
from life_runs import Life

DYING = """
defaults: {on_failure: continue}
queues: {a: 20, b: 20, c: 20, d: 20, e: 20, f: 20, g: 20, out: 20}
jobs:
  leave: {target: "t:leave_half_way", output: a}
  take_left: {target: "t:take", input: a}
  numbers: {target: "t:numbers", output: [b, c, d, e, f, g]}
  suicide: {target: "t:kill_at_three", input: b}
  segfault: {target: "t:segfault_at_three", input: c, output: out}
  take_out: {target: "t:take", input: out}
  item_exit: {target: "t:exit_at_three", input: d, on_error: {SystemExit: skip}}
  item_interrupt: {target: "t:interrupt_at_three", input: e}
  exit_zero: {target: "t:exit_zero_at_three", input: f}
  batch: {target: "t:kill_batch", input: g, call: batch, batch: {size: 2}}
  exit_three: {target: "t:exit_three"}
  exit_none: {target: "t:exit_none"}
  exit_text: {target: "t:exit_text"}
  thread: {target: "t:leave_from_thread"}
"""

DYING_CODE = """
import ctypes, os, signal, sys, threading

def numbers():
    yield from range(10)

def leave_half_way():
    yield 1
    yield 2
    os._exit(0)

def take(item):
    pass

def kill_at_three(n):
    if n == 3:
        print("farewell")
        os.kill(os.getpid(), signal.SIGKILL)

def segfault_at_three(n):
    if n == 3:
        ctypes.string_at(0)
    return n

def exit_at_three(n):
    if n == 3:
        sys.exit(3)

def interrupt_at_three(n):
    if n == 3:
        raise KeyboardInterrupt

def exit_zero_at_three(n):
    if n == 3:
        os._exit(0)

def kill_batch(batch):
    if 3 in batch:
        os.kill(os.getpid(), signal.SIGKILL)

def exit_three():
    sys.exit(3)

def exit_none():
    sys.exit()

def exit_text():
    sys.exit("no more paper")

def leave_from_thread():
    threading.Thread(target=lambda: os._exit(0)).start()
    signal.pause()
"""


@pytest.fixture(scope="module")
def dying(tmp_path_factory):
    life = Life(tmp_path_factory.mktemp("dying"), DYING, DYING_CODE)
    try:
        yield life.end()
    finally:
        life.close()


def test_only_those_who_said_goodbye_have_succeeded(dying):
    assert dying.exit_code == 1
    well = {"take_left", "numbers", "take_out", "item_exit", "exit_none"}
    assert dying.statuses() == {
        job: "succeeded" if job in well else "failed" for job in dying.statuses()
    }


def test_an_exit_of_zero_half_way_is_a_failure(dying):
    assert "exited with code 0 before its work was done" in _reason(dying, "leave-1")
    a = dying.ledger("a")
    assert a.get("put", 0) == a.get("done", 0) <= 2
    assert "f:4" in _reason(dying, "exit_zero-1")
    assert_left_from(dying, "f", 4)


@pytest.mark.parametrize(
    ("job", "queue", "name"), [("suicide", "b", "SIGKILL"), ("segfault", "c", "SIGSEGV")]
)
def test_a_death_names_signal_and_item_and_leaves_it_and_the_rest(dying, job, queue, name):
    assert name in _reason(dying, f"{job}-1")
    assert f"{queue}:4" in _reason(dying, f"{job}-1")
    assert_left_from(dying, queue, 4)
    assert dying.codes()[job] == [-signal.Signals[name]]


def test_last_words_and_the_traceback_of_a_crash_are_in_the_log(dying):
    assert dying.log.printed("suicide-1") == ["farewell"]
    text = "\n".join(dying.log.printed("segfault-1"))
    assert "Segmentation fault" in text
    assert "segfault_at_three" in text


def test_what_was_given_before_the_crash_is_delivered(dying):
    assert dying.ledger("out")["put"] == dying.ledger("c")["done"]
    assert dying.ledger("out")["done"] == dying.ledger("out")["put"]


def test_a_batch_that_dies_is_left_whole(dying):
    assert_left_from(dying, "g", 3)
    assert "SIGKILL" in _reason(dying, "batch-1")


def test_a_system_exit_in_an_item_is_that_items_failure(dying):
    assert dying.ledger("d") == {"put": 10, "done": 9, "skipped": 1}
    (skipped,) = dying.log.having("item.skipped")
    assert (skipped["item"], skipped["error_type"]) == ("d:4", "SystemExit")
    assert dying.ledger("e") == {"put": 10, "done": 3, "left": 7}
    (failed,) = dying.log.having("item.failed", worker="item_interrupt-1")
    assert (failed["item"], failed["error_type"]) == ("e:4", "KeyboardInterrupt")


def test_sys_exit_in_a_task_is_a_failure_unless_it_says_zero(dying):
    assert dying.codes()["exit_three"] == [3]
    assert dying.codes()["exit_none"] == [0]
    assert "no more paper" in _reason(dying, "exit_text-1")


HURT = """
defaults: {on_failure: continue}
queues: {empty: 10, held: 10, out: 3, seeds: 10, narrow: 3}
jobs:
  hold_empty: {target: "t:hold", output: {q: empty}}
  idle: {target: "t:take", input: empty, workers: 2}
  numbers: {target: "t:numbers", output: held}
  holder: {target: "t:hold_item", input: held}
  many: {target: "t:many", output: out}
  choke: {target: "t:choke", input: {q: out}}
  sow: {target: "t:numbers", output: seeds}
  burst: {target: "t:burst", input: seeds, output: narrow}
  drip: {target: "t:choke", input: {q: narrow}}
  fine: {target: "t:until_told", args: [go]}
"""

HURT_CODE = """
import os, pathlib, select, signal

def hold(q):
    print("holding")
    signal.pause()

def take(item):
    pass

def numbers():
    yield from range(10)

def hold_item(n):
    print("at", n)
    signal.pause()

def many():
    yield from range(100)

def burst(n):
    for k in range(5):
        yield k
    print("burst", n)

def choke(q):
    q.get()
    print("choking")
    signal.pause()

def until_told(name):
    os.mkfifo(name)
    print("waiting")
    with open(name) as fifo:
        fifo.read()
"""


@pytest.fixture(scope="module")
def hurt(tmp_path_factory):
    """A run whose workers are killed from outside, while it cannot look, wherever they are."""
    life = Life(tmp_path_factory.mktemp("hurt"), HURT, HURT_CODE)
    try:
        for text in ("holding", "at 0", "waiting", "burst 0"):
            life.said(text)
        life.log.wait("output", msg="choking", count=2)
        victims = ("idle-1", "idle-2", "holder-1", "many-1", "choke-1", "burst-1", "drip-1")
        pids = [life.pid(worker) for worker in victims]
        orchestrator = life.orchestrator
        os.kill(orchestrator, signal.SIGSTOP)
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        os.kill(orchestrator, signal.SIGCONT)
        life.log.wait("worker.ended", count=2 + len(victims))
        os.kill(life.pid("hold_empty-1"), signal.SIGSEGV)
        (life.folder / "go").write_text("")
        yield life.end()
    finally:
        life.close()


def test_workers_killed_from_outside_fail_their_jobs_and_no_other(hurt):
    assert hurt.exit_code == 1
    assert hurt.statuses() == {
        **dict.fromkeys(["hold_empty", "idle", "holder", "many", "choke"], "failed"),
        **dict.fromkeys(["burst", "drip"], "failed"),
        **dict.fromkeys(["numbers", "sow", "fine"], "succeeded"),
    }


def test_a_kill_from_outside_names_the_signal_and_the_item_in_hand(hurt):
    for worker in ("holder-1", "many-1", "choke-1", "burst-1", "drip-1"):
        assert "SIGKILL" in _reason(hurt, worker)
    assert "SIGKILL" in _reason(hurt, "idle-1") + _reason(hurt, "idle-2")
    assert "held:1" in _reason(hurt, "holder-1")
    assert "SIGSEGV" in _reason(hurt, "hold_empty-1")


def test_after_kills_from_outside_the_ledger_balances_with_what_is_left(hurt):
    assert hurt.ledger("empty") == {}
    assert hurt.ledger("held") == {"put": 10, "left": 10}
    out = hurt.ledger("out")
    assert out == {"put": out["put"], "left": out["put"]}
    assert hurt.ledger("seeds")["put"] == 10
    narrow = hurt.ledger("narrow")
    assert narrow == {"put": narrow["put"], "left": narrow["put"]}


def assert_left_from(ended, queue, item):
    """Of ten items it and all after it are left; finished ones before it may come again."""
    ledger = ended.ledger(queue)
    assert ledger["put"] == 10
    assert ledger["left"] >= 11 - item
    assert set(ledger) <= {"put", "done", "left"}


def _reason(ended, worker):
    (record,) = ended.log.having("worker.ended", worker=worker)
    return record["reason"]
