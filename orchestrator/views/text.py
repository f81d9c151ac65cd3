"""Small pieces of text that all views share: escaping, durations, colours."""

from __future__ import annotations

import enum

from orchestrator.escaping import coloured, escaped, uncoloured

__all__ = [
    "Style",
    "cells_of",
    "duration",
    "escaped",
    "in_one_line",
    "last_line",
    "number",
    "paint",
    "screen_line",
    "short_time",
    "shortened",
]

_TRACEBACK = "Traceback (most recent call last):"
_HEAD, _TAIL = 300, 100
"""Characters that stay of a long text; where something was is at its end."""


class Style(enum.Enum):
    """The few colours the views use, as SGR parameters."""

    BOLD = "1"
    DIM = "2"
    RED = "31"
    GREEN = "32"
    YELLOW = "33"
    BLUE = "34"
    MAGENTA = "35"
    CYAN = "36"


def paint(text: str, style: Style | None, *, colour: bool) -> str:
    """Return `text` in `style`, or as it is without colours."""
    return f"\x1b[{style.value}m{text}\x1b[0m" if colour and style and text else text


def screen_line(text: str, *, colour: bool = False) -> str:
    """Return one line of a program's output as a terminal would leave it, made harmless.

    Of a line that returns the carriage (progress bars do), the last version stays. Its own colours
    stay with `colour`, else they go.
    """
    line = text.rstrip("\r\n").rpartition("\r")[2]
    return coloured(line) if colour else escaped(uncoloured(line))


def in_one_line(text: str) -> str:
    """Return the first and the last line of `text`: what it is about, and what was said at last.

    A program tells the reason of its end in the last line; that of a traceback says nothing else.
    """
    lines = [line for line in text.splitlines() if line.strip()]
    if len(lines) < 2:
        return "".join(lines)
    first, last = lines[0].strip().removesuffix(_TRACEBACK).rstrip(), lines[-1].strip()
    return f"{first} … {last}" if first else last


def last_line(text: str) -> str:
    """Return the last line of `text` that is not empty; empty if there is none."""
    return next((line for line in reversed(text.splitlines()) if line.strip()), "")


def shortened(text: str) -> str:
    """Return `text` as one line, without its middle if that is longer than anybody reads."""
    text = in_one_line(text)
    if len(text) <= _HEAD + _TAIL:
        return text
    left_out = number(len(text) - _HEAD - _TAIL)
    return f"{text[:_HEAD]} … {left_out} characters more, see the log … {text[-_TAIL:]}"


def duration(seconds: float) -> str:
    """Return `seconds` for people: 0.24 s, 12.3 s, 10 s, 4 min 05 s, 2 h."""
    if seconds < 9.995:
        return f"{seconds:.2f}".removesuffix(".00") + " s"
    if seconds < 59.95:
        return f"{seconds:.1f}".removesuffix(".0") + " s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02} s".removesuffix(" 00 s")
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min".removesuffix(" 00 min")


def cells_of(text: str) -> int:
    """Return how many columns of a terminal `text` takes: a wide character has two."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len  # noqa: PLC0415 -- hardly ever needed

    return cell_len(text)


def number(n: int) -> str:
    """Return `n` with its thousands marked off."""
    return f"{n:,}"


def short_time(seconds: float | None) -> str:
    """Return a time in at most five characters; of None nothing."""
    if seconds is None:
        return ""
    if seconds < 5e-8:
        return "0"
    for below, unit, factor in ((1e-3, "us", 1e6), (1.0, "ms", 1e3), (100.0, "s", 1.0)):
        if seconds < below * 0.9995:
            value = seconds * factor
            return f"{value:.1f}{unit}" if value < 9.95 else f"{value:.0f}{unit}"
    return f"{seconds / 60:.0f}min" if seconds < 6000 else f"{seconds / 3600:.0f}h"
