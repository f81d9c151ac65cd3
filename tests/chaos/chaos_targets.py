"""What the jobs of a round do. Who begins and ends what is told in files, outside of mporch."""

import os
import time
from pathlib import Path

MOST_ITEMS = 500_000
"""A source that nobody tells to stop ends by itself."""

_SEEN_EVERY = 20


def _open(name):
    return os.open(name, os.O_CREAT | os.O_APPEND | os.O_WRONLY | os.O_CLOEXEC)


def outputs(n):
    """How many items `work` makes of the source's item n."""
    return n % 3


def numbers():
    """Goes on until enough have been killed."""
    made = _open("made")
    for n in range(MOST_ITEMS):
        if n % _SEEN_EVERY == 0 and Path("enough").exists():
            return
        os.write(made, b"%d\n" % n)
        yield n


class _Witness:
    """Tells what its process is at: one line, written whole, at the beginning and at the end."""

    def __init__(self):
        self._calls = _open("calls")

    def tell(self, what):
        os.write(self._calls, b"%s %d\n" % (what, os.getpid()))


class Work(_Witness):
    """One item makes none, one or two; now and then a large one."""

    def __init__(self, large_every, size):
        super().__init__()
        self._large_every = large_every
        self._size = size

    def __call__(self, n):
        self.tell(b"begin")
        time.sleep(0.001)  # the work
        for k in range(outputs(n)):
            large = self._large_every and n % self._large_every == k
            yield f"{n}.{k}", bytes(self._size if large else 10)
        self.tell(b"end")


class Pack(_Witness):
    """Passes a batch on as it came."""

    def __call__(self, batch):
        self.tell(b"begin")
        time.sleep(0.001)  # the work
        self.tell(b"end")
        return batch


def write(items):
    """The end of the line, in a process that nobody kills: what has come through, as it comes."""
    delivered = _open("delivered")
    for name, _ in items:
        os.write(delivered, name.encode() + b"\n")
