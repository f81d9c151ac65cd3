"""The words with a `$` in expected values: whether they are known, and have what they take."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from orchestrator.plan.matching import is_matcher
from orchestrator.spec.wording import did_you_mean, kind, listed, show
from orchestrator.spec.yaml.nodes import Path

__all__ = ["MatcherFlaw", "flaws_of"]


class MatcherFlaw(NamedTuple):
    """What is wrong with a `$` word at the end of `path`."""

    path: Path
    message: str
    hint: str


def _text(value: Any) -> str:
    return "" if isinstance(value, str) else f"expected text, got {kind(value)}"


def _regex(value: Any) -> str:
    if isinstance(value, str):
        try:
            re.compile(value)
        except (re.error, OverflowError, RecursionError) as error:
            return f"this is no regular expression: {error}"
    return _text(value)


def _number(value: Any) -> str:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return "" if is_number else f"expected a number, got {kind(value)}"


def _map(value: Any) -> str:
    is_map = isinstance(value, Mapping)
    return "" if is_map else f"expected a map of attributes or keys, got {kind(value)}"


def _anything(_: Any) -> str:
    return ""


_TAKES: Mapping[str, Callable[[Any], str]] = {
    "$type": _text,
    "$where": _map,
    "$repr": _text,
    "$str": _text,
    "$regex": _regex,
    "$approx": _number,
    "$value": _anything,
}
"""The words, and what says why a value does not fit one."""


def _unknown(key: Any, path: Path) -> MatcherFlaw:
    if not str(key).startswith("$"):
        hint = "put keys of the item under $where; $value takes a map as it is"
        return MatcherFlaw(path, f"{show(key)} stands beside words with a $", hint)
    hint = did_you_mean(str(key), _TAKES) or f"the words are {listed(_TAKES, last='and')}"
    return MatcherFlaw(path, f"there is no word {key}", hint)


def flaws_of(value: Any, path: Path) -> Iterator[MatcherFlaw]:
    """Yield what is wrong with the `$` words in an expected value that stands at `path`."""
    if isinstance(value, Mapping):
        words = is_matcher(value)
        for key, inner in value.items():
            here = (*path, key)
            if words and key not in _TAKES:
                yield _unknown(key, here)
            elif words and (wrong := _TAKES[str(key)](inner)):
                yield MatcherFlaw(here, f"{key}: {wrong}", "")
            elif key != "$value":
                yield from flaws_of(inner, here)
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(value):
            yield from flaws_of(inner, (*path, index))
