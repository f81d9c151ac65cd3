"""Opens the store of a run whose processes are gone, and tells whether it is whole.

Called in the parent. What was acknowledged and is not there any more is never passed over: the
store is refused, or, if it is to be salvaged, what is lost is told.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Mapping
from pathlib import Path

import msgspec

from orchestrator.core.image import Image, Tracking
from orchestrator.core.restoring import Resumption
from orchestrator.core.steps import Entry, Step
from orchestrator.errors import DamagedStoreError, RunDirectoryError
from orchestrator.files import open_regular
from orchestrator.runtime.store.database import Database
from orchestrator.runtime.store.store import STATE_NAME, WITNESS_NAME, Store
from orchestrator.runtime.store.witness import Witness, read_witness

__all__ = ["Opened", "open_store"]

_BESIDE = ("-wal", "-shm", "-journal")
_images = msgspec.msgpack.Decoder(Image)
_entries = msgspec.msgpack.Decoder(tuple[Step, ...])


class Opened(msgspec.Struct, frozen=True, kw_only=True):
    """A store that was opened: what it was made with, what the run goes on from, what is lost.

    `meta` is None where the run had not come so far as to make it.
    """

    store: Store
    meta: Mapping[str, bytes] | None
    resumption: Resumption | None
    lost: tuple[str, ...] = ()


def open_store(directory: Path, meta: Mapping[str, bytes], *, full: bool, salvage: bool) -> Opened:
    """Open the store in `directory`, or make the one that was never made, with `meta`.

    Raises DamagedStoreError if it is not whole and not to be salvaged, or past salvaging, and
    RunDirectoryError if it cannot be written.
    """
    path = directory / STATE_NAME
    _check_files(path)
    nothing_kept = not read_witness(directory / WITNESS_NAME)
    if not path.exists() and nothing_kept:
        return Opened(store=Store.create(directory, meta, full=full), meta=None, resumption=None)
    try:
        database = Database(path, full=full)
        if not database.is_made() and nothing_kept:
            database.close()
            for left in directory.glob(f"{STATE_NAME}*"):
                left.unlink()
            made = Store.create(directory, meta, full=full)
            return Opened(store=made, meta=None, resumption=None)
        return _opened(directory, database, salvage=salvage)
    except sqlite3.Error as error:
        raise DamagedStoreError(
            f"{path} cannot be read: {error}",
            hint="it cannot be salvaged; run the spec anew, in another directory",
        ) from error


def _check_files(path: Path) -> None:
    """Raise RunDirectoryError if a file of the store is no regular one: SQLite follows links."""
    for name in (path, *(path.with_name(path.name + end) for end in _BESIDE)):
        try:
            os.close(open_regular(name, os.O_RDWR))
        except FileNotFoundError:
            continue
        except OSError as error:
            raise RunDirectoryError.of(name, error) from error


def _opened(directory: Path, database: Database, *, salvage: bool) -> Opened:
    reading = _Reading(database)
    tracking = reading.image(read_witness(directory / WITNESS_NAME))
    packed = reading.chunks(tracking)
    if reading.flaws and not salvage:
        database.close()
        raise DamagedStoreError(
            f"{directory / STATE_NAME} is damaged: {'; '.join(reading.flaws)}",
            hint="--salvage goes on with what is left, and says what is lost",
        )
    unneeded = reading.orphans + tracking.rewind()
    meta = database.meta()
    witness = Witness(directory / WITNESS_NAME)
    store = Store(directory / STATE_NAME, database, witness, tracking, reading.last)
    store.rewrite(tuple(unneeded))
    resumption = Resumption(image=tracking.image, load=store.load, packed=frozenset(packed))
    return Opened(store=store, meta=meta, resumption=resumption, lost=tuple(reading.flaws))


class _Reading:
    """Reads a store; `flaws` are what is wrong with it, in words, `last` its last good entry."""

    def __init__(self, database: Database) -> None:
        self.flaws: list[str] = []
        self.last = 0
        self.orphans: list[int] = []
        self._database = database
        if found := database.quick_check():
            self.flaws.append(f"SQLite finds {found!r}")

    def image(self, witness: int | None) -> Tracking:
        """The image after the last good entry."""
        snapshot = self._database.snapshot()
        if snapshot is None:
            raise sqlite3.DatabaseError("its snapshot is damaged")
        tracking = Tracking(_images.decode(snapshot.data))
        self.last = snapshot.number
        damaged = self._replay(tracking)
        if witness is None:
            self.flaws.append(f"{WITNESS_NAME}, which says how much it has to hold, is gone")
        elif witness > self.last and not damaged:
            n = witness - self.last
            self.flaws.append(f"the last {n} of its {witness} entries are gone")
        return tracking

    def _replay(self, tracking: Tracking) -> bool:
        """Apply the journal as far as it is good; whether an entry was damaged."""
        for row in self._database.journal():
            if row is None or row.number != self.last + 1:
                self.flaws.append(f"entry {self.last + 1} and all after it are damaged")
                return True
            tracking.apply(Entry(steps=_entries.decode(row.data)))
            self.last = row.number
        return False

    def chunks(self, tracking: Tracking) -> set[int]:
        """Look at every chunk; what needs one that is gone is lost. Returns the packed ones."""
        missing = set(tracking.chunks)
        packed: set[int] = set()
        last = tracking.image.last_chunk
        for number, is_packed, is_whole in self._database.chunks():
            last = max(last, number)
            if number not in tracking.chunks:
                self.orphans.append(number)
            elif is_whole:
                missing.discard(number)
                if is_packed:
                    packed.add(number)
        tracking.image.last_chunk = last
        if missing:
            lost = tracking.lose(missing)
            self.orphans += missing
            items = ", ".join(f"{n} of {name}" for name, n in lost.items())
            self.flaws.append(f"{len(missing)} of its chunks are damaged, and with them {items}")
        return packed
