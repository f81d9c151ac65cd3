"""Keepsakes: the items that have failed a run, kept beside its dead letters to be looked at.

`dead/keepsakes.jsonl` has a line a keepsake, of the form of a letter without a number, and
`dead/kept-<n>.pickle` its chunk. A keepsake is no dead letter: its item is *left*, a resumed run
tries it again, and nobody replays it. It goes when a resumed run has ended the item.
"""

from __future__ import annotations

import contextlib
import os
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from orchestrator.core.protocol.events import whole
from orchestrator.core.protocol.notifications import ItemKept
from orchestrator.errors import RunDirectoryError
from orchestrator.files import is_folder, open_directory, open_new
from orchestrator.runlog.jsonl import read_records, sealed_line, write_whole
from orchestrator.runlog.letters import DEAD_NAME, Letter

__all__ = ["Keepsakes", "read_keepsakes"]

_LIST_NAME = "keepsakes.jsonl"
_DRAFT_NAME = "keepsakes.draft"
_CHUNK_NAME = re.compile(r"kept-([0-9]{6,})\.pickle")
_MOST = 10
"""A failed batch may have a thousand items; more than a few of a run nobody looks at."""


def read_keepsakes(directory: Path) -> tuple[Letter, ...]:
    """Return the keepsakes of a run; what is damaged of the list is left out.

    Raises RunDirectoryError if it cannot be read.
    """
    lines = read_records(directory / DEAD_NAME / _LIST_NAME, Letter)
    return tuple(letter for _, letter in lines if letter is not None)


class Keepsakes:
    """Writes the keepsakes of one run; its directory is made with the first."""

    def __init__(self, directory: Path, *, synced: bool = False) -> None:
        """`synced`: they are to survive a loss of power."""
        self._directory = directory
        self._path = directory / DEAD_NAME
        self._synced = synced

    def add(self, kept: ItemKept, ts: float) -> None:
        """Keep one item in the place of an earlier failure of it; no more than a few are kept.

        Raises RunDirectoryError; after DiskFullError it can be called again with the same item.
        """
        others = [each for each in read_keepsakes(self._directory) if each.item != kept.item]
        if len(others) >= _MOST:
            return
        with self._opened() as here:
            blob = whole(kept.chunk)
            name = self._next_name()
            fd = open_new(name, dir_fd=here)
            try:
                write_whole(fd, blob, synced=self._synced)
            except OSError:
                os.unlink(name, dir_fd=here)
                raise
            finally:
                os.close(fd)
            letter = Letter.of(kept, ts, letter=0, chunk=name, chunk_crc32=zlib.crc32(blob))
            self._write([*others, letter], here)

    def settle(self, left: Mapping[str, Sequence[range]]) -> None:
        """Let go of those whose items are not among these that the run has left.

        Raises RunDirectoryError.
        """
        kept = read_keepsakes(self._directory)
        still = [each for each in kept if _is_among(each, left)]
        if len(still) < len(kept):
            with self._opened() as here:
                self._write(still, here)

    @contextlib.contextmanager
    def _opened(self) -> Iterator[int]:
        try:
            if not is_folder(self._path):
                self._path.mkdir(mode=0o700, exist_ok=True)
            with open_directory(self._path) as here:
                yield here
        except OSError as error:
            raise RunDirectoryError.of(self._path, error) from error

    def _next_name(self) -> str:
        found = (_CHUNK_NAME.fullmatch(path.name) for path in self._path.iterdir())
        return f"kept-{max((int(name[1]) for name in found if name), default=0) + 1:06d}.pickle"

    def _write(self, letters: Sequence[Letter], here: int) -> None:
        """Write the list anew, and let go of the chunks that it does not name any more."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(_DRAFT_NAME, dir_fd=here)
        fd = open_new(_DRAFT_NAME, dir_fd=here)
        try:
            write_whole(fd, b"".join(map(sealed_line, letters)), synced=self._synced)
        finally:
            os.close(fd)
        os.replace(_DRAFT_NAME, _LIST_NAME, src_dir_fd=here, dst_dir_fd=here)
        named = {letter.chunk for letter in letters}
        for path in self._path.iterdir():
            if _CHUNK_NAME.fullmatch(path.name) and path.name not in named:
                os.unlink(path.name, dir_fd=here)


def _is_among(letter: Letter, left: Mapping[str, Sequence[range]]) -> bool:
    number = int(letter.item.rpartition(":")[2])
    return any(number in part for part in left.get(letter.queue, ()))
