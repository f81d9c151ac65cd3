"""What the jobs of a conducted round do. Each part of an item says which execution it came from."""

import os
import time
from itertools import count
from pathlib import Path

from orchestrator import current

MOST_ITEMS = 5_000_000
"""A source that nobody tells to stop ends by itself."""

_SEEN_EVERY = 100
_SLOW_S = 0.03
"""Longer than the broker waits until it asks for the rest of a lease."""


def outputs(n):
    """How many items `First` makes of the source's item n: one on the average."""
    return {0: 0, 1: 2}.get(n % 8, 1)


def _open(name):
    return os.open(name, os.O_CREAT | os.O_APPEND | os.O_WRONLY | os.O_CLOEXEC)


def numbers(least, pause_s):
    """So many at least, in bursts, and on until enough have been killed.

    Called again, it says the same, and as much. Of several workers each has numbers of its own.
    """
    me = current()
    told = Path(f"made-{me.index}-{me.workers}")
    made = _open(told)
    least = max(least, *map(int, told.read_bytes().split()), 0)
    for n in range(MOST_ITEMS):
        if n % _SEEN_EVERY == 0:
            if n >= least and Path("enough").exists():
                return
            os.write(made, b"%d\n" % (n + _SEEN_EVERY))
            time.sleep(pause_s)
        yield n * me.workers + me.index - 1


class _Stage:
    """Numbers its executions: no two have the same token, in whichever process they are."""

    def __init__(self, slow_every):
        self._slow_every = slow_every
        self._calls = count(os.getpid() * 10**6)

    def execute(self, n):
        """Work for a while; return the token of this execution."""
        if self._slow_every and n % self._slow_every == 2:
            time.sleep(_SLOW_S)
        return next(self._calls)


class First(_Stage):
    """Makes none, one or two of an item, by a generator or not; now and then a large one."""

    def __init__(self, slow_every, large_every, size):
        super().__init__(slow_every)
        self._large_every = large_every
        self._size = size

    def __call__(self, n):
        made = self.make(n)
        if len(made) > 1:
            return (item for item in made)
        return made[0] if made else None

    def make(self, n):
        """All that one item makes."""
        token, pad = self.execute(n), b""
        if self._large_every and n % self._large_every == 2:
            pad = bytes(self._size)
        return [(n, k, token, pad) for k in range(outputs(n))]


class FirstBatch(First):
    """The same, a list at a time."""

    def __call__(self, batch):
        return [item for n in batch for item in self.make(n)]


class Middle(_Stage):
    """Passes an item on, with its own token."""

    def __call__(self, item):
        n, k, first, pad = item
        return n, k, first, self.execute(n), pad


class MiddleBatch(Middle):
    """The same, a list at a time."""

    def __call__(self, batch):
        return [super(MiddleBatch, self).__call__(item) for item in batch]


class Sink(_Stage):
    """Tells what has come through, in a file for each process."""

    def __init__(self, slow_every):
        super().__init__(slow_every)
        self._delivered = _open(f"delivered-{os.getpid()}")

    def __call__(self, item):
        n, k, first, middle, _ = item
        self.execute(n)
        os.write(self._delivered, b"%d.%d %d.%d\n" % (n, k, first, middle))
