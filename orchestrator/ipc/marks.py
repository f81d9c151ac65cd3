r"""Marks in what a worker's process writes: for which item, and when.

Used on both sides; the standard library only. Descriptors 1 and 2 are pipes that everything in the
process writes to: Python, C, other programs. A mark is `\0m`, a key that only this worker has, and

    w TIME : BYTES : ATTEMPT : ITEM \0    the next BYTES bytes are one write of Python
    b TIME : ATTEMPT : ITEM \0            from here on, what has no mark of its own belongs to this

TIME is Unix time in microseconds and BYTES a number, both in hexadecimal; ITEM may be empty. A mark
travels in the same `write` as its bytes, so it cannot be torn from them up to PIPE_BUF.
"""

from __future__ import annotations

import re

__all__ = ["LONGEST", "begin_mark", "pattern", "prefix", "write_mark"]

LONGEST = 512
"""Bytes of a mark, at most: a queue's name and a range may be long."""


def prefix(key: str) -> bytes:
    """Return what every mark of a worker begins with."""
    return b"\0m" + key.encode("ascii")


def write_mark(start: bytes, micros: int, n: int, item: bytes, data: bytes = b"") -> bytes:
    """The mark in front of one write of `n` bytes, and these; `item` is `ATTEMPT:ITEM`."""
    return b"%bw%x:%x:%b\0%b" % (start, micros, n, item, data)


def begin_mark(start: bytes, micros: int, item: bytes) -> bytes:
    """The mark where an item begins, or, with an empty one, where nobody knows any more."""
    return b"%bb%x:%b\0" % (start, micros, item)


def pattern(key: str) -> re.Pattern[bytes]:
    """Finds the marks of a worker; its groups are kind, time, bytes (None for b), attempt, item."""
    return re.compile(
        re.escape(prefix(key))
        + rb"(?:w([0-9a-f]{1,14}):([0-9a-f]{1,12})|b([0-9a-f]{1,14})):(\d{0,9}):([^\0]{0,400})\0"
    )
