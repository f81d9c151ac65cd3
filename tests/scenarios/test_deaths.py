"""Targets that die, workers that are killed: said by name, and every item is accounted for.

What a job outlives, by `retry`, `on_error` and `restart`, is told in test_restarts.py.
"""

import os
import signal

import pytest
from life_runs import Life

from orchestrator.files import PACKAGE

DYING = """
defaults: {on_failure: continue}
queues: {a: 20, b: 20, c: 20, d: 20, e: 20, f: 20, g: 20, h: 20, i: 20, out: 20}
jobs:
  leave: {target: "t:leave_half_way", output: a}
  take_left: {target: "t:take", input: a}
  numbers: {target: "t:numbers", output: [b, c, d, e, f, g, h, i]}
  suicide: {target: "t:kill_at_three", input: b}
  segfault: {target: "t:segfault_at_three", input: c, output: out}
  take_out: {target: "t:take", input: out}
  item_exit: {target: "t:exit_at_three", input: d, on_error: {SystemExit: skip}}
  item_interrupt: {target: "t:interrupt_at_three", input: e}
  exit_zero: {target: "t:exit_zero_at_three", input: f}
  batch: {target: "t:kill_batch", input: g, call: batch, batch: {size: 4}}
  sift: {target: "t:kill_batch", input: h, call: batch, batch: {size: 4}, on_error: skip}
  brittle:
    {target: "t:kill_batch", input: i, call: batch, batch: {size: 4}, restart: {max: 0}}
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
    well = {"take_left", "numbers", "take_out", "item_exit", "exit_none", "sift"}
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
    assert dying.log.printed("segfault-1") == []
    (ended,) = dying.log.having("worker.ended", worker="segfault-1")
    assert ended["traceback"].endswith("Segmentation fault\n")
    assert "in segfault_at_three" in ended["traceback"]
    assert PACKAGE not in ended["traceback"]


def test_what_was_given_before_the_crash_is_delivered(dying):
    assert dying.ledger("out")["put"] == dying.ledger("c")["done"]
    assert dying.ledger("out")["done"] == dying.ledger("out")["put"]


def test_an_item_that_kills_its_worker_fails_its_job_and_no_other_process_is_tried(dying):
    """One attempt, `on_error: fail`: that is the default."""
    for job in ("suicide", "segfault", "exit_zero"):
        assert len(dying.log.having("worker.started", worker=f"{job}-1")) == 1
    assert {record["job"] for record in dying.log.having("worker.replaced")} == {"batch", "sift"}


def test_a_batch_that_dies_is_handed_out_again_item_by_item_and_only_the_poison_is_left(dying):
    assert dying.ledger("g") == {"put": 10, "done": 3, "left": 7}
    assert "SIGKILL" in _reason(dying, "batch-1")
    assert "at item g:4" in _reason(dying, "batch-1")
    (replaced,) = dying.log.having("worker.replaced", job="batch")
    assert "in a batch of 4 from item g:1 (0) on" in replaced["reason"]
    assert (replaced["worker"], replaced["exit_code"]) == ("batch-1", -signal.SIGKILL)


def test_only_the_poison_of_a_batch_is_skipped(dying):
    assert dying.ledger("h") == {"put": 10, "done": 9, "skipped": 1}
    (skipped,) = dying.log.having("item.skipped", job="sift")
    assert skipped["item"] == "h:4"
    assert len(dying.log.having("worker.replaced", job="sift")) == 2


def test_without_restarts_a_batch_that_dies_is_left_whole(dying):
    assert dying.ledger("i") == {"put": 10, "left": 10}
    assert "SIGKILL" in _reason(dying, "brittle-1")
    assert "in a batch of 4 from item i:1 (0) on" in _reason(dying, "brittle-1")


def test_a_system_exit_in_an_item_is_that_items_failure(dying):
    assert dying.ledger("d") == {"put": 10, "done": 9, "skipped": 1}
    (skipped,) = dying.log.having("item.skipped", job="item_exit")
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
queues: {empty: 10, cold: 10, held: 10, shared: 10, out: 3, seeds: 10, narrow: 3}
jobs:
  hold_empty: {target: "t:hold", output: {q: empty}}
  idle: {target: "t:take", input: empty, workers: 2}
  hold_cold: {target: "t:hold", output: {q: cold}}
  brittle: {target: "t:take", input: cold, workers: 2, restart: {max: 0}}
  numbers: {target: "t:numbers", output: [held, shared]}
  holder: {target: "t:hold_item", input: held}
  pair: {target: "t:hold_first", input: shared, workers: 2, on_error: skip}
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

def hold_first(n):
    if n == 0:
        print("first")
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
        for text in ("at 0", "first", "waiting", "burst 0"):
            life.said(text)
        life.log.wait("output", msg="holding", count=2)
        life.log.wait("output", msg="choking", count=2)
        first = life.said("first")["worker"]
        pids = [life.pid(worker) for worker in (*REPLACED, *FAILED, first)]
        orchestrator = life.orchestrator
        os.kill(orchestrator, signal.SIGSTOP)
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        os.kill(orchestrator, signal.SIGCONT)
        for worker in FAILED:
            life.log.wait("worker.ended", worker=worker)
        for worker in (*REPLACED, first):
            life.log.wait("worker.ready", worker=worker, count=2)
        for worker in ("hold_empty-1", "hold_cold-1"):
            os.kill(life.pid(worker), signal.SIGSEGV)
        (life.folder / "go").write_text("")
        yield life.end()
    finally:
        life.close()


REPLACED = ("idle-1", "idle-2", "burst-1")
"""Killed between two items: two wait for the next, one waits for room for what it has made."""

FAILED = ("brittle-1", "holder-1", "many-1", "choke-1", "drip-1")
"""Killed in an item, or in the one call of their job, or without a restart."""


def test_workers_killed_from_outside_fail_their_jobs_and_no_other(hurt):
    assert hurt.exit_code == 1
    assert hurt.statuses() == {
        **dict.fromkeys(["hold_empty", "hold_cold", "many", "choke", "drip"], "failed"),
        **dict.fromkeys(["brittle", "holder"], "failed"),
        **dict.fromkeys(["idle", "burst", "pair", "numbers", "sow", "fine"], "succeeded"),
    }


def test_a_kill_between_two_items_costs_nothing_but_a_restart(hurt):
    for worker in REPLACED:
        (replaced,) = hurt.log.having("worker.replaced", worker=worker)
        assert "SIGKILL" in replaced["reason"]
        assert "item" not in replaced
        assert len(hurt.log.having("worker.started", worker=worker)) == 2
    assert hurt.codes()["idle"] == [0, 0]
    assert hurt.ledger("empty") == {}


def test_what_a_worker_had_finished_is_not_done_again_though_it_still_waited_for_room(hurt):
    assert hurt.log.printed("burst-1") == [f"burst {n}" for n in range(10)]
    assert hurt.ledger("seeds") == {"put": 10, "done": 10}
    assert hurt.ledger("narrow") == {"put": 50, "left": 50}, "of its reader, which was killed"


def test_without_restarts_the_kill_of_an_idle_worker_fails_its_job(hurt):
    assert "SIGKILL" in _reason(hurt, "brittle-1")
    assert hurt.log.having("worker.replaced", job="brittle") == []


def test_a_kill_in_an_item_is_charged_to_that_item_and_to_none_of_its_neighbours(hurt):
    assert hurt.ledger("shared") == {"put": 10, "done": 9, "skipped": 1}
    (skipped,) = hurt.log.having("item.skipped", job="pair")
    assert (skipped["item"], skipped["error_type"]) == ("shared:1", "WorkerDied")
    assert "SIGKILL" in skipped["msg"]


def test_a_kill_from_outside_names_the_signal_and_the_item_in_hand(hurt):
    for worker in FAILED:
        assert "SIGKILL" in _reason(hurt, worker)
    assert "held:1" in _reason(hurt, "holder-1")
    assert "SIGSEGV" in _reason(hurt, "hold_empty-1")


def test_after_kills_from_outside_the_ledger_balances_with_what_is_left(hurt):
    assert hurt.ledger("held") == {"put": 10, "left": 10}
    out = hurt.ledger("out")
    assert out == {"put": out["put"], "left": out["put"]}


def assert_left_from(ended, queue, item):
    """Of ten items it and all after it are left; finished ones before it may come again."""
    ledger = ended.ledger(queue)
    assert ledger["put"] == 10
    assert ledger["left"] >= 11 - item
    assert set(ledger) <= {"put", "done", "left"}


def _reason(ended, worker):
    (record,) = ended.log.having("worker.ended", worker=worker)
    return record["reason"]
