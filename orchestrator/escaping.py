"""Makes text harmless that may hold anything."""

from __future__ import annotations

__all__ = ["escaped"]

_HARMLESS = frozenset("\t\u00a0\u200d\ufe0e\ufe0f")


def escaped(text: str) -> str:
    """Return `text` with all that could act on a terminal as visible escapes.

    Control bytes, ANSI sequences, line separators, bidirectional marks, lone surrogates; tabs and
    what emoji are joined with stay.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in _HARMLESS else _escape(c) for c in text)


def _escape(char: str) -> str:
    return char.encode("unicode_escape", "surrogatepass").decode("ascii")
