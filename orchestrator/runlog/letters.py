"""Dead letters: items that were taken out of a run, kept in its directory under `dead/`.

`letters.jsonl` has a line a letter, `chunk-<n>.pickle` the items as their producer sent them, which
mporch itself never unpickles. Letters of the same chunk share its file.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Set
from pathlib import Path
from typing import Annotated

import msgspec

from orchestrator.core.events import Blob
from orchestrator.core.facts import ItemDead
from orchestrator.errors import RunDirectoryError
from orchestrator.files import is_file, is_folder, open_directory, open_new, open_regular

__all__ = ["DEAD_NAME", "DeadLetters", "Letter", "read_letters"]

DEAD_NAME = "dead"
_LETTERS_NAME = "letters.jsonl"
_DRAFT_NAME = "letters.draft"
_CHUNK_NAME = r"^chunk-[0-9]{6,}\.pickle$"


class Letter(msgspec.Struct, frozen=True, kw_only=True):
    """One dead letter; `ts` is Unix time in seconds, `letter` counts those of the run from 1.

    `error_type`, `error`, `where` and `traceback` tell the failure of its last attempt. It is the
    item at `index` of the list that the file `chunk` pickles: the item itself, or, if `packed`, its
    pickle.
    """

    letter: int
    ts: float
    job: str
    worker: str
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
        self._chunks = 0
        if is_folder(self._path):
            self._resume(directory, resumed)

    def _resume(self, directory: Path, items: Set[str]) -> None:
        kept = {
            letter.item: letter
            for letter in read_letters(directory)
            if letter.item in items and is_file(self._path / letter.chunk)
        }
        self.missing = items - kept.keys()
        try:
            here = self._open.enter_context(open_directory(self._path))
            with contextlib.suppress(FileNotFoundError):
                os.unlink(_DRAFT_NAME, dir_fd=here)
            with os.fdopen(open_new(_DRAFT_NAME, dir_fd=here), "wb") as file:
                file.writelines(map(_line, kept.values()))
                file.flush()
                self._sync(file.fileno())
            os.replace(_DRAFT_NAME, _LETTERS_NAME, src_dir_fd=here, dst_dir_fd=here)
            self._begin(here)
        except OSError as error:
            raise RunDirectoryError.of(self._path, error) from error
        self._count = max((letter.letter for letter in kept.values()), default=0)
        self._chunks = len(list(self._path.glob("chunk-*.pickle")))

    def add(self, dead: ItemDead, ts: float) -> None:
        """Keep one letter, written when this returns.

        Raises RunDirectoryError; after DiskFullError it can be called again with the same letter.
        """
        try:
            if self._fd < 0:
                self._path.mkdir(mode=0o700, exist_ok=True)
                self._begin(self._open.enter_context(open_directory(self._path)))
            self._keep(dead.chunk)
            self._write(_line(self._letter(dead, ts)))
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
        if self._chunks and chunk is self._chunk:
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
        self._chunk = chunk
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
        )


def read_letters(directory: Path) -> Iterator[Letter]:
    """The letters of a run, in the order in which they were written.

    A line that a crash has torn, or that names no chunk of this run, is left out. Raises
    RunDirectoryError if the file cannot be read.
    """
    path = directory / DEAD_NAME / _LETTERS_NAME
    try:
        fd = open_regular(path, os.O_RDONLY)
    except FileNotFoundError:
        return
    except OSError as error:
        raise RunDirectoryError(f"cannot read {path}: {error.strerror}") from error
    with os.fdopen(fd, "rb") as file:
        for line in file:
            try:
                yield msgspec.convert(json.loads(line), Letter)
            except ValueError:
                continue


def _line(letter: Letter) -> bytes:
    return json.dumps(msgspec.to_builtins(letter)).encode("ascii") + b"\n"


def _chunk_name(number: int) -> str:
    return f"chunk-{number:06d}.pickle"


def _write_all(fd: int, data: Blob) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
