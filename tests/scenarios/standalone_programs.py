"""What the processes of test_standalone_queue do, and how their broker is found."""

import os
import signal
import sys
from pathlib import Path

import orchestrator


def brokers_of(creator):
    """Pids of the brokers that this process has started."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                name = (entry / "comm").read_text()
                arguments = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue  # it has ended meanwhile
            if name == "mporch-queues\n" and arguments[-2:-1] == [str(creator).encode()]:
                found.append(int(entry.name))
    return found


def produce(queue, first, n):
    for item in range(first, first + n):
        queue.put(item)


def consume_until_none(queue, answer):
    answer.send(list(iter(queue.get, None)))


def consume_some(queue, n, answer):
    """Take n items, tell which, and never come back."""
    answer.send([queue.get() for _ in range(n)])
    signal.pause()


def get_for_ever(queue, answer):
    answer.send(os.getpid())
    while True:
        queue.get()


def produce_for_ever(queue):
    item = 0
    while True:
        queue.put(item)
        item += 1


def echo(source, sink):
    for item in iter(source.get, None):
        sink.put(item)


def outlive_creator():
    """A program that leaves behind a child, which goes on with the queue until its stdin ends."""
    queue = orchestrator.Queue()
    queue.put("from the creator")
    queue.qsize()
    print(*brokers_of(os.getpid()), flush=True)
    if os.fork() == 0:
        sys.stdin.read(1)
        queue.put("from the child")
        print(queue.get(), queue.get(), sep="\n", flush=True)
        sys.stdin.read()
    os._exit(0)


def wait_to_be_killed():
    """A program that uses a queue and waits."""
    queue = orchestrator.Queue()
    queue.put(1)
    queue.qsize()
    print(*brokers_of(os.getpid()), flush=True)
    signal.pause()


def just_end():
    """A program that uses a queue and ends."""
    queue = orchestrator.Queue()
    queue.put(1)
    queue.qsize()
    print(*brokers_of(os.getpid()), flush=True)


if __name__ == "__main__":
    globals()[sys.argv[1]]()
