"""A position is the digest of whole chunks, and so many items of the chunk that is put in part."""

from __future__ import annotations

from orchestrator.core.broker.chunks import Chunk
from orchestrator.core.broker.outputs import OutputProgress, PendingOutput


def part(n: int, before: int, after: int) -> PendingOutput:
    return PendingOutput((), Chunk(b"", packed=False, items=n), n, (n,), digests=(before, after))


def put(position: OutputProgress, made: PendingOutput, n: int) -> None:
    made.put(n)
    position.note(made)


def at(position: OutputProgress) -> tuple[int, int, bool, int]:
    return position.n, position.digest, position.tail is not None, position.used


def test_a_chunk_put_at_once_is_in_the_digest() -> None:
    position = OutputProgress()
    put(position, part(3, 0, 11), 3)
    assert at(position) == (3, 11, False, 0)


def test_a_chunk_put_in_part_is_the_tail_and_the_digest_is_that_before_it() -> None:
    position = OutputProgress()
    put(position, part(3, 0, 11), 3)
    made = part(4, 11, 22)
    put(position, made, 1)
    assert at(position) == (3, 11, True, 1)
    put(position, made, 2)
    assert at(position) == (3, 11, True, 3)
    put(position, made, 1)
    assert at(position) == (7, 22, False, 0)


def test_what_was_put_of_a_tail_counts_though_the_rest_is_cut_otherwise_the_next_time() -> None:
    position = OutputProgress()
    put(position, part(4, 0, 22), 2)
    put(position, part(2, 15, 22), 1)
    assert at(position) == (2, 15, True, 1)
    assert position.total == 3
