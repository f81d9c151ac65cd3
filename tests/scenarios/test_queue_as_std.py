"""What programs do with multiprocessing's queues beside put and get works with ours."""

import asyncio
import multiprocessing
import os
import queue as standard
import selectors
import signal
import time
from multiprocessing.connection import wait

import pytest
from os_deadlines import DEADLINE_S
from standalone_programs import brokers_of

import orchestrator


@pytest.fixture(params=["fork", "spawn", "forkserver"])
def context(request):
    return multiprocessing.get_context(request.param)


def put_when_told(queue, told, items):
    for item in items:
        told.acquire(timeout=DEADLINE_S)
        queue.put(item)


class Sub(orchestrator.Queue):
    """A queue of one's own, as programs make it of multiprocessing.queues.Queue."""

    def __init__(self, maxsize=0):
        super().__init__(maxsize, ctx=multiprocessing.get_context())


@pytest.mark.parametrize(
    "make",
    [
        lambda context: orchestrator.Queue(5, ctx=context),
        lambda context: orchestrator.JoinableQueue(ctx=context),
        lambda _: Sub(3),
        lambda context: orchestrator.SimpleQueue(ctx=context),
        lambda _: orchestrator.SimpleQueue[int](),
    ],
)
def test_a_context_is_taken_and_a_simple_queue_travels(make, context):
    queue, told = make(context), context.Semaphore(0)
    assert queue.empty()
    process = context.Process(target=put_when_told, args=(queue, told, [1, 2]))
    process.start()
    told.release()
    told.release()
    assert [queue.get(), queue.get()] == [1, 2]
    process.join(DEADLINE_S)
    queue.close()


def readable(queue, within_s):
    with selectors.DefaultSelector() as selector:
        selector.register(queue, selectors.EVENT_READ)
        return bool(selector.select(within_s))


def test_a_queue_is_readable_while_get_would_not_wait(context):
    queue, told = orchestrator.Queue(), context.Semaphore(0)
    assert not readable(queue, 0)
    process = context.Process(target=put_when_told, args=(queue, told, range(3)))
    process.start()
    told.release()
    assert readable(queue, DEADLINE_S)
    assert queue.get_nowait() == 0
    assert not readable(queue, 0)
    told.release()
    told.release()
    for item in (1, 2):
        assert wait([queue._reader], DEADLINE_S) == [queue]
        assert queue.get() == item
    assert wait([queue, process.sentinel], DEADLINE_S) == [process.sentinel]
    process.join()


def test_what_was_fetched_ahead_before_somebody_asks_is_seen():
    queue = orchestrator.Queue()
    for item in range(500):
        queue.put(item)
    got = [queue.get() for _ in range(100)]  # by now many are fetched at a time
    seen = 0
    while readable(queue, 0.2):
        got.append(queue.get_nowait())
        seen += 1
    assert (seen, got) == (400, list(range(500)))


def test_the_loop_of_asyncio_reads_a_queue_with_no_thread(context):
    queue, told = orchestrator.SimpleQueue(), context.Semaphore(0)
    process = context.Process(target=put_when_told, args=(queue, told, "abc"))
    process.start()

    async def main():
        loop, got, done = asyncio.get_running_loop(), [], asyncio.Event()

        def read():
            while not queue.empty():
                got.append(queue.get())
            told.release()
            if len(got) == 3:
                done.set()

        loop.add_reader(queue, read)
        told.release()
        await asyncio.wait_for(done.wait(), DEADLINE_S)
        loop.remove_reader(queue)
        return got

    assert asyncio.run(main()) == ["a", "b", "c"]
    process.join(DEADLINE_S)


def count_readable(queue, answer):
    answer.send(readable(queue, DEADLINE_S))
    answer.send(queue.get())
    answer.send(readable(queue, 0))


def test_parent_and_child_each_have_a_descriptor_of_their_own(context):
    queue = orchestrator.Queue()
    assert not readable(queue, 0)
    ours, theirs = context.Pipe()
    process = context.Process(target=count_readable, args=(queue, theirs))
    process.start()
    queue.put("x")
    assert readable(queue, DEADLINE_S)
    assert [ours.recv() for _ in range(3)] == [True, "x", False]
    assert not readable(queue, 0)
    process.join(DEADLINE_S)
    process = context.Process(target=count_readable, args=(queue, theirs))
    process.start()
    process.kill()
    process.join(DEADLINE_S)
    queue.put("y")
    assert readable(queue, DEADLINE_S)
    queue.close()
    with pytest.raises(ValueError, match="closed"):
        queue.fileno()


def churn(queue, n):
    for item in range(n):
        queue.put(item)
        queue.get()


def take_away(queue, n):
    for _ in range(n):
        queue.get()


def put_for_ever(queue):
    item = 0
    while True:
        queue.put(item)
        item += 1


def settled(queue, size):
    """Whether all three say so, within the deadline."""
    end = time.monotonic() + DEADLINE_S
    while (queue.qsize(), queue.empty(), queue.full()) != (size, size == 0, False):
        assert time.monotonic() < end, (queue.qsize(), queue.empty(), queue.full())
    return True


def test_sizes_are_exact_whoever_puts_and_gets(context):
    queue = orchestrator.Queue()
    assert queue.empty()
    processes = [context.Process(target=churn, args=(queue, 300)) for _ in range(3)]
    processes.append(context.Process(target=take_away, args=(queue, 5)))
    for process in processes:
        process.start()
    for item in range(12):
        queue.put(item)
    for process in processes:
        process.join(DEADLINE_S)
    assert settled(queue, 7)
    for left in range(6, -1, -1):
        queue.get_nowait()
        assert (queue.qsize(), queue.empty()) == (left, left == 0)
    with pytest.raises(standard.Empty):
        queue.get_nowait()


def test_a_writer_that_is_killed_leaves_sizes_that_are_true():
    """What it had not sent is not waited for, and nobody takes the queue for anything but empty."""
    context = multiprocessing.get_context("fork")
    queue = orchestrator.Queue(50)
    assert queue.empty()
    for _ in range(5):
        process = context.Process(target=put_for_ever, args=(queue,))
        process.start()
        for _ in range(500):
            queue.get()
        process.kill()
        process.join()
        while not queue.empty():
            queue.get(timeout=DEADLINE_S)
        assert settled(queue, 0)


def test_a_full_queue_refuses_and_takes_again():
    queue = orchestrator.Queue(2)
    for item in range(2):
        queue.put_nowait(item)
    for _ in range(3):
        with pytest.raises(standard.Full):
            queue.put_nowait(9)
        assert queue.full()
    assert queue.get() == 0
    assert not queue.full()
    queue.put_nowait(2)
    assert [queue.get(), queue.get()] == [1, 2]


def test_who_polls_is_told_that_the_broker_is_gone():
    before = set(brokers_of(os.getpid()))
    queue = orchestrator.Queue(2)
    queue.put(1)
    assert queue.get() == 1
    assert queue.empty()
    assert not readable(queue, 0)
    (broker,) = set(brokers_of(os.getpid())) - before or before
    os.kill(broker, signal.SIGKILL)
    assert readable(queue, DEADLINE_S)
    for call in (queue.empty, queue.get_nowait, queue.qsize, lambda: queue.get(timeout=0.01)):
        with pytest.raises(ConnectionError):
            call()
