"""The run and the letters that `[RUN] [N]...` names, as text and as JSON."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from orchestrator import rfc3339
from orchestrator.console.printing import tell
from orchestrator.errors import RunNotFoundError, UsageError
from orchestrator.opening.opener import (
    ItemPlace,
    OpenedAs,
    OpenedItem,
    Opener,
    OpenRequest,
)
from orchestrator.runlog.directory import RunDirectory
from orchestrator.runlog.find import LAST, argument_for, list_runs, resolve_here
from orchestrator.runlog.keepsakes import read_keepsakes
from orchestrator.runlog.letters import (
    DEAD_NAME,
    DROPPED,
    Chunks,
    Letter,
    damaged_letters,
    damaged_notes,
    read_letters,
    read_replayed,
    replayed_run,
)
from orchestrator.views.tables import Column, Paper, table
from orchestrator.views.text import Style, escaped, last_line, paint

__all__ = [
    "Choice",
    "LetterView",
    "choose",
    "data_of",
    "open_item",
    "place_of",
    "render_letter",
    "render_letters",
    "tell_damages",
    "view_of",
]


_NUMBERS = re.compile(r"([0-9]{1,4000})(?:-([0-9]{1,4000}))?")  # int() takes some more
_ITEM = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]*:[0-9]{1,18}")
_MEANT_NUMBERS = re.compile(r"[0-9,-]+")  # ids of runs have a T before the first dash
_RUNS_SEARCHED = 20
_RUNS_NAMED = 3


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """A run, all its letters, and those of them that were named; `replayed` has runs by letter.

    Its `keepsakes` are items that have failed it; they may be among the named.
    `damaged` says which lines about them cannot be read; `chunks` tells whether an item is whole.
    """

    run: RunDirectory
    run_name: str
    letters: tuple[Letter, ...]
    named: tuple[Letter, ...]
    replayed: dict[int, tuple[str, ...]]
    damaged: tuple[str, ...]
    chunks: Chunks
    keepsakes: tuple[Letter, ...] = ()

    @property
    def unreplayed(self) -> tuple[Letter, ...]:
        """Those that were not fed back."""
        return tuple(each for each in self.letters if not self.replayed[each.letter])

    @property
    def undropped(self) -> tuple[Letter, ...]:
        """All but those that were dropped."""
        return tuple(each for each in self.letters if DROPPED not in self.replayed[each.letter])

    def damages(self, letters: Sequence[Letter]) -> list[str]:
        """Say what is damaged of the lists, and of the items of these letters."""
        found = ((letter, self.chunks.damage(letter)) for letter in letters)
        return [
            *self.damaged,
            *(f"{letter.called}: {damage}" for letter, damage in found if damage),
        ]

    def missing(self) -> str:
        """Say that there are none, and where some are."""
        text = f"run {self.run.run_id} has no dead letters"
        others = self._others()
        if not others:
            return text
        latest = others[0][0].run_id
        return f"{text}; {self.elsewhere() or f'the latest that has is {latest}, all replayed'}"

    def elsewhere(self) -> str:
        """Say which other runs have letters that were not replayed, the latest first."""
        waiting = [(run.run_id, n) for run, n in self._others() if n]
        named = [f"{n} of {run}" for run, n in waiting[:_RUNS_NAMED]]
        if more := len(waiting) - len(named):
            named.append(f"and those of {more} more")
        return f"not replayed yet in other runs: {', '.join(named)}" if named else ""

    def command_elsewhere(self) -> str:
        """Name the command that feeds back what is open in another run, if any has letters.

        That is the run of which this one is a replay, or else the latest.
        """
        others = self._others()
        if not others:
            return ""
        plan = self.run.read_plan()
        origin = replayed_run(plan) if plan is not None else None
        waiting = [run for run, n in others if n]
        runs = waiting or [run for run, _ in others]
        run = next((each for each in runs if origin and each.path == origin.path), runs[0])
        name = argument_for(run, Path.cwd(), os.environ)
        if waiting:
            return f"`mporch dead replay {name} --all` feeds back those of {run.run_id}"
        return f"`mporch dead replay {name} --all --again` feeds back those of {run.run_id} again"

    def _others(self) -> list[tuple[RunDirectory, int]]:
        """Return the latest other runs with letters: how many of each were not replayed."""
        found: list[tuple[RunDirectory, int]] = []
        for other in reversed(list_runs(self.run.path.parent.parent)):
            if other.path != self.run.path and (n := _unreplayed(other)) is not None:
                found.append((other, n))
            if len(found) == _RUNS_SEARCHED:
                break
        return found

    def require(self, *, keepsakes: bool = False) -> None:
        """Raise UsageError if the run has no letters, or none that can be read.

        It is enough that it has `keepsakes`, if these are wanted, too.
        """
        if keepsakes and self.keepsakes:
            return
        if kept := next((each for each in self.named if not each.letter), None):
            raise UsageError(
                f"{kept.item} is no dead letter: it has failed the run, and is left",
                hint="mend its cause and run the spec anew, or `mporch resume` a durable run",
            )
        if not self.letters and self.damaged:
            raise UsageError("; ".join(self.damaged))
        if not self.letters:
            hint = self.command_elsewhere() or "`mporch runs` lists the runs"
            raise UsageError(self.missing(), hint=hint)


def choose(arguments: Sequence[str]) -> Choice:
    """Return what the arguments mean. Raises RunNotFoundError, UsageError for a wrong number."""
    numbers = list(arguments)
    name = LAST
    if numbers and not (_NUMBERS.fullmatch(numbers[0]) or _ITEM.fullmatch(numbers[0])):
        name = numbers.pop(0)
    run = _resolve(name)
    letters = {letter.letter: letter for letter in read_letters(run.path)}
    choice = Choice(
        run=run,
        run_name=name,
        letters=tuple(letters.values()),
        named=(),
        replayed={0: (), **read_replayed(run.path, letters)},
        damaged=(*damaged_letters(run.path), *damaged_notes(run.path)),
        chunks=Chunks(run.path),
        keepsakes=read_keepsakes(run.path),
    )
    if not numbers:
        return choice
    items = [text for text in numbers if _ITEM.fullmatch(text)]
    numbers = [text for text in numbers if text not in items]
    by_item = [_by_item(choice, item) for item in items]
    if not numbers:
        return msgspec.structs.replace(choice, named=tuple(dict.fromkeys(by_item)))
    choice.require()
    wanted = [n for text in numbers for n in _parse(text, max(letters))]
    for beyond in (_beyond(text, max(letters)) for text in numbers):
        if beyond:
            tell(f"mporch: warning: run {run.run_id} has no letter {beyond}")
    for number in wanted:
        if number not in letters:
            hint = f"`mporch dead list {name}` lists its {len(letters)}"
            more = f"; {'; '.join(choice.damaged)}" if choice.damaged else ""
            raise UsageError(f"run {run.run_id} has no letter {number}{more}", hint=hint)
    named = dict.fromkeys([*(letters[n] for n in wanted), *by_item])
    return msgspec.structs.replace(choice, named=tuple(named))


def _by_item(choice: Choice, item: str) -> Letter:
    """Return the letter, or the keepsake, of an item by its id."""
    for letter in (*choice.letters, *choice.keepsakes):
        if letter.item == item:
            return letter
    hint = f"`mporch dead list {choice.run_name}` lists what is kept"
    raise UsageError(f"run {choice.run.run_id} has kept no item {item}", hint=hint)


def _resolve(name: str) -> RunDirectory:
    try:
        return resolve_here(name)
    except RunNotFoundError:
        if _MEANT_NUMBERS.fullmatch(name):
            raise _no_number(name) from None
        if name.casefold() == "all":
            hint = "`mporch dead replay --all` feeds all back, `mporch dead list` lists all"
            raise UsageError(f"there is no run {name!r}", hint=hint) from None
        raise


def _unreplayed(run: RunDirectory) -> int | None:
    """Return how many letters of the run were not replayed; None if it has none at all."""
    letters = [letter.letter for letter in read_letters(run.path)]
    if not letters:
        return None
    return sum(not runs for runs in read_replayed(run.path, letters).values())


def _parse(text: str, last: int) -> range:
    found = _NUMBERS.fullmatch(text)
    if found is None:
        raise _no_number(text)
    first, until = int(found[1]), int(found[2] or found[1])
    if until < first:
        raise UsageError(f"the range {text} ends before it begins", hint=f"write {until}-{first}")
    return range(first, max(first, min(until, last)) + 1)


def _beyond(text: str, last: int) -> str:
    """Return the numbers of a range that are above those of all letters, if it begins below."""
    found = _NUMBERS.fullmatch(text)
    if found is None or not found[2] or not int(found[1]) <= last < int(found[2]):
        return ""
    return f"{last + 1}-{found[2]}" if int(found[2]) > last + 1 else found[2]


def _no_number(text: str) -> UsageError:
    hint = "the run comes first, then numbers: mporch dead show last 3 5-8"
    return UsageError(f"{text!r} is not the number of a letter", hint=hint)


_MOST_TOLD = 20


def view_of(
    letter: Letter, replayed: Sequence[str], opened: OpenedItem | None = None
) -> LetterView:
    """Return the letter as views take it, with its item if that was opened."""
    return LetterView(
        letter=letter.letter,
        item=letter.item,
        name=letter.item_name,
        job=letter.job,
        worker=letter.worker,
        attempts=letter.attempts,
        time=rfc3339.second(letter.ts),
        error=f"{letter.error_type}: {letter.error}".removesuffix(": "),
        where=letter.where,
        traceback=letter.traceback,
        replayed=replayed,
        content=_content(opened) if opened else "",
    )


def _content(opened: OpenedItem) -> str:
    unreadable = opened.kind is OpenedAs.UNREADABLE
    return f"cannot be shown: {opened.text}" if unreadable else opened.text


def data_of(choice: Choice, letter: Letter, opened: OpenedItem | None = None) -> dict[str, Any]:
    """Return a letter as JSON has it.

    `item` is its id; `value`, if it was opened, the item itself.
    """
    data = {
        "run": choice.run.run_id,
        "letter": letter.letter or None,
        "ts": rfc3339.timestamp(letter.ts),
        "job": letter.job,
        "worker": letter.worker,
        "item": letter.item,
        "item_name": letter.item_name or None,
        "queue": letter.queue,
        "attempts": letter.attempts,
        "error_type": letter.error_type,
        "error": letter.error,
        "where": letter.where,
        "replayed": list(choice.replayed[letter.letter]),
        "damaged": choice.chunks.damage(letter) or None,
    }
    if opened is not None:
        is_json = opened.kind is OpenedAs.JSON
        data["traceback"] = letter.traceback
        data["item_is"] = opened.kind.value
        data["value"] = json.loads(opened.text) if is_json else opened.text
    return data


def open_item(
    choice: Choice, letter: Letter, opener: Opener, want: OpenRequest, *, limit: int = 2000
) -> OpenedItem:
    """Return what is wanted of a letter's item, or why it cannot be had: see `Opener.open`."""
    if damage := choice.chunks.damage(letter):
        return OpenedItem(kind=OpenedAs.UNREADABLE, text=damage)
    return opener.open(place_of(choice.run, letter), want, limit=limit)


def tell_damages(choice: Choice, letters: Sequence[Letter]) -> int:
    """Tell on standard error what is damaged; return the exit code: 1 if anything is."""
    found = choice.damages(letters)
    for damage in found[:_MOST_TOLD]:
        tell(f"mporch: {damage}")
    if len(found) > _MOST_TOLD:
        tell(f"mporch: and {len(found) - _MOST_TOLD} more are damaged")
    return 1 if found else 0


def place_of(run: RunDirectory, letter: Letter) -> ItemPlace:
    """Return where the letter's item is."""
    path = run.path / DEAD_NAME / letter.chunk
    return ItemPlace(path=path, index=letter.index, packed=letter.packed)


_COLUMNS = (
    Column(title="letter", right=True),
    Column(title="item"),
    Column(title="name", rank=1),
    Column(title="job", rank=2),
    Column(title="attempts", right=True, rank=4),
    Column(title="error"),
    Column(title="replayed in", rank=3),
)
_ERROR = 5
_MOST_NAME = 32
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
    name: str = ""
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
            _cut(escaped(letter.name), _MOST_NAME),
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
        ("item", f"{letter.item} {letter.name}".rstrip()),
        ("job", f"{letter.job} (worker {letter.worker}, {attempts})"),
        ("time", letter.time),
        ("error", letter.error),
        ("where", letter.where),
        ("replayed", ", ".join(letter.replayed)),
        ("content", letter.content),
    ]
    called = f"letter {letter.letter}" if letter.letter else "keepsake: it has failed the run"
    title = paint(called, Style.BOLD, colour=paper.colour)
    text = f"{title}\n"
    for name, value in rows:
        if value:
            first, *more = value.splitlines() or [""]
            label = paint(f"{name:<8}", Style.DIM, colour=paper.colour)
            text += f"  {label}  {escaped(first)}\n"
            text += "".join(f"  {'':8}  {escaped(line)}\n" for line in more)
    return text + "".join(f"    {escaped(line)}\n" for line in letter.traceback.splitlines())
