"""Opens the store of a run whose processes are gone, and tells whether it is whole.

Called in the parent. What was acknowledged and is not there any more is never passed over: the
store is refused, or, if it is to be salvaged, what is lost is told.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TypeVar

import msgspec

from orchestrator.core.broker.setup import Resumption
from orchestrator.core.durable.records import JournalEntry, NewChunk, Record
from orchestrator.core.durable.snapshot import SnapshotTracker, StoredRun
from orchestrator.errors import DamagedStoreError, RunDirectoryError
from orchestrator.files import open_new, open_regular
from orchestrator.store.database import BESIDE, Database
from orchestrator.store.store import STATE_NAME, WITNESS_NAME, Store
from orchestrator.store.witness import Witness, read_witness

__all__ = ["OpenedStore", "finish_rescue", "open_store", "rescue", "rescued_of"]

T = TypeVar("T")

_PAST_SALVAGING = "it cannot be salvaged; run the spec anew, in another directory"
_AGAIN = "what was done after that is done again"
_images = msgspec.msgpack.Decoder(StoredRun)
_entries = msgspec.msgpack.Decoder(tuple[Record, ...])


class OpenedStore(msgspec.Struct, frozen=True, kw_only=True):
    """A store that was opened: what it was made with, what the run goes on from, what is lost.

    `meta` is None where the run had not come so far as to make it, or where it is lost.
    """

    store: Store
    meta: Mapping[str, bytes] | None
    resumption: Resumption | None
    lost: tuple[str, ...] = ()


def open_store(
    directory: Path, meta: Mapping[str, bytes], *, full: bool, salvage: bool, begun: bool = False
) -> OpenedStore:
    """Open the store in `directory`, or make the one that was never made, with `meta`.

    `begun` says that the run is known to have had one. Raises DamagedStoreError if it is not whole
    and not to be salvaged, or past salvaging, and RunDirectoryError if it cannot be written.
    """
    path = directory / STATE_NAME
    _check_files(path)
    kept = begun or bool(read_witness(directory / WITNESS_NAME))
    try:
        _check_rescued(rescued_of(path), full=full)
        finish_rescue(path)
        if not kept and not _is_made(path, full=full):
            for left in directory.glob(f"{STATE_NAME}*"):
                left.unlink()
            made = Store.create(directory, meta, full=full)
            return OpenedStore(store=made, meta=None, resumption=None)
        if not path.exists():
            raise DamagedStoreError(f"{path} is gone", hint=_PAST_SALVAGING)
        return _Opening(directory, meta, full=full, salvage=salvage).opened()
    except (sqlite3.Error, UnicodeDecodeError) as error:  # SQLite may quote what is damaged
        raise DamagedStoreError(f"{path} cannot be read: {error}", hint=_PAST_SALVAGING) from error


def _is_made(path: Path, *, full: bool) -> bool:
    if not path.exists():
        return False
    with contextlib.closing(Database(path, full=full)) as database:
        return database.is_made()


def _check_rescued(rescued: Path, *, full: bool) -> None:
    """Raise DamagedStoreError if it is there and no store: it would take the place of one."""
    with contextlib.suppress(sqlite3.Error):
        if not rescued.exists() or _is_made(rescued, full=full):
            return
    raise DamagedStoreError(f"{rescued} is no store", hint="remove it")


def _check_files(path: Path) -> None:
    """Raise RunDirectoryError if a file of the store is no regular one: SQLite follows links."""
    beside = [path.with_name(path.name + end) for end in BESIDE]
    for name in (path, rescued_of(path), *beside):
        try:
            os.close(open_regular(name, os.O_RDWR))
        except FileNotFoundError:
            continue
        except OSError as error:
            raise RunDirectoryError.of(name, error) from error


class _Opening:
    """Opens a store that was made."""

    def __init__(
        self, directory: Path, meta: Mapping[str, bytes], *, full: bool, salvage: bool
    ) -> None:
        self._path = directory / STATE_NAME
        self._meta = meta
        self._full = full
        self._salvage = salvage

    def opened(self) -> OpenedStore:
        witness = read_witness(self._path.with_name(WITNESS_NAME))
        database = Database(self._path, full=self._full)
        try:
            reading = _Reading(database, witness)
            if reading.flaws:
                self._rescue(reading, database, max(reading.last, witness or 0))
                database.close()
                database = Database(self._path, full=self._full)
            return self._going_on(reading, database)
        except BaseException:
            database.close()
            raise

    def _rescue(self, reading: _Reading, database: Database, seq: int) -> None:
        """Put what is whole into a new database: nothing is written to a damaged one."""
        if not self._salvage:
            raise DamagedStoreError(
                f"{self._path} is damaged: {'; '.join(reading.flaws)}",
                hint="--salvage goes on with what is left, and says what is lost"
                + (f"; {_AGAIN}" if reading.goes_back else ""),
            )
        wanted = reading.tracking.chunks
        whole = (chunk for _, chunk in reading.rows(database.chunks()) if chunk is not None)
        rescue(
            self._path,
            reading.meta or self._meta,
            reading.tracking.stored,
            seq=seq,
            chunks=(chunk for chunk in whole if chunk.number in wanted),
        )
        reading.last = seq
        reading.orphans.clear()

    def _going_on(self, reading: _Reading, database: Database) -> OpenedStore:
        tracking = reading.tracking
        unneeded = reading.orphans + tracking.rewind()
        witness = Witness(self._path.with_name(WITNESS_NAME))
        store = Store(self._path, database, witness, tracking, reading.last)
        store.rewrite(tuple(unneeded))
        packed = frozenset(reading.packed)
        resumption = Resumption(stored=tracking.stored, load=store.load, packed=packed)
        lost = (*reading.flaws, *((_AGAIN,) if reading.goes_back else ()))
        return OpenedStore(store=store, meta=reading.meta, resumption=resumption, lost=lost)


class _Reading:
    """What a store holds; `flaws` are what is wrong with it, in words, `last` its last good entry.

    `goes_back`: it lacks the end of what the run had done.
    `packed` are the numbers of chunks of pickles, `orphans` those of chunks that nobody needs.
    """

    def __init__(self, database: Database, witness: int | None) -> None:
        self.flaws: list[str] = []
        self.orphans: list[int] = []
        self.packed: list[int] = []
        if found := database.quick_check():
            self.flaws.append(f"SQLite finds {found!r}")
        self.meta = database.meta()
        if self.meta is None:
            self.flaws.append("what it says of Python and of the targets' code is damaged")
        snapshot = database.snapshot()
        if snapshot is None:
            raise sqlite3.DatabaseError("its snapshot is damaged")
        self.tracking = SnapshotTracker(_images.decode(snapshot.data))
        self.last = snapshot.number
        damaged = self._replay(database)
        if witness is None:
            self.flaws.append(f"{WITNESS_NAME}, which says how much it has to hold, is gone")
        elif witness > self.last and not damaged:
            n = witness - self.last
            self.flaws.append(f"the last {n} of its {witness} entries are gone")
        self.goes_back = damaged or (witness or 0) > self.last
        self._look_at_chunks(database)

    def rows(self, rows: Iterator[T]) -> Iterator[T]:
        """Yield what can be read of a table; that there is more is a flaw."""
        try:
            yield from rows
        except sqlite3.Error as error:
            self.flaws.append(f"a table breaks off: {error}")

    def _replay(self, database: Database) -> bool:
        """Apply the journal as far as it is good; whether an entry was damaged."""
        for row in self.rows(database.journal()):
            if row is None or row.number != self.last + 1:
                self.flaws.append(f"entry {self.last + 1} and all after it are damaged")
                return True
            self.tracking.apply(JournalEntry(records=_entries.decode(row.data)))
            self.last = row.number
        return False

    def _look_at_chunks(self, database: Database) -> None:
        """Count as lost what needs one that is gone."""
        tracking = self.tracking
        missing = set(tracking.chunks)
        last = tracking.stored.last_chunk
        for number, chunk in self.rows(database.chunks()):
            last = max(last, number)
            if number not in tracking.chunks:
                self.orphans.append(number)
            elif chunk is not None:
                missing.discard(number)
                if chunk.packed:
                    self.packed.append(number)
        tracking.stored.last_chunk = last
        if missing:
            lost = tracking.lose(missing)
            items = ", ".join(f"{n} of {name}" for name, n in lost.items())
            self.flaws.append(f"{len(missing)} of its chunks are damaged, and with them {items}")


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
