"""Dead letters: a table of them, and one with all that is known of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from orchestrator.views.tables import Column, Paper, table
from orchestrator.views.text import Style, escaped, last_line, paint

__all__ = ["LetterView", "render_letter", "render_letters"]

_COLUMNS = (
    Column(title="letter", right=True),
    Column(title="item"),
    Column(title="job", rank=1),
    Column(title="attempts", right=True, rank=3),
    Column(title="error"),
    Column(title="replayed in", rank=2),
)
_ERROR = 4
_LEAST_ERROR = 24
_MOST_ERROR = 200
_GAP = 2


@dataclass(frozen=True, kw_only=True)
class LetterView:
    """One dead letter; `time` is UTC. `content` is its item as text, or why there is none."""

    letter: int
    item: str
    job: str
    worker: str
    attempts: int
    time: str
    error: str
    where: str = ""
    traceback: str = ""
    replayed: Sequence[str] = field(default=())
    content: str = ""


def render_letters(letters: Sequence[LetterView], paper: Paper) -> str:
    """Return the letters as a table; errors are cut to the room there is."""
    rows = [
        [
            str(letter.letter),
            letter.item,
            letter.job,
            str(letter.attempts),
            escaped(last_line(letter.error)),
            ", ".join(letter.replayed),
        ]
        for letter in letters
    ]
    room = _room_for_errors(rows, paper)
    for row in rows:
        row[_ERROR] = _cut(row[_ERROR], room)
    return table(_COLUMNS, rows, paper)


def _room_for_errors(rows: Sequence[Sequence[str]], paper: Paper) -> int:
    """Return what the other columns leave, once those are left out that leave too little."""
    widths = {
        place: max(len(column.title), *(len(row[place]) for row in rows)) + _GAP
        for place, column in enumerate(_COLUMNS)
        if place != _ERROR and any(row[place] for row in rows)
    }
    while sum(widths.values()) + _LEAST_ERROR > paper.width:
        last = max(widths, key=lambda place: _COLUMNS[place].rank)
        if not _COLUMNS[last].rank:
            break
        del widths[last]
    return max(_LEAST_ERROR, min(_MOST_ERROR, paper.width - sum(widths.values())))


def _cut(text: str, room: int) -> str:
    return text if len(text) <= room else text[: room - 1] + "…"


def render_letter(letter: LetterView, paper: Paper) -> str:
    """Return all of one letter: who, when, why, and the item itself."""
    attempts = f"{letter.attempts} attempt{'' if letter.attempts == 1 else 's'}"
    rows = [
        ("item", letter.item),
        ("job", f"{letter.job} (worker {letter.worker}, {attempts})"),
        ("time", letter.time),
        ("error", letter.error),
        ("where", letter.where),
        ("replayed", ", ".join(letter.replayed)),
        ("content", letter.content),
    ]
    title = paint(f"letter {letter.letter}", Style.BOLD, colour=paper.colour)
    text = f"{title}\n"
    for name, value in rows:
        if value:
            first, *more = value.splitlines() or [""]
            label = paint(f"{name:<8}", Style.DIM, colour=paper.colour)
            text += f"  {label}  {escaped(first)}\n"
            text += "".join(f"  {'':8}  {escaped(line)}\n" for line in more)
    return text + "".join(f"    {escaped(line)}\n" for line in letter.traceback.splitlines())
