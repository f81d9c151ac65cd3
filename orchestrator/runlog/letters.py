"""Dead letters: items that were taken out of a run, kept in its directory under `dead/`.

`letters.jsonl` has a line a letter, `chunk-<n>.pickle` the items as their producer sent them, which
mporch itself never unpickles. Letters of the same chunk share its file. Each line has a checksum of
itself and one of its chunk; letters of older versions have neither, and are read all the same.
"""

from __future__ import annotations

import contextlib
import os
import re
import zlib
from collections.abc import Iterator, Set
from pathlib import Path
from typing import Annotated

import msgspec

from orchestrator.core.protocol.events import Blob
from orchestrator.core.protocol.notifications import ItemDead
from orchestrator.errors import RunDirectoryError
from orchestrator.files import is_file, is_folder, open_directory, open_new, open_regular
from orchestrator.runlog.sealed import SealedLine, read_sealed, sealed_line

__all__ = ["DEAD_NAME", "Chunks", "DeadLetters", "Letter", "damaged_letters", "read_letters"]

DEAD_NAME = "dead"
_LETTERS_NAME = "letters.jsonl"
_DRAFT_NAME = "letters.draft"
_CHUNK_NAME = r"^chunk-([0-9]{6,})\.pickle$"
_WORKER_NAME = "-[0-9]{1,9}$"
_PIECE_BYTES = 1 << 20
_END_OF_TIME = 253402300800
"""The year 10000, which no date knows: in a letter without a checksum a digit may have changed."""


class Letter(msgspec.Struct, frozen=True, kw_only=True):
    """One dead letter; `ts` is Unix time in seconds, `letter` counts those of the run from 1.

    `error_type`, `error`, `where` and `traceback` tell the failure of its last attempt. It is the
    item at `index` of the list that the file `chunk` pickles: the item itself, or, if `packed`, its
    pickle. `chunk_crc32` is the checksum of that file, None in a letter of an older version.
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
    chunk: Annotated[str, msgspec.Meta(pattern=_CHUNK_NAME)]
    index: int
    packed: bool
    chunk_crc32: int | None = None


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
                self._sync(file.fileno())
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
            self._keep(dead.chunk)
            self._write(sealed_line(self._letter(dead, ts)))
            self._count += 1
        except OSError as error:
            raise RunDirectoryError.of(self._path, error) from error

    def _begin(self, here: int) -> None:
        """Open the list of letters, and know its directory by a descriptor from now on."""
        self._here = here
        self._fd = open_regular(_LETTERS_NAME, os.O_WRONLY | os.O_CREAT | os.O_APPEND, dir_fd=here)
        self._open.callback(os.close, self._fd)

    def _write(self, line: bytes) -> None:
        """Write a line as a whole, or nothing of it."""
        size = os.fstat(self._fd).st_size
        try:
            _write_all(self._fd, line)
            self._sync(self._fd)
        except OSError:
            os.ftruncate(self._fd, size)
            raise

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
            _write_all(fd, chunk)
            self._sync(fd)
        except OSError:
            os.unlink(name, dir_fd=self._here)
            raise
        finally:
            os.close(fd)
        self._chunk, self._chunk_crc32 = chunk, zlib.crc32(chunk)
        self._has_chunk = True
        self._chunks += 1

    def _sync(self, fd: int) -> None:
        if self._synced:
            os.fsync(fd)

    def _letter(self, dead: ItemDead, ts: float) -> Letter:
        return Letter(
            letter=self._count + 1,
            ts=ts,
            job=dead.job,
            worker=dead.worker,
            item=dead.item,
            queue=dead.queue,
            attempts=dead.attempts,
            error_type=dead.failure.kind,
            error=dead.failure.message,
            where=dead.failure.where,
            traceback=dead.failure.traceback,
            chunk=_chunk_name(self._chunks),
            index=dead.index,
            packed=dead.packed,
            chunk_crc32=self._chunk_crc32,
        )


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
    path = directory / DEAD_NAME / _LETTERS_NAME
    try:
        fd = open_regular(path, os.O_RDONLY)
    except FileNotFoundError:
        return
    except OSError as error:
        raise RunDirectoryError(f"cannot read {path}: {error.strerror}") from error
    with os.fdopen(fd, "rb") as file:
        for line in read_sealed(file, Letter.__struct_fields__):
            letter = None
            if line.data is not None:
                with contextlib.suppress(ValueError):
                    letter = msgspec.convert(line.data, Letter)
            # Whatever was torn was at the end: a run that goes on writes the list anew.
            if letter is not None or line.damaged or line.ended:
                yield line, letter


def _chunk_name(number: int) -> str:
    return f"chunk-{number:06d}.pickle"


def _write_all(fd: int, data: Blob) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
