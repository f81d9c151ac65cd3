"""What the jobs of a round do in which anybody is killed. What is made is told in a file."""

import os
import subprocess
import time
import xml.etree.ElementTree  # noqa: F401 -- as most targets do, it imports some more
from pathlib import Path

from chaos_targets import Pack, Work, write

__all__ = ["Pack", "Work", "numbers", "with_children", "write"]

_SEEN_EVERY = 20


def numbers(gap_s):
    """The same numbers in each of its lives, and more until enough have been killed."""
    path = Path("made")
    before = int(path.read_bytes().split()[-1]) if path.exists() and path.stat().st_size else -1
    made = os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY | os.O_CLOEXEC)
    n = 0
    while n <= before or n % _SEEN_EVERY or not Path("enough").exists():
        if n > before:
            os.write(made, b"%d\n" % n)
            time.sleep(gap_s)
        yield n
        n += 1


def with_children(n):
    """An item fails if the program that it starts is killed."""
    subprocess.run(["sleep", "0.004"], check=True)
    return n
