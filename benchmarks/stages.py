"""Targets of the benchmarks' pipelines; every peer runs the same functions.

A source notes when its first item is asked for, a sink when it has the last: start-up is not
measured.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def stamp(path: str) -> None:
    """Append the monotonic time to a file."""
    with Path(path).open("a") as file:
        file.write(f"{time.monotonic()}\n")


def ints(n: int, clock: str) -> Iterator[int]:
    """The source: n ints."""
    stamp(clock)
    yield from range(n)


def dicts(n: int, clock: str) -> Iterator[dict[str, Any]]:
    """The source: n dicts of about 200 bytes when pickled."""
    stamp(clock)
    for i in range(n):
        yield {
            "id": i,
            "name": f"user-{i}",
            "email": f"user{i}@example.org",
            "tags": ["a", "b", "c"],
            "score": i * 1.5,
            "note": "x" * 80,
        }


SOURCES = {"ints": ints, "dicts": dicts}


def same(item: Any) -> Any:
    """The map: hands the item on."""
    return item


def uneven(n: int) -> int:
    """Another map: is busy for up to 0.2 ms, for each item as long as any other time."""
    until = time.perf_counter() + n * 7919 % 1000 * 2e-7
    while time.perf_counter() < until:
        pass
    return n


class Sink:
    """The sink: drops the items, and checks that all have come."""

    def __init__(self, n: int, clock: str) -> None:
        self._expected, self._clock, self._seen = n, clock, 0

    def __call__(self, _item: Any) -> None:  # noqa: D102 - a target, called with each item
        self._seen += 1
        if self._seen == self._expected:
            stamp(self._clock)


def put_all(kind: str, n: int, clock: str, out: Any) -> None:
    """A source with a handle, as one writes it for multiprocessing."""
    for item in SOURCES[kind](n, clock):
        out.put(item)


def move(n: int, source: Any, out: Any) -> None:
    """A map with handles."""
    for _ in range(n):
        out.put(source.get())


def drain(n: int, clock: str, source: Any) -> None:
    """A sink with a handle."""
    for _ in range(n):
        source.get()
    stamp(clock)


def nothing() -> None:
    """A task that does nothing."""
