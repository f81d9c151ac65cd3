"""Counts of an access log, by status and by path."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from multiprocessing.queues import Queue
from pathlib import Path

PATHS = ["/", "/about", "/cart", "/login", "/search", "/static/site.css", "/static/site.js"]
STATUSES = [200, 200, 200, 200, 301, 304, 404, 500]
LINE = re.compile(r'\S+ \S+ \S+ \[[^]]+\] "[A-Z]+ (?P<path>\S+) HTTP/[\d.]+" (?P<status>\d{3}) \d+')


@dataclass
class Counts:
    """How many requests there were, by status and by path."""

    by_status: Counter[str] = field(default_factory=Counter)
    by_path: Counter[str] = field(default_factory=Counter)

    def add(self, other: Counts) -> None:
        """Add the counts of another part of the log."""
        self.by_status.update(other.by_status)
        self.by_path.update(other.by_path)


def generate(path: str, lines: int, seed: int) -> None:
    """Write an access log; of a thousand lines about one is cut short."""
    chance = random.Random(seed)
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with Path(path).open("w", encoding="ascii") as log:
        for number in range(lines):
            line = (
                f"10.0.{chance.randrange(256)}.{chance.randrange(256)} - - "
                f"[31/Jan/2024:12:{number // 60 % 60:02}:{number % 60:02} +0000] "
                f'"GET {chance.choice(PATHS)} HTTP/1.1" '
                f"{chance.choice(STATUSES)} {chance.randrange(100_000)}"
            )
            cut = chance.randrange(10, 30) if chance.random() < 0.001 else len(line)
            log.write(line[:cut] + "\n")


def read(path: str) -> Iterator[str]:
    """Yield the lines of the log."""
    with Path(path).open(encoding="ascii") as log:
        for line in log:
            yield line.rstrip("\n")


def count(lines: Iterable[str], partial: Queue[Counts], malformed: Queue[str]) -> None:
    """Count the lines that reach this worker; what is no log line goes to `malformed`."""
    counts = Counts()
    for line in lines:
        if found := LINE.fullmatch(line):
            counts.by_status[found["status"]] += 1
            counts.by_path[found["path"]] += 1
        else:
            malformed.put(line)
    partial.put(counts)


def merge(partial: Iterable[Counts]) -> None:
    """Add up what the workers counted, and print it."""
    total = Counts()
    for counts in partial:
        total.add(counts)
    for counter in (total.by_status, total.by_path):
        for name, requests in sorted(counter.items()):
            print(f"{name:<16} {requests:>7}")


def complain(lines: Iterable[str], path: str) -> None:
    """Keep the malformed lines, and say how many there are."""
    kept = list(lines)
    Path(path).write_text("".join(f"{line}\n" for line in kept), encoding="ascii")
    print(f"{len(kept)} malformed lines are in {path}")
