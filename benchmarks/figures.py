"""Medians, spreads and ratios of samples, and how they are written."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

NOISY = 0.25
"""A ratio whose spread is above this is not told."""


@dataclass(frozen=True)
class Figure:
    """The median of rounds and the distance of the farther quartile, as a share of the median."""

    median: float
    spread: float

    @property
    def noisy(self) -> bool:
        """Whether it is no figure to quote."""
        return self.spread > NOISY


def figure(values: Sequence[float]) -> Figure:
    """The figure of the values of some rounds; that of one round is noisy.

    Between the quartiles lies the middle half of the rounds: one that was disturbed moves neither.
    """
    median = statistics.median(values)
    if len(values) < 2:
        return Figure(median, math.inf)
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    distance = max(high - median, median - low)
    return Figure(median, distance / abs(median) if median else 0.0 if not distance else math.inf)


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> Figure:
    """The figure of the quotients, each of two values of the same round."""
    return figure([our / their for our, their in zip(ours, theirs, strict=True)])


def percentile(values: Sequence[float], percent: int) -> float:
    """The value that so many of a hundred do not exceed."""
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


def number(value: float) -> str:
    """Three significant digits, without an exponent."""
    if not value or not math.isfinite(value):
        return f"{value:g}"
    rounded = float(f"{value:.3g}")
    digits = max(0, 2 - math.floor(math.log10(abs(rounded))))
    return f"{rounded:,.{digits}f}"


def times(found: Figure) -> str:
    """A ratio as it is printed: with its spread, or as noisy."""
    if found.noisy:
        return "noisy"
    return f"{number(found.median)} × ± {percent(found.spread)}"


def percent(share: float) -> str:
    """A share in percent."""
    return f"{share * 100:.0f} %" if math.isfinite(share) else "?"


def table(heads: Sequence[str], rows: Sequence[Sequence[str]], *, markdown: bool = False) -> str:
    """A table of texts: the first column to the left, the others to the right."""
    if markdown:
        lines = [heads, ["---", *["---:"] * (len(heads) - 1)], *rows]
        return "\n".join(f"| {' | '.join(line)} |" for line in lines)
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    return "\n".join(
        "  ".join(
            text.rjust(width) if at else text.ljust(width)
            for at, (text, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in (heads, *rows)
    )
