"""Tables, by rich, as text."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

__all__ = ["Column", "Paper", "table"]


@dataclass(frozen=True, kw_only=True)
class Paper:
    """What a text is laid out for: `width` in character cells, and whether it has colours."""

    width: int = 80
    colour: bool = False


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column: `right` aligns numbers, `fold` breaks long texts instead of cutting them."""

    title: str
    right: bool = False
    fold: bool = False


def table(
    columns: Sequence[Column], rows: Iterable[Sequence[str]], paper: Paper, *, indent: int = 0
) -> str:
    """Return the rows below the titles of their columns; the last line ends with a newline.

    A cell may begin with the name of a status, which is painted. Columns in which no row says
    anything are left out.
    """
    from rich.console import Console  # noqa: PLC0415 -- rich takes long to import
    from rich.padding import Padding  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    rows = [tuple(row) for row in rows]
    used = [i for i in range(len(columns)) if any(row[i] for row in rows)]
    grid = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for i in used:
        column = columns[i]
        grid.add_column(
            column.title,
            justify="right" if column.right else "left",
            no_wrap=not column.fold,
            overflow="fold" if column.fold else "ellipsis",
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
