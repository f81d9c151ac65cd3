"""What is kept is there again; what is damaged is found, and what that has cost is told."""

import contextlib
import errno
import sqlite3
import zlib

import pytest

from orchestrator.core.durable.records import (
    Fate,
    Gave,
    ItemsEnded,
    JournalEntry,
    NewChunk,
    Progressed,
    Put,
)
from orchestrator.errors import DamagedStoreError, DiskFullError, RunDirectoryError
from orchestrator.store import store as store_module
from orchestrator.store.opening import open_store
from orchestrator.store.store import STATE_NAME, WITNESS_NAME, Store

META = {"format": b"1"}


def entry(number, *steps, blob=b"three items"):
    put = Put("q", number, 0, 3)
    chunk = NewChunk(number=number, packed=False, blob=blob, crc=zlib.crc32(blob))
    return JournalEntry(records=(put, Gave("a", 3), *steps), chunks=(chunk,))


def opened(path, *, salvage=False):
    return open_store(path, META, full=False, salvage=salvage)


@pytest.fixture
def kept(tmp_path):
    """Three entries; the second chunk is done with in the third."""
    store = Store.create(tmp_path, META, full=False)
    store.keep(entry(1))
    store.keep(entry(2))
    store.keep(entry(3, ItemsEnded("q", 2, 0, 3, Fate.DONE, "b")))
    store.close()
    return tmp_path


@contextlib.contextmanager
def rows(path):
    with contextlib.closing(sqlite3.connect(path / STATE_NAME)) as connection, connection:
        yield connection


def test_an_opened_store_gives_the_image_and_its_chunks(kept):
    found = opened(kept)
    image = found.resumption.stored
    assert (image.queues["q"].put, image.queues["q"].done) == (9, 3)
    assert [part.chunk for part in image.queues["q"].held] == [1, 3]
    assert found.resumption.load(1).blob == b"three items"
    assert found.meta == META
    assert not found.lost
    found.store.close()


def test_a_chunk_that_nobody_needs_any_more_is_gone(kept):
    with rows(kept) as connection:
        assert connection.execute("SELECT number FROM chunk").fetchall() == [(1,), (3,)]


def test_a_store_that_was_opened_goes_on(kept):
    found = opened(kept)
    found.store.keep(entry(4))
    found.store.close()
    again = opened(kept)
    assert again.resumption.stored.queues["q"].put == 12
    again.store.close()


def test_what_a_store_is_said_to_be_made_with_can_change(kept):
    found = opened(kept)
    found.store.remember(META | {"python": b"3.99"})
    found.store.close()
    again = opened(kept)
    assert again.meta == META | {"python": b"3.99"}
    assert again.resumption.stored == found.resumption.stored
    assert not again.lost
    again.store.close()


def test_a_long_journal_becomes_a_snapshot(tmp_path, monkeypatch):
    monkeypatch.setattr(store_module, "_LEAST_JOURNAL", 500)
    store = Store.create(tmp_path, META, full=False)
    for number in range(1, 200):
        store.keep(entry(number, ItemsEnded("q", number, 0, 3, Fate.DONE, "b")))
    store.close()
    with rows(tmp_path) as connection:
        (n,) = connection.execute("SELECT count(*) FROM journal").fetchone()
    assert n < 50
    found = opened(tmp_path)
    assert found.resumption.stored.queues["q"].done == 3 * 199
    found.store.close()


def test_a_tail_is_kept_for_as_long_as_a_position_names_it(tmp_path):
    store = Store.create(tmp_path, META, full=False)
    done = ItemsEnded("q", 1, 0, 3, Fate.DONE, "b")
    store.keep(entry(1, Progressed("a", "a-1", "q", 0, 0, 1, 3), done))
    store.close()
    found = opened(tmp_path)
    assert found.resumption.load(1).blob == b"three items"
    found.store.keep(entry(2, Progressed("a", "a-1", "q", 6, 7, 0, 0)))
    with pytest.raises(RunDirectoryError):
        found.store.load(1)
    found.store.close()


@pytest.mark.parametrize("made", [(), (WITNESS_NAME,), (WITNESS_NAME, STATE_NAME)])
def test_a_run_that_was_killed_before_its_store_was_made_begins_anew(tmp_path, made):
    for name in made:
        (tmp_path / name).touch()
    found = opened(tmp_path)
    assert found.resumption is None
    found.store.keep(entry(1))
    found.store.close()


def _flip(path, table, column, number):
    key = {"journal": "seq", "chunk": "number", "snapshot": "id"}[table]
    with rows(path) as connection:
        query = f"SELECT {column} FROM {table} WHERE {key} = ?"
        (data,) = connection.execute(query, (number,)).fetchone()
        flipped = bytes([data[0] ^ 1]) + data[1:] if isinstance(data, bytes) else data ^ 1
        statement = f"UPDATE {table} SET {column} = ? WHERE {key} = ?"
        connection.execute(statement, (flipped, number))


def _forget(path, table, number):
    with rows(path) as connection:
        connection.execute(f"DELETE FROM {table} WHERE rowid = ?", (number,))


DAMAGES = {
    "an entry": lambda path: _flip(path, "journal", "data", 2),
    "an entry's checksum": lambda path: _flip(path, "journal", "crc", 3),
    "an entry is gone": lambda path: _forget(path, "journal", 2),
    "the last entry is gone": lambda path: _forget(path, "journal", 3),
    "a chunk": lambda path: _flip(path, "chunk", "data", 1),
    "a chunk is gone": lambda path: _forget(path, "chunk", 3),
    "the witness is gone": lambda path: (path / WITNESS_NAME).unlink(),
    "the witness is cut": lambda path: (path / WITNESS_NAME).write_bytes(b"12345"),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_damage_is_found_and_refused_and_salvaging_tells_what_is_lost(kept, damage):
    damage(kept)
    with pytest.raises(DamagedStoreError, match="is damaged: ") as caught:
        opened(kept)
    assert "--salvage" in caught.value.hint
    found = opened(kept, salvage=True)
    assert found.lost
    queue = found.resumption.stored.queues["q"]
    here = sum(map(len, queue.held))
    assert queue.put == queue.done + queue.lost + here
    for part in queue.held:
        assert found.resumption.load(part.chunk).blob == b"three items"
    found.store.close()
    again = opened(kept)
    assert not again.lost
    again.store.close()


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: _flip(path, "snapshot", "data", 1),
        lambda path: (path / STATE_NAME).write_bytes(b"no database" * 100),
        lambda path: (path / STATE_NAME).unlink(),
    ],
    ids=["snapshot", "no database", "gone"],
)
def test_what_cannot_be_read_cannot_be_salvaged(kept, damage):
    damage(kept)
    with pytest.raises(DamagedStoreError):
        opened(kept, salvage=True)


def test_without_room_the_same_entry_can_be_written_later(tmp_path, monkeypatch):
    store = Store.create(tmp_path, META, full=False)
    real = store._database.write

    def full(txn):
        error = sqlite3.OperationalError("database or disk is full")
        error.sqlite_errorcode = sqlite3.SQLITE_FULL
        raise error

    monkeypatch.setattr(store._database, "write", full)
    with pytest.raises(DiskFullError) as caught:
        store.keep(entry(1))
    assert caught.value.__cause__ is not None
    monkeypatch.setattr(store._database, "write", real)
    store.retry()
    store.retry()
    store.close()
    found = opened(tmp_path)
    assert found.resumption.stored.queues["q"].put == 3
    found.store.close()


def test_any_other_error_of_the_disk_is_final(tmp_path, monkeypatch):
    store = Store.create(tmp_path, META, full=False)

    def broken(number):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(store._witness, "note", broken)
    with pytest.raises(RunDirectoryError, match="Input/output error") as caught:
        store.keep(entry(1))
    assert not isinstance(caught.value, DiskFullError)
    store.close()


def test_a_store_whose_rows_have_checksums_of_the_older_form_is_whole(kept):
    """Until 0.1 the checksum of a chunk's row began with its key; those of new rows end with it."""
    with rows(kept) as connection:
        for number, data in connection.execute("SELECT number, data FROM chunk").fetchall():
            older = zlib.crc32(data, number << 1)
            connection.execute("UPDATE chunk SET crc = ? WHERE number = ?", (older, number))
    found = opened(kept)
    chunk = found.resumption.load(1)
    assert (chunk.blob, chunk.crc) == (b"three items", zlib.crc32(b"three items"))
    found.store.keep(entry(4))
    found.store.close()
    assert opened(kept).resumption.stored.queues["q"].put == 12
