"""The run and the letters that `[RUN] [N]...` names."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

import msgspec

from orchestrator.console.printing import tell
from orchestrator.errors import RunNotFoundError, UsageError
from orchestrator.runlog.directory import RunDirectory
from orchestrator.runlog.find import LAST, argument_for, find_home, list_runs, resolve
from orchestrator.runlog.letters import Chunks, Letter, damaged_letters, read_letters
from orchestrator.runlog.replays import damaged_notes, read_replayed, replayed_run

__all__ = ["Choice", "choose"]

_NUMBERS = re.compile(r"([0-9]{1,4000})(?:-([0-9]{1,4000}))?")  # int() takes some more
_MEANT_NUMBERS = re.compile(r"[0-9,-]+")  # ids of runs have a T before the first dash
_RUNS_SEARCHED = 20
_RUNS_NAMED = 3


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """A run, all its letters, and those of them that were named; `replayed` has runs by letter.

    `damaged` says which lines about them cannot be read; `chunks` tells whether an item is whole.
    """

    run: RunDirectory
    run_name: str
    letters: tuple[Letter, ...]
    named: tuple[Letter, ...]
    replayed: dict[int, tuple[str, ...]]
    damaged: tuple[str, ...]
    chunks: Chunks

    @property
    def unreplayed(self) -> tuple[Letter, ...]:
        """Those that were not fed back."""
        return tuple(each for each in self.letters if not self.replayed[each.letter])

    def damages(self, letters: Sequence[Letter]) -> list[str]:
        """Say what is damaged of the lists, and of the items of these letters."""
        found = ((letter, self.chunks.damage(letter)) for letter in letters)
        return [
            *self.damaged,
            *(f"letter {letter.letter}: {damage}" for letter, damage in found if damage),
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

    def require(self) -> None:
        """Raise UsageError if the run has no letters, or none that can be read."""
        if not self.letters and self.damaged:
            raise UsageError("; ".join(self.damaged))
        if not self.letters:
            hint = self.command_elsewhere() or "`mporch runs` lists the runs"
            raise UsageError(self.missing(), hint=hint)


def choose(arguments: Sequence[str]) -> Choice:
    """Return what the arguments mean. Raises RunNotFoundError, UsageError for a wrong number."""
    numbers = list(arguments)
    name = LAST
    if numbers and not _NUMBERS.fullmatch(numbers[0]):
        name = numbers.pop(0)
    run = _resolve(name)
    letters = {letter.letter: letter for letter in read_letters(run.path)}
    choice = Choice(
        run=run,
        run_name=name,
        letters=tuple(letters.values()),
        named=(),
        replayed=read_replayed(run.path, letters),
        damaged=(*damaged_letters(run.path), *damaged_notes(run.path)),
        chunks=Chunks(run.path),
    )
    if not numbers:
        return choice
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
    return msgspec.structs.replace(choice, named=tuple(letters[n] for n in dict.fromkeys(wanted)))


def _resolve(name: str) -> RunDirectory:
    try:
        return resolve(find_home(Path.cwd(), os.environ), name)
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
