"""Targets of the benchmarks' pipelines; every peer runs the same functions.

A source notes when its first item is asked for, a sink when it has the last: start-up is not
measured.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

_PADDING = b"x" * 992
_MEGABYTE_OF_FLOATS = 1 << 17


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


def kilobytes(n: int, clock: str) -> Iterator[bytes]:
    """The source: n bytes objects of 1 KB."""
    stamp(clock)
    for i in range(n):
        yield i.to_bytes(8, "big") + _PADDING


def arrays(n: int, clock: str) -> Iterator[Any]:
    """The source: n NumPy arrays of 1 MB, each made anew."""
    import numpy as np  # noqa: PLC0415 - the other sources need none

    stamp(clock)
    for i in range(n):
        yield np.full(_MEGABYTE_OF_FLOATS, float(i))


def megabytes(size: int) -> Callable[[int, str], Iterator[bytes]]:
    """A source of n bytes objects of so many MB, each made anew."""

    def source(n: int, clock: str) -> Iterator[bytes]:
        stamp(clock)
        for i in range(n):
            yield bytes([i % 256]) * (size << 20)

    return source


SOURCES: dict[str, Callable[[int, str], Iterator[Any]]] = {
    "ints": ints,
    "dicts": dicts,
    "kilobytes": kilobytes,
    "arrays": arrays,
    "10MB": megabytes(10),
    "100MB": megabytes(100),
    "400MB": megabytes(400),
    "900MB": megabytes(900),
}


def source(kind: str, n: int, clock: str) -> Iterator[Any]:
    """The source of a kind."""
    return SOURCES[kind](n, clock)


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
