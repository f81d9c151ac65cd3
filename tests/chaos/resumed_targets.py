"""What the jobs of a durable round do. Who makes, begins and writes what is told in files."""

import os
import time
from itertools import count
from pathlib import Path

_SEEN_EVERY = 20
_MOST_ITEMS = 200_000
"""A source that nobody tells to stop ends by itself."""


def is_bad(n):
    """Whether item n never succeeds, where items may die."""
    return n % 13 == 5


def is_weak(n):
    """Whether item n fails when it is tried for the first time."""
    return n % 7 == 3


def numbers(size, least):
    """Goes on until enough was killed; called again, it gives what it has given before."""
    path = Path("made")
    before = len(path.read_bytes().splitlines()) if path.exists() else 0
    made = os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY | os.O_CLOEXEC)
    for n in count():
        if n >= max(before, least) and n % _SEEN_EVERY == 0 and _is_enough(n):
            return
        if n >= before:
            os.write(made, b"%d\n" % n)
        yield n, bytes(size)


def _is_enough(n):
    return n >= _MOST_ITEMS or Path("enough").exists()


class Work:
    """Passes an item on; some fail, for ever or once."""

    def __init__(self, pace_s):
        self._pace_s = pace_s
        self._calls = os.open("calls", os.O_CREAT | os.O_APPEND | os.O_WRONLY | os.O_CLOEXEC)

    def __call__(self, item):
        n, _ = item
        os.write(self._calls, b"%d\n" % n)
        time.sleep(self._pace_s)  # the work
        return item


class Strict(Work):
    """Items that are bad never succeed, weak ones not at once."""

    def __call__(self, item):
        n, _ = item
        super().__call__(item)
        if is_bad(n):
            raise ValueError(f"{n} is bad")
        if is_weak(n) and _first(n):
            raise OSError(f"{n} is weak")
        return item


class Route(Work):
    """One item makes one for each of two queues."""

    def __call__(self, item, left, right):
        super().__call__(item)
        left.put(item)
        right.put(item)


class Pack(Work):
    """Passes a batch on as it came."""

    def __call__(self, batch):
        super().__call__(batch[0])
        return batch


def relay(source, sink):
    """A hand-written job: reads to the end, passes each on."""
    for item in source:
        sink.put(item)


def write(items, name):
    """The end of the line: writes its file anew each time it is called, an item a line."""
    with Path(name).open("w") as file:
        for n, _ in items:
            file.write(f"{n}\n")
            file.flush()


def _first(n):
    Path("tried").mkdir(exist_ok=True)
    try:
        os.close(os.open(f"tried/{n}", os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    except FileExistsError:
        return False
    return True
