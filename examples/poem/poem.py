"""A poem whose lines are worked on out of order, and written in order."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from pathlib import Path


def read(path: str) -> Iterator[str]:
    """Give the lines of a text."""
    yield from Path(path).read_text(encoding="utf-8").splitlines()


def count(line: str) -> str:
    """Mark a line with its letters, one by one."""
    letters = sum(map(str.isalpha, line))
    time.sleep(letters / 200)
    return f"{letters:3} {line}"


def write(lines: Iterable[str], path: str) -> None:
    """Write the lines as they come."""
    out = Path(path)
    out.parent.mkdir(exist_ok=True)
    out.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
