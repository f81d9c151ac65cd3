"""Durations with units: `10s`, `1m30s`, `250ms`."""

from __future__ import annotations

import re

__all__ = ["MAX_DURATION_S", "UNITS", "DurationError", "parse_duration_s", "written_duration"]

MAX_DURATION_S = 36_500 * 86_400.0
_SECONDS = {"d": 86_400.0, "h": 3_600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
UNITS = tuple(_SECONDS)
"""The units, in the order in which they are written."""

_DURATION = re.compile(
    "".join(rf"(?:(?P<{unit}>[0-9]+(?:\.[0-9]+)?){unit})?" for unit in _SECONDS), re.ASCII
)
_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]+)?", re.ASCII)
_SPELT = re.compile(r"([0-9]+(?:\.[0-9]+)?) *([a-z]+)", re.ASCII | re.IGNORECASE)
_WORDS = {
    "d": ("day", "days"),
    "h": ("hr", "hrs", "hour", "hours"),
    "m": ("min", "mins", "minute", "minutes"),
    "s": ("sec", "secs", "second", "seconds"),
    "ms": ("msec", "msecs", "millis", "millisecond", "milliseconds"),
}


class DurationError(ValueError):
    """Not a duration. `hint` says how to write it."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


def parse_duration_s(value: object) -> float:
    """Return the seconds in a duration such as `1h`, `1m30s`, `0.5s` or `200ms`.

    Units are ms, s, m, h and d, the larger first, each at most once.

    Raises:
        DurationError: it is no text, has no unit, or is longer than 100 years.

    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise DurationError(f"a duration needs a unit, not the bare number {value}", _write(value))
    if not isinstance(value, str):
        raise DurationError("a duration is text such as 10s or 1m30s", "write 10s, 5m or 1h30m")
    match = _DURATION.fullmatch(value)
    if not value or match is None or len(value) > 64:
        raise DurationError(f'"{value[:40]}" is not a duration', _hint(value))
    seconds = sum(float(n) * _SECONDS[unit] for unit, n in match.groupdict().items() if n)
    if seconds > MAX_DURATION_S:
        raise DurationError(f"{value} is longer than 100 years", "leave it out for no limit")
    return seconds


def written_duration(seconds: float) -> str:
    """Return seconds as a spec has them: `1h30m`, `10s`, `250ms`."""
    left_ms, text = round(seconds * 1000), ""
    for unit, unit_s in _SECONDS.items():
        n, left_ms = divmod(left_ms, round(unit_s * 1000))
        text += f"{n}{unit}" if n else ""
    return text or "0s"


def _hint(text: str) -> str:
    if _NUMBER.fullmatch(text):
        return _write(text)
    if spelt := _SPELT.fullmatch(text):
        for unit, words in _WORDS.items():
            if spelt[2].lower() in (unit, *words):
                return f"write {spelt[1]}{unit}"
    if re.fullmatch(r"[0-9]+:[0-9]+", text, re.ASCII):
        first, second = text.split(":")
        return f"write {first}m{second}s or {first}h{second}m"
    return "write a number and a unit (ms, s, m, h, d), the larger unit first: 10s, 1m30s, 200ms"


def _write(number: object) -> str:
    return f"write {number}s" if _NUMBER.fullmatch(str(number)[:20]) else "write 10s"
