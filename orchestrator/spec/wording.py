"""Wording of values and names in messages, guesses at what was meant, and errors with a hint."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any

__all__ = ["Guesses", "HintedError", "did_you_mean", "kind", "listed", "shortened", "show"]

_LONGEST = 60
_MOST_CANDIDATES = 1_000
_MOST_COMPARED = 10_000
_AS_GOOD = 0.1


class HintedError(ValueError):
    """A value that cannot be what it stands for; `hint` says how to write it."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


def show(value: object) -> str:
    """Return `value` as a message quotes it: text in double quotes, never longer than a line."""
    if isinstance(value, str):
        return f'"{shortened(value)}"'
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    return shortened(str(value))


def shortened(text: str) -> str:
    """Return `text` never longer than a line takes."""
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def kind(value: Any) -> str:
    """Return what a YAML value is, in the words of someone who writes YAML."""
    match value:
        case None:
            return "nothing"
        case bool():
            return f"the truth value {show(value)}"
        case int() | float():
            return f"the number {show(value)}"
        case str():
            return f"the text {show(value)}"
        case Mapping():
            return "a mapping"
        case _:
            return "a list"


def listed(names: Iterable[str], *, last: str = "or") -> str:
    """Return names as `a, b or c`."""
    *head, tail = names
    return f"{', '.join(head)} {last} {tail}" if head else tail


class Guesses:
    """Looks for what a word was meant to be among `known`, until it has compared enough names.

    `cutoff` is how like the word they must be, from 0 to 1. A spec with thousands of wrong names
    gets hints for the first of them only, and within a second.
    """

    def __init__(self, known: Iterable[str], *, cutoff: float = 0.6) -> None:
        self._known = dict.fromkeys(known)
        self._folded = {name.casefold(): name for name in reversed(self._known)}
        self._cutoff = cutoff
        self._left = _MOST_COMPARED

    def __contains__(self, word: str) -> bool:
        return word in self._known

    def hint(self, word: str) -> str:
        """Return the hint `did you mean x?` for the nearest name, or an empty string."""
        near = self.near(word)
        return f"did you mean {listed(near)}?" if near else ""

    def near(self, word: str) -> list[str]:
        """Return the nearest name, or the nearest two if one is as good as the other."""
        if same := self._folded.get(word.casefold()):
            return [same]
        if len(word) > _LONGEST:
            return []
        candidates = list(islice(self._known, min(self._left, _MOST_CANDIDATES)))
        self._left -= len(candidates)
        near = difflib.get_close_matches(word, candidates, n=2, cutoff=self._cutoff)
        if len(near) > 1 and _likeness(near[0], word) - _likeness(near[1], word) > _AS_GOOD:
            del near[1]
        return near


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return the hint `did you mean x?` for the nearest of `known`, or an empty string."""
    return Guesses(known).hint(word)


def _likeness(candidate: str, word: str) -> float:
    return difflib.SequenceMatcher(None, candidate, word).ratio()
