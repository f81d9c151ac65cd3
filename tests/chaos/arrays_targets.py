"""What the jobs of a round with arrays do: a chain through which mostly large items pass.

Whoever has one looks at all of it: what is not as it was made is told in a file.
"""

import os
import time
from pathlib import Path

import numpy as np
from conducted_targets import MOST_ITEMS, First, Middle, Sink, outputs

from orchestrator import current

__all__ = ["Fill", "Pass", "PassBatch", "Write", "numbers", "outputs"]

_SEEN_EVERY = 10
_EDGE = 32 * 1024
"""From here on an item is laid into an arena."""


def numbers(least, size):
    """Numbers beside arrays, as `conducted_targets.numbers`; ends when all has been counted.

    Until then it is there, and so is its arena.
    """
    me = current()
    told = Path(f"made-{me.index}-{me.workers}")
    made = os.open(told, os.O_CREAT | os.O_APPEND | os.O_WRONLY | os.O_CLOEXEC)
    for n in range(MOST_ITEMS):
        if n % _SEEN_EVERY == 0:
            if n >= least and Path("enough").exists():
                break
            os.write(made, b"%d\n" % (n + _SEEN_EVERY))
        yield n, filled(n, size)
    Path("all-made").touch()
    while not Path("counted").exists():
        time.sleep(0.02)


def filled(n, size):
    """What goes with the number n: arrays, bytes, text, and small ones that share a chunk."""
    kind = n % 8
    if kind < 3:
        return np.full(size // 4 + n % 1000, n, dtype=np.int32)
    if kind == 3:
        whole = np.full((64, size // 256), n, dtype=np.int32)
        return {"all": whole, "seen": whole[::2, 1:], "turned": np.asfortranarray(whole)}
    if kind == 4:
        return bytes([n % 251]) * (_EDGE - 1 + n // 8 % 3)
    if kind == 5:
        return chr(0x100 + n % 251) * (_EDGE - 1 + n // 8 % 3)
    return bytes([n % 251]) * 3000


def is_whole(n, size, found):
    """Whether it is what `filled` has made."""
    wanted = filled(n, size)
    if isinstance(wanted, dict):
        return wanted.keys() == found.keys() and all(map(_same, wanted.values(), found.values()))
    return _same(wanted, found)


def _same(one, other):
    if isinstance(one, np.ndarray):
        return one.shape == other.shape and one.dtype == other.dtype and bool((one == other).all())
    return type(one) is type(other) and one == other


def _check(n, size, found):
    if not is_whole(n, size, found):
        with Path(f"damaged-{os.getpid()}").open("a") as file:
            print(n, file=file)


class Fill(First):
    """Makes none, one or two of an item, each with what it had, made anew."""

    def __init__(self, size):
        super().__init__(0, 0, 0)
        self._size = size

    def make(self, n):
        """All that one item makes."""
        n, found = n
        _check(n, self._size, found)
        return [(n, k, self.execute(n), filled(n, self._size)) for k in range(outputs(n))]


class Pass(Middle):
    """Passes an item on as it is."""

    def __init__(self, size):
        super().__init__(0)
        self._size = size

    def __call__(self, item):
        _check(item[0], self._size, item[-1])
        return super().__call__(item)


class PassBatch(Pass):
    """The same, a list at a time."""

    def __call__(self, batch):
        return [super(PassBatch, self).__call__(item) for item in batch]


class Write(Sink):
    """Tells what has come through."""

    def __init__(self, size):
        super().__init__(0)
        self._size = size

    def __call__(self, item):
        _check(item[0], self._size, item[-1])
        super().__call__(item)
