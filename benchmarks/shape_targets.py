"""Targets of `benchmarks.shapes`: one function a call shape, and a sink that gets batches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from benchmarks.stages import stamp


def source(first: int, stop: int, clock: str) -> Iterator[int]:
    """The numbers from `first` to `stop`."""
    stamp(clock)
    yield from range(first, stop)


def item(number: int) -> int:
    """An item job that returns its item."""
    return number


def item_put(number: int, out: Any) -> None:
    """An item job with a handle."""
    out.put(number)


def item_yield(number: int) -> Iterator[int]:
    """An item job that is a generator."""
    yield number


def batch(numbers: list[int]) -> list[int]:
    """A batch job that returns its items."""
    return numbers


def batch_put(numbers: list[int], out: Any) -> None:
    """A batch job with a handle."""
    for number in numbers:
        out.put(number)


def stream(numbers: Iterable[int]) -> Iterator[int]:
    """A stream job that yields its items."""
    yield from numbers


def stream_put(numbers: Iterable[int], out: Any) -> None:
    """A stream job with a handle."""
    for number in numbers:
        out.put(number)


def handles(numbers: Any, out: Any) -> None:
    """A job with handles both ways."""
    for number in numbers:
        out.put(number)


def route(number: int, even: Any, odd: Any) -> None:
    """An item job that puts each item on one of two queues."""
    (odd if number % 2 else even).put(number)


class Sink:
    """The sink: takes batches, and stamps the clock when all items have come."""

    def __init__(self, n: int, clock: str) -> None:
        self._expected, self._clock, self._seen = n, clock, 0

    def __call__(self, numbers: list[int]) -> None:  # noqa: D102 - a target
        self._seen += len(numbers)
        if self._seen == self._expected:
            stamp(self._clock)
