"""How programs use multiprocessing's queues: each way gives the same with ours.

The ways are those of real programs (task runners, process managers, vectors of environments, data
loaders, schedulers, loggers), in our own words.
"""

import concurrent.futures
import contextlib
import logging
import logging.handlers
import multiprocessing
import os
import queue
import threading
import time

import pytest
from os_deadlines import DEADLINE_S

import orchestrator

_FORK = multiprocessing.get_context("fork")


class Standard:
    Queue = staticmethod(_FORK.Queue)
    JoinableQueue = staticmethod(_FORK.JoinableQueue)
    SimpleQueue = staticmethod(_FORK.SimpleQueue)


def started(target, *args, n=1):
    processes = [_FORK.Process(target=target, args=args, daemon=True) for _ in range(n)]
    for process in processes:
        process.start()
    return processes


def ended(processes):
    for process in processes:
        process.join(DEADLINE_S)
    return [process.exitcode for process in processes]


def square_until_none(tasks, results):
    for number, item in iter(tasks.get, None):
        results.put((number, item * item))


def a_task_runner(make):
    """Numbered tasks out, results back as they come, a pill for each worker."""
    tasks, results = make.Queue(), make.Queue(5)
    workers = started(square_until_none, tasks, results, n=3)
    for number in range(40):
        tasks.put((number, number))
    for _ in workers:
        tasks.put(None)
    found = dict(results.get(timeout=DEADLINE_S) for _ in range(40))
    return sorted(found.items()), ended(workers)


def pass_the_pill_on(tasks, results):
    while True:
        item = tasks.get()
        if item is None:
            tasks.put(None)
            break
        results.put(-item)


def one_pill_for_all(make):
    """Who finds the pill puts it back for the next."""
    tasks, results = make.Queue(), make.Queue()
    workers = started(pass_the_pill_on, tasks, results, n=3)
    for item in range(20):
        tasks.put(item)
    tasks.put(None)
    return sorted(results.get(timeout=DEADLINE_S) for _ in range(20)), ended(workers)


def done_in_finally(tasks, results):
    while True:
        item = tasks.get()
        try:
            results.put(10 // item)
        except ZeroDivisionError as error:
            results.put(str(error))
        finally:
            tasks.task_done()


def joined_tasks(make):
    """Daemons that never end; the parent joins the queue, and then empties the other."""
    tasks, results = make.JoinableQueue(), make.Queue()
    workers = started(done_in_finally, tasks, results, n=2)
    for item in (1, 2, 0, 5):
        tasks.put(item)
    tasks.join()
    found = [str(results.get(timeout=DEADLINE_S)) for _ in range(4)]
    for worker in workers:
        worker.terminate()
    return sorted(found), [worker.join(DEADLINE_S) for worker in workers]


def say(events, name, n):
    for line in range(n):
        events.put((name, "line", line))
    events.put((name, "stop", os.getpid() > 0))


def a_process_manager(make):
    """Children tell lines and ends; the parent polls with a timeout until all have ended."""
    events = make.Queue()
    children = [*started(say, events, "web", 3), *started(say, events, "db", 2)]
    seen, stopped = [], set()
    while len(stopped) < len(children):
        with contextlib.suppress(queue.Empty):
            name, kind, what = events.get(timeout=0.05)
            seen.append((name, kind, what))
            if kind == "stop":
                stopped.add(name)
    ended(children)
    return sorted(seen)


def step_by_command(commands, answers, errors):
    state = 0
    while True:
        command, value = commands.get()
        if command == "close":
            return
        try:
            state += 100 // value
            answers.put(("state", state))
        except ZeroDivisionError as error:
            errors.put(type(error).__name__)
            answers.put((None, None))


def a_vector_of_environments(make):
    """Each worker has queues of its own; commands go out to all, then answers are gathered."""
    n = 3
    pairs = [(make.SimpleQueue(), make.SimpleQueue()) for _ in range(n)]
    errors = make.Queue()
    workers = [started(step_by_command, *pair, errors)[0] for pair in pairs]
    found = []
    for value in (1, 0, 50):
        for commands, _ in pairs:
            commands.put(("step", value))
        found.append([answers.get() for _, answers in pairs])
    told = [errors.get(timeout=DEADLINE_S) for _ in range(n)]
    for commands, _ in pairs:
        commands.put(("close", None))
    return found, told, ended(workers)


def load_batches(indices, results, done):
    while not done.is_set():
        try:
            index = indices.get(timeout=0.01)
        except queue.Empty:
            continue
        if index is None:
            break
        results.put((index, [index] * 1000))
    results.cancel_join_thread()
    results.close()


def a_data_loader(make):
    """A queue of indices for each worker, one for all results, two batches ahead, in order."""
    results, done, n = make.Queue(), _FORK.Event(), 12
    queues = [make.Queue() for _ in range(2)]
    workers = [started(load_batches, q, results, done)[0] for q in queues]
    sent, early, got = 0, {}, []
    while len(got) < n:
        while sent < min(n, len(got) + 4):
            queues[sent % 2].put(sent)
            sent += 1
        index, batch = results.get(timeout=DEADLINE_S)
        early[index] = sum(batch)
        while len(got) in early:
            got.append(early.pop(len(got)))
    done.set()
    return got, ended(workers)


def fill(results, abort, seed):
    item = seed
    while not abort.is_set():
        if results.full():
            time.sleep(0.001)
            continue
        with contextlib.suppress(queue.Full):
            results.put(item, timeout=0.01)
            item += 2


def an_augmenter(make):
    """Workers fill a short queue until they are told to stop; each one's items are in order."""
    results, abort = make.Queue(3), _FORK.Event()
    workers = [started(fill, results, abort, seed)[0] for seed in (0, 1)]
    got = [results.get(timeout=DEADLINE_S) for _ in range(50)]
    abort.set()
    while any(worker.is_alive() for worker in workers) or not results.empty():
        with contextlib.suppress(queue.Empty):
            results.get(timeout=0.01)
    even, odd = ([item for item in got if item % 2 == half] for half in (0, 1))
    return even == list(range(0, 2 * len(even), 2)), odd == list(range(1, 2 * len(odd), 2))


def log_three(records, name):
    logger = logging.getLogger("style")
    logger.handlers = [logging.handlers.QueueHandler(records)]
    logger.setLevel(logging.INFO)
    for n in range(3):
        logger.info("%s says %s", name, n)


class Kept(logging.Handler):
    def __init__(self):
        super().__init__()
        self.lines = []

    def emit(self, record):
        self.lines.append(record.getMessage())


def a_logger(make):
    """The listener of the logging cookbook, in a thread of the parent."""
    records, kept = make.Queue(), Kept()
    listener = logging.handlers.QueueListener(records, kept)
    listener.start()
    for name in ("a", "b"):
        ended(started(log_three, records, name))
    listener.stop()
    return sorted(kept.lines)


def run_and_die(tasks, results):
    for item in iter(tasks.get, None):
        if item == 3:
            results.put(("dies of", item))
            results.close()
            results.join_thread()
            os._exit(9)
        results.put(("done", item))


def a_scheduler(make):
    """Workers that die are purged and replaced; what is told before a death is heard."""
    tasks, results = make.Queue(), make.Queue()
    for item in range(6):
        tasks.put(item)
    workers, seen = started(run_and_die, tasks, results), []
    while len(seen) < 6:
        try:
            seen.append(results.get(timeout=0.05))
        except queue.Empty:
            if not workers[-1].is_alive():
                workers += started(run_and_die, tasks, results)
    tasks.put(None)
    return sorted(seen), ended(workers)


_PROGRESS = []


def tell_progress(item):
    _PROGRESS[-1].put(item)
    return item


def pools_with_progress(make):
    """A pool and an executor whose workers have a queue by their initializer; a thread reads it."""
    progress, seen = make.Queue(), []
    reader = threading.Thread(target=lambda: seen.extend(iter(progress.get, None)))
    reader.start()
    with _FORK.Pool(2, _PROGRESS.append, (progress,)) as pool:
        pool.map(tell_progress, range(5))
        pool.close()
        pool.join()
    with concurrent.futures.ProcessPoolExecutor(
        2, _FORK, initializer=_PROGRESS.append, initargs=(progress,)
    ) as executor:
        list(executor.map(tell_progress, range(5, 10)))
    progress.put(None)
    reader.join(DEADLINE_S)
    return sorted(seen)


def answer_async(tasks, results):
    while True:
        try:
            task = tasks.get_nowait()
        except queue.Empty:
            time.sleep(0.002)
            continue
        if task is None:
            return
        number, function, args = task
        try:
            results.put_nowait((number, function(*args), None))
        except Exception as error:
            results.put_nowait((number, None, repr(error)))


def an_async_pool(make):
    """Tasks are functions with arguments; both sides poll without waiting."""
    tasks, results = make.Queue(), make.Queue()
    workers = started(answer_async, tasks, results, n=2)
    calls = [(int, ("12",)), (int, ("x",)), (sorted, ([3, 1],)), (len, ("abc",))]
    for number, (function, args) in enumerate(calls):
        tasks.put_nowait((number, function, args))
    found = {}
    while len(found) < len(calls):
        try:
            number, value, error = results.get_nowait()
        except queue.Empty:
            time.sleep(0.002)
        else:
            found[number] = value, error
    for _ in workers:
        tasks.put_nowait(None)
    return sorted(found.items()), ended(workers)


WAYS = (
    a_task_runner,
    one_pill_for_all,
    joined_tasks,
    a_process_manager,
    a_vector_of_environments,
    a_data_loader,
    an_augmenter,
    a_logger,
    a_scheduler,
    pools_with_progress,
    an_async_pool,
)


@pytest.mark.parametrize("way", WAYS)
def test_a_program_gives_the_same_with_our_queues(way):
    assert way(orchestrator) == way(Standard)
