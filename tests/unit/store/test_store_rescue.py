"""Salvaging replaces a damaged store by a new one; all that a store says is under a checksum."""

import contextlib
import os
import shutil
import sqlite3
import zlib

import pytest

from orchestrator.core.durable.records import Gave, JournalEntry, NewChunk, Put
from orchestrator.errors import DamagedStoreError, MporchError
from orchestrator.store import opening
from orchestrator.store.opening import open_store
from orchestrator.store.store import STATE_NAME, WITNESS_NAME, Store

META = {"format": b"1", "python": b"3.11"}


def opened(path, *, salvage=False, begun=False, meta=META):
    return open_store(path, meta, full=False, salvage=salvage, begun=begun)


@pytest.fixture
def kept(tmp_path):
    """A store of three chunks, as a killed process leaves it: all is in the write-ahead log."""
    alive = tmp_path / "alive"
    alive.mkdir()
    store = Store.create(alive, META, full=False)
    for number in (1, 2, 3):
        chunk = NewChunk(
            number=number, packed=False, blob=b"three items", crc=zlib.crc32(b"three items")
        )
        store.keep(JournalEntry(records=(Put("q", number, 0, 3), Gave("a", 3)), chunks=(chunk,)))
    killed = tmp_path / "killed"
    shutil.copytree(alive, killed)
    store.close()
    return killed


def execute(path, statement):
    with contextlib.closing(sqlite3.connect(path / STATE_NAME)) as connection, connection:
        connection.execute(statement)


DAMAGES = {
    "what the run was made with": "UPDATE meta SET data = zeroblob(9)",
    "what the run was made with is gone": "DELETE FROM meta",
    "that a chunk is no chunk of pickles": "UPDATE chunk SET packed = 1 WHERE number = 2",
    "what a chunk is": "UPDATE chunk SET packed = 'yes' WHERE number = 2",
}


@pytest.mark.parametrize("statement", DAMAGES.values(), ids=DAMAGES)
def test_what_is_told_beside_the_items_is_not_believed_when_it_is_damaged(kept, statement):
    execute(kept, statement)
    with pytest.raises(DamagedStoreError, match="is damaged"):
        opened(kept)
    found = opened(kept, salvage=True)
    assert found.lost
    assert "what was done after that is done again" not in found.lost
    found.store.close()
    again = opened(kept)
    assert not again.lost
    again.store.close()


def test_a_store_that_lost_what_the_run_was_made_with_goes_on_with_what_is_now(kept):
    execute(kept, "DELETE FROM meta")
    now = {"format": b"1", "python": b"3.12"}
    found = opened(kept, salvage=True, meta=now)
    assert found.meta is None
    found.store.close()
    again = opened(kept)
    assert again.meta == now
    again.store.close()


def test_a_salvaged_store_is_a_new_one_that_holds_what_is_whole(kept):
    log = kept / f"{STATE_NAME}-wal"
    log.write_bytes(log.read_bytes()[: log.stat().st_size * 3 // 4])
    found = opened(kept, salvage=True)
    assert "entries are gone" in found.lost[0]
    assert found.lost[1] == "what was done after that is done again"
    queue = found.resumption.stored.queues["q"]
    assert 0 < queue.put < 9
    for part in queue.held:
        assert found.resumption.load(part.chunk).blob == b"three items"
    found.store.close()
    assert {path.name for path in kept.iterdir()} == {STATE_NAME, WITNESS_NAME}


def test_a_salvage_that_was_killed_before_its_last_step_is_completed(kept, monkeypatch):
    execute(kept, "DELETE FROM meta")

    finish = opening.finish_rescue

    def killed(path):
        if opening.rescued_of(path).exists():
            raise KeyboardInterrupt
        finish(path)

    monkeypatch.setattr(opening, "finish_rescue", killed)
    with pytest.raises(KeyboardInterrupt):
        opened(kept, salvage=True)
    monkeypatch.undo()
    found = opened(kept)
    assert found.meta == META
    assert found.resumption.stored.queues["q"].put == 9
    found.store.close()


@pytest.mark.parametrize("gone", [(STATE_NAME,), (STATE_NAME, WITNESS_NAME)])
def test_a_store_that_is_gone_is_not_taken_for_one_that_was_never_made(kept, gone):
    for name in (*gone, f"{STATE_NAME}-wal"):
        (kept / name).unlink()
    with pytest.raises(DamagedStoreError, match="is gone"):
        opened(kept, begun=True)
    assert not (kept / STATE_NAME).exists()


def test_what_sqlite_quotes_of_a_damaged_file_need_not_be_text(kept, monkeypatch):
    def quoting(path, *, full):
        b"\xce".decode()

    monkeypatch.setattr(opening, "Database", quoting)
    with pytest.raises(DamagedStoreError, match="cannot be read"):
        opened(kept)


@pytest.mark.parametrize("planted", ["link", "pipe", "nothing", "text"])
def test_what_a_target_has_planted_does_not_take_the_place_of_the_store(kept, planted, tmp_path):
    rescued = kept / f"{STATE_NAME}.rescued"
    outside = tmp_path / "outside"
    outside.write_bytes((kept / STATE_NAME).read_bytes())
    match planted:
        case "link":
            rescued.symlink_to(outside)
        case "pipe":
            os.mkfifo(rescued)
        case "nothing":
            rescued.touch()
        case "text":
            rescued.write_text("no database")
    before = (kept / STATE_NAME).read_bytes()
    with pytest.raises(MporchError, match="rescued"):
        opened(kept)
    assert (kept / STATE_NAME).read_bytes() == before
    rescued.unlink()
    found = opened(kept)
    assert found.resumption.stored.queues["q"].put == 9
    found.store.close()
