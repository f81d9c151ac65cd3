"""A journal gives what was noted since it was last asked, and each chunk with its first step."""

from __future__ import annotations

from orchestrator.core.broker.chunks import Chunk
from orchestrator.core.broker.observers import Journal
from orchestrator.core.durable.records import Gave, Put


def test_an_entry_holds_what_was_noted_since_the_last() -> None:
    journal = Journal()
    journal.gave("s", 1)
    journal.gave("s", 2)
    entry = journal.take()
    assert entry is not None
    assert entry.records == (Gave("s", 1), Gave("s", 2))
    assert journal.take() is None


def test_a_chunk_is_new_once_and_has_one_number_on_all_its_queues() -> None:
    journal, chunk = Journal(first_chunk=5), Chunk(b"blob", packed=True, items=9)
    journal.put("a", chunk, 0, 1)
    journal.put("b", chunk, 0, 1)
    first = journal.take()
    journal.put("a", chunk, 1, 2)
    second = journal.take()
    assert first is not None
    assert second is not None
    assert first.records == (Put("a", 5, 0, 1), Put("b", 5, 0, 1))
    assert [(new.number, new.packed, new.blob) for new in first.chunks] == [(5, True, b"blob")]
    assert second.records == (Put("a", 5, 1, 2),)
    assert not second.chunks


def test_the_next_chunk_has_the_next_number() -> None:
    journal = Journal(first_chunk=5)
    chunks = [Chunk(b"", packed=False, items=9) for _ in range(2)]
    for chunk in chunks:
        journal.put("a", chunk, 0, 1)
    assert [chunk.number for chunk in chunks] == [5, 6]
