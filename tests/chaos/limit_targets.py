"""Targets whose work is time: what limits a pipeline of them is known."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import Any


def numbers(n: int, each_s: float = 0.0) -> Iterator[int]:
    """Yields n numbers, each after that time."""
    for i in range(n):
        if each_s:
            time.sleep(each_s)
        yield i


def bursts(n: int, think_s: float, size: int, nbytes: int) -> Iterator[bytes]:
    """Yields n bursts of so many items."""
    for _ in range(n):
        time.sleep(think_s)
        for _ in range(size):
            yield bytes(nbytes)


def work(item: Any, each_s: float = 0.0) -> Any:
    """Takes its time for an item, and passes it on."""
    if each_s:
        time.sleep(each_s)
    return item


def work_on(item: int, first: int, end: int, each_s: float) -> int:
    """Takes its time for some items only."""
    if first <= item < end:
        time.sleep(each_s)
    return item


def fail_at(item: int, each_s: float, bad: int, every: int = 0) -> int:
    """Fails at one item, or at each so many."""
    time.sleep(each_s)
    if item == bad or (every and item % every == every - 1):
        raise ValueError(item)
    return item


def work_batch(items: list[Any], each_s: float) -> list[Any]:
    """Takes its time for a batch."""
    time.sleep(each_s * len(items))
    return items


def work_stream(items: Iterable[Any], each_s: float) -> Iterator[Any]:
    """Takes its time for each of a stream."""
    for item in items:
        time.sleep(each_s)
        yield item


def relay(source: Any, sink: Any, each_s: float) -> None:
    """Gets and puts by handles."""
    for item in source:
        time.sleep(each_s)
        sink.put(item)


_TRIED: set[int] = set()


def second_time(item: int) -> int:
    """Does nothing, and fails at each item once."""
    if item not in _TRIED:
        _TRIED.add(item)
        raise ValueError(item)
    return item


def burn(item: Any, each_s: float) -> Any:
    """Uses a processor for so long."""
    end = time.thread_time() + each_s
    while time.thread_time() < end:
        pass
    return item


def spin(item: Any, n: int) -> Any:
    """Does next to nothing."""
    for _ in range(n):
        pass
    return item
