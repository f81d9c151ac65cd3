"""Keeps what a durable run must not forget. Called in the parent.

An entry is on disk before anybody acts on it: a worker is told of a lease, a grant or a commit only
after that. What a process that was killed leaves behind is therefore never less than what any other
process has seen. Source: docs/semantics.md, *Durable runs*.
"""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Mapping
from pathlib import Path

import msgspec

from orchestrator.core.durable.records import JournalEntry, NewChunk
from orchestrator.core.durable.snapshot import SnapshotTracker, StoredRun
from orchestrator.errors import RunDirectoryError
from orchestrator.files import open_new
from orchestrator.store.database import Database, Txn
from orchestrator.store.witness import Witness

__all__ = ["STATE_NAME", "WITNESS_NAME", "Store"]

STATE_NAME = "state.db"
WITNESS_NAME = "state.seq"

_encoder = msgspec.msgpack.Encoder()
_LEAST_JOURNAL = 1 << 20
_SNAPSHOTS_SHARE = 4
"""A snapshot is made when the journal is so many times larger: it costs a quarter at most."""


class Store:
    """The store of a run that goes on; `last` is the number of the entry written last."""

    def __init__(
        self, path: Path, database: Database, witness: Witness, tracking: SnapshotTracker, last: int
    ) -> None:
        self._path = path
        self._database = database
        self._witness = witness
        self._tracking = tracking
        self._last = last
        self._journal_size = 0
        self._snapshot_size = 0
        self._pending: Txn | None = None

    @classmethod
    def create(cls, directory: Path, meta: Mapping[str, bytes], *, full: bool) -> Store:
        """Make the store of a new run. Raises RunDirectoryError."""
        path = directory / STATE_NAME
        try:
            witness = Witness(directory / WITNESS_NAME)
            witness.note(0)  # from here on a store without it has lost it
            os.close(open_new(path))
            database = Database(path, full=full)
            database.make(meta, _encoder.encode(StoredRun()))
            return cls(path, database, witness, SnapshotTracker(StoredRun()), 0)
        except (sqlite3.Error, OSError) as error:
            raise _unwritable(path, error) from error

    def keep(self, entry: JournalEntry) -> None:
        """Write the next entry. After DiskFullError it is to be tried again with `retry`.

        Raises RunDirectoryError.
        """
        change = self._tracking.apply(entry)
        data = _encoder.encode(entry.records)
        self._journal_size += len(data)
        self._pending = Txn(
            seq=self._last + 1,
            entry=data,
            chunks=change.new,
            dropped=change.dropped,
        )
        if self._journal_size >= max(_LEAST_JOURNAL, _SNAPSHOTS_SHARE * self._snapshot_size):
            self._pending.snapshot = self._snapshot()
        self.retry()

    def rewrite(self, dropped: tuple[int, ...] = ()) -> None:
        """Write the stored run as it is, and drop these chunks. Raises as `keep`."""
        snapshot = self._snapshot()
        self._pending = Txn(seq=self._last + 1, entry=b"", dropped=dropped, snapshot=snapshot)
        self.retry()

    def retry(self) -> None:
        """Write what could not be written before. Raises as `keep`."""
        if self._pending is None:
            return
        try:
            self._database.write(self._pending)
            self._witness.note(self._pending.seq)
        except (sqlite3.Error, OSError) as error:
            raise _unwritable(self._path, error) from error
        self._last = self._pending.seq
        self._pending = None

    def remember(self, meta: Mapping[str, bytes]) -> None:
        """Write what the store is said to be made with anew. Raises RunDirectoryError."""
        try:
            self._database.write_meta(meta)
        except (sqlite3.Error, OSError) as error:
            raise _unwritable(self._path, error) from error

    def load(self, number: int) -> NewChunk:
        """Read a chunk. Raises RunDirectoryError if it is not there as it was."""
        chunk = self._database.chunk(number)
        if chunk is None:
            raise RunDirectoryError(f"chunk {number} of {self._path} is damaged")
        return chunk

    def close(self) -> None:
        """Close the files."""
        self._database.close()
        self._witness.close()

    def _snapshot(self) -> bytes:
        data = _encoder.encode(self._tracking.stored)
        self._journal_size, self._snapshot_size = 0, len(data)
        return data


def _unwritable(path: Path, error: sqlite3.Error | OSError) -> RunDirectoryError:
    if isinstance(error, OSError):
        return RunDirectoryError.of(path, error)
    is_full = getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_FULL
    return RunDirectoryError.of(path, OSError(errno.ENOSPC if is_full else errno.EIO, str(error)))
