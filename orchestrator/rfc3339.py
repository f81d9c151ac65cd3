"""Moments as RFC 3339, in UTC with microseconds: 2026-11-23T08:00:00.000000Z."""

from __future__ import annotations

import functools
import time
from datetime import datetime
from math import modf

__all__ = ["LATEST_S", "nanoseconds", "second", "timestamp"]

LATEST_S = 253402300799.0
"""The last second of the year 9999: RFC 3339 has no later one."""

_DIGITS = tuple(f"{n:03d}" for n in range(1000))
"""Looked up in half the time that a width in a format takes."""


def timestamp(unix_s: float) -> str:
    """Format Unix time in seconds, not before 1970, rounded as `datetime` rounds it."""
    fraction, whole = modf(unix_s)
    micros = round(fraction * 1_000_000)
    if micros == 1_000_000:
        whole, micros = whole + 1, 0
    return f"{_to_second(whole)}.{_DIGITS[micros // 1000]}{_DIGITS[micros % 1000]}Z"


def second(unix_s: float) -> str:
    """Format Unix time in seconds for people: to the second, with a word on the zone."""
    return f"{timestamp(unix_s)[:19].replace('T', ' ')} UTC"


def nanoseconds(text: str) -> int | None:
    """Return Unix time in nanoseconds; None if `text` is no moment."""
    try:
        at = datetime.fromisoformat(text)
        whole_s = int(at.replace(microsecond=0).timestamp())
    except (ValueError, OverflowError):  # a year that its time zone makes none is no moment, too
        return None
    return whole_s * 1_000_000_000 + at.microsecond * 1_000


@functools.lru_cache(maxsize=8)
def _to_second(unix_s: float) -> str:
    # The lines of a log come within the same second by the thousand: only one of them pays.
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(unix_s))
