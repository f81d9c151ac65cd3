"""Notebooks of targets: each worker's process has one file, `notes/<worker>.<life>.<pid>`.

A line has the kind (`b`: begins, `e`: has ended, `x`: has raised), the item's id, its maker's
token, the moment (monotonic seconds; a shell writes 0), and for some kinds one more word.
"""

import os
import time
from itertools import count
from pathlib import Path

import orchestrator

LIFE = "MPORCH_TEST_LIFE"


class Notebook:
    """The notes of this process, and the tokens of what it makes."""

    def __init__(self):
        worker = orchestrator.current().worker
        self.worker, self._numbers = worker, count()
        path = Path("notes") / f"{worker}.{os.environ[LIFE]}.{os.getpid()}"
        flags = os.O_CREAT | os.O_APPEND | os.O_WRONLY | os.O_CLOEXEC
        self._file = os.open(path, flags)

    def write(self, kind, *idents_and_tokens, more=""):
        """One system call, so a death leaves whole lines: an item a line."""
        now = f"{time.monotonic():.6f}"
        lines = [f"{kind} {i} {t} {now} {more}\n" for i, t in idents_and_tokens]
        os.write(self._file, "".join(lines).encode())

    def token(self):
        """A name for what is made now; nobody else ever has it."""
        return f"{self.worker}.{os.environ[LIFE]}.{os.getpid()}.{next(self._numbers)}"
