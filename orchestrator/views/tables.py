"""Tables, by rich, as text; and the paper that a stream is: its width and its colours."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TextIO

from orchestrator.views.text import escaped

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
    from rich.console import Console  # noqa: PLC0415 -- rich takes long to import
    from rich.padding import Padding  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    rows = [tuple(map(escaped, row)) for row in rows]
    used = _fitting(columns, rows, paper.width - indent)
    grid = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="dim")
    for i in used:
        grid.add_column(
            columns[i].title, justify="right" if columns[i].right else "left", no_wrap=True
        )
    for row in rows:
        grid.add_row(*(Text(row[i], style=_STYLES.get(row[i].split(" ")[0], "")) for i in used))
    file = io.StringIO()
    console = Console(
        file=file,
        width=paper.width,
        force_terminal=paper.colour,
        color_system="standard" if paper.colour else None,
        highlight=False,
        legacy_windows=False,
    )
    console.print(Padding(grid, (0, 0, 0, indent)))
    return "".join(f"{line.rstrip()}\n" for line in file.getvalue().splitlines())


def _fitting(columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int) -> list[int]:
    """Return the indices of the columns that say something and fit `width` together."""
    from rich.cells import cell_len  # noqa: PLC0415

    used = [i for i in range(len(columns)) if any(row[i] for row in rows)]
    cells = {
        i: max(cell_len(text) for text in (columns[i].title, *(r[i] for r in rows))) for i in used
    }
    while sum(cells[i] + _GAP for i in used) - _GAP > width:
        last = max(used, key=lambda i: columns[i].rank)
        if not columns[last].rank:
            break
        used.remove(last)
    return used


_GAP = 2
_STYLES = {
    "succeeded": "green",
    "running": "cyan",
    "failed": "red",
    "timed_out": "red",
    "killed": "red",
    "died": "red",
    "interrupted": "yellow",
    "terminated": "yellow",
    "skipped": "dim",
}
