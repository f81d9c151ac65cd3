"""Replays of dead letters, and the run of each: `dead/replayed.jsonl` of the old run.

A line for each replay is written before its first item is emitted, so that no crash makes a letter
look untouched; a line that takes it back follows when the new run has worked on none of them.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Collection, Iterator
from pathlib import Path

import msgspec

from orchestrator.errors import RunDirectoryError
from orchestrator.files import open_directory, open_regular
from orchestrator.plan.model import Plan, Target
from orchestrator.runlog.directory import RunDirectory
from orchestrator.runlog.letters import DEAD_NAME
from orchestrator.runlog.sealed import SealedLine, read_sealed, sealed_line

__all__ = [
    "SOURCE",
    "ReplayLock",
    "Replayed",
    "damaged_notes",
    "note_replayed",
    "read_replayed",
    "replayed_run",
]

SOURCE = Target(module="orchestrator.features.deadletters.replay_source", qualname="letters")
"""What a replay's plan has in the place of all that is upstream of the letters' queues."""

_NAME = "replayed.jsonl"
_APPEND = os.O_WRONLY | os.O_CREAT | os.O_APPEND


class Replayed(msgspec.Struct, frozen=True, kw_only=True):
    """These `letters` went into `run` at `ts`, Unix time in seconds; or did not, if `undone`."""

    letters: tuple[int, ...]
    run: str
    ts: float
    undone: bool = False


class ReplayLock:
    """Held from when a replay has looked what was replayed before until it has noted its own.

    A process that is forked meanwhile may release it.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd

    @classmethod
    @contextlib.contextmanager
    def held(cls, directory: Path) -> Iterator[ReplayLock]:
        """Wait for the lock of the run in `directory`. Raises RunDirectoryError."""
        path = directory / DEAD_NAME
        with contextlib.ExitStack() as files:
            try:
                fd = files.enter_context(open_directory(path))
                fcntl.flock(fd, fcntl.LOCK_EX)
            except OSError as error:
                raise RunDirectoryError(f"cannot lock {path}: {error.strerror}") from error
            yield cls(fd)

    def release(self) -> None:
        """Let the next replay look."""
        fcntl.flock(self._fd, fcntl.LOCK_UN)


_OLD_MODULES = ("letters.source", "deadletters.replay_source")
_KNOWN_SOURCES = (
    SOURCE,
    *(Target(module=f"orchestrator.runtime.{old}", qualname="letters") for old in _OLD_MODULES),
)
"""That of plans, too, which an older mporch has kept: the module had other names then."""


def replayed_run(plan: Plan) -> RunDirectory | None:
    """Return the run whose letters a plan feeds back; None if it is no replay's."""
    for job in plan.jobs.values():
        if job.target in _KNOWN_SOURCES and job.args:
            path = Path(str(job.args[0])).parent
            return RunDirectory(run_id=path.name, path=path)
    return None


def note_replayed(directory: Path, note: Replayed) -> None:
    """Add a note to those of the run in `directory`. Raises RunDirectoryError."""
    path = directory / DEAD_NAME / _NAME
    try:
        with (
            open_directory(path.parent) as here,
            os.fdopen(open_regular(path.name, _APPEND, dir_fd=here), "wb") as file,
        ):
            file.write(b"\n" + sealed_line(note))  # what was torn before stays on its own line
    except OSError as error:
        raise RunDirectoryError(f"cannot write {path}: {error.strerror}") from error


def read_replayed(directory: Path, letters: Collection[int]) -> dict[int, tuple[str, ...]]:
    """For each of the letters, the runs it went into, in their order.

    A line that is damaged, or that a crash has torn, is left out. Raises RunDirectoryError if there
    are notes that cannot be read.
    """
    runs: dict[int, dict[str, None]] = {letter: {} for letter in letters}
    for _, note in _lines(directory / DEAD_NAME / _NAME):
        if note is None:
            continue
        for letter in note.letters:
            if note.undone:
                runs.get(letter, {}).pop(note.run, None)
            elif letter in runs:
                runs[letter][note.run] = None
    return {letter: tuple(found) for letter, found in runs.items()}


def damaged_notes(directory: Path) -> list[str]:
    """Say which notes are damaged. Raises RunDirectoryError if there are some, not to be read."""
    path = directory / DEAD_NAME / _NAME
    return [
        f"{path} is damaged: line {line.number} (which letters were replayed)"
        for line, note in _lines(path)
        if note is None
    ]


def _lines(path: Path) -> Iterator[tuple[SealedLine, Replayed | None]]:
    """Each line with its note, None if it is damaged; one that was torn is none."""
    try:
        fd = open_regular(path, os.O_RDONLY)
    except FileNotFoundError:
        return
    except OSError as error:
        raise RunDirectoryError(f"cannot read {path}: {error.strerror}") from error
    with os.fdopen(fd, "rb") as file:
        for line in read_sealed(file, Replayed.__struct_fields__):
            note = None
            if line.data is not None:
                with contextlib.suppress(ValueError):
                    note = msgspec.convert(line.data, Replayed)
            if note is not None or line.damaged:
                yield line, note
