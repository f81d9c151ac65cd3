"""Estimates of pi, by chance and by a series."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Iterator
from pathlib import Path

Estimate = tuple[str, int, float]


def estimate(method: str, steps: int, seed: int) -> Iterator[Estimate]:
    """Give one estimate, made with so many steps."""
    yield method, steps, METHODS[method](steps, random.Random(f"{seed}-{steps}"))


def table(estimates: Iterable[Estimate], path: str) -> None:
    """Write all estimates, the best first."""
    found = sorted(estimates, key=lambda each: abs(each[2] - math.pi))
    lines = [f"{method:8} {steps:7,} {value:.6f}" for method, steps, value in found]
    Path(path).write_text("\n".join(lines) + "\n")
    print(lines[0])


def _darts(throws: int, chance: random.Random) -> float:
    hits = sum(chance.random() ** 2 + chance.random() ** 2 < 1 for _ in range(throws))
    return 4 * hits / throws


def _needles(throws: int, chance: random.Random) -> float:
    crossed = sum(chance.random() < math.sin(chance.uniform(0, math.pi)) for _ in range(throws))
    return 2 * throws / crossed


def _leibniz(terms: int, _: random.Random) -> float:
    return 4 * sum((1 - n % 2 * 2) / (2 * n + 1) for n in range(terms))


METHODS = {"darts": _darts, "needles": _needles, "leibniz": _leibniz}
