"""Durations and rates, with their units: `1m30s`, `250ms`; `10/s`, `100/min`."""

from __future__ import annotations

import re

from orchestrator.spec.wording import HintedError
from orchestrator.spec.words import reversed_words, words_of

__all__ = [
    "MAX_DURATION_S",
    "RATE_PATTERN",
    "UNITS",
    "DurationError",
    "RateError",
    "parse_duration_s",
    "parse_interval_s",
    "written_duration",
]

MAX_DURATION_S = 36_500 * 86_400.0
_SECONDS = {"d": 86_400.0, "h": 3_600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
UNITS = tuple(_SECONDS)
"""The units, in the order in which they are written."""

_DURATION = re.compile(
    "".join(rf"(?:(?P<{unit}>[0-9]+(?:\.[0-9]+)?){unit})?" for unit in _SECONDS), re.ASCII
)
_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]+)?", re.ASCII)
_SPELT = re.compile(r"([0-9]+(?:\.[0-9]+)?) *([a-z]+)", re.ASCII | re.IGNORECASE)

_RATE_SECONDS = {"s": 1.0, "min": 60.0, "h": 3_600.0, "d": 86_400.0}
_RATE_NUMBER = r"[0-9]{1,9}(?:\.[0-9]{1,9})?"
RATE_PATTERN = rf"^(?=[^/]*[1-9]){_RATE_NUMBER}/({'|'.join(_RATE_SECONDS)})$"
"""What a rate looks like, as a JSON Schema has it."""

_RATE = re.compile(RATE_PATTERN, re.ASCII)
_SPELT_RATE = re.compile(
    rf"({_RATE_NUMBER})\s*(?:/|per|a|an|p)?\s*([a-z]+)", re.ASCII | re.IGNORECASE
)


class DurationError(HintedError):
    """Not a duration. `hint` says how to write it."""


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
    if (spelt := _SPELT.fullmatch(text)) and (unit := _unit("duration", spelt[2])):
        return f"write {spelt[1]}{unit}"
    if re.fullmatch(r"[0-9]+:[0-9]+", text, re.ASCII):
        first, second = text.split(":")
        return f"write {first}m{second}s or {first}h{second}m"
    return "write a number and a unit (ms, s, m, h, d), the larger unit first: 10s, 1m30s, 200ms"


def _write(number: object) -> str:
    return f"write {number}s" if _NUMBER.fullmatch(str(number)[:20]) else "write 10s"


class RateError(HintedError):
    """Not a rate. `hint` says how to write it."""


def parse_interval_s(value: object) -> float:
    """Return the seconds from one item to the next at a rate such as `10/s` or `5/h`.

    Units are s, min, h and d.

    Raises:
        RateError: it is no text, has no unit, or is nothing.

    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        hint = f"write {value}/s" if re.fullmatch(_RATE_NUMBER, str(value)) else "write 10/s"
        raise RateError(f"a rate needs a unit, not the bare number {value}", hint)
    if not isinstance(value, str):
        raise RateError("a rate is text such as 10/s or 100/min", "write 10/s, 100/min or 5/h")
    match = _RATE.match(value)
    if match is None or value.endswith("\n"):
        raise RateError(f'"{value[:40]}" is not a rate', _hint_for_rate(value))
    number, _, unit = value.partition("/")
    return _RATE_SECONDS[unit] / float(number)


def _hint_for_rate(text: str) -> str:
    if re.fullmatch(r"[0.]+/(s|min|h|d)", text):
        return "an item has to start some time: write 1/h, or remove it for no limit"
    if re.fullmatch(_RATE_NUMBER, text):
        return f"write {text}/s"
    if (spelt := _SPELT_RATE.fullmatch(text.strip())) and (unit := _unit("rate", spelt[2])):
        return f"write {spelt[1]}/{unit}"
    return "write a number and a unit (s, min, h, d): 10/s, 100/min, 5/h"


def _unit(quantity: str, word: str) -> str:
    """Return the unit that a word stands for, or is; an empty text if there is none."""
    words = words_of("values")["unit"][quantity]
    known: dict[str, str] = {unit: unit for unit in words} | reversed_words(words)
    return known.get(word.lower(), "")
