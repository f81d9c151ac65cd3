"""Whoever is told of a put finds the item there, and nothing put before a death is lost."""

import contextlib
import multiprocessing
import os
import queue as standard
import signal
import time

import pytest
from os_deadlines import DEADLINE_S

import orchestrator

HOW_MANY = pytest.mark.parametrize("n", [1, 5], ids=["put", "burst"])
_FORK = multiprocessing.get_context("fork")


def put_and_tell(queue, n, tell):
    """Put n items, tell that, and never do anything again."""
    for item in range(n):
        queue.put(item)
    tell()
    signal.pause()


def by_event():
    event = _FORK.Event()
    return event.set, lambda: event.wait(DEADLINE_S)


def by_value():
    value = _FORK.Value("i", 0)

    def tell():
        with value.get_lock():
            value.value += 1

    def hear():
        end = time.monotonic() + DEADLINE_S
        while not value.value and time.monotonic() < end:
            pass
        return value.value

    return tell, hear


def by_lock():
    lock = _FORK.Lock()
    lock.acquire()
    return lock.release, lambda: lock.acquire(timeout=DEADLINE_S)


def by_pipe():
    ours, theirs = _FORK.Pipe()
    return lambda: theirs.send("done"), lambda: ours.poll(DEADLINE_S)


def by_a_signal():
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    parent = os.getpid()
    return (
        lambda: os.kill(parent, signal.SIGUSR1),
        lambda: signal.sigtimedwait({signal.SIGUSR1}, DEADLINE_S),
    )


def by_the_exit_of_another():
    """A third process is told, and its end tells."""
    ours, theirs = _FORK.Pipe()
    other = _FORK.Process(target=theirs.recv)
    other.start()

    def hear():
        other.join(DEADLINE_S)
        return other.exitcode == 0

    return lambda: ours.send("done"), hear


WAYS = (by_event, by_value, by_lock, by_pipe, by_a_signal, by_the_exit_of_another)


@pytest.fixture
def putter():
    """Starts a process that puts, and kills it in the end."""
    started = []

    def begin(queue, n, tell):
        process = _FORK.Process(target=put_and_tell, args=(queue, n, tell), daemon=True)
        process.start()
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()
        process.join()


@HOW_MANY
@pytest.mark.parametrize("how", WAYS)
def test_whoever_is_told_right_after_a_put_finds_the_item(how, n, putter):
    queue = orchestrator.Queue()
    assert queue.empty()  # from now on a page tells
    tell, hear = how()
    putter(queue, n, tell)
    assert hear()
    assert (queue.empty(), queue.qsize()) == (False, n)
    assert [queue.get_nowait() for _ in range(n)] == list(range(n))
    assert (queue.empty(), queue.qsize()) == (True, 0)


@HOW_MANY
@pytest.mark.parametrize("how", WAYS)
def test_a_sentinel_put_by_whoever_was_told_comes_last(how, n, putter):
    queue = orchestrator.Queue()
    tell, hear = how()
    putter(queue, n, tell)
    assert hear()
    queue.put(None)
    assert list(iter(queue.get, None)) == list(range(n))


@HOW_MANY
@pytest.mark.parametrize("death", [signal.SIGTERM, signal.SIGKILL])
def test_what_was_put_1_ms_before_a_process_is_ended_arrives(death, n, putter):
    queue = orchestrator.Queue(10)
    tell, hear = by_event()
    process = putter(queue, n, tell)
    assert hear()
    time.sleep(0.001)
    os.kill(process.pid, death)
    assert [queue.get(timeout=DEADLINE_S) for _ in range(n)] == list(range(n))


def put_and_exit(queue, n):
    for item in range(n):
        queue.put(item)
    os._exit(0)


@HOW_MANY
def test_what_was_put_right_before_os_exit_arrives(n):
    queue = orchestrator.Queue()
    process = _FORK.Process(target=put_and_exit, args=(queue, n))
    process.start()
    process.join(DEADLINE_S)
    assert [queue.get_nowait() for _ in range(n)] == list(range(n))


def test_the_tail_of_a_long_burst_arrives_although_its_process_does_nothing_more(putter):
    queue = orchestrator.Queue()
    n = 1_000
    putter(queue, n, lambda: None)
    assert [queue.get(timeout=DEADLINE_S) for _ in range(n)] == list(range(n))


_ADOPTED = []


def adopt(queue):
    _ADOPTED.append(queue)


def put_in_a_pool(item):
    _ADOPTED[0].put(item)


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_what_the_workers_of_a_pool_put_survives_the_end_of_its_with_block(method):
    queue = orchestrator.Queue()
    with multiprocessing.get_context(method).Pool(2, adopt, (queue,)) as pool:
        pool.map(put_in_a_pool, range(5))
    found = set()
    with pytest.raises(standard.Empty):
        while True:
            found.add(queue.get(timeout=0.2))
    assert found == set(range(5))


def test_in_a_run_no_put_waits_for_the_next(ran):
    """Of a handle, a source and an item job: before, none left in less than 5 ms."""
    ended = ran(
        """
        queues: {a: 100, b: 100, c: 100, d: 100}
        jobs:
          handle: {target: "t:put", output: {q: a}}
          source: {target: "t:stamps", output: b}
          first: {target: "t:stamps", output: c}
          item: {target: "t:same", input: c, output: d}
          read_a: {target: "t:ages", input: {q: a}}
          read_b: {target: "t:ages", input: {q: b}}
          read_d: {target: "t:ages", input: {q: d}}
        """,
        """
        import time

        def stamps():
            for _ in range(40):
                time.sleep(.015)
                yield time.monotonic()

        def put(q):
            for stamp in stamps():
                q.put(stamp)

        def same(stamp):
            return stamp

        def ages(q):
            ages = sorted(time.monotonic() - stamp for stamp in q)
            print(ages[len(ages) // 4])
        """,
    )
    assert ended.exit_code == 0
    for reader in ("read_a-1", "read_b-1", "read_d-1"):
        (age_s,) = ended.log.printed(reader)
        assert float(age_s) < 0.004


def put_when_asked(queue, asked, told, n):
    for item in range(n):
        asked.acquire()
        queue.put(item)
        told.release()


def test_who_has_polled_in_vain_finds_what_he_is_told_of():
    queue, asked, told, n = orchestrator.Queue(), _FORK.Semaphore(0), _FORK.Semaphore(0), 50
    process = _FORK.Process(target=put_when_asked, args=(queue, asked, told, n))
    process.start()
    for item in range(n):
        for _ in range(3):
            with pytest.raises(standard.Empty):
                queue.get(timeout=0.002)
        asked.release()
        assert told.acquire(timeout=DEADLINE_S)
        assert queue.get(timeout=0.001) == item
    process.join(DEADLINE_S)


def poll(queue, answer):
    got = []
    while not got or got[-1] is not None:
        with contextlib.suppress(standard.Empty):
            got.append(queue.get(timeout=0.01))
    answer.send(got[:-1])


def test_processes_that_poll_an_idle_queue_get_each_item_once():
    queue, (ours, theirs) = orchestrator.Queue(), _FORK.Pipe()
    processes = [_FORK.Process(target=poll, args=(queue, theirs)) for _ in range(4)]
    for process in processes:
        process.start()
    for item in range(200):
        if item % 20 == 0:
            time.sleep(0.03)
        queue.put(item)
    for _ in processes:
        queue.put(None)
    got = [ours.recv() for _ in processes]
    assert sorted(item for each in got for item in each) == list(range(200))
    for process in processes:
        process.join(DEADLINE_S)
