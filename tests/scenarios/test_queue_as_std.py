"""What programs do with multiprocessing's queues beside put and get works with ours."""

import asyncio
import multiprocessing
import selectors
from multiprocessing.connection import wait

import pytest
from os_deadlines import DEADLINE_S

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
