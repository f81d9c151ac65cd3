"""Makes text harmless that may hold anything."""

from __future__ import annotations

import re

__all__ = ["coloured", "escaped", "uncoloured"]

_SGR = re.compile(r"(\x1b\[[0-9;:]*m)")
_RESET = "\x1b[0m"

_HARMLESS = frozenset("\t\u00a0\u200d\ufe0e\ufe0f")


def escaped(text: str) -> str:
    """Return `text` with all that could act on a terminal as visible escapes.

    Control bytes, ANSI sequences, line separators, bidirectional marks, lone surrogates; tabs and
    what emoji are joined with stay.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in _HARMLESS else _escape(c) for c in text)


def coloured(text: str) -> str:
    """The same, but for colours and the like (SGR), which end with the text."""
    if "\x1b[" not in text:
        return escaped(text)
    pieces = _SGR.split(text)
    if len(pieces) == 1:
        return escaped(text)
    pieces[::2] = map(escaped, pieces[::2])
    return "".join(pieces) + _RESET


def uncoloured(text: str) -> str:
    """Return `text` without colours and the like (SGR); all else stays as it is."""
    return _SGR.sub("", text) if "\x1b[" in text else text


def _escape(char: str) -> str:
    return char.encode("unicode_escape", "surrogatepass").decode("ascii")
