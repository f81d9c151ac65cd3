"""Functions as one writes them anyway; jobs.yaml says how they are called."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path


def count(to: int) -> Iterator[int]:
    """Yield the numbers from 2 up to `to`."""
    yield from range(2, to)


def test(number: int) -> int | None:
    """Return the number if it is prime; None goes nowhere."""
    divisors = range(2, int(number**0.5) + 1)
    return number if all(number % divisor for divisor in divisors) else None


def write(primes: Iterable[int], path: str) -> None:
    """Write the primes, sorted: two processes do not keep their order."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    found = sorted(primes)
    Path(path).write_text("".join(f"{prime}\n" for prime in found))
    print(f"{len(found)} primes, the largest is {found[-1]}")
