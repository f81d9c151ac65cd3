"""Tables as text; and the paper that a stream is: its width and its colours."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TextIO

from orchestrator.views.text import Style, cells_of, escaped, paint

__all__ = ["Column", "Paper", "colours", "is_dumb", "table", "width_of"]

_UNLIMITED = 10_000


@dataclass(frozen=True, kw_only=True)
class Paper:
    """What a text is laid out for: `width` in character cells, and whether it has colours."""

    width: int = 80
    colour: bool = False

    @classmethod
    def of(cls, stream: TextIO | None) -> Paper:
        """Return what a stream of this process has room for, and shows."""
        return cls(width=width_of(stream), colour=colours(stream, os.environ))


def is_dumb(environ: Mapping[str, str]) -> bool:
    """Return whether no colours are wanted at all: NO_COLOR, or a dumb terminal."""
    return bool(environ.get("NO_COLOR")) or environ.get("TERM") == "dumb"


def colours(stream: TextIO | None, environ: Mapping[str, str]) -> bool:
    """Return whether to use colours on `stream`: a terminal, not a dumb one, and no NO_COLOR."""
    return not is_dumb(environ) and stream is not None and stream.isatty()


def width_of(stream: TextIO | None) -> int:
    """Return the width of the terminal behind `stream`; without one, lines are never folded."""
    if stream is None:
        return _UNLIMITED
    try:
        return os.get_terminal_size(stream.fileno()).columns or 80
    except (OSError, ValueError):
        return _UNLIMITED


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column; `right` aligns numbers. Where room is short the highest `rank` goes first."""

    title: str
    right: bool = False
    rank: int = 0


def table(
    columns: Sequence[Column], rows: Iterable[Sequence[str]], paper: Paper, *, indent: int = 0
) -> str:
    """Return the rows below the titles of their columns; the last line ends with a newline.

    What is in a cell is made harmless to a terminal. A cell that begins with the name of a status
    is painted. Columns that say nothing in any row, or that the paper has no room for, are left
    out.
    """
    rows = [tuple(map(escaped, row)) for row in rows]
    used = _fitting(columns, rows, paper.width - indent)
    if not used:
        return "\n"
    widths = _widths(columns, rows, used, paper.width - indent)
    lines = [[_cell(columns[i].title, columns[i], widths[i], Style.DIM, paper) for i in used]]
    for row in rows:
        styles = [_STYLES.get(row[i].split(" ")[0]) for i in used]
        lines.append(
            [
                _cell(row[i], columns[i], widths[i], style, paper)
                for i, style in zip(used, styles, strict=True)
            ]
        )
    margin, gap = " " * indent, " " * _GAP
    return "".join(f"{f'{margin}{gap.join(line)}'.rstrip()}\n" for line in lines)


def _cell(text: str, column: Column, width: int, style: Style | None, paper: Paper) -> str:
    """Return a cell as wide as its column, its text in `style` and cut off where it has no room."""
    if cells_of(text) > width:
        while text and cells_of(text) >= width:
            text = text[:-1]
        text += "…"
    pad = " " * (width - cells_of(text))
    text = paint(text, style, colour=paper.colour)
    return pad + text if column.right else text + pad


def _fitting(columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int) -> list[int]:
    """Return the indices of the columns that say something and fit `width` together."""
    used = [i for i in range(len(columns)) if any(row[i] for row in rows)]
    cells = {i: _longest(columns[i], rows, i) for i in used}
    while sum(cells[i] + _GAP for i in used) - _GAP > width:
        last = max(used, key=lambda i: columns[i].rank)
        if not columns[last].rank:
            break
        used.remove(last)
    return used


def _widths(
    columns: Sequence[Column], rows: Sequence[Sequence[str]], used: Sequence[int], width: int
) -> dict[int, int]:
    """Return the width of each column; the widest give way where there is no room for all."""
    widths = {i: _longest(columns[i], rows, i) for i in used}
    while sum(widths.values()) + _GAP * (len(used) - 1) > width:
        widest = max(used, key=lambda i: widths[i])
        if widths[widest] <= 1:
            break
        widths[widest] -= 1
    return widths


def _longest(column: Column, rows: Sequence[Sequence[str]], i: int) -> int:
    return max(cells_of(text) for text in (column.title, *(row[i] for row in rows)))


_GAP = 2
_STYLES = {
    "succeeded": Style.GREEN,
    "running": Style.CYAN,
    "failed": Style.RED,
    "timed_out": Style.RED,
    "killed": Style.RED,
    "died": Style.RED,
    "interrupted": Style.YELLOW,
    "terminated": Style.YELLOW,
    "skipped": Style.DIM,
}
