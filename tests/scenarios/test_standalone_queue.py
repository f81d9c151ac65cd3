"""Queues without a run: between processes that a program starts itself, and threads."""

import contextlib
import gc
import multiprocessing
import os
import pickle
import queue as standard
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import standalone_programs as programs
from os_deadlines import DEADLINE_S, all_ended, pidfds

import orchestrator

METHODS = ("fork", "spawn", "forkserver")


@pytest.fixture(params=METHODS)
def context(request):
    return multiprocessing.get_context(request.param)


@pytest.fixture
def start():
    """Starts a process; whatever still runs at the test's end is killed."""
    started = []

    def begin(context, target, *args):
        process = context.Process(target=target, args=args, daemon=True)
        process.start()
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()
        process.join()


def answer_of(connection):
    assert connection.poll(DEADLINE_S), "no answer came in time"
    return connection.recv()


def kill(process):
    process.kill()
    process.join(DEADLINE_S)
    assert process.exitcode == -signal.SIGKILL


def until(holds):
    """Wait for what no descriptor tells of, with a deadline."""
    end = time.monotonic() + DEADLINE_S
    while not holds():
        assert time.monotonic() < end, "it did not come about in time"
        threading.Event().wait(0.005)


def descriptors():
    return len(list(Path("/proc/self/fd").iterdir()))


def pacers():
    return [thread for thread in threading.enumerate() if thread.name == "mporch-flusher"]


def take(queue, n):
    return [queue.get(timeout=DEADLINE_S) for _ in range(n)]


@contextlib.contextmanager
def program(name):
    """A program of its own, and the pidfd of its broker."""
    process = subprocess.Popen(
        [sys.executable, programs.__file__, name],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(orchestrator.__file__).parents[1],
    )
    with process, pidfds(int(process.stdout.readline())) as (broker,):
        try:
            yield process, broker
        finally:
            process.kill()


def test_every_item_arrives_exactly_once(context, start):
    queue = orchestrator.Queue()
    n = 20_000
    pipes = [context.Pipe(duplex=False) for _ in range(2)]
    for _, sender in pipes:
        start(context, programs.consume_until_none, queue, sender)
    producers = [start(context, programs.produce, queue, i * n, n) for i in range(2)]
    for producer in producers:
        producer.join(DEADLINE_S)
    for _ in pipes:
        queue.put(None)
    received = [item for receiver, _ in pipes for item in answer_of(receiver)]
    assert sorted(received) == list(range(2 * n))


def test_a_bounded_queue_moves_everything_in_order_too(context, start):
    queue = orchestrator.Queue(3)
    start(context, programs.produce, queue, 0, 500)
    assert take(queue, 500) == list(range(500))


def test_a_process_that_ends_at_once_loses_nothing(context, start):
    queue = orchestrator.Queue()
    start(context, programs.produce, queue, 0, 1000).join(DEADLINE_S)
    assert take(queue, 1000) == list(range(1000))


def test_a_consumer_killed_in_get_holds_up_nobody(context, start):
    queue = orchestrator.Queue()
    receiver, sender = context.Pipe(duplex=False)
    victim = start(context, programs.get_for_ever, queue, sender)
    stat = Path(f"/proc/{answer_of(receiver)}/stat")
    until(lambda: stat.read_text().rpartition(")")[2].split()[0] == "S")
    kill(victim)
    programs.produce(queue, 0, 100)
    assert take(queue, 100) == list(range(100))


def test_what_a_killed_consumer_had_not_got_goes_to_the_others_and_nothing_else(context, start):
    queue = orchestrator.Queue()
    programs.produce(queue, 0, 1000)
    receiver, sender = context.Pipe(duplex=False)
    victim = start(context, programs.consume_some, queue, 300, sender)
    got = answer_of(receiver)
    kill(victim)
    assert sorted(got + take(queue, 700)) == list(range(1000))
    assert queue.empty()


def test_a_producer_killed_half_way_leaves_a_clean_beginning(context, start):
    queue = orchestrator.Queue()
    victim = start(context, programs.produce_for_ever, queue)
    got = take(queue, 1000)
    kill(victim)
    with contextlib.suppress(standard.Empty):
        while True:
            got.append(queue.get(timeout=0.2))
    assert got == list(range(len(got)))
    queue.put("still in use")
    assert queue.get(timeout=DEADLINE_S) == "still in use"


def test_qsize_does_not_count_what_another_process_has_got(context, start):
    queue = orchestrator.Queue(100)
    programs.produce(queue, 0, 100)
    receiver, sender = context.Pipe(duplex=False)
    start(context, programs.consume_some, queue, 60, sender)
    answer_of(receiver)
    assert queue.qsize() == 40
    queue.put_nowait("there is room")


def test_a_handle_used_before_a_fork_serves_both_sides():
    context = multiprocessing.get_context("fork")
    there, back = orchestrator.Queue(), orchestrator.Queue()
    there.put("parent's own")
    assert there.get(timeout=DEADLINE_S) == "parent's own"
    child = context.Process(target=programs.echo, args=(there, back), daemon=True)
    child.start()
    for item in range(50):
        there.put(item)
        assert back.get(timeout=DEADLINE_S) == item
    there.put(None)
    child.join(DEADLINE_S)
    assert child.exitcode == 0


def test_a_fork_while_threads_are_in_the_queue_stalls_no_child(start):
    context = multiprocessing.get_context("fork")
    queue, busy = orchestrator.Queue(), orchestrator.Queue()
    stop = threading.Event()

    def keep_the_lock_busy():
        while not stop.is_set():
            busy.put(0)
            busy.get()

    waiter = threading.Thread(target=queue.get)
    thread = threading.Thread(target=keep_the_lock_busy)
    waiter.start()
    thread.start()
    try:
        for child in [start(context, programs.produce, busy, 0, 10) for _ in range(20)]:
            child.join(DEADLINE_S)
            assert child.exitcode == 0
    finally:
        stop.set()
        thread.join()
        queue.put("go")
        waiter.join()


def test_threads_share_a_queue_exactly():
    queue = orchestrator.JoinableQueue(50)
    received, lock, n = [], threading.Lock(), 2000

    def worker():
        for item in iter(queue.get, None):
            with lock:
                received.append(item)
            queue.task_done()
        queue.task_done()

    workers = [threading.Thread(target=worker) for _ in range(4)]
    producers = [
        threading.Thread(target=programs.produce, args=(queue, i * n, n)) for i in range(2)
    ]
    for thread in (*workers, *producers):
        thread.start()
    for thread in producers:
        thread.join()
    queue.join()
    assert sorted(received) == list(range(2 * n))
    for _ in workers:
        queue.put(None)
    for thread in workers:
        thread.join()


def test_a_get_that_an_exception_interrupts_takes_nothing_with_it():
    class Alarm(Exception):
        pass

    def ring(*_):
        raise Alarm

    queue = orchestrator.Queue()
    queue.qsize()
    before = signal.signal(signal.SIGALRM, ring)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with pytest.raises(Alarm):
            queue.get()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    queue.put(1)
    queue.put(2)
    assert take(queue, 2) == [1, 2]


def test_an_item_that_cannot_be_pickled_raises_in_put_and_takes_no_room():
    queue = orchestrator.Queue(1)
    with pytest.raises(orchestrator.UnpicklableItemError, match="cannot be pickled"):
        queue.put(lambda: None)
    assert queue.qsize() == 0
    queue.put_nowait("fits")
    assert queue.get(timeout=DEADLINE_S) == "fits"


def _refuse():
    raise LookupError("not here")


class Unloadable:
    def __reduce__(self):
        return _refuse, ()


def test_an_item_that_cannot_be_loaded_raises_in_get_and_spoils_no_other():
    queue = orchestrator.Queue()
    for item in ("before", Unloadable(), "after"):
        queue.put(item)
    assert queue.get(timeout=DEADLINE_S) == "before"
    with pytest.raises(LookupError, match="not here"):
        queue.get(timeout=DEADLINE_S)
    assert queue.get(timeout=DEADLINE_S) == "after"


def test_a_queue_travels_only_to_a_process_that_is_being_started():
    queue = orchestrator.Queue()
    with pytest.raises(RuntimeError, match="only be shared between processes through inheritance"):
        pickle.dumps(queue)


def test_a_negative_timeout_is_zero():
    queue = orchestrator.Queue(1)
    with pytest.raises(standard.Empty):
        queue.get(timeout=-1)
    queue.put(1, timeout=-1)
    with pytest.raises(standard.Full):
        queue.put(2, timeout=-1)


@pytest.mark.parametrize("timeout", [1e7, 1e9])
def test_a_timeout_longer_than_the_system_can_wait_is_waited_for(timeout):
    queue = orchestrator.Queue(1)
    other = threading.Thread(target=queue.put, args=(1,))
    other.start()
    assert queue.get(timeout=timeout) == 1
    other.join()
    queue.put(2)
    waiting = threading.Thread(target=queue.put, args=(3,), kwargs={"timeout": timeout})
    waiting.start()
    with pytest.raises(standard.Full):  # the broker has answered: it lives, and has the other's put
        queue.put(4, timeout=0.2)
    assert [queue.get(), queue.get()] == [2, 3]
    waiting.join()


def test_join_thread_before_close_is_an_error():
    queue = orchestrator.Queue()
    with pytest.raises(AssertionError):
        queue.join_thread()
    queue.close()
    queue.close()
    queue.join_thread()


def test_what_one_process_gives_up_by_close_others_get(context, start):
    queue = orchestrator.Queue()
    programs.produce(queue, 0, 100)
    first = take(queue, 50)
    receiver, sender = context.Pipe(duplex=False)
    start(context, programs.consume_some, queue, 50, sender)
    queue.close()
    assert sorted(first + answer_of(receiver)) == list(range(100))


def test_no_descriptor_and_no_thread_is_left_when_queues_are_gone():
    gc.collect()
    keep = orchestrator.Queue()  # its broker and its session are there before and after
    keep.qsize()
    until(lambda: len(pacers()) == 1)
    before = descriptors()
    for _ in range(3):
        queues = [orchestrator.Queue() for _ in range(5)]
        for queue in queues:
            queue.put(1)
            assert queue.get(timeout=DEADLINE_S) == 1
        queues[0].close()
        del queues, queue
        until(lambda: descriptors() <= before)
    del keep
    until(lambda: not pacers())
    until(lambda: descriptors() <= before - 5)  # control, token, stream and both ends of a bell


def test_the_broker_ends_with_the_last_queue():
    gc.collect()
    before = set(programs.brokers_of(os.getpid()))
    queue = orchestrator.Queue()
    queue.put(1)
    assert queue.qsize() == 1
    (pid,) = set(programs.brokers_of(os.getpid())) - before or before
    with pidfds(pid) as fds:
        del queue
        assert all_ended(fds, DEADLINE_S)


def test_items_of_a_queue_that_is_gone_take_no_memory():
    keep = orchestrator.Queue()
    keep.put(1)
    keep.qsize()
    (*_, pid) = programs.brokers_of(os.getpid())

    def resident_mb():
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096 / 1e6

    before = resident_mb()
    for _ in range(10):
        queue = orchestrator.Queue()
        for _ in range(10):
            queue.put(os.urandom(1 << 20))
        assert queue.qsize() == 10
        del queue
    keep.qsize()
    until(lambda: resident_mb() - before < 50)


@pytest.mark.parametrize("end", ["just_end", "wait_to_be_killed"])
def test_the_broker_ends_with_its_creator(end):
    with program(end) as (process, broker):
        if end == "wait_to_be_killed":
            process.kill()
        assert all_ended([broker], DEADLINE_S)


def test_the_broker_serves_a_child_that_outlives_its_creator():
    with program("outlive_creator") as (process, broker):
        assert process.wait(DEADLINE_S) == 0
        process.stdin.write("\n")
        process.stdin.flush()
        said = [process.stdout.readline(), process.stdout.readline()]
        assert said == ["from the creator\n", "from the child\n"]
        assert not all_ended([broker], within_s=0)
        process.stdin.close()
        assert all_ended([broker], DEADLINE_S)


def test_a_killed_broker_is_an_error_that_says_so():
    queue = orchestrator.Queue()
    queue.put(1)
    assert queue.get(timeout=DEADLINE_S) == 1
    (*_, pid) = programs.brokers_of(os.getpid())
    with pidfds(pid) as fds:
        os.kill(pid, signal.SIGKILL)
        assert all_ended(fds, DEADLINE_S)
    with pytest.raises(ConnectionError, match="held this queue's items is gone"):
        queue.get(timeout=DEADLINE_S)
