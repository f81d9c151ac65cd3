"""Rescues what is whole of a damaged store: into a new database, which takes its place.

Called in the parent. Whenever the process is killed meanwhile, there is the damaged one as it was,
or the new one.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from orchestrator.core.durable.records import NewChunk
from orchestrator.core.durable.snapshot import StoredRun
from orchestrator.errors import RunDirectoryError
from orchestrator.files import open_new
from orchestrator.store.database import BESIDE, Database

__all__ = ["finish_rescue", "rescue", "rescued_of"]


def rescue(
    path: Path,
    meta: Mapping[str, bytes],
    stored: StoredRun,
    *,
    seq: int,
    chunks: Iterable[NewChunk],
) -> None:
    """Replace the database at `path` by one that holds these; its last entry was `seq`.

    Raises sqlite3.Error, and RunDirectoryError if a file cannot be made or moved.
    """
    draft = path.with_name(f"{path.name}.draft")
    try:
        _remove(draft)
        os.close(open_new(draft))
        with contextlib.closing(Database(draft, full=True)) as made:
            made.make(meta, msgspec.msgpack.encode(stored), seq=seq, chunks=chunks)
        draft.replace(rescued_of(path))
    except OSError as error:
        raise RunDirectoryError.of(draft, error) from error
    finish_rescue(path)


def finish_rescue(path: Path) -> None:
    """Put a new database that is complete into its place, if there is one.

    The log of the old one must be gone before: SQLite would take it for the new one's. Raises
    RunDirectoryError.
    """
    rescued = rescued_of(path)
    try:
        if rescued.exists():
            _remove(path)
            rescued.replace(path)
    except OSError as error:
        raise RunDirectoryError.of(path, error) from error


def rescued_of(path: Path) -> Path:
    """Return where a new database is until it takes the place of the one at `path`."""
    return path.with_name(f"{path.name}.rescued")


def _remove(path: Path) -> None:
    for name in (*(path.with_name(path.name + end) for end in BESIDE), path):
        name.unlink(missing_ok=True)
