"""Rates with units: `10/s`, `100/min`, `0.5/h`."""

from __future__ import annotations

import re

__all__ = ["RATE_PATTERN", "RateError", "parse_interval_s"]

_SECONDS = {"s": 1.0, "min": 60.0, "h": 3_600.0, "d": 86_400.0}
_NUMBER = r"[0-9]{1,9}(?:\.[0-9]{1,9})?"
RATE_PATTERN = rf"^(?=[^/]*[1-9]){_NUMBER}/({'|'.join(_SECONDS)})$"
"""What a rate looks like, as a JSON Schema has it."""

_RATE = re.compile(RATE_PATTERN, re.ASCII)
_SPELT = re.compile(rf"({_NUMBER})\s*(?:/|per|a|an|p)?\s*([a-z]+)", re.ASCII | re.IGNORECASE)
_WORDS = {
    "s": ("sec", "secs", "second", "seconds", "ps", "hz"),
    "min": ("m", "mins", "minute", "minutes", "pm"),
    "h": ("hr", "hrs", "hour", "hours", "ph"),
    "d": ("day", "days"),
}


class RateError(ValueError):
    """Not a rate. `hint` says how to write it."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


def parse_interval_s(value: object) -> float:
    """Return the seconds from one item to the next at a rate such as `10/s` or `5/h`.

    Units are s, min, h and d.

    Raises:
        RateError: it is no text, has no unit, or is nothing.

    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        hint = f"write {value}/s" if re.fullmatch(_NUMBER, str(value)) else "write 10/s"
        raise RateError(f"a rate needs a unit, not the bare number {value}", hint)
    if not isinstance(value, str):
        raise RateError("a rate is text such as 10/s or 100/min", "write 10/s, 100/min or 5/h")
    match = _RATE.match(value)
    if match is None or value.endswith("\n"):
        raise RateError(f'"{value[:40]}" is not a rate', _hint(value))
    number, _, unit = value.partition("/")
    return _SECONDS[unit] / float(number)


def _hint(text: str) -> str:
    if re.fullmatch(r"[0.]+/(s|min|h|d)", text):
        return "an item has to start some time: write 1/h, or remove it for no limit"
    if re.fullmatch(_NUMBER, text):
        return f"write {text}/s"
    if spelt := _SPELT.fullmatch(text.strip()):
        for unit, words in _WORDS.items():
            if spelt[2].lower() in (unit, *words):
                return f"write {spelt[1]}/{unit}"
    return "write a number and a unit (s, min, h, d): 10/s, 100/min, 5/h"
