"""Replays of dead letters, and the run of each: `dead/replayed.jsonl` of the old run.

A line for each replay is written before its first item is emitted, so that no crash makes a letter
look untouched; a line that takes it back follows when the new run has worked on none of them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection
from pathlib import Path

import msgspec

from orchestrator.errors import RunDirectoryError
from orchestrator.files import open_directory, open_regular
from orchestrator.runlog.letters import DEAD_NAME

__all__ = ["Replayed", "note_replayed", "read_replayed"]

_NAME = "replayed.jsonl"
_APPEND = os.O_WRONLY | os.O_CREAT | os.O_APPEND


class Replayed(msgspec.Struct, frozen=True, kw_only=True):
    """These `letters` went into `run` at `ts`, Unix time in seconds; or did not, if `undone`."""

    letters: tuple[int, ...]
    run: str
    ts: float
    undone: bool = False


def note_replayed(directory: Path, note: Replayed) -> None:
    """Add a note to those of the run in `directory`. Raises RunDirectoryError."""
    path = directory / DEAD_NAME / _NAME
    line = json.dumps(msgspec.to_builtins(note)).encode("ascii")
    try:
        with (
            open_directory(path.parent) as here,
            os.fdopen(open_regular(path.name, _APPEND, dir_fd=here), "wb") as file,
        ):
            file.write(
                b"\n" + line + b"\n"
            )  # what a crash has torn before it stays on its own line
    except OSError as error:
        raise RunDirectoryError(f"cannot write {path}: {error.strerror}") from error


def read_replayed(directory: Path, letters: Collection[int]) -> dict[int, tuple[str, ...]]:
    """For each of the letters, the runs it went into, in their order.

    A line that a crash has torn is left out. Raises RunDirectoryError if there are notes that
    cannot be read.
    """
    runs: dict[int, dict[str, None]] = {letter: {} for letter in letters}
    for note in _notes(directory / DEAD_NAME / _NAME):
        for letter in note.letters:
            if note.undone:
                runs.get(letter, {}).pop(note.run, None)
            elif letter in runs:
                runs[letter][note.run] = None
    return {letter: tuple(found) for letter, found in runs.items()}


def _notes(path: Path) -> list[Replayed]:
    try:
        with os.fdopen(open_regular(path, os.O_RDONLY), "rb") as file:
            lines = file.read().splitlines()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise RunDirectoryError(f"cannot read {path}: {error.strerror}") from error
    notes = []
    for line in lines:
        try:
            notes.append(msgspec.convert(json.loads(line), Replayed))
        except ValueError:  # a torn line; or an empty one, which keeps torn ones apart
            continue
    return notes
