"""The store's tables in SQLite. Called in the parent; everything raises sqlite3.Error.

One row of `journal` an entry, in sequence; `snapshot` is the stored run up to an entry, after which
the journal begins anew; `chunk` holds what the stored run names. Each row has a checksum of its
own, since SQLite checks none. Source: https://sqlite.org/wal.html and
https://sqlite.org/howtocorrupt.html.
"""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import msgspec

from orchestrator.core.durable.records import NewChunk
from orchestrator.core.protocol.events import PlacedBlob

__all__ = ["BESIDE", "Database", "Stored", "Txn"]

BESIDE = ("-wal", "-shm", "-journal")
"""The ends of the names of files that SQLite makes beside a database."""

_SCHEMA = """
CREATE TABLE meta (id INTEGER PRIMARY KEY CHECK (id = 1), crc INTEGER NOT NULL, data BLOB NOT NULL);
CREATE TABLE journal (seq INTEGER PRIMARY KEY, crc INTEGER NOT NULL, data BLOB NOT NULL);
CREATE TABLE snapshot (
    id INTEGER PRIMARY KEY CHECK (id = 1), seq INTEGER NOT NULL, crc INTEGER NOT NULL,
    data BLOB NOT NULL);
CREATE TABLE chunk (
    number INTEGER PRIMARY KEY, packed INTEGER NOT NULL, crc INTEGER NOT NULL, data BLOB NOT NULL);
"""
_NEW_CHUNK = "INSERT INTO chunk VALUES (?, ?, ?, ?)"
_CHECKPOINT_PAGES = 4096
"""The write-ahead log grows to 16 MiB before it is copied: a checkpoint waits for the disk."""

_CHUNKS = "SELECT number, packed, crc, data FROM chunk"
_metas = msgspec.msgpack.Decoder(dict[str, bytes])


class Stored(msgspec.Struct, frozen=True):
    """A numbered blob whose checksum was right."""

    number: int
    data: bytes


class Txn(msgspec.Struct, kw_only=True):
    """What is written in one transaction; `seq` is the journal's number of `entry`."""

    seq: int
    entry: bytes
    chunks: tuple[NewChunk, ...] = ()
    dropped: tuple[int, ...] = ()
    snapshot: bytes | None = None


class Database:
    """One open store. `full` makes each transaction survive a loss of power."""

    def __init__(self, path: Path, *, full: bool) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None, cached_statements=32)
        execute = self._connection.execute
        execute("PRAGMA locking_mode = EXCLUSIVE")
        execute("PRAGMA journal_mode = WAL")
        execute(f"PRAGMA synchronous = {'FULL' if full else 'NORMAL'}")
        execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def make(
        self,
        meta: Mapping[str, bytes],
        snapshot: bytes,
        *,
        seq: int = 0,
        chunks: Iterable[NewChunk] = (),
    ) -> None:
        """Make the tables of a new store, as a whole or not at all.

        `snapshot` is the stored run after the entry `seq`, which names these chunks.
        """
        execute = self._connection.execute
        execute("BEGIN IMMEDIATE")
        for statement in _SCHEMA.split(";\n"):
            execute(statement)
        self.write_meta(meta)
        for chunk in chunks:
            execute(_NEW_CHUNK, _chunk_row(chunk))
        self._write_snapshot(seq, snapshot)
        execute("COMMIT")

    def write_meta(self, meta: Mapping[str, bytes]) -> None:
        """Write what the store was made with, in the place of what was there."""
        data = msgspec.msgpack.encode(meta)
        query = "INSERT OR REPLACE INTO meta VALUES (1, ?, ?)"
        self._connection.execute(query, (_crc(1, data), data))

    def write(self, txn: Txn) -> None:
        """Write a transaction, as a whole or not at all."""
        connection = self._connection
        execute = connection.execute
        execute("BEGIN IMMEDIATE")
        try:
            for chunk in txn.chunks:
                execute(_NEW_CHUNK, _chunk_row(chunk))
            for number in txn.dropped:
                execute("DELETE FROM chunk WHERE number = ?", (number,))
            if txn.snapshot is None:
                row = txn.seq, _crc(txn.seq, txn.entry), txn.entry
                execute("INSERT INTO journal VALUES (?, ?, ?)", row)
            else:
                execute("DELETE FROM journal")
                self._write_snapshot(txn.seq, txn.snapshot)
            execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                execute("ROLLBACK")
            raise

    def _write_snapshot(self, seq: int, data: bytes) -> None:
        self._connection.execute(
            "INSERT OR REPLACE INTO snapshot VALUES (1, ?, ?, ?)", (seq, _crc(seq, data), data)
        )

    # -- reading ----------------------------------------------------------------------------------

    def quick_check(self) -> str:
        """Return what SQLite itself finds wrong with the file; empty if nothing."""
        (found,) = self._connection.execute("PRAGMA quick_check(1)").fetchone()
        return "" if found == "ok" else str(found)

    def is_made(self) -> bool:
        """True if the tables are there."""
        query = "SELECT count(*) FROM sqlite_master WHERE name = 'snapshot'"
        (n,) = self._connection.execute(query).fetchone()
        return bool(n)

    def meta(self) -> dict[str, bytes] | None:
        """Return what was told last of the code and the Python; None if it is damaged."""
        row = self._connection.execute("SELECT id, crc, data FROM meta").fetchone()
        found = _checked(*row) if row is not None else None
        return _metas.decode(found.data) if found is not None else None

    def snapshot(self) -> Stored | None:
        """The stored run, with the number of the last entry in it; None if it is damaged."""
        row = self._connection.execute("SELECT seq, crc, data FROM snapshot").fetchone()
        return _checked(*row) if row is not None else None

    def journal(self) -> Iterator[Stored | None]:
        """The entries in sequence; None for a damaged one."""
        for row in self._connection.execute("SELECT seq, crc, data FROM journal ORDER BY seq"):
            yield _checked(*row)

    def chunks(self) -> Iterator[tuple[int, NewChunk | None]]:
        """Each chunk by its number; None for a damaged one."""
        for row in self._connection.execute(f"{_CHUNKS} ORDER BY number"):
            yield row[0], _checked_chunk(*row)

    def chunk(self, number: int) -> NewChunk | None:
        """A chunk; None if it is damaged or not there."""
        row = self._connection.execute(f"{_CHUNKS} WHERE number = ?", (number,)).fetchone()
        return _checked_chunk(*row) if row is not None else None


def _chunk_row(chunk: NewChunk) -> tuple[int, int, int, bytes | bytearray | memoryview]:
    packed = int(chunk.packed)
    blob, crc = chunk.blob, chunk.crc
    if isinstance(blob, PlacedBlob):  # its checksum is that of its place
        blob = blob.read()
        crc = zlib.crc32(blob)
    return chunk.number, packed, _row_crc(_key(chunk.number, packed), crc), blob


def _checked_chunk(number: object, packed: object, crc: object, data: object) -> NewChunk | None:
    if not isinstance(number, int) or packed not in (0, 1) or not isinstance(data, bytes):
        return None
    of_blob, key = zlib.crc32(data), _key(number, int(bool(packed)))
    # A store of 0.1 has checksums that begin with the key.
    if crc == _row_crc(key, of_blob) or crc == _crc(key, data):
        return NewChunk(number=number, packed=bool(packed), blob=data, crc=of_blob)
    return None


def _key(number: int, packed: int) -> int:
    """Return what is under the checksum of a chunk beside its blob: all of its row."""
    return number << 1 | packed


def _row_crc(key: int, of_blob: int) -> int:
    """Return the checksum of blob and key, out of that of the blob: that is not read again."""
    return zlib.crc32((key & 0xFFFFFFFFFFFFFFFF).to_bytes(8, "little"), of_blob)


def _crc(number: int, data: bytes | bytearray | memoryview) -> int:
    return zlib.crc32(data, number & 0xFFFFFFFF)


def _checked(number: object, crc: object, data: object) -> Stored | None:
    """The row if its checksum is right; a damaged one may hold values of any type."""
    if isinstance(number, int) and isinstance(data, bytes) and crc == _crc(number, data):
        return Stored(number, data)
    return None
