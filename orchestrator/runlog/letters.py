"""Dead letters: items that were taken out of a run, kept in its directory under `dead/`.

`letters.jsonl` has a line a letter, `chunk-<n>.pickle` the items as their producer sent them, which
mporch itself never unpickles. Letters of the same chunk share its file. Each line has a checksum of
itself and one of its chunk; letters of older versions have neither, and are read all the same.

`replayed.jsonl` has the replays of the letters, and the run of each. A line for each replay is
written before its first item is emitted, so that no crash makes a letter look untouched; a line
that takes it back follows when the new run has worked on none of them.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import time
import zlib
from collections.abc import Collection, Iterator, Sequence, Set
from pathlib import Path
from typing import Annotated

import msgspec

from orchestrator.core.protocol.events import Blob, whole
from orchestrator.core.protocol.notifications import ItemDead, ItemKept
from orchestrator.errors import RunDirectoryError
from orchestrator.files import is_file, is_folder, open_directory, open_new, open_regular
from orchestrator.plan.model import Plan, Target
from orchestrator.runlog.directory import RunDirectory
from orchestrator.runlog.jsonl import SealedLine, read_records, sealed_line, write_whole

__all__ = [
    "DEAD_NAME",
    "DROPPED",
    "SOURCE",
    "Chunks",
    "DeadLetters",
    "Letter",
    "ReplayLock",
    "Replayed",
    "damaged_letters",
    "damaged_notes",
    "note_dropped",
    "note_replayed",
    "read_letters",
    "read_replayed",
    "replayed_run",
]


DEAD_NAME = "dead"
_LETTERS_NAME = "letters.jsonl"
_DRAFT_NAME = "letters.draft"
_CHUNK_NAME = r"^chunk-([0-9]{6,})\.pickle$"
_ANY_CHUNK_NAME = r"^(?:chunk|kept)-([0-9]{6,})\.pickle$"
_WORKER_NAME = "-[0-9]{1,9}$"
_PIECE_BYTES = 1 << 20
_END_OF_TIME = 253402300800
"""The year 10000, which no date knows: in a letter without a checksum a digit may have changed."""


class Letter(msgspec.Struct, frozen=True, kw_only=True):
    """One dead letter; `ts` is Unix time in seconds, `letter` counts those of the run from 1.

    `error_type`, `error`, `where` and `traceback` tell the failure of its last attempt. It is
    called `item_name`, if that is known. It is the
    item at `index` of the list that the file `chunk` pickles: the item itself, or, if `packed`, its
    pickle, or it is in a block of that list. `chunk_crc32` is the checksum of that file, None in a
    letter of an older version. A keepsake (`keepsakes`) has no number: it is 0.
    """

    letter: int
    ts: Annotated[float, msgspec.Meta(ge=0, lt=_END_OF_TIME)]
    job: str
    worker: Annotated[str, msgspec.Meta(pattern=_WORKER_NAME)]
    item: str
    queue: str
    attempts: int
    error_type: str
    error: str
    where: str
    traceback: str
    chunk: Annotated[str, msgspec.Meta(pattern=_ANY_CHUNK_NAME)]
    index: int
    packed: bool
    chunk_crc32: int | None = None
    item_name: str = ""

    @classmethod
    def of(
        cls, item: ItemDead | ItemKept, ts: float, *, letter: int, chunk: str, chunk_crc32: int
    ) -> Letter:
        """Return the letter of an item that is kept in the file `chunk`."""
        failure = item.failure
        return cls(
            letter=letter,
            ts=ts,
            job=item.job,
            worker=item.worker,
            item=item.item,
            queue=item.queue,
            attempts=item.attempts,
            error_type=failure.kind,
            error=failure.message,
            where=failure.where,
            traceback=failure.traceback,
            chunk=chunk,
            index=item.index,
            packed=item.packed,
            chunk_crc32=chunk_crc32,
            item_name=failure.item_name,
        )

    @property
    def called(self) -> str:
        """Return what it is called in a message."""
        return f"letter {self.letter}" if self.letter else f"keepsake {self.item}"


class DeadLetters:
    """Writes the letters of one run; its directory is made with the first.

    Of a run that is `resumed`, those stay whose items it names; the others were never heard of.
    """

    def __init__(
        self, directory: Path, *, resumed: Set[str] = frozenset(), synced: bool = False
    ) -> None:
        """Open the letters; `synced`: each is to survive a loss of power.

        Of those that are `resumed`, `missing` are not there any more. Raises RunDirectoryError.
        """
        self.missing: Set[str] = resumed
        self._path = directory / DEAD_NAME
        self._synced = synced
        self._fd = -1
        self._here = -1
        self._open = contextlib.ExitStack()
        self._count = 0
        self._chunk: Blob = b""
        self._chunk_crc32 = 0
        self._has_chunk = False
        self._chunks = 0
        if is_folder(self._path):
            self._resume(directory, resumed)

    def _resume(self, directory: Path, items: Set[str]) -> None:
        found = list(read_letters(directory))
        kept = {
            letter.item: letter
            for letter in found
            if letter.item in items and is_file(self._path / letter.chunk)
        }
        self.missing = items - kept.keys()
        try:
            here = self._open.enter_context(open_directory(self._path))
            with contextlib.suppress(FileNotFoundError):
                os.unlink(_DRAFT_NAME, dir_fd=here)
            with os.fdopen(open_new(_DRAFT_NAME, dir_fd=here), "wb") as file:
                file.writelines(map(sealed_line, kept.values()))
                file.flush()
                if self._synced:
                    os.fsync(file.fileno())
            os.replace(_DRAFT_NAME, _LETTERS_NAME, src_dir_fd=here, dst_dir_fd=here)
            self._begin(here)
        except OSError as error:
            raise RunDirectoryError.of(self._path, error) from error
        # The highest numbers there were, not how many: some may have been lost, and notes of
        # replays name the numbers of letters that are not kept.
        self._count = max((letter.letter for letter in found), default=0)
        names = (re.match(_CHUNK_NAME, path.name) for path in self._path.iterdir())
        self._chunks = max((int(name[1]) for name in names if name), default=0)

    def add(self, dead: ItemDead, ts: float) -> None:
        """Keep one letter, written when this returns.

        Raises RunDirectoryError; after DiskFullError it can be called again with the same letter.
        """
        try:
            if self._fd < 0:
                self._path.mkdir(mode=0o700, exist_ok=True)
                self._begin(self._open.enter_context(open_directory(self._path)))
            self._keep(whole(dead.chunk))
            letter = Letter.of(
                dead,
                ts,
                letter=self._count + 1,
                chunk=_chunk_name(self._chunks),
                chunk_crc32=self._chunk_crc32,
            )
            write_whole(self._fd, sealed_line(letter), synced=self._synced)
            self._count += 1
        except OSError as error:
            raise RunDirectoryError.of(self._path, error) from error

    def _begin(self, here: int) -> None:
        """Open the list of letters, and know its directory by a descriptor from now on."""
        self._here = here
        self._fd = open_regular(_LETTERS_NAME, os.O_WRONLY | os.O_CREAT | os.O_APPEND, dir_fd=here)
        self._open.callback(os.close, self._fd)

    def close(self) -> None:
        """Close the file."""
        self._open.close()
        self._fd = -1

    def _keep(self, chunk: Blob) -> None:
        """Write a chunk, unless it is the last letter's."""
        if self._has_chunk and chunk is self._chunk:
            return
        name = _chunk_name(self._chunks + 1)
        fd = open_new(name, dir_fd=self._here)
        try:
            write_whole(fd, chunk, synced=self._synced)
        except OSError:
            os.unlink(name, dir_fd=self._here)
            raise
        finally:
            os.close(fd)
        self._chunk, self._chunk_crc32 = chunk, zlib.crc32(chunk)
        self._has_chunk = True
        self._chunks += 1


class Chunks:
    """The files of a run's letters: each is read once, to tell whether it is as it was written."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / DEAD_NAME
        self._found: dict[str, int | str] = {}

    def damage(self, letter: Letter) -> str:
        """Say what has become of the letter's item; nothing if that is whole, or cannot be known.

        The latter holds for letters of older versions, which have no checksum.
        """
        if letter.chunk not in self._found:
            self._found[letter.chunk] = self._checksum(self._path / letter.chunk)
        found = self._found[letter.chunk]
        if isinstance(found, str):
            return found
        if letter.chunk_crc32 in (None, found):
            return ""
        return f"{self._path / letter.chunk} is damaged: it is not what was written (its checksum)"

    @staticmethod
    def _checksum(path: Path) -> int | str:
        """Return the checksum of a file, or why it cannot be read."""
        checksum = 0
        try:
            with os.fdopen(open_regular(path, os.O_RDONLY), "rb") as file:
                while piece := file.read(_PIECE_BYTES):
                    checksum = zlib.crc32(piece, checksum)
        except FileNotFoundError:
            return f"its item is gone: there is no {path}"
        except OSError as error:
            return f"{path} cannot be read: {error.strerror}"
        return checksum


def read_letters(directory: Path) -> Iterator[Letter]:
    """The letters of a run, in the order in which they were written.

    A line that a crash has torn, that is damaged, or that names no chunk of this run, is left out.
    Raises RunDirectoryError if the file cannot be read.
    """
    for _, letter in _lines(directory):
        if letter is not None:
            yield letter


def damaged_letters(directory: Path) -> list[str]:
    """Say which lines of the letters' list are damaged, and of which letters they were.

    Raises RunDirectoryError if the file cannot be read.
    """
    path = directory / DEAD_NAME / _LETTERS_NAME
    found: list[str] = []
    damaged: list[SealedLine] = []
    before = 0
    for line, letter in _lines(directory):
        if letter is None:
            damaged.append(line)
            continue
        if damaged:
            found.append(_told(path, damaged, before + 1, letter.letter - 1))
        damaged, before = [], letter.letter
    if damaged:
        found.append(_told(path, damaged, before + 1, before + len(damaged)))
    return found


def _told(path: Path, lines: list[SealedLine], first: int, last: int) -> str:
    which = f"line {lines[0].number}"
    if len(lines) > 1:
        which = f"lines {lines[0].number} to {lines[-1].number}"
    whose = f"letter {first}" if first >= last else f"letters {first} to {last}"
    return f"{path} is damaged: {which} ({whose})"


def _lines(directory: Path) -> Iterator[tuple[SealedLine, Letter | None]]:
    """Each line of the list with its letter, None if it is damaged. A torn end is no line."""
    for line, letter in read_records(directory / DEAD_NAME / _LETTERS_NAME, Letter):
        # Whatever was torn was at the end: a run that goes on writes the list anew.
        if letter is not None or line.damaged or line.ended:
            yield line, letter


def _chunk_name(number: int) -> str:
    return f"chunk-{number:06d}.pickle"


SOURCE = Target(module="orchestrator.features.deadletters.replay_source", qualname="letters")
"""What a replay's plan has in the place of all that is upstream of the letters' queues."""

_REPLAYED_NAME = "replayed.jsonl"
_APPEND = os.O_WRONLY | os.O_CREAT | os.O_APPEND


DROPPED = "(dropped)"
"""In the place of a run that letters went into: nobody will replay them (`mporch dead drop`)."""


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
    path = directory / DEAD_NAME / _REPLAYED_NAME
    try:
        with (
            open_directory(path.parent) as here,
            os.fdopen(open_regular(path.name, _APPEND, dir_fd=here), "wb") as file,
        ):
            file.write(b"\n" + sealed_line(note))  # what was torn before stays on its own line
    except OSError as error:
        raise RunDirectoryError(f"cannot write {path}: {error.strerror}") from error


def note_dropped(directory: Path, letters: Sequence[int]) -> None:
    """Note that nobody will replay these letters of a run; waits for a replay that looks at them.

    Raises RunDirectoryError.
    """
    if letters:
        with ReplayLock.held(directory):
            note_replayed(directory, Replayed(letters=tuple(letters), run=DROPPED, ts=time.time()))


def read_replayed(directory: Path, letters: Collection[int]) -> dict[int, tuple[str, ...]]:
    """For each of the letters, the runs it went into, in their order.

    A line that is damaged, or that a crash has torn, is left out. Raises RunDirectoryError if there
    are notes that cannot be read.
    """
    runs: dict[int, dict[str, None]] = {letter: {} for letter in letters}
    for _, note in _notes(directory / DEAD_NAME / _REPLAYED_NAME):
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
    path = directory / DEAD_NAME / _REPLAYED_NAME
    return [
        f"{path} is damaged: line {line.number} (which letters were replayed)"
        for line, note in _notes(path)
        if note is None
    ]


def _notes(path: Path) -> Iterator[tuple[SealedLine, Replayed | None]]:
    """Each line with its note, None if it is damaged; one that was torn is none."""
    for line, note in read_records(path, Replayed):
        if note is not None or line.damaged:
            yield line, note
