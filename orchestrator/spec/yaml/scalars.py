"""YAML 1.2 core scalars: what an unquoted word means."""

from __future__ import annotations

import math
import re

from orchestrator.spec.wording import HintedError

__all__ = ["ScalarError", "resolve"]

_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_TRUE = frozenset({"true", "True", "TRUE"})
_FALSE = frozenset({"false", "False", "FALSE"})
_DECIMAL = re.compile(r"[-+]?(?:0|[1-9][0-9]*)", re.ASCII)
_LEADING_ZERO = re.compile(r"[-+]?0[0-9]+(?:\.[0-9]*)?(?:[eE][-+]?[0-9]+)?", re.ASCII)
_PREFIXED = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+", re.ASCII)
_FLOAT = re.compile(
    r"[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?", re.ASCII
)
_INFINITE = re.compile(r"([-+]?)\.(?:inf|Inf|INF)")
_NANS = frozenset({".nan", ".NaN", ".NAN"})
_MOST_DIGITS = 400


class ScalarError(HintedError):
    """An unquoted word that reads as one thing here and as another elsewhere."""


def resolve(text: str) -> str | int | float | bool | None:
    """Return what the plain (unquoted) scalar `text` stands for.

    Raises:
        ScalarError: it looks like a number, but readers would not agree which.

    """
    if text in _NULLS:
        return None
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    if text[0] not in "+-.0123456789":
        return text
    return _number(text)


def _number(text: str) -> str | int | float:
    if len(text) > _MOST_DIGITS and _FLOAT.fullmatch(text):
        msg = f"a number of {len(text)} characters is too long"
        raise ScalarError(msg, "put it in quotes if it is text")
    if _DECIMAL.fullmatch(text):
        return int(text)
    if _PREFIXED.fullmatch(text):
        return int(text, 0) if len(text) <= _MOST_DIGITS else text
    if _LEADING_ZERO.fullmatch(text):
        msg = f"{text} starts with a zero: octal to some readers, decimal to others"
        raise ScalarError(msg, f'quote it if it is text ("{text}"), or drop the leading zero')
    if _FLOAT.fullmatch(text):
        if math.isinf(number := float(text)):
            msg = f"{text} is larger than any number that can be held"
            raise ScalarError(msg, "put it in quotes if it is text, or write .inf")
        return number
    if text in _NANS:
        return float("nan")
    if infinite := _INFINITE.fullmatch(text):
        return float(infinite[1] + "inf")
    return text
